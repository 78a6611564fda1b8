//! A monthly cap over three replicas: exactly so many calls pass (catalogue.md §2.11, design.md D10).
//!
//! In: a key that may make 10 000 calls, and 256 connections that call as fast as they are answered. Out: how many passed.
//! Every connection goes on until it was refused several times in a row: a call that passes after a refusal would show.

use super::{PATIENCE, town::Town, traffic::shared_key};
use crate::crash::rows;
use crate::ours::READ_TOOL;
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, check, excerpt, exchange};
use serde_json::json;
use std::sync::Barrier;
use std::time::Instant;

/// Calls of the month.
const CAP: u64 = 10_000;
/// Connections, spread evenly over the replicas.
const CONNECTIONS: usize = 256;
/// Refusals in a row after which a connection gives up.
const REFUSALS: u64 = 3;

/// What one connection saw.
#[derive(Default)]
struct Seen {
    passed: u64,
    refused: u64,
    /// The first answer that was neither.
    strange: Option<String>,
}

impl Town {
    /// Exactly as many calls pass as the month has, whichever replica they meet.
    pub(super) fn monthly_cap(&mut self) -> Result<(), Failure> {
        let key = self.product.mint_with(&["--monthly-cap", &CAP.to_string()])?;
        let before = self.product.verify(None)?;
        let targets = self.each(&key.secret)?;
        let start = Barrier::new(CONNECTIONS);
        let from = Instant::now();
        let seen: Vec<Seen> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CONNECTIONS)
                .zip(targets.iter().cycle())
                .map(|(_, target)| scope.spawn(|| use_up(target, &start)))
                .collect();
            clients
                .into_iter()
                .map(|client| client.join().map_err(|_| Failure::from("a client panicked")))
                .collect::<Result<_, _>>()
        })?;
        let took = from.elapsed();
        let passed: u64 = seen.iter().map(|seen| seen.passed).sum();
        let refused: u64 = seen.iter().map(|seen| seen.refused).sum();
        for said in seen.iter().filter_map(|seen| seen.strange.as_ref()).take(3) {
            self.violations.push(format!("monthly cap: {said}"));
        }
        if passed != CAP {
            self.violations
                .push(format!("a monthly cap of {CAP} let {passed} calls pass"));
        }
        let logged = self.allowed_rows(&key.id, before.seq)?;
        if logged != passed {
            self.violations.push(format!(
                "{passed} calls passed under the cap, and the log has {logged}"
            ));
        }
        self.report.push(format!(
            "monthly cap of {CAP}: {passed} of {} calls passed over {} replicas and {CONNECTIONS} connections in {:.1} s, \
             {refused} were refused; the log has {logged}",
            passed + refused,
            targets.len(),
            took.as_secs_f64()
        ));
        Ok(())
    }

    /// Rows of calls that ran with this key, once the last group is over.
    fn allowed_rows(&self, key: &str, before: u64) -> Result<u64, Failure> {
        std::thread::sleep(super::QUIET);
        let added = self.product.verify(None)?.seq.saturating_sub(before);
        let rows = rows::parse(&self.product.audit(added)?)?;
        let ours = rows
            .iter()
            .filter(|row| row.caller == key && row.status == rows::ALLOW);
        Ok(ours.count() as u64)
    }
}

fn use_up(target: &Target, start: &Barrier) -> Seen {
    let mut seen = Seen::default();
    start.wait();
    if let Err(e) = call_on(target, &mut seen) {
        seen.strange = Some(e.to_string());
    }
    seen
}

fn call_on(target: &Target, seen: &mut Seen) -> Result<(), Failure> {
    let call = Call::tool(
        Era::Modern,
        READ_TOOL,
        &json!({ "key": shared_key(0) }).to_string(),
    );
    let request = call.request(target, FIRST_ID);
    let mut stream = target.connect()?;
    let mut in_a_row = 0;
    while in_a_row < REFUSALS {
        let (status, body) = exchange(&mut stream, &request, PATIENCE)?;
        let text = String::from_utf8_lossy(&body);
        match status {
            200 if check(&body, FIRST_ID).is_ok() => {
                seen.passed += 1;
                in_a_row = 0;
            }
            429 if text.contains("monthly cap") => {
                seen.refused += 1;
                in_a_row += 1;
            }
            status => return Err(format!("HTTP {status}: {}", excerpt(&body)).into()),
        }
    }
    Ok(())
}
