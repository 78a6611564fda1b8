//! The Footbridge server: a hosted, multi-tenant MCP backend that owns the tool catalogue and the scopes.
//!
//! A call walks through rooms in one direction, and each hands the next a value that proves its work is done.
//! The modules stand here in walking order.

pub mod access;
pub mod audit;
pub mod catalogue;
pub mod config;
pub mod domain;
pub mod edge;
pub mod limits;
pub mod operate;
pub mod outbox;
pub mod outgoing;
pub mod pipeline;
pub mod policy;
pub mod store;
pub mod telemetry;
pub mod vocabulary;
pub mod web;
