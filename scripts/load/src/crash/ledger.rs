//! What was asked of the server, and whether what is there after a crash can have come from it.
//!
//! In: the attempts of a round and what was found afterwards. Out: the violations, in words. Knows no socket and no process.
//!
//! The rule is the one of a single register under concurrent writers: an answered write happened at one moment between its
//! request and its answer, one that was cut off happened after its request or never. So what is found must have been
//! written, and no answered write may have begun after the found one was answered.

use super::rows::{ALLOW, INTENT, Row};
use crate::ours::{FILE_TOOL, READ_TOOL, WRITE_TOOL};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// One call as the client saw it.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Tool.
    pub(super) tool: &'static str,
    /// Memory key, or name of the file.
    pub(super) key: String,
    /// Text that was written, different in every attempt, or that was read.
    pub(super) content: String,
    /// SHA-256 of the arguments, as the audit log shows it.
    pub(super) digest: String,
    /// Before its first byte was sent.
    pub(super) begun: Instant,
    /// After its answer was read, and what the answer named: the memory's id or the file's path. `None` when it was cut off.
    pub(super) answered: Option<(Instant, String)>,
}

impl Attempt {
    /// Whether `self` was answered before `other` began.
    fn precedes(&self, other: &Self) -> bool {
        self.answered.as_ref().is_some_and(|(at, _)| *at < other.begun)
    }
}

/// What one round brought to light.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Broken promises.
    pub(super) violations: Vec<String>,
    /// Answered writes.
    pub(super) answered_writes: u64,
    /// Writes that were cut off by the crash, and how many of them are there nevertheless.
    pub(super) cut_off: (u64, u64),
    /// Answered reads whose row the crash took, and how long before it the earliest of them was answered.
    pub(super) lost_reads: (u64, Duration),
    /// The longest that a write took, or had taken when it was cut off.
    pub(super) slowest_write: Duration,
}

/// Everything written so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The text under each key and the tool that wrote it, as it was found after the last crash.
    settled: BTreeMap<String, (String, &'static str)>,
}

impl Ledger {
    /// The keys that `tool` wrote, in order.
    pub(super) fn keys_of(&self, tool: &str) -> Vec<String> {
        let mine = self.settled.iter().filter(|(_, (_, by))| *by == tool);
        mine.map(|(key, _)| key.clone()).collect()
    }

    /// What of all that was settled is not there any more.
    pub(super) fn missing(&self, found: &HashMap<String, String>) -> Vec<String> {
        let gone = self
            .settled
            .iter()
            .filter(|(key, (text, _))| found.get(*key) != Some(text));
        gone.map(|(key, (text, _))| format!("`{key}`: `{}` is lost", short(text)))
            .collect()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.settled.get(key).map(|(text, _)| text.as_str())
    }

    /// Judges a round that was killed at `killed`. `found` holds the text now under each key that was written to, files by
    /// their names among them; `rows` are the audit rows that the round added.
    pub(super) fn settle(
        &mut self,
        attempts: &[Attempt],
        found: &HashMap<String, String>,
        rows: &[Row],
        killed: Instant,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        let mut by_key: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
        for attempt in attempts.iter().filter(|attempt| attempt.tool != READ_TOOL) {
            by_key.entry(&attempt.key).or_default().push(attempt);
            let end = attempt.answered.as_ref().map_or(killed, |(at, _)| *at);
            let took = end.saturating_duration_since(attempt.begun);
            verdict.slowest_write = verdict.slowest_write.max(took);
            if attempt.answered.is_some() {
                verdict.answered_writes += 1;
            } else {
                verdict.cut_off.0 += 1;
                verdict.cut_off.1 += u64::from(found.get(&attempt.key) == Some(&attempt.content));
            }
        }
        for read in attempts.iter().filter(|attempt| attempt.tool == READ_TOOL) {
            let before = written_before(&by_key, read);
            if let Err(said) = judge_read(self.text(&read.key), &before, read) {
                verdict
                    .violations
                    .push(format!("a read of `{}`: {said}", read.key));
            }
        }
        for (key, attempts) in &by_key {
            let found = found.get(*key).map(String::as_str);
            if let Err(said) = judge(self.text(key), attempts, found) {
                verdict.violations.push(format!("`{key}`: {said}"));
            }
            if let (Some(found), Some(attempt)) = (found, attempts.first()) {
                self.settled
                    .insert((*key).to_owned(), (found.to_owned(), attempt.tool));
            }
        }
        compare_rows(attempts, &by_key, found, rows, killed, &mut verdict);
        verdict
    }
}

/// Judges what is under one key: `base` was there before the round, `attempts` wrote during it, `found` is there now.
fn judge(base: Option<&str>, attempts: &[&Attempt], found: Option<&str>) -> Result<(), String> {
    let answered = || attempts.iter().filter(|attempt| attempt.answered.is_some());
    if found == base {
        return answered().next().map_or(Ok(()), |lost| {
            Err(format!("the answered write `{}` is lost", short(&lost.content)))
        });
    }
    let Some(text) = found else {
        return Err("what was there before the round is gone".to_owned());
    };
    let Some(source) = attempts.iter().find(|attempt| attempt.content == text) else {
        return Err(format!("nobody wrote `{}` in this round", short(text)));
    };
    answered()
        .find(|later| source.precedes(later))
        .map_or(Ok(()), |later| {
            Err(format!(
                "`{}` is there although the later `{}` was answered",
                short(text),
                short(&later.content)
            ))
        })
}

