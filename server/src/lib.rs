//! A hosted, multi-tenant MCP backend.

pub mod domain;
