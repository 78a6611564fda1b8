//! One confirmation, brought to three replicas at once by everybody (catalogue.md §2.8).
//!
//! In: a key that asks for previews, and one token. Out: how many of all who brought it took effect. One does; every other
//! one is given that one's result, or is told that it is under way.

use super::{PATIENCE, town::Town};
use crate::ours::{READ_TOOL, WRITE_TOOL};
use crate::wire::{
    Call, Era, FIRST_ID, Failure, Target, call_once, check, excerpt, exchange, tool_result, with,
};
use serde_json::json;
use std::sync::Barrier;
use std::time::Instant;

/// Who brings the token.
const CONNECTIONS: u32 = 256;
/// The memory that is written.
const KEY: &str = "confirmed-once";

/// What one connection saw.
#[derive(Default)]
struct Seen {
    first: u32,
    replayed: u32,
    under_way: u32,
    /// The first answer that was none of these.
    strange: Option<String>,
}

impl Town {
    /// `confirmations` of one token take effect once.
    pub(super) fn one_token(&mut self, confirmations: u32) -> Result<(), Failure> {
        let key = self.product.mint_with(&["--confirm", "preview"])?;
        let targets = self.each(&key.secret)?;
        let some = targets.first().ok_or("no replica")?;
        let arguments = json!({ "key": KEY, "content": "once" });
        let asked = Call::tool(Era::Modern, WRITE_TOOL, &arguments.to_string());
        let preview = tool_result(&call_once(some, &asked, PATIENCE)?)?;
        let token = preview.get("confirmation_token").cloned();
        let token = token.ok_or_else(|| format!("no preview with a token: {preview}"))?;
        let arguments = with(&arguments, "confirmation_token", token);
        let call = Call::tool(Era::Modern, WRITE_TOOL, &arguments.to_string());
        let each = confirmations.div_ceil(CONNECTIONS);
        let start = Barrier::new(CONNECTIONS as usize);
        let from = Instant::now();
        let seen: Vec<Seen> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CONNECTIONS)
                .zip(targets.iter().cycle())
                .map(|(_, target)| scope.spawn(|| bring(target, &call, each, &start)))
                .collect();
            clients
                .into_iter()
                .map(|client| client.join().map_err(|_| Failure::from("a client panicked")))
                .collect::<Result<_, _>>()
        })?;
        let took = from.elapsed();
        for said in seen.iter().filter_map(|seen| seen.strange.as_ref()).take(3) {
            self.violations.push(format!("one token: {said}"));
        }
        let sum = |of: fn(&Seen) -> u32| seen.iter().map(of).sum::<u32>();
        let (first, replayed, under_way) = (
            sum(|seen| seen.first),
            sum(|seen| seen.replayed),
            sum(|seen| seen.under_way),
        );
        if first != 1 {
            self.violations
                .push(format!("one token took effect {first} times"));
        }
        let read = Call::tool(Era::Modern, READ_TOOL, &json!({ "key": KEY }).to_string());
        let kept = tool_result(&call_once(some, &read, PATIENCE)?)?;
        let content = kept.pointer("/memory/content").cloned().unwrap_or_default();
        if content != "once" {
            self.violations
                .push(format!("a memory that was confirmed reads {content}"));
        }
        self.report.push(format!(
            "one token, brought {} times over {} replicas and {CONNECTIONS} connections in {:.1} s: took effect {first} time, \
             {replayed} were given its result, {under_way} were told that it is under way",
            each * CONNECTIONS,
            targets.len(),
            took.as_secs_f64()
        ));
        Ok(())
    }
}

fn bring(target: &Target, call: &Call, times: u32, start: &Barrier) -> Seen {
    let mut seen = Seen::default();
    let connected = target.connect();
    start.wait();
    let brought = connected.and_then(|mut stream| {
        let request = call.request(target, FIRST_ID);
        for _ in 0..times {
            let (status, body) = exchange(&mut stream, &request, PATIENCE)?;
            let text = String::from_utf8_lossy(&body);
            match (status, check(&body, FIRST_ID)) {
                (200, Ok(())) => match tool_result(&body)? {
                    answer if answer.get("replayed").is_some() => seen.replayed += 1,
                    answer if answer.get("status") == Some(&json!("done")) => seen.first += 1,
                    answer => return Err(format!("answered {answer}").into()),
                },
                (200, Err(_)) if text.contains("is being carried out") => seen.under_way += 1,
                _ => return Err(format!("HTTP {status}: {}", excerpt(&body)).into()),
            }
        }
        Ok(())
    });
    if let Err(e) = brought {
        seen.strange = Some(e.to_string());
    }
    seen
}
