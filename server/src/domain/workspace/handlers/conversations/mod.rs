//! The seven tools of conversations (catalogue.md §3.4).

mod escalate;
mod hands;
mod notes;
mod planned;
mod read;
mod reply;

use std::sync::Arc;

use crate::domain::{
    Handlers,
    workspace::{engine::Desk, kinds::conversation::Conversation, listing},
};

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    let this = Arc::clone(desk);
    table.read("conversations::list", move |tx, call| {
        let desk = Arc::clone(&this);
        Box::pin(async move { listing::list::<Conversation>(&desk, tx, call, read::FILTERS).await })
    });
    let this = Arc::clone(desk);
    table.read("conversations::get", move |tx, call| {
        let desk = Arc::clone(&this);
        Box::pin(async move { read::get(&desk, tx, call).await })
    });
    table.planned(
        "conversations::reply",
        |tx, call| Box::pin(reply::plan(tx, call)),
        |tx, apply| Box::pin(reply::carry_out(tx, apply)),
    );
    table.planned(
        "conversations::note",
        |tx, call| Box::pin(notes::plan(tx, call)),
        |tx, apply| Box::pin(notes::carry_out(tx, apply)),
    );
    table.planned(
        "conversations::assign",
        |tx, call| Box::pin(hands::plan_assign(tx, call)),
        |tx, apply| Box::pin(hands::assign(tx, apply)),
    );
    table.planned(
        "conversations::close",
        |tx, call| Box::pin(hands::plan_close(tx, call)),
        |tx, apply| Box::pin(hands::close(tx, apply)),
    );
    table.planned(
        "conversations::escalate",
        |tx, call| Box::pin(escalate::plan(tx, call)),
        |tx, apply| Box::pin(escalate::carry_out(tx, apply)),
    );
}
