//! Leads, contacts, accounts and opportunities.

mod accounts;
mod contacts;
mod convert;
mod leads;
mod opportunities;
mod records;
mod search;

use std::sync::Arc;

use super::reading;
use crate::domain::{
    Handlers,
    workspace::{
        engine::Desk,
        kinds::{account::Account, contact::Contact, lead::Lead, opportunity::Opportunity},
        listing, write,
    },
};

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    reading!(
        table,
        desk,
        "leads::list",
        |desk, tx, call| listing::list::<Lead>(desk, tx, call, leads::FILTERS)
    );
    reading!(table, desk, "leads::get", |_desk, tx, call| leads::get(tx, call));
    table.planned(
        "leads::create",
        |tx, call| Box::pin(leads::plan_create(tx, call)),
        |tx, apply| Box::pin(leads::create(tx, apply)),
    );
    write::register_update::<Lead>(table, "leads::update");
    table.planned(
        "leads::convert",
        |tx, call| Box::pin(convert::plan(tx, call)),
        |tx, apply| Box::pin(convert::carry_out(tx, apply)),
    );

    reading!(table, desk, "contacts::list", |desk, tx, call| {
        listing::list::<Contact>(desk, tx, call, contacts::FILTERS)
    });
    reading!(table, desk, "contacts::get", |_desk, tx, call| contacts::get(
        tx, call
    ));
    write::register_create::<Contact>(table, "contacts::create");
    write::register_update::<Contact>(table, "contacts::update");

    reading!(table, desk, "accounts::list", |desk, tx, call| {
        listing::list::<Account>(desk, tx, call, accounts::FILTERS)
    });
    reading!(table, desk, "accounts::get", |_desk, tx, call| accounts::get(
        tx, call
    ));
    write::register_create::<Account>(table, "accounts::create");
    write::register_update::<Account>(table, "accounts::update");

    reading!(table, desk, "opportunities::list", |desk, tx, call| {
        opportunities::list(desk, tx, call)
    });
    reading!(table, desk, "opportunities::get", |_desk, tx, call| {
        opportunities::get(tx, call)
    });
    write::register_create::<Opportunity>(table, "opportunities::create");
    write::register_update::<Opportunity>(table, "opportunities::update");

    reading!(table, desk, "crm::search", |desk, tx, call| search::search(
        desk, tx, call
    ));
    table.planned(
        "crm::add_note",
        |tx, call| Box::pin(records::plan_note(tx, call)),
        |tx, apply| Box::pin(records::add_note(tx, apply)),
    );
    table.planned(
        "crm::delete",
        |tx, call| Box::pin(records::plan_delete(tx, call)),
        |tx, apply| Box::pin(records::delete(tx, apply)),
    );
}
