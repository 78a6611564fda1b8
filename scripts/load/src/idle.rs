//! `idle`: what connections cost that do nothing.
//!
//! In: a server that has just started, a number of connections. Out: resident memory before and after, per connection.
//! Each connection makes one call first: a buffer that is only allocated on use belongs to the price.

use crate::process::{Memory, memory_kb};
use crate::wire::{Call, FIRST_ID, Failure, Target, check, exchange};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Connections open at the second reading.
    pub(crate) connections: usize,
    /// Resident before, KB.
    pub(crate) before_kb: u64,
    /// Resident with all of them open, KB.
    pub(crate) after_kb: u64,
    /// Difference per connection, KB.
    pub(crate) each_kb: f64,
}

/// Opens the connections, makes one call on each, and reads the server's memory.
pub(crate) fn run(target: &Target, call: &Call, connections: usize, pid: u32) -> Result<Outcome, Failure> {
    let request = call.request(target, FIRST_ID);
    let mut open = Vec::with_capacity(connections);
    let one_more = |open: &mut Vec<_>| -> Result<(), Failure> {
        let mut stream = target.connect()?;
        let (status, body) = exchange(&mut stream, &request, Duration::from_secs(10))?;
        if status != 200 {
            return Err(format!("connection {} got HTTP {status}", open.len() + 1).into());
        }
        check(&body, FIRST_ID)?;
        open.push(stream);
        Ok(())
    };
    // The first few pay for what the server allocates once.
    for _ in 0..connections.min(20) {
        one_more(&mut open)?;
    }
    std::thread::sleep(Duration::from_millis(300));
    let before_kb = memory_kb(pid, Memory::Now)?;
    let counted_from = open.len();
    while open.len() < connections {
        one_more(&mut open)?;
    }
    std::thread::sleep(Duration::from_secs(1));
    let after_kb = memory_kb(pid, Memory::Now)?;
    let counted = (open.len() - counted_from).max(1);
    let each_kb = after_kb.saturating_sub(before_kb) as f64 / counted as f64;
    Ok(Outcome {
        connections: open.len(),
        before_kb,
        after_kb,
        each_kb,
    })
}
