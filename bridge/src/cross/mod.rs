//! Crossing the eras: a host of one era, a server of the other (protocol.md §4).

pub(crate) mod down;
pub(crate) mod object;
mod splice;
pub(crate) mod up;

/// The levels of log messages as every handshake revision names them, the least important first.
const LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];
