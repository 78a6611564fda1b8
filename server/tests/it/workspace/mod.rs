//! The workspace edition (catalogue.md §3).

mod first;
mod flows;
mod house;
