//! `bridge` and `direct`: every figure of one bridge, or of no bridge at all.
//!
//! In: how to start it, where the stub listens. Out: figures by name. The names are the contract with `bench/bridge.rs`,
//! which sets the candidates side by side.

use crate::direct::Direct;
use crate::host::{Host, Place, Recipe};
use crate::process::{Memory, cpu_ns, memory_kb};
use crate::stats::{Spread, median};
use crate::wire::{Call, Era, Failure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Processes started for the start-up figures.
    pub(crate) starts: usize,
    /// Calls one at a time.
    pub(crate) calls: usize,
    /// Lists one at a time.
    pub(crate) lists: usize,
    /// Length of each flood.
    pub(crate) flood: Duration,
}

impl Effort {
    /// For a figure to quote.
    pub(crate) const FULL: Self = Self {
        starts: 8,
        calls: 4_000,
        lists: 1_500,
        flood: Duration::from_secs(2),
    };
    /// For a first look.
    pub(crate) const QUICK: Self = Self {
        starts: 7,
        calls: 1_000,
        lists: 300,
        flood: Duration::from_millis(700),
    };
}

/// Where the stub listens, in its different characters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upstreams {
    /// Serves both eras.
    pub(crate) url: String,
    /// Serves the handshake era only.
    pub(crate) legacy_url: Option<String>,
    /// TLS, with the certificate to trust.
    pub(crate) tls: Option<(String, String)>,
}

/// Figures by name, and what could not be measured and why.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Name → value; the name ends in its unit.
    pub(crate) figures: BTreeMap<String, f64>,
    /// One sentence per figure that failed.
    pub(crate) failures: Vec<String>,
}

impl Figures {
    fn put(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), value);
    }

    /// Runs one group of figures; its failure is noted and the next group goes on.
    fn group(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<(), Failure>) {
        if let Err(e) = work(self) {
            self.failures.push(format!("{name}: {e}"));
        }
    }
}

/// Bytes of the text in the small call.
const SMALL_TEXT_BYTES: usize = 100;
/// Bytes of the text in the big reply.
pub(crate) const BIG_REPLY_BYTES: usize = 10_000_000;
/// Calls of the storm, each waiting 200 ms in the stub.
const STORM_CALLS: usize = 1_000;
/// A bridge that needs longer than this for any one group is broken.
const LIMIT: Duration = Duration::from_secs(60);
/// For a process to come to rest before its memory is read.
const REST: Duration = Duration::from_millis(300);

