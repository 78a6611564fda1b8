//! Tickets.

mod close;
mod comments;
mod read;
mod write;

use std::sync::Arc;

use super::reading;
use crate::domain::{
    Handlers,
    workspace::{engine::Desk, kinds::ticket::Ticket, listing},
};

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    reading!(table, desk, "tickets::list", |desk, tx, call| listing::list::<
        Ticket,
    >(
        desk,
        tx,
        call,
        read::FILTERS
    ));
    reading!(table, desk, "tickets::get", |_desk, tx, call| read::get(tx, call));
    table.planned(
        "tickets::create",
        |tx, call| Box::pin(write::plan_create(tx, call)),
        |tx, apply| Box::pin(write::create(tx, apply)),
    );
    table.planned(
        "tickets::update",
        |tx, call| Box::pin(write::plan_update(tx, call)),
        |tx, apply| Box::pin(write::update(tx, apply)),
    );
    table.planned(
        "tickets::assign",
        |tx, call| Box::pin(write::plan_assign(tx, call)),
        |tx, apply| Box::pin(write::assign(tx, apply)),
    );
    table.planned(
        "tickets::comment",
        |tx, call| Box::pin(comments::plan(tx, call)),
        |tx, apply| Box::pin(comments::carry_out(tx, apply)),
    );
    table.planned(
        "tickets::close",
        |tx, call| Box::pin(close::plan(tx, call)),
        |tx, apply| Box::pin(close::carry_out(tx, apply)),
    );
}
