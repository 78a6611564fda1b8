//! REST endpoints, one file for each subject.

mod account;
mod approvals;
mod keys;
mod people;
mod reviews;

use axum::Router;

use super::Web;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .merge(account::router())
        .merge(approvals::router())
        .merge(keys::router())
        .merge(people::router())
        .merge(reviews::router())
}
