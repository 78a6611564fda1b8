//! The store, over both engines: the same tests, a fresh database each.

mod audit;
mod change_log;
mod clients;
mod failures;
pub(crate) mod harness;
mod isolation;
mod jobs;
mod lookups;
mod memory;
mod notes;
mod plans;
mod postgres;
mod processes;
mod records;
mod retention;
mod sign_ins;
mod tables;
mod work;
