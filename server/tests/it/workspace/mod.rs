//! The workspace edition (catalogue.md §3).

mod admin;
mod chat;
mod clocks;
mod commands;
mod convert;
mod crm;
mod delivery;
mod demo;
mod desk;
mod first;
mod flow_talk;
mod flows;
mod generated;
pub(crate) mod house;
mod inbox;
mod isolation;
mod knowledge;
mod post_office;
mod refused;
mod reports;
mod search;
pub(crate) mod seed;
mod shelf;
mod talk;
mod tickets;
