//! The Footbridge server.
pub mod vocabulary;
