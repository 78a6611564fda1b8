//! One test binary that mirrors `src/`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test stops in the plainest way; clippy's own exemption does not reach helper functions"
)]

mod edge;
mod house;
mod store;
