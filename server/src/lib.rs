//! The Footbridge server: a hosted, multi-tenant MCP backend that owns the tool catalogue and the scopes.
//!
//! A call walks through rooms in one direction, and each hands the next a value that proves its work is done.
//! The modules stand here in walking order.

pub mod vocabulary;

pub mod access;
pub mod limits;
pub mod catalogue;
pub mod policy;
pub mod domain;
pub mod audit;
pub mod pipeline;
pub mod store;
