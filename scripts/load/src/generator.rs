//! `run`: a closed-loop HTTP/1.1 load generator on one thread.
//!
//! In: a call, a number of keep-alive connections, seconds. Out: calls per second, the spread of latencies, the server's
//! CPU per call. Each connection has one request in flight; a reply sends the next. The generator drives its sockets by
//! itself, one write and one read a call, so that the server under test is what gets tired first.

use crate::process::cpu_ns;
use crate::stats::Spread;
use crate::wire::{Call, FIRST_ID, Failure, PARSE_ALWAYS_BYTES, Target, check, frame};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// Stands in the arguments where each connection's own number belongs, so that writers do not all meet on one row.
pub(crate) const CONNECTION_MARK: &str = "%CONN%";

/// After this many failed calls a run is over: its figures would describe an error page.
const MOST_ERRORS: u64 = 10;

/// A long reply is parsed once in this many (see [`PARSE_ALWAYS_BYTES`]); its length is compared every time.
const PARSE_ONE_IN: u64 = 64;

/// Longest silence of every connection at once before the run fails.
const SILENCE: Duration = Duration::from_secs(60);

/// What to run.
pub(crate) struct Plan {
    /// Where to.
    pub(crate) target: Target,
    /// What to call. Every entry is called in turn; one entry is the usual case.
    pub(crate) calls: Vec<Call>,
    /// Keep-alive connections, one call in flight on each.
    pub(crate) connections: usize,
    /// Length of the measurement.
    pub(crate) measure: Duration,
    /// Load before the measurement begins.
    pub(crate) warm_up: Duration,
    /// Stops after this many measured calls, if given.
    pub(crate) most_calls: Option<u64>,
    /// Process whose CPU time is read around the measurement.
    pub(crate) pid: Option<u32>,
    /// Looks for replies without ever sleeping. A server that shares the machine must wake a client that sleeps, with an
    /// interrupt to the other core, which on a virtual machine costs as much as a small call; how often depends on
    /// what else keeps that core awake. A client that does not sleep costs the server what one on another machine does.
    pub(crate) awake: bool,
}

/// What a run found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Calls completed within the measurement.
    pub(crate) calls: u64,
    /// Calls per second.
    pub(crate) per_second: f64,
    /// Latency of a call.
    #[serde(flatten)]
    pub(crate) spread: Spread,
    /// Calls that did not bring HTTP 200 with a result.
    pub(crate) errors: u64,
    /// What the first of them said.
    pub(crate) first_error: Option<String>,
    /// CPU of the server per call in microseconds, all its threads, user and system.
    pub(crate) server_cpu_us: Option<f64>,
    /// Share of one core this generator used: near 1 the figure of calls per second is the generator's own.
    pub(crate) generator_cpu_share: f64,
    /// Body of the last reply, bytes.
    pub(crate) reply_bytes: usize,
}

struct Connection {
    stream: TcpStream,
    /// One prepared request per call of the plan, with the place of its id.
    requests: Vec<(Vec<u8>, usize)>,
    turn: usize,
    id: u64,
    written: usize,
    sent_at: Instant,
    input: Vec<u8>,
    filled: usize,
}

impl Connection {
    fn open(plan: &Plan, number: usize) -> Result<Self, Failure> {
        let stream = plan.target.connect()?;
        stream.set_nonblocking(true)?;
        let requests = plan
            .calls
            .iter()
            .map(|call| {
                let mut call = call.clone();
                call.arguments = call.arguments.replace(CONNECTION_MARK, &format!("{number:05}"));
                let request = call.request(&plan.target, FIRST_ID);
                let needle = format!(r#""id":{FIRST_ID}"#);
                let at = memchr::memmem::find(&request, needle.as_bytes()).ok_or("the request has no id")?
                    + needle.len()
                    - 9;
                Ok((request, at))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            // Connections start at different places of the list, or all of them would ask the same thing at once.
            turn: number % requests.len().max(1),
            requests,
            id: FIRST_ID,
            written: 0,
            sent_at: Instant::now(),
            input: vec![0; 16 * 1024],
            filled: 0,
        })
    }

    /// Begins the next call.
    fn send(&mut self) -> Result<(), Failure> {
        self.id = if self.id >= 999_999_999 {
            FIRST_ID
        } else {
            self.id + 1
        };
        self.turn = (self.turn + 1) % self.requests.len().max(1);
        let digits = self.id.to_string();
        let (request, at) = self.requests.get_mut(self.turn).ok_or("no call to make")?;
        request
            .get_mut(*at..*at + 9)
            .ok_or("the id has no room")?
            .copy_from_slice(digits.as_bytes());
        self.written = 0;
        self.sent_at = Instant::now();
        self.flush()
    }

    /// Writes what is left of the request.
    fn flush(&mut self) -> Result<(), Failure> {
        let (request, _) = self.requests.get(self.turn).ok_or("no call to make")?;
        while let Some(rest) = request.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => self.written += count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("the server cut the connection: {e}").into()),
            }
        }
        Ok(())
    }

    /// Reads; true once the reply is whole.
    fn receive(&mut self) -> Result<bool, Failure> {
        loop {
            if self.filled == self.input.len() {
                self.input.resize(self.input.len() * 2, 0);
            }
            let room = self.input.get_mut(self.filled..).unwrap_or_default();
            let room_len = room.len();
            match self.stream.read(room) {
                Ok(0) => return Err("the server closed a keep-alive connection".into()),
                Ok(count) => {
                    self.filled += count;
                    let whole = frame(self.input.get(..self.filled).unwrap_or_default())?;
                    if whole.is_some_and(|framed| self.filled >= framed.end) {
                        // Nothing can follow before the next request, so the read that would find the socket empty is
                        // saved: the edge-triggered poll reports the next reply.
                        return Ok(true);
                    }
                    if count < room_len {
                        return Ok(false);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("the server cut the connection: {e}").into()),
            }
        }
    }
}

