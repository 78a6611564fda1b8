//! The engine of the `workspace` edition.

pub mod mail;
pub mod sla;
pub mod talk;
