//! Leads, contacts, accounts and opportunities.

mod leads;

use std::sync::Arc;

use crate::domain::{
    Handlers,
    workspace::{engine::Desk, kinds::lead::Lead, listing},
};

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    let this = Arc::clone(desk);
    table.read("leads::list", move |tx, call| {
        let desk = Arc::clone(&this);
        Box::pin(async move { listing::list::<Lead>(&desk, tx, call, leads::FILTERS).await })
    });
    table.planned(
        "leads::create",
        |tx, call| Box::pin(leads::plan_create(tx, call)),
        |tx, apply| Box::pin(leads::create(tx, apply)),
    );
}
