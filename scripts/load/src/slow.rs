//! `slow`: clients that hold connections and never finish, beside one that does its work.
//!
//! In: the server's binary. Out: when each kind of slow client was dropped, and what the normal one felt of it (security.md
//! S2). The time limits are lowered by the configuration, so that the proof takes seconds; what is proved is that each one
//! is armed, by its own name.

use crate::generator::Outcome;
use crate::ours::{self, Patience};
use crate::process::{Running, arguments, ask, free_port, raise_open_files, say, wait_for_port};
use crate::stats::Spread;
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, exchange};
use lexopt::prelude::*;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The lowered limits. All differ, so that a connection that falls to another's limit is seen.
const PATIENCE: Patience = Patience {
    head: Duration::from_secs(3),
    body: Duration::from_secs(5),
    idle: Duration::from_secs(7),
};
/// A slow client sends one byte so often: many times within any limit, so that silence is not what ends it.
const DRIP: Duration = Duration::from_millis(100);
/// A connection may go this much before its limit (clocks are read at different ends) and this much after it.
const TOLERANCE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(1_000));
/// The normal client measures so long before the attack.
const BASELINE: Duration = Duration::from_secs(4);
/// Connections of the normal client.
const NORMAL_CONNECTIONS: usize = 4;
/// What the normal client may feel, in milliseconds.
const NORMAL_P99_MS: f64 = 50.0;
/// Bytes of a body that will never be whole.
const BODY_BYTES: usize = 100_000;

/// What a slow client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Connects and says nothing.
    Silent,
    /// Sends its head byte by byte.
    Head,
    /// Sends its head at once and its body byte by byte.
    Body,
    /// Makes one call and stays.
    Idle,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Silent, Self::Head, Self::Body, Self::Idle];

    fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent from the start",
            Self::Head => "slow head",
            Self::Body => "slow body",
            Self::Idle => "idle after a call",
        }
    }

    fn limit(self) -> Duration {
        match self {
            Self::Silent | Self::Head => PATIENCE.head,
            Self::Body => PATIENCE.body,
            Self::Idle => PATIENCE.idle,
        }
    }
}

/// Reads the options and runs the proof.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut each, mut server, mut work) = (
        200_usize,
        PathBuf::from("target/release/footbridge-server"),
        PathBuf::from("target/slow-clients"),
    );
    while let Some(argument) = parser.next()? {
        match argument {
            Long("each") => each = parser.value()?.parse()?,
            Long("server") => server = parser.value()?.into(),
            Long("work") => work = parser.value()?.into(),
            other => return Err(other.unexpected().into()),
        }
    }
    raise_open_files();
    let data = work.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(&data)?;
    let product = ours::Server::new(&server, &data, None, &PATIENCE.settings())?;
    let (normal_key, slow_key) = (product.mint()?.secret, product.mint()?.secret);
    let port = free_port()?;
    let mut running = Running::start("the server", product.serve(None, port), &work.join("server.log"))?;
    wait_for_port(&mut running, port)?;
    let normal = ours::Server::target(port, &normal_key)?;
    let slow = ours::Server::target(port, &slow_key)?;

    say("slow", "the normal client alone");
    let alone = normal_client(&normal, BASELINE)?;
    let files_before = open_files(running.pid())?;
    let count = each * Kind::ALL.len();
    say("slow", &format!("the normal client beside {count} slow ones"));
    let until = PATIENCE.idle + TOLERANCE.1;
    let (beside, attackers) = std::thread::scope(|scope| -> Result<_, Failure> {
        let beside = scope.spawn(|| normal_client(&normal, until));
        let attackers = attack(&slow, each, until)?;
        Ok((
            beside.join().map_err(|_| "the normal client panicked")??,
            attackers,
        ))
    })?;
    // The normal client's connections are gone with it; give the server a moment to see that.
    std::thread::sleep(Duration::from_millis(200));
    running.alive()?;
    let left = open_files(running.pid())?.saturating_sub(files_before);
    running.end()?;
    std::fs::remove_dir_all(&data)?;

    let mut violations = table(&attackers, &alone, &beside)?;
    if left > 0 {
        violations.push(format!("the server still holds {left} files more than before"));
    }
    let mut out = std::io::stdout().lock();
    for violation in &violations {
        writeln!(out, "VIOLATION {violation}")?;
    }
    if violations.is_empty() {
        writeln!(out, "all dropped in time, the normal client undisturbed")?;
        return Ok(());
    }
    Err(format!("{} violations, named above", violations.len()).into())
}

