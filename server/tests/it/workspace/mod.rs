//! The workspace edition (catalogue.md §3).

mod first;
mod house;