/// The writes to the key of `read` that had begun when it was answered.
fn written_before<'a>(by_key: &BTreeMap<&str, Vec<&'a Attempt>>, read: &Attempt) -> Vec<&'a Attempt> {
    let writes = by_key.get(read.key.as_str()).into_iter().flatten();
    let begun = |write: &&&Attempt| read.answered.as_ref().is_some_and(|(at, _)| write.begun < *at);
    writes.filter(begun).copied().collect()
}

/// Judges what an answered read brought, by the same rule.
fn judge_read(base: Option<&str>, before: &[&Attempt], read: &Attempt) -> Result<(), String> {
    if read.answered.is_none() {
        return Ok(());
    }
    let source = before.iter().find(|write| write.content == read.content);
    let known = source.is_some() || base == Some(read.content.as_str());
    if !known {
        return Err(format!("nobody wrote `{}`", short(&read.content)));
    }
    // What the round found when it began is older than every answered write of the round.
    let stale =
        |write: &&&Attempt| write.precedes(read) && source.is_none_or(|source| source.precedes(write));
    before.iter().find(stale).map_or(Ok(()), |later| {
        Err(format!(
            "brought `{}` although the later `{}` was answered",
            short(&read.content),
            short(&later.content)
        ))
    })
}

/// Sets the audit rows beside the calls and beside their effects.
fn compare_rows(
    attempts: &[Attempt],
    by_key: &BTreeMap<&str, Vec<&Attempt>>,
    found: &HashMap<String, String>,
    rows: &[Row],
    killed: Instant,
    verdict: &mut Verdict,
) {
    let mut by_digest: HashMap<(&str, &str), Vec<&Row>> = HashMap::new();
    for row in rows {
        by_digest.entry((&row.tool, &row.digest)).or_default().push(row);
    }
    for attempt in attempts {
        let rows = by_digest
            .remove(&(attempt.tool, attempt.digest.as_str()))
            .unwrap_or_default();
        let allowed = rows.iter().filter(|row| row.status == ALLOW).count();
        let intended = rows.iter().filter(|row| row.status == INTENT).count();
        let name = format!("{} `{}`", attempt.tool, short(&attempt.content));
        let mut violate = |said: String| verdict.violations.push(format!("{name}: {said}"));
        if attempt.tool == READ_TOOL {
            if let Some((at, _)) = attempt.answered.as_ref().filter(|_| allowed == 0) {
                verdict.lost_reads.0 += 1;
                verdict.lost_reads.1 = verdict.lost_reads.1.max(killed.saturating_duration_since(*at));
            }
            continue;
        }
        if let Some(other) = rows
            .iter()
            .find(|row| row.status != ALLOW && row.status != INTENT)
        {
            violate(format!("its row says `{}`", other.status));
        }
        if allowed > 1 || intended > 1 {
            violate(format!(
                "{allowed} rows `allow` and {intended} rows `intent` for one call"
            ));
        }
        let took_effect = found.get(&attempt.key) == Some(&attempt.content);
        let inside = attempt.tool == WRITE_TOOL;
        if let Some((_, named)) = &attempt.answered {
            if allowed == 0 {
                violate("answered, but without a row".to_owned());
            } else if inside && !rows.iter().any(|row| row.records.contains(named)) {
                violate(format!("its row does not name the record `{named}`"));
            }
        }
        // Inside the store the row is one with the effect; outside of it, the intent comes first and outlives a crash.
        if took_effect && inside && allowed == 0 {
            violate("took effect without a row".to_owned());
        }
        if attempt.tool == FILE_TOOL && intended == 0 && (took_effect || allowed > 0) {
            violate("took effect without an intent".to_owned());
        }
        if allowed > 0 && !took_effect && !overwritten(attempt, by_key) {
            violate("has its row, but took no effect".to_owned());
        }
    }
    for (tool, digest) in by_digest.into_keys().filter(|(tool, _)| *tool != READ_TOOL) {
        verdict
            .violations
            .push(format!("a row of {tool} for a call nobody made: {digest}"));
    }
}

/// Whether another attempt may have replaced this one's text.
fn overwritten(attempt: &Attempt, by_key: &BTreeMap<&str, Vec<&Attempt>>) -> bool {
    let same_key = by_key.get(attempt.key.as_str());
    same_key.is_some_and(|all| {
        all.iter()
            .any(|other| other.content != attempt.content && !other.precedes(attempt))
    })
}

/// The beginning of a text, which numbers it.
fn short(text: &str) -> &str {
    text.split(" |").next().unwrap_or(text)
}

#[cfg(test)]
mod tests;
