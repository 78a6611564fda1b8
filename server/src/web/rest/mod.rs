//! REST endpoints, one file for each subject.

mod account;
mod approvals;
mod audit;
mod keys;
mod people;
mod programs;
mod reviews;
mod tools;

use axum::Router;

use super::Web;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .merge(account::router())
        .merge(approvals::router())
        .merge(audit::router())
        .merge(keys::router())
        .merge(people::router())
        .merge(programs::router())
        .merge(reviews::router())
        .merge(tools::router())
}
