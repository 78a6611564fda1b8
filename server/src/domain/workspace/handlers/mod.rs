//! The functions behind the tools of catalogue.md §3.4, one module for each of its areas.

mod admin;
mod crm;
mod flows;
mod reports;

use std::sync::Arc;

pub use reports::charts::{Charts, charts};

use super::engine::Desk;
use crate::domain::Handlers;

/// Registers every handler of the edition.
pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    crm::register(desk, table);
    flows::register(desk, table);
    reports::register(table);
    admin::register(desk, table);
}
