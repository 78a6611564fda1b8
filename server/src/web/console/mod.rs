//! The console: pages for people, written on the server, that work without scripts. A request comes in, a page or a
//! redirect goes out; a page never holds a key that it was not just given, nor a word that is not escaped.
//!
//! Who asks is proven as under `/v1`, by other types: [`Person`], [`ReaderPerson`], [`AdminPerson`] from the cookie of
//! a session, [`Visitor`] for pages before it. A form is read by [`Posted`] alone, which wants the form's own token
//! from the page that showed it, so a handler that reads a form has been asked by one of our pages.
//!
//! A page is a template in `templates/console` and a struct with the texts it shows, ready to be written. Scripts are
//! one vendored file (htmx) and one of ours; both are only a help.

mod articles;
mod asking;
pub(super) mod assets;
mod audit;
mod calls;
mod chart;
mod clients;
mod connect;
mod consent;
mod customers;
mod deliveries;
mod editions;
mod entry;
mod flows;
mod form;
mod history;
mod inbox;
mod inputs;
mod keys;
mod links;
mod making;
mod members;
mod oidc;
mod page;
mod person;
mod records;
mod reports;
mod reviews;
mod settings;
mod teammate;
mod text;
mod tickets;
mod toolsets;

use axum::{Router, response::Redirect, routing::get};

pub use form::{Fields, Posted};
pub use page::{Frame, PageError, render};
pub use person::{AdminPerson, Person, ReaderPerson, Visitor};
pub(super) use text::day;

use super::Web;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/console") }))
        .route("/console", get(home))
        .merge(assets::router())
        .merge(entry::router())
        .merge(links::router())
        .merge(connect::router())
        .merge(keys::router())
        .merge(calls::router())
        .merge(audit::router())
        .merge(members::router())
        .merge(flows::router())
        .merge(reports::router())
        .merge(oidc::router())
        .merge(inbox::router())
        .merge(tickets::router())
        .merge(customers::router())
        .merge(articles::router())
        .merge(deliveries::router())
        .merge(reviews::router())
        .merge(editions::router())
        .merge(settings::router())
}

async fn home(_: Person) -> Redirect {
    Redirect::to("/console/connect")
}
