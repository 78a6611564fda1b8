//! The built bridge as a child process, against a real HTTP server of the test's own.

// clippy.toml allows these in tests, but knows functions marked as tests only, not what they call.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "all of this crate is a test"
)]

mod harness;

mod bytes;
mod cross_down;
mod cross_up;
mod cross_up_listen;
mod cross_up_rounds;
mod cross_up_session;
#[cfg(feature = "setup")]
mod doctor;
mod hostile;
mod legacy;
mod listen;
mod modern;
mod old_transport;
mod order;
#[cfg(target_os = "linux")]
mod orphans;
mod process;
mod refusals;
mod repair;
mod resume;
mod rules;
mod sessions;
#[cfg(feature = "setup")]
mod setup;
#[cfg(feature = "setup")]
mod setup_clients;
#[cfg(all(unix, feature = "sign-in"))]
mod sign_in;
#[cfg(all(unix, feature = "sign-in"))]
mod sign_in_rules;
#[cfg(all(unix, feature = "sign-in"))]
mod sign_in_world;
mod stdin;
mod streams;
mod transcripts;
mod transport;
#[cfg(feature = "http2")]
mod transport_http2;
mod transport_local;
mod transport_proxy;
mod transport_tls;
