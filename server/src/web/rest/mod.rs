//! REST endpoints, one file for each subject.

mod account;

use axum::Router;

use super::Web;

pub(super) fn router() -> Router<Web> {
    Router::new().merge(account::router())
}
