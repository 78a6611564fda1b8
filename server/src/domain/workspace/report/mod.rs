//! Reports: figures over a period, as catalogue.md §3.7 defines them.
//!
//! `period` says which days, in which time zone; `formula` has the arithmetic over plain numbers; each report takes the rows
//! that the store gives it and makes of them what a reader sees. Nothing here reads a store.

pub mod conversations;
pub mod formula;
pub mod period;
pub mod pipeline;
pub mod tickets;
