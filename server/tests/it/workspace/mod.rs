//! The workspace edition (catalogue.md §3).

mod chat;
mod clocks;
mod delivery;
mod first;
mod flows;
mod house;
mod post_office;
mod talk;