/// `tools/list` as fast as it goes, from a process of its own.
fn normal_client(target: &Target, measure: Duration) -> Result<Outcome, Failure> {
    let words: Vec<OsString> = arguments![
        "run",
        "--url",
        format!("http://{}{}", target.authority, target.path),
        "--key",
        target.key.clone().unwrap_or_default(),
        "--method",
        "tools/list",
        "--connections",
        NORMAL_CONNECTIONS.to_string(),
        "--seconds",
        measure.as_secs_f64().to_string(),
    ];
    ask(None, &words).map_err(|e| format!("the normal client: {e}").into())
}

/// Descriptors a process has open.
fn open_files(pid: u32) -> Result<usize, Failure> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// One slow client.
struct Attacker {
    kind: Kind,
    stream: TcpStream,
    /// What it sends, byte by byte, and how far it is.
    drips: Vec<u8>,
    sent: usize,
    /// Since when the server waits for it.
    since: Instant,
    /// How long it was held.
    held: Option<Duration>,
}

impl Attacker {
    fn open(target: &Target, kind: Kind) -> Result<Self, Failure> {
        let since = Instant::now();
        let mut stream = target.connect()?;
        let call = Call::list(Era::Modern).request(target, FIRST_ID);
        let (drips, since) = match kind {
            Kind::Silent => (Vec::new(), since),
            // The body would end it; without one the head's last line is missing for good.
            Kind::Head => (long_head(&call), since),
            Kind::Body => {
                stream.write_all(&long_body_head(&call)?)?;
                (vec![b' '; BODY_BYTES], Instant::now())
            }
            Kind::Idle => {
                let (status, _) = exchange(&mut stream, &call, Duration::from_secs(10))?;
                if status != 200 {
                    return Err(format!("a slow client's first call got HTTP {status}").into());
                }
                (Vec::new(), Instant::now())
            }
        };
        stream.set_nonblocking(true)?;
        Ok(Self {
            kind,
            stream: TcpStream::from_std(stream),
            drips,
            sent: 0,
            since,
            held: None,
        })
    }

    /// Sends one more byte.
    fn drip(&mut self) {
        let Some(byte) = self.drips.get(self.sent..=self.sent) else {
            return;
        };
        match self.stream.write(byte) {
            Ok(count) => self.sent += count,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.dropped(),
        }
    }

    /// Reads what came, a farewell perhaps, up to the end of the connection.
    fn hear(&mut self) {
        let mut bin = [0; 4096];
        loop {
            match self.stream.read(&mut bin) {
                Ok(0) => return self.dropped(),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.dropped(),
            }
        }
    }

    fn dropped(&mut self) {
        self.held.get_or_insert(self.since.elapsed());
    }
}

/// A request's head that goes on and on.
fn long_head(call: &[u8]) -> Vec<u8> {
    let first_line = memchr::memchr(b'\n', call).map_or(0, |at| at + 1);
    let mut head = call.get(..first_line).unwrap_or_default().to_vec();
    head.extend_from_slice(b"x-slow: ");
    head.resize(head.len() + 10_000, b'a');
    head
}

/// The head of `call` with the length of a body that will not come.
fn long_body_head(call: &[u8]) -> Result<Vec<u8>, Failure> {
    let length = memchr::memmem::find(call, b"content-length: ").ok_or("the request names no length")?;
    let mut head = call.get(..length).unwrap_or_default().to_vec();
    head.extend_from_slice(format!("content-length: {BODY_BYTES}\r\n\r\n").as_bytes());
    Ok(head)
}

/// Opens all slow clients and watches until the server has dropped the last one or `until` is over.
fn attack(target: &Target, each: usize, until: Duration) -> Result<Vec<Attacker>, Failure> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1_024);
    let mut attackers = Vec::with_capacity(each * Kind::ALL.len());
    for _ in 0..each {
        for kind in Kind::ALL {
            let mut attacker = Attacker::open(target, kind)?;
            let token = Token(attackers.len());
            poll.registry()
                .register(&mut attacker.stream, token, Interest::READABLE)?;
            attackers.push(attacker);
        }
    }
    let deadline = Instant::now() + until;
    let mut next_drip = Instant::now();
    while Instant::now() < deadline && attackers.iter().any(|attacker| attacker.held.is_none()) {
        let wait = next_drip.saturating_duration_since(Instant::now());
        match poll.poll(&mut events, Some(wait)) {
            Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e.into()),
            _ => {}
        }
        for event in &events {
            if let Some(attacker) = attackers.get_mut(event.token().0) {
                attacker.hear();
            }
        }
        if Instant::now() >= next_drip {
            next_drip = Instant::now() + DRIP;
            for attacker in attackers.iter_mut().filter(|attacker| attacker.held.is_none()) {
                attacker.drip();
            }
        }
    }
    Ok(attackers)
}

