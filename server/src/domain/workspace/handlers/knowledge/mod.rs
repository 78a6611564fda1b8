//! The knowledge base.

mod articles;
mod search;

use std::sync::Arc;

use super::reading;
use crate::domain::{
    Handlers,
    workspace::{engine::Desk, kinds::article::Article, listing, write},
};

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    reading!(table, desk, "knowledge::search", |desk, tx, call| search::search(
        desk, tx, call
    ));
    reading!(table, desk, "knowledge::list", |desk, tx, call| {
        listing::list::<Article>(desk, tx, call, articles::FILTERS)
    });
    reading!(table, desk, "knowledge::get", |_desk, tx, call| articles::get(
        tx, call
    ));
    table.planned(
        "knowledge::create",
        |tx, call| Box::pin(articles::plan_create(tx, call)),
        |tx, apply| Box::pin(write::carry_out::<Article>(tx, apply)),
    );
    table.planned(
        "knowledge::update",
        |tx, call| Box::pin(articles::plan_update(tx, call)),
        |tx, apply| Box::pin(write::carry_out::<Article>(tx, apply)),
    );
    table.planned(
        "knowledge::archive",
        |tx, call| Box::pin(articles::plan_archive(tx, call)),
        |tx, apply| Box::pin(articles::archive(tx, apply)),
    );
}
