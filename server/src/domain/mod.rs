//! The tools' behaviour, one module per domain.

pub mod context;
