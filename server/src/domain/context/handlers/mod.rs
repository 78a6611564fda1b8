//! The functions behind the ten tools, as catalogue.md §7.2 has them.
//!
//! | Module | Tools |
//! |--------|-------|
//! | `notes` | `search`, `get`, `get_chunk` |
//! | `memories` | `memory_get`, `memory_put`, `memory_search` |
//! | `synchronise` | `sync`, `sync_run`, `sync_status` |
//! | `inbox` | `inbox_put` |

mod inbox;
mod memories;
mod notes;
mod synchronise;
mod view;

use std::sync::Arc;

use super::Context;
use crate::domain::Handlers;

/// Longest text of one answer in bytes; what is beyond it is left out at the end of a record, and said so.
const MOST_TEXT: usize = 64 * 1024;
/// Longest metadata that a caller may give, as JSON in bytes.
const MOST_METADATA: usize = 32 * 1024;

/// Registers every handler of the edition's core.
pub(super) fn register(context: &Arc<Context>, table: &mut Handlers) {
    let engine = || Arc::clone(context);
    let this = engine();
    table.read("notes::search", move |tx, call| {
        let this = Arc::clone(&this);
        Box::pin(async move { notes::search(&this, tx, call).await })
    });
    let this = engine();
    table.read("notes::get", move |tx, call| {
        let this = Arc::clone(&this);
        Box::pin(async move { notes::get(&this, tx, call).await })
    });
    let this = engine();
    table.lookup("notes::get_chunk", move |tx, call| {
        let this = Arc::clone(&this);
        Box::pin(async move { notes::get_chunk(&this, tx, call).await })
    });
    let this = engine();
    table.lookup("memories::get", move |tx, call| {
        let this = Arc::clone(&this);
        Box::pin(async move { memories::get(&this, tx, call).await })
    });
    let this = engine();
    table.read("memories::search", move |tx, call| {
        let this = Arc::clone(&this);
        Box::pin(async move { memories::search(&this, tx, call).await })
    });
    table.planned(
        "memories::put",
        |tx, call| Box::pin(memories::plan_put(tx, call)),
        |tx, apply| Box::pin(memories::put(tx, apply)),
    );
    let this = engine();
    table.read("sync::status", move |tx, call| {
        let this = Arc::clone(&this);
        Box::pin(async move { synchronise::status(&this, tx, call).await })
    });
    let this = engine();
    table.planned_task(
        "sync::run_under_lock",
        |tx, call| Box::pin(synchronise::plan(tx, call)),
        move |store, apply| Box::pin(synchronise::run_under_lock(Arc::clone(&this), store, apply)),
    );
    let this = engine();
    table.planned_task(
        "sync::run_now",
        |tx, call| Box::pin(synchronise::plan(tx, call)),
        move |store, apply| Box::pin(synchronise::run_now(Arc::clone(&this), store, apply)),
    );
    let this = engine();
    table.planned_task(
        "inbox::put",
        |_, call| Box::pin(async move { inbox::plan_put(call) }),
        move |store, apply| Box::pin(inbox::put(Arc::clone(&this), store, apply)),
    );
}
