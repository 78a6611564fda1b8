//! The workspace edition (catalogue.md §3).

mod admin;
mod crm;
mod first;
mod flows;
mod generated;
pub(crate) mod house;
mod knowledge;
mod reports;
mod search;
pub(crate) mod seed;
