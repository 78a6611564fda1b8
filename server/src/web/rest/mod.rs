//! REST endpoints, one file for each subject.

mod account;
mod approvals;
mod reviews;

use axum::Router;

use super::Web;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .merge(account::router())
        .merge(approvals::router())
        .merge(reviews::router())
}
