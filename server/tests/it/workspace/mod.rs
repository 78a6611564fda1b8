//! The workspace edition (catalogue.md §3).

mod admin;
mod first;
mod flows;
mod house;
mod reports;
