//! The workspace edition (catalogue.md §3).

mod admin;
mod chat;
mod clocks;
mod crm;
mod delivery;
mod demo;
mod desk;
mod first;
mod flows;
mod generated;
pub(crate) mod house;
mod knowledge;
mod post_office;
mod reports;
mod search;
pub(crate) mod seed;
mod talk;
mod tickets;