/// Judges replies; keeps the count of long ones.
#[derive(Default)]
struct Judge {
    long_seen: u64,
    long_length: usize,
    reply_bytes: usize,
}

impl Judge {
    fn judge(&mut self, input: &[u8], id: u64) -> Result<(), String> {
        let framed = frame(input)?.ok_or("an incomplete reply was judged")?;
        let body = input.get(framed.body_at..framed.end).unwrap_or_default();
        self.reply_bytes = body.len();
        if framed.status != 200 {
            return Err(format!(
                "HTTP {}: {}",
                framed.status,
                String::from_utf8_lossy(body.get(..300).unwrap_or(body))
            ));
        }
        if body.len() <= PARSE_ALWAYS_BYTES {
            return check(body, id);
        }
        self.long_seen += 1;
        let as_before = body.len() == self.long_length;
        self.long_length = body.len();
        if as_before && !self.long_seen.is_multiple_of(PARSE_ONE_IN) {
            Ok(())
        } else {
            check(body, id)
        }
    }
}

/// Runs the plan.
pub(crate) fn run(plan: &Plan) -> Result<Outcome, Failure> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1_024);
    let mut connections = (0..plan.connections)
        .map(|number| Connection::open(plan, number))
        .collect::<Result<Vec<_>, _>>()?;
    for (number, connection) in connections.iter_mut().enumerate() {
        poll.registry().register(
            &mut connection.stream,
            Token(number),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        connection.send()?;
    }

    let warm_until = Instant::now() + plan.warm_up;
    let mut window: Option<Window> = None;
    let mut samples: Vec<u64> = Vec::with_capacity(1 << 16);
    let mut judge = Judge::default();
    let mut outcome = Outcome::default();
    let patience = if plan.awake { Duration::ZERO } else { SILENCE };
    let mut heard_at = Instant::now();
    loop {
        poll.poll(&mut events, Some(patience)).or_else(|e| {
            if e.kind() == ErrorKind::Interrupted {
                Ok(())
            } else {
                Err(e)
            }
        })?;
        if !events.is_empty() {
            heard_at = Instant::now();
        } else if heard_at.elapsed() >= SILENCE {
            return Err(format!("no reply on any connection for {} s", SILENCE.as_secs()).into());
        }
        for event in &events {
            let Some(connection) = connections.get_mut(event.token().0) else {
                continue;
            };
            if event.is_writable() {
                connection.flush()?;
            }
            if !(event.is_readable() && connection.receive()?) {
                continue;
            }
            let latency = connection.sent_at.elapsed();
            let input = connection.input.get(..connection.filled).unwrap_or_default();
            match judge.judge(input, connection.id) {
                // Only calls that began inside the window count: a reply to an earlier one says nothing of it.
                Ok(()) if window.as_ref().is_some_and(|w| connection.sent_at >= w.from) => {
                    samples.push(u64::try_from(latency.as_nanos())?);
                }
                Ok(()) => {}
                Err(reason) => {
                    outcome.errors += 1;
                    outcome.first_error.get_or_insert(reason);
                }
            }
            connection.filled = 0;
            connection.send()?;
        }
        if outcome.errors >= MOST_ERRORS {
            break;
        }
        match &window {
            None if Instant::now() >= warm_until => window = Some(Window::open(plan.pid)?),
            Some(w)
                if w.from.elapsed() >= plan.measure
                    || plan.most_calls.is_some_and(|most| samples.len() as u64 >= most) =>
            {
                break;
            }
            _ => {}
        }
    }
    if let Some(window) = window {
        window.close(plan.pid, samples.len() as u64, &mut outcome)?;
    }
    outcome.calls = samples.len() as u64;
    outcome.spread = Spread::of(samples);
    outcome.reply_bytes = judge.reply_bytes;
    Ok(outcome)
}

/// The clocks at the beginning of the measurement.
struct Window {
    from: Instant,
    server_ns: u64,
    own_ns: u64,
}

impl Window {
    fn open(pid: Option<u32>) -> Result<Self, Failure> {
        let server_ns = pid.map(cpu_ns).transpose()?.unwrap_or(0);
        Ok(Self {
            server_ns,
            own_ns: cpu_ns(std::process::id())?,
            from: Instant::now(),
        })
    }

    fn close(self, pid: Option<u32>, calls: u64, outcome: &mut Outcome) -> Result<(), Failure> {
        let elapsed = self.from.elapsed();
        outcome.per_second = calls as f64 / elapsed.as_secs_f64();
        outcome.generator_cpu_share =
            (cpu_ns(std::process::id())? - self.own_ns) as f64 / elapsed.as_nanos() as f64;
        if let Some(pid) = pid {
            let used_ns = cpu_ns(pid)?.saturating_sub(self.server_ns);
            outcome.server_cpu_us = Some(used_ns as f64 / 1_000.0 / (calls.max(1) as f64));
        }
        Ok(())
    }
}
