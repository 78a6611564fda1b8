//! The engine of the `workspace` edition (catalogue.md §3).

pub mod flow;
pub mod report;
