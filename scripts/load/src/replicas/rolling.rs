//! A rolling restart under load: no call fails, and every answered call has its row (security.md D2).

use super::{
    QUIET, REPLICAS,
    town::Town,
    traffic::{Fate, Log, Made, SHARED, Traffic, shared_key},
};
use crate::crash::rows;
use crate::ours;
use crate::process::say;
use crate::wire::Failure;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The longest that a read's row waits for its group (design.md D9).
const GROUP_COMMIT: Duration = Duration::from_millis(20);
/// A row that is not there by then is lost.
const WITHIN: Duration = Duration::from_secs(1);

impl Town {
    /// Each replica in turn ends and starts again under load.
    pub(super) fn rolling_restart(&mut self, per_second: u32, round: u32) -> Result<(), Failure> {
        let before = self.product.verify(None)?;
        let (answered_before, retried_before) = (self.balancer.answered(), self.balancer.retried());
        let traffic = Traffic::start(&self.target, &format!("roll-{round}"), per_second);
        std::thread::sleep(QUIET);
        for at in 0..REPLICAS {
            say("replicas", &format!("restarting replica {at}"));
            let running = self
                .replicas
                .get_mut(at)
                .and_then(Option::take)
                .ok_or("the replica is gone")?;
            running.end()?;
            self.start(at)?;
            std::thread::sleep(QUIET);
        }
        let log = traffic.stop()?;
        let failed = self.failures("rolling restart", &log, |_| false);
        let missing = self.missing_rows(&before, &log)?;
        let shares: Vec<String> = self
            .balancer
            .answered()
            .iter()
            .zip(answered_before)
            .map(|(now, before)| (now - before).to_string())
            .collect();
        self.report.push(format!(
            "rolling restart of {REPLICAS} replicas: {} calls at {:.0}/s of {}/s asked for ({} by replica), p50 {:.1} ms, \
             slowest {:.0} ms; {failed} failed, {} given to another replica, {missing} audit rows missing, `audit verify` passes",
            log.made.len(),
            log.made.len() as f64 / log.lasted.as_secs_f64(),
            per_second,
            shares.join(" + "),
            log.median_ms(),
            log.slowest_ms(),
            self.balancer.retried() - retried_before,
        ));
        Ok(())
    }

    /// Answered calls without a row in the log. Rows of reads are committed in groups, so that the last ones may come after
    /// their answers: only what is still missing `WITHIN` that time is lost.
    fn missing_rows(&mut self, before: &ours::Head, log: &Log) -> Result<usize, Failure> {
        let from = Instant::now();
        let mut missing = self.rows_missing_now(before, log)?;
        while missing > 0 && from.elapsed() < WITHIN {
            std::thread::sleep(GROUP_COMMIT);
            missing = self.rows_missing_now(before, log)?;
        }
        if missing > 0 {
            self.violations
                .push(format!("{missing} answered calls have no row in the log"));
        }
        Ok(missing)
    }

    fn rows_missing_now(&self, before: &ours::Head, log: &Log) -> Result<usize, Failure> {
        let now = self.product.verify(Some(before))?;
        let added = now
            .seq
            .checked_sub(before.seq)
            .ok_or("the audit log got shorter")?;
        let mut rows: HashMap<String, usize> = HashMap::new();
        for row in rows::parse(&self.product.audit(added)?)? {
            if row.caller == self.key.id && row.status == rows::ALLOW {
                *rows.entry(row.digest).or_default() += 1;
            }
        }
        let answered = |made: &&Made| made.fate == Fate::Done;
        let mut missing = 0;
        let mut reads = 0;
        for made in log.made.iter().filter(answered) {
            match &made.wrote {
                None => reads += 1,
                Some(key) => {
                    let digest = rows::digest(&json!({ "key": key, "content": key }));
                    missing += usize::from(!rows.contains_key(&digest));
                }
            }
        }
        let shared = (0..SHARED).map(|number| rows::digest(&json!({ "key": shared_key(number) })));
        let read_rows: usize = shared.filter_map(|digest| rows.get(&digest)).sum();
        Ok(missing + usize::saturating_sub(reads, read_rows))
    }
}
