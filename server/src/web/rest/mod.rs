//! REST endpoints, one file for each subject.

mod account;
mod approvals;

use axum::Router;

use super::Web;

pub(super) fn router() -> Router<Web> {
    Router::new().merge(account::router()).merge(approvals::router())
}
