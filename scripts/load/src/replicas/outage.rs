//! A PostgreSQL that dies under load and returns, and a log in which one byte was changed (security.md S12).

use super::{
    PATIENCE, QUIET, RECOVERY,
    town::Town,
    traffic::{Fate, Log, Traffic, shared_key},
};
use crate::ours::{self, READ_TOOL};
use crate::wire::{Call, Era, FIRST_ID, Failure, call_once, exchange, tool_result};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long PostgreSQL stays away.
const AWAY: Duration = Duration::from_secs(2);

impl Town {
    /// PostgreSQL is killed under load and returns.
    pub(super) fn lost_database(&mut self, per_second: u32) -> Result<(), Failure> {
        let before = self.product.verify(None)?;
        let traffic = Traffic::start(&self.target, "lost", per_second);
        std::thread::sleep(QUIET);
        self.cluster.kill()?;
        std::thread::sleep(AWAY);
        if self.balancer.ready().contains(&true) {
            self.violations
                .push("a replica says that it is ready although the database is gone".to_owned());
        }
        self.cluster.start()?;
        let returned = Instant::now();
        self.until(RECOVERY, "the replicas are ready again", |town| {
            !town.balancer.ready().contains(&false)
        })?;
        let recovery = returned.elapsed();
        std::thread::sleep(QUIET);
        let log = traffic.stop()?;
        self.failures("the database was gone", &log, |fate| {
            matches!(fate, Fate::NotRun | Fate::Unknown)
        });
        // What ends well after the return, without a restart of any server, ends the outage.
        let after = call_once(
            &self.target,
            &Call::tool(
                Era::Modern,
                READ_TOOL,
                &json!({ "key": shared_key(0) }).to_string(),
            ),
            PATIENCE,
        );
        if let Err(e) = after {
            self.violations.push(format!("after the return: {e}"));
        }
        for replica in self.replicas.iter_mut().flatten() {
            replica.alive()?;
        }
        let missing = self.missing_writes(&before, &log)?;
        let count = |wanted: &Fate| log.made.iter().filter(|made| made.fate == *wanted).count();
        self.report.push(format!(
            "kill -9 of PostgreSQL: {} calls, {} of them 503 with Retry-After ({} of unknown outcome, and said so), slowest {:.0} ms; \
             ready {} ms after its return, no server restarted; {missing} acknowledged writes lost, `audit verify` passes",
            log.made.len(),
            count(&Fate::NotRun) + count(&Fate::Unknown),
            count(&Fate::Unknown),
            log.slowest_ms(),
            recovery.as_millis(),
        ));
        if count(&Fate::NotRun) == 0 {
            self.violations
                .push("nobody noticed that the database was gone".to_owned());
        }
        Ok(())
    }

    /// Acknowledged writes that are not there, and writes that are there although they were said not to have run.
    fn missing_writes(&mut self, before: &ours::Head, log: &Log) -> Result<usize, Failure> {
        self.product.verify(Some(before))?;
        let mut stream = self.target.connect()?;
        let mut missing = 0;
        for made in &log.made {
            let Some(key) = &made.wrote else { continue };
            let expected = match made.fate {
                Fate::Done => true,
                Fate::NotRun => false,
                Fate::Unknown | Fate::Failed(_) => continue,
            };
            let call = Call::tool(Era::Modern, READ_TOOL, &json!({ "key": key }).to_string());
            let (_, body) = exchange(&mut stream, &call.request(&self.target, FIRST_ID), PATIENCE)?;
            let found = tool_result(&body)
                .ok()
                .and_then(|said| said.pointer("/memory/content").cloned());
            match (expected, found == Some(json!(key))) {
                (true, false) => {
                    missing += 1;
                    self.violations
                        .push(format!("the acknowledged write `{key}` is lost"));
                }
                (false, true) => {
                    self.violations
                        .push(format!("`{key}` was said not to have run, and is there"));
                }
                _ => {}
            }
        }
        Ok(missing)
    }

    /// One byte changed in one row of the log is found, and its row named.
    pub(super) fn one_byte(&mut self) -> Result<(), Failure> {
        let head = self.product.verify(None)?;
        let row = head.seq / 2;
        let change = |from: &str, to: &str| {
            format!(
                "UPDATE audit_log SET body = replace(body, '{from}', '{to}') WHERE tenant_id = 'local' AND seq = {row}"
            )
        };
        self.cluster.sql(&change("memory_", "nemory_"))?;
        match self.product.verify(None) {
            Ok(_) => self
                .violations
                .push("one byte of the log was changed, and `audit verify` passed".to_owned()),
            Err(said) if said.to_string().contains(&row.to_string()) => {
                self.report.push(format!(
                    "one byte changed in row {row} of {}: `audit verify` fails and names it",
                    head.seq
                ));
            }
            Err(said) => self
                .violations
                .push(format!("row {row} was changed; `audit verify` said: {said}")),
        }
        self.cluster.sql(&change("nemory_", "memory_"))?;
        if self.product.verify(Some(&head)).is_err() {
            self.violations
                .push("the row was changed back, and `audit verify` still fails".to_owned());
        }
        Ok(())
    }
}
