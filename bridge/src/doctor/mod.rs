//! `doctor`: every step from the configuration to a live list of tools, in order, each with words to act on (clients.md §6).
//!
//! In come the settings and, if a client is named, that client's own entry; out go lines for people or one JSON document, and
//! an exit code. No tool is called, nothing is written, and of a key only its beginning is shown.

mod advice;
mod entry;
mod report;
mod talk;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::buffering;
use crate::clients::inspect::Inspection;
use crate::clients::{Client, Surroundings};
use crate::diagnosis::Diagnosis;
use crate::error::BridgeError;
use crate::key;
use crate::options::{KEY_VARIABLE, KeySource, Settings, URL_VARIABLE};
use crate::upstream::{Dialer, Endpoint, Way};
use report::Report;
use talk::{Entry, Events, Fault, talk};

/// Longest wait for a connection: the step is about whether there is one, and clients give up soon after.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A start slower than this is remarked on: the strictest client gives ten seconds.
const SLOW_START: Duration = Duration::from_secs(5);

/// Checks everything that `settings` lead to; with a client, what that client's own entry leads to.
pub(crate) fn run(settings: Settings, client: Option<&str>, json: bool) -> ExitCode {
    let mut report = Report::new(json);
    if let Some(client) = client {
        entry::check(&mut report, client, settings.url.as_deref());
    } else if let Some((endpoint, way)) = configuration(&mut report, settings)
        && connection(&mut report, &endpoint, way)
    {
        conversation(&mut report);
    }
    orphans(&mut report);
    if report.finish() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Starts what `setup` has just written, as the client will.
pub(crate) fn try_entries(client: &Client, around: &Surroundings, inspection: &Inspection) {
    let mut report = Report::new(false);
    if entry::start(&mut report, client, around, inspection) {
        report.finish();
    }
}

/// Address and key, as far as they can be judged without touching the world.
fn configuration(report: &mut Report, settings: Settings) -> Option<(Endpoint, Way)> {
    const STEP: &str = "configuration";
    let Some(url) = settings.url else {
        report.fail(
            STEP,
            Some(Diagnosis::UrlMissing),
            format!("{URL_VARIABLE} is not set"),
        );
        return None;
    };
    let endpoint = match Endpoint::parse(&url, settings.allow_http) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            report.fail(STEP, Some(error.diagnosis()), error.to_string());
            return None;
        }
    };
    report.ok(STEP, format!("the server is {}", endpoint.place()));
    let key = match settings.key {
        KeySource::None if settings.key_variable.is_some() => {
            Err(key::not_there(std::env::vars_os().count()))
        }
        KeySource::None => {
            report.ok(STEP, format!("no key is set ({KEY_VARIABLE}); that is right for a server that asks for none or for a sign-in"));
            return Some((endpoint, settings.way));
        }
        KeySource::Value(key) => key::examine(key.expose(), &endpoint.origin()),
        KeySource::File(path) => key::read(&path, &endpoint.origin()),
    };
    match key {
        Ok(key) => {
            let shown = key::shown(key.secret.expose());
            match key.remark {
                Some(remark) => report.warn(STEP, Diagnosis::KeyDressed, remark),
                None => report.ok(STEP, format!("{shown} is set")),
            }
            Some((endpoint, settings.way))
        }
        Err(error) => {
            fail(report, STEP, &error);
            None
        }
    }
}

/// Name, connection, certificate.
fn connection(report: &mut Report, endpoint: &Endpoint, way: Way) -> bool {
    const STEP: &str = "connection";
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report.fail(STEP, None, format!("the event loop cannot be started: {error}"));
            return false;
        }
    };
    let start = Instant::now();
    let dialer = Arc::new(Dialer::new(way, endpoint, CONNECT_LIMIT));
    let connected = runtime.block_on(dialer.connect(endpoint));
    runtime.shutdown_background();
    match connected {
        Ok(_) => {
            let secure = if endpoint.tls {
                ", its certificate is trusted"
            } else {
                ""
            };
            report.ok(
                STEP,
                format!(
                    "{} answers{secure} ({} ms)",
                    endpoint.place(),
                    start.elapsed().as_millis()
                ),
            );
            true
        }
        Err(error) => {
            report.fail(STEP, Some(error.diagnosis()), error.to_string());
            false
        }
    }
}

