//! The functions behind the tools of catalogue.md §3.4, one module for each of its areas.

mod admin;
mod conversations;
mod crm;
mod flows;
mod knowledge;
mod reports;
mod tickets;

use std::sync::Arc;

pub use reports::charts::{Charts, charts};

use super::engine::Desk;
use crate::domain::Handlers;

/// Registers a handler that reads, and gives it the desk.
macro_rules! reading {
    ($table:expr, $desk:expr, $name:literal, |$this:ident, $tx:ident, $call:ident| $work:expr) => {{
        let desk = std::sync::Arc::clone($desk);
        $table.read($name, move |$tx, $call| {
            let desk = std::sync::Arc::clone(&desk);
            Box::pin(async move {
                let $this = &*desk;
                $work.await
            })
        });
    }};
}
use reading;

/// Registers every handler of the edition.
pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    conversations::register(desk, table);
    crm::register(desk, table);
    tickets::register(desk, table);
    knowledge::register(desk, table);
    flows::register(desk, table);
    reports::register(table);
    admin::register(desk, table);
}
