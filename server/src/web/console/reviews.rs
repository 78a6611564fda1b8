//! Calls that wait for a person.

use askama::Template;
use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Frame, PageError, Person, render};
use crate::web::Web;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/console/reviews", get(page))
}

#[derive(Template)]
#[template(path = "console/reviews.html")]
struct ReviewsPage {
    frame: Frame,
}

async fn page(person: Person) -> Result<Response, PageError> {
    let page = ReviewsPage {
        frame: Frame::new(&person, "Reviews", None),
    };
    Ok(render(&page)?.into_response())
}
