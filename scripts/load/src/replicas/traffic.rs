//! Calls at an even pace from many clients, until they are told to stop; each with what became of it.

use crate::ours::{READ_TOOL, WRITE_TOOL};
use crate::stats::median;
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, check, excerpt, frame};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients that share the pace.
const CLIENTS: u32 = 32;
/// One call in so many writes.
const WRITE_ONE_IN: u64 = 4;
/// Memories that are read.
pub(super) const SHARED: u64 = 32;
/// For one answer. Longer than any limit of the server that could still end in an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Answered with a result.
    Done,
    /// 503 with `Retry-After`, and a text that says it did not run.
    NotRun,
    /// 503 with `Retry-After`, and a text that says that nobody knows whether it ran.
    Unknown,
    /// Anything else, in words.
    Failed(String),
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// The key that was written, the text being the same; `None` for a read.
    pub(super) wrote: Option<String>,
    /// What became of it.
    pub(super) fate: Fate,
    /// How long it took.
    pub(super) took: Duration,
}

/// Clients at work.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Made>>>,
    begun: Instant,
}

/// All calls that were made, and how long the clients worked.
pub(super) struct Log {
    pub(super) made: Vec<Made>,
    pub(super) lasted: Duration,
}

/// The memory that a reading call reads.
pub(super) fn shared_key(number: u64) -> String {
    format!("shared-{}", number % SHARED)
}

impl Traffic {
    /// Starts `per_second` calls a second. `mark` makes the written keys this run's own.
    pub(super) fn start(target: &Target, mark: &str, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let between = Duration::from_secs(1) * CLIENTS / per_second.max(1);
        let clients = (0..CLIENTS)
            .map(|client| {
                let (stop, target, mark) = (Arc::clone(&stop), target.clone(), format!("{mark}-{client}"));
                // Spread over one interval, so that they do not all call at once.
                let first = begun + between * client / CLIENTS;
                std::thread::spawn(move || client_calls(&target, &mark, first, between, &stop))
            })
            .collect();
        Self { stop, clients, begun }
    }

    /// Waits for the calls under way.
    pub(super) fn stop(self) -> Result<Log, Failure> {
        self.stop.store(true, Ordering::Release);
        let mut made = Vec::new();
        for client in self.clients {
            made.extend(client.join().map_err(|_| "a client panicked")?);
        }
        Ok(Log {
            made,
            lasted: self.begun.elapsed(),
        })
    }
}

impl Log {
    /// Median time of a call.
    pub(super) fn median_ms(&self) -> f64 {
        let took: Vec<f64> = self
            .made
            .iter()
            .map(|made| made.took.as_secs_f64() * 1e3)
            .collect();
        median(&took).unwrap_or(0.0)
    }

    /// Time of the slowest call.
    pub(super) fn slowest_ms(&self) -> f64 {
        self.made
            .iter()
            .map(|made| made.took.as_secs_f64() * 1e3)
            .fold(0.0, f64::max)
    }
}

fn client_calls(
    target: &Target,
    mark: &str,
    first: Instant,
    between: Duration,
    stop: &AtomicBool,
) -> Vec<Made> {
    let mut made = Vec::new();
    let mut connection = None;
    let mut due = first;
    let mut number = 0_u64;
    while !stop.load(Ordering::Acquire) {
        let now = Instant::now();
        if due > now {
            std::thread::sleep(due - now);
        } else if now - due > Duration::from_secs(1) {
            // What a stall kept from being called is not made up for in one rush.
            due = now;
        }
        due += between;
        number += 1;
        let wrote = number
            .is_multiple_of(WRITE_ONE_IN)
            .then(|| format!("{mark}-{number}"));
        let call = match &wrote {
            Some(key) => {
                let arguments = json!({ "key": key, "content": key }).to_string();
                Call::tool(Era::Modern, WRITE_TOOL, &arguments)
            }
            None => Call::tool(
                Era::Modern,
                READ_TOOL,
                &json!({ "key": shared_key(number) }).to_string(),
            ),
        };
        let from = Instant::now();
        let fate = one_call(target, &call, &mut connection);
        made.push(Made {
            wrote,
            fate,
            took: from.elapsed(),
        });
    }
    made
}

fn one_call(target: &Target, call: &Call, connection: &mut Option<TcpStream>) -> Fate {
    let asked = (|| {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => target.connect()?,
        };
        let answer = ask(&mut stream, &call.request(target, FIRST_ID))?;
        *connection = Some(stream);
        Ok::<_, Failure>(answer)
    })();
    let (status, head, body) = match asked {
        Ok(answer) => answer,
        Err(e) => return Fate::Failed(e.to_string()),
    };
    let text = String::from_utf8_lossy(&body);
    match status {
        200 => match check(&body, FIRST_ID) {
            Ok(()) => Fate::Done,
            Err(said) => Fate::Failed(said),
        },
        503 if !head.contains("retry-after:") => Fate::Failed("503 without Retry-After".to_owned()),
        503 if text.contains("was not run") => Fate::NotRun,
        503 if text.contains("may have been made") => Fate::Unknown,
        status => Fate::Failed(format!("HTTP {status}: {}", excerpt(&body))),
    }
}

/// Status, head in lower case, and body.
fn ask(stream: &mut TcpStream, request: &[u8]) -> Result<(u16, String, Vec<u8>), Failure> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let (mut buffer, mut chunk) = (Vec::new(), vec![0_u8; 16 * 1024]);
    loop {
        if let Some(framed) = frame(&buffer)?
            && buffer.len() >= framed.end
        {
            let head = String::from_utf8_lossy(buffer.get(..framed.body_at).unwrap_or_default())
                .to_ascii_lowercase();
            let body = buffer
                .get(framed.body_at..framed.end)
                .unwrap_or_default()
                .to_vec();
            return Ok((framed.status, head, body));
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err("the connection was closed before the answer was complete".into());
        }
        buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
}
