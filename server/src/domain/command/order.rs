//! What the server tells the runner, and the runner the program's own process: on the command line, as JSON.

use serde::{Deserialize, Serialize};

/// The word that makes this program a runner.
pub(super) const RUN: &str = "__run-command";
/// The word that makes it confine itself and become the program.
pub(super) const BECOME: &str = "__become-command";

/// Exit code of a runner whose program had too many processes.
pub(super) const TOO_MANY_PROCESSES: u8 = 120;
/// Exit code of a runner that was told to stop.
pub(super) const STOPPED: u8 = 121;
/// Exit code of a runner that could not confine or start the program.
pub(super) const NOT_STARTED: u8 = 126;

/// A program and its limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) argv: Vec<String>,
    pub(super) cpu_seconds: u64,
    pub(super) memory_bytes: u64,
    pub(super) processes: u64,
    pub(super) file_bytes: u64,
}
