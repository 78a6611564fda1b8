//! The Footbridge server.
pub mod store;
pub mod vocabulary;