/// This program as a client starts it, with the settings of now.
fn conversation(report: &mut Report) {
    const STEP: &str = "conversation";
    match std::env::current_exe() {
        Ok(program) => judge(
            report,
            &Entry {
                program: program.into(),
                arguments: Vec::new(),
                environment: None,
            },
        ),
        Err(error) => report.fail(STEP, None, format!("this program cannot find itself: {error}")),
    }
}

/// Starts an entry and reports what came of it.
fn judge(report: &mut Report, entry: &Entry) {
    const STEP: &str = "conversation";
    let name = entry.program.to_string_lossy().into_owned();
    match talk(entry) {
        Ok(talk) => {
            report.ok(
                STEP,
                format!(
                    "MCP {}, server {}, in {} ms",
                    talk.version,
                    talk.server,
                    talk.started.as_millis()
                ),
            );
            if talk.started > SLOW_START {
                report.warn(
                    STEP,
                    Diagnosis::StartSlow,
                    format!("the first answer took {} s", talk.started.as_secs()),
                );
            }
            match talk.tools {
                Some((tools, took)) => {
                    report.ok("tools", format!("{tools} tools in {} ms", took.as_millis()));
                }
                None => report.ok("tools", "the server offers no tools"),
            }
            match talk.events {
                Events::Live(took) => report.ok(
                    "response path",
                    format!("events come as they are sent ({} ms)", took.as_millis()),
                ),
                Events::Held(held) => report.fail(
                    "response path",
                    Some(Diagnosis::Buffered),
                    buffering::remark(held),
                ),
                Events::None => {}
            }
        }
        Err(Fault::Start(error)) => report.fail(STEP, None, format!("`{name}` cannot be started: {error}")),
        Err(Fault::Ended(words)) => {
            report.fail(STEP, None, format!("`{name}` ended at once. It said: {words}"));
        }
        Err(Fault::Silent) => report.fail(
            STEP,
            Some(Diagnosis::Handshake),
            format!("`{name}` started and never answered"),
        ),
        Err(Fault::Noise(line)) => {
            report.fail(
                STEP,
                None,
                format!("`{name}` writes something that is no message to its stdout: {line}"),
            );
        }
        Err(Fault::Refused { message, check }) => {
            let diagnosis = check
                .as_deref()
                .and_then(Diagnosis::find)
                .or(Some(Diagnosis::Handshake));
            report.fail(STEP, diagnosis, message);
        }
        Err(Fault::Stuck) => report.fail(STEP, None, format!("`{name}` did not end when its client did")),
    }
}

fn fail(report: &mut Report, step: &'static str, error: &BridgeError) {
    report.fail(step, error.diagnosis(), error.message());
}

/// Processes of this program that nobody talks to any more.
fn orphans(report: &mut Report) {
    let left = stale();
    if left > 0 {
        report.warn(
            "processes",
            Diagnosis::Orphans,
            format!("{left} processes of this program run without a parent"),
        );
    }
}

/// How many processes of this program have lost their parent: their parent is the first process of the system. Only Linux
/// tells without a helper program.
#[cfg(target_os = "linux")]
fn stale() -> usize {
    let own = std::fs::read_link("/proc/self/exe").ok();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| process.file_name() != std::process::id().to_string().as_str())
        .filter(|process| own.is_some() && std::fs::read_link(process.path().join("exe")).ok() == own)
        .filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok())
        // After the name in parentheses come the state and the parent.
        .filter(|stat| {
            stat.rsplit_once(") ")
                .and_then(|(_, rest)| rest.split(' ').nth(1))
                == Some("1")
        })
        .count()
}

#[cfg(not(target_os = "linux"))]
fn stale() -> usize {
    0
}