fn small_call(era: Era) -> Call {
    Call::tool(
        era,
        "echo",
        &format!(r#"{{"text":"{}"}}"#, "e".repeat(SMALL_TEXT_BYTES)),
    )
}

fn waiting_call(era: Era, wait_ms: u64) -> Call {
    Call::tool(era, "wait", &format!(r#"{{"wait_ms":{wait_ms}}}"#))
}

/// Measures one bridge.
pub(crate) fn measure(recipe: &Recipe, up: &Upstreams, effort: Effort) -> Figures {
    let mut found = Figures::default();
    let at = |parallel: usize| Place {
        url: up.url.clone(),
        parallel,
        ca: String::new(),
    };
    let era = Era::Legacy;

    found.group("start", |found| {
        let (start_ms, exit_ms) = starts(recipe, &at(1), effort.starts)?;
        found.put("start_ms", start_ms);
        found.put("exit_ms", exit_ms);
        Ok(())
    });
    if !found.failures.is_empty() {
        // One that does not start would only wait for the watchdog, group after group.
        return found;
    }
    if let Some((url, ca)) = &up.tls {
        found.group("start with TLS", |found| {
            let place = Place {
                url: url.clone(),
                parallel: 1,
                ca: ca.clone(),
            };
            found.put("tls_start_ms", starts(recipe, &place, effort.starts)?.0);
            Ok(())
        });
    }
    found.group("memory, idle", |found| {
        let mut host = Host::start(recipe, &at(1), era, LIMIT)?;
        host.handshake()?;
        host.call(&small_call(era))?;
        std::thread::sleep(REST);
        found.put("idle_kb", memory_kb(host.pid(), Memory::Now)? as f64);
        Ok(())
    });
    found.group("memory, 64 in flight", |found| {
        let mut host = Host::start(recipe, &at(64), era, LIMIT)?;
        host.handshake()?;
        let mut busy_kb = 0.0;
        host.all_at_once(&waiting_call(era, 800), 64, |pid| {
            std::thread::sleep(REST);
            busy_kb = memory_kb(pid, Memory::Now)? as f64;
            Ok(())
        })?;
        found.put("busy_kb", busy_kb);
        Ok(())
    });
    found.group("one call at a time", |found| {
        one_at_a_time(found, recipe, &at(1), era, effort, "")
    });
    found.group("one call at a time, modern host", |found| {
        one_at_a_time(found, recipe, &at(1), Era::Modern, effort, "modern_")
    });
    if let Some(url) = &up.legacy_url {
        let place = Place {
            url: url.clone(),
            parallel: 1,
            ca: String::new(),
        };
        found.group("one call at a time, legacy upstream", |found| {
            one_at_a_time(found, recipe, &place, era, effort, "legacy_")
        });
    }
    for in_flight in [16, 64] {
        found.group(&format!("{in_flight} in flight"), |found| {
            let mut host = Host::start(recipe, &at(in_flight), era, LIMIT)?;
            host.handshake()?;
            let pid = host.pid();
            let flood = host.flood(
                &small_call(era),
                in_flight,
                effort.flood / 4,
                effort.flood,
                || cpu_ns(pid),
            )?;
            found.put(&format!("rate_{in_flight}"), flood.per_second);
            found.put(
                &format!("cpu_{in_flight}_ms"),
                flood.cpu_ns as f64 / 1e6 / flood.calls as f64 * 1_000.0,
            );
            Ok(())
        });
    }
    found.group("big reply", |found| {
        let mut host = Host::start(recipe, &at(1), era, LIMIT)?;
        host.handshake()?;
        let call = Call::tool(era, "big", &format!(r#"{{"bytes":{BIG_REPLY_BYTES}}}"#));
        let times = (0..3)
            .map(|_| Ok(host.call(&call)?.as_secs_f64() * 1e3))
            .collect::<Result<Vec<_>, Failure>>()?;
        found.put("big_ms", median(&times).unwrap_or(0.0));
        found.put("big_peak_kb", memory_kb(host.pid(), Memory::Peak)? as f64);
        Ok(())
    });
    found.group("1 000 calls of 200 ms at once", |found| {
        let mut host = Host::start(recipe, &at(STORM_CALLS), era, LIMIT)?;
        host.handshake()?;
        host.call(&small_call(era))?;
        found.put(
            "storm_ms",
            host.all_at_once(&waiting_call(era, 200), STORM_CALLS, |_| Ok(()))?
                .as_secs_f64()
                * 1e3,
        );
        Ok(())
    });
    if let Ok(file) = std::fs::metadata(&recipe.program) {
        found.put("binary_bytes", file.len() as f64);
    }
    found
}

/// Median milliseconds from spawn to the first reply, and from the end of stdin to the end of the process.
fn starts(recipe: &Recipe, place: &Place, count: usize) -> Result<(f64, f64), Failure> {
    let (mut up_ms, mut down_ms) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let from = Instant::now();
        let mut host = Host::start(recipe, place, Era::Legacy, LIMIT)?;
        host.open()?;
        up_ms.push(from.elapsed().as_secs_f64() * 1e3);
        host.call(&small_call(Era::Legacy))?;
        down_ms.push(host.end()?.as_secs_f64() * 1e3);
    }
    Ok((median(&up_ms).unwrap_or(0.0), median(&down_ms).unwrap_or(0.0)))
}

/// Latency of the small call and of the list, and CPU of the calls.
fn one_at_a_time(
    found: &mut Figures,
    recipe: &Recipe,
    place: &Place,
    era: Era,
    effort: Effort,
    prefix: &str,
) -> Result<(), Failure> {
    let mut host = Host::start(recipe, place, era, LIMIT)?;
    host.handshake()?;
    let call = small_call(era);
    for _ in 0..effort.calls / 10 {
        host.call(&call)?;
    }
    let cpu_from = cpu_ns(host.pid())?;
    let calls = (0..effort.calls)
        .map(|_| nanoseconds(host.call(&call)?))
        .collect::<Result<Vec<_>, _>>()?;
    let cpu_used = cpu_ns(host.pid())? - cpu_from;
    let spread = Spread::of(calls);
    found.put(&format!("{prefix}call_p50_us"), spread.p50_us);
    found.put(&format!("{prefix}call_p99_us"), spread.p99_us);
    found.put(
        &format!("{prefix}cpu_one_ms"),
        cpu_used as f64 / 1e6 / effort.calls as f64 * 1_000.0,
    );
    let list = Call::list(era);
    let lists = (0..effort.lists)
        .map(|_| nanoseconds(host.call(&list)?))
        .collect::<Result<Vec<_>, _>>()?;
    found.put(&format!("{prefix}list_p50_us"), Spread::of(lists).p50_us);
    Ok(())
}

fn nanoseconds(duration: Duration) -> Result<u64, Failure> {
    Ok(u64::try_from(duration.as_nanos())?)
}

/// The same calls without any bridge: an ordinary HTTP/1.1 client.
pub(crate) fn measure_direct(url: &str, effort: Effort) -> Figures {
    let mut found = Figures::default();
    found.group("direct", |found| {
        let direct = Direct::new(url)?;
        let era = Era::Legacy;
        let call = small_call(era);
        direct.one_at_a_time(&call, effort.calls / 10)?;
        let own = std::process::id();
        let cpu_from = cpu_ns(own)?;
        let spread = Spread::of(direct.one_at_a_time(&call, effort.calls)?);
        found.put("call_p50_us", spread.p50_us);
        found.put("call_p99_us", spread.p99_us);
        found.put(
            "cpu_one_ms",
            (cpu_ns(own)? - cpu_from) as f64 / 1e6 / effort.calls as f64 * 1_000.0,
        );
        found.put(
            "list_p50_us",
            Spread::of(direct.one_at_a_time(&Call::list(era), effort.lists)?).p50_us,
        );
        let big = Call::tool(era, "big", &format!(r#"{{"bytes":{BIG_REPLY_BYTES}}}"#));
        let times: Vec<f64> = direct
            .one_at_a_time(&big, 3)?
            .into_iter()
            .map(|ns| ns as f64 / 1e6)
            .collect();
        found.put("big_ms", median(&times).unwrap_or(0.0));
        for in_flight in [16, 64] {
            found.put(
                &format!("rate_{in_flight}"),
                direct.flood(&call, in_flight, effort.flood / 4, effort.flood)?,
            );
        }
        Ok(())
    });
    found
}