/// Prints what was found; returns what must not be.
fn table(attackers: &[Attacker], alone: &Outcome, beside: &Outcome) -> Result<Vec<String>, Failure> {
    let mut out = std::io::stdout().lock();
    let mut violations = Vec::new();
    writeln!(
        out,
        "{:<24}{:>7}{:>9}   dropped after: min, median, max",
        "slow clients", "held", "limit"
    )?;
    for kind in Kind::ALL {
        let of_kind = || attackers.iter().filter(|attacker| attacker.kind == kind);
        let count = of_kind().count();
        let held: Vec<Duration> = of_kind().filter_map(|attacker| attacker.held).collect();
        let limit = kind.limit();
        let spread = Spread::of(held.iter().map(|held| held.as_nanos() as u64).collect());
        let least = held.iter().min().copied().unwrap_or_default();
        let [least, middle, most] =
            [least.as_secs_f64(), spread.p50_us / 1e6, spread.max_us / 1e6].map(|s| format!("{s:.2}"));
        writeln!(
            out,
            "{:<24}{count:>7}{:>7.1} s   {least} s, {middle} s, {most} s",
            kind.name(),
            limit.as_secs_f64()
        )?;
        let early = held.iter().filter(|&&held| held + TOLERANCE.0 < limit).count();
        let late = held.iter().filter(|&&held| held > limit + TOLERANCE.1).count() + count - held.len();
        for (what, number) in [("before", early), ("in time after", late)] {
            if number > 0 {
                let verb = if what == "before" {
                    "dropped"
                } else {
                    "not dropped"
                };
                violations.push(format!(
                    "{}: {number} of {count} {verb} {what} the limit",
                    kind.name()
                ));
            }
        }
    }
    writeln!(
        out,
        "\n{:<24}{:>9}{:>12}{:>12}",
        "normal client, tools/list", "p50 ms", "p99 ms", "calls/s"
    )?;
    for (name, found) in [("  alone", alone), ("  beside the slow ones", beside)] {
        let (p50, p99) = (found.spread.p50_us / 1e3, found.spread.p99_us / 1e3);
        writeln!(out, "{name:<25}{p50:>9.2}{p99:>12.2}{:>12.0}", found.per_second)?;
    }
    let p99_ms = beside.spread.p99_us / 1e3;
    if p99_ms >= NORMAL_P99_MS {
        violations.push(format!(
            "the normal client's p99 is {p99_ms:.1} ms, not below {NORMAL_P99_MS}"
        ));
    }
    writeln!(out)?;
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Vec<u8> {
        let target = Target::parse("http://127.0.0.1:1/mcp", Some("k".to_owned())).expect("a URL");
        Call::list(Era::Modern).request(&target, FIRST_ID)
    }

    #[test]
    fn neither_a_slow_head_nor_a_slow_body_ever_comes_to_its_end() {
        let head = long_head(&request());
        assert!(head.starts_with(b"POST /mcp HTTP/1.1\r\n"));
        assert_eq!(memchr::memmem::find(&head, b"\r\n\r\n"), None);
        let drips = PATIENCE.idle.as_millis() / DRIP.as_millis();
        assert!(head.len() as u128 > drips && BODY_BYTES as u128 > drips);
        let head = long_body_head(&request()).expect("names a length");
        assert!(head.ends_with(b"content-length: 100000\r\n\r\n"));
        let authorised = memchr::memmem::find(&head, b"authorization: Bearer k");
        assert!(
            authorised.is_some(),
            "the body is read only of a caller who is known"
        );
    }

    #[test]
    fn every_limit_differs_from_its_neighbours_by_more_than_the_tolerance() {
        let width = TOLERANCE.0 + TOLERANCE.1;
        assert!(PATIENCE.head + width < PATIENCE.body);
        assert!(PATIENCE.body + width < PATIENCE.idle);
    }
}
