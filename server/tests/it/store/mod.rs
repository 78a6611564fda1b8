//! The store, over both engines: the same tests, a fresh database each.

mod audit;
pub(crate) mod harness;
mod tables;
