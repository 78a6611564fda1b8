//! One test binary that mirrors `src/`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "tests stop in the plainest way and pass json!() literals; clippy's own exceptions end at #[test] functions"
)]

mod catalogue_cli;
mod cli;
#[cfg(target_os = "linux")]
mod commands;
mod consent;
mod context_house;
mod context_isolation;
mod context_memory;
mod context_resources;
mod context_search;
mod context_sources;
mod context_sync;
mod context_walk;
mod edge;
mod guide;
mod house;
mod http_tools;
mod layers;
mod leads;
mod limits;
mod oauth;
mod operations;
mod outbox;
mod packaging;
mod people;
mod process;
mod refusals;
mod replicas;
mod store;
#[cfg(feature = "otel")]
mod telemetry;
mod threats;
mod visibility;
mod web;
mod whole_catalogue;
mod workspace;
