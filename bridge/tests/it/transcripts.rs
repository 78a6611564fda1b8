//! Golden conversations between a host, the bridge and a server, replayed against the built program (protocol.md §8).
//!
//! A file of `bridge/transcripts` is a list of steps, taken one after the other:
//!
//! ```text
//! # X-25: what the conversation is about.
//! set FOOTBRIDGE_LOG warn               a variable of the bridge
//! begin 2025-11-25 {"roots":{}}         the handshake of a host of this revision with these capabilities, crossed
//! host > {…}                            the host writes this line
//! server > {…}                          this request arrives, as its body
//! server 400 < {…}                      it is answered with this status (200 if none is named) and body
//! server ~ {…}                          it is answered by a stream, and this is an event of it
//! server closed                         the bridge closes the exchange
//! host < {…}                            the host reads this line
//! ```
//!
//! A word after `server` names a request, so that several can be open; without one it is the last unnamed. A line that begins
//! with a blank continues the one above. Redactions are those of `footbridge_protocol::transcript`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use footbridge_protocol::transcript::Bindings;
use serde_json::Value;

use crate::harness::{Bridge, LIVENESS, Stub};

/// What becomes of a request that has arrived.
enum Reply {
    Whole(u16, String),
    Event(String),
    /// Waits until the bridge is gone, and says so.
    Closed(Sender<()>),
}

struct Arrived {
    body: Value,
    replies: Sender<Reply>,
}

/// A server that is played by the test.
fn played() -> (Stub, Receiver<Arrived>) {
    let (sender, arrivals) = channel();
    let sender = Mutex::new(sender);
    let stub = Stub::start(move |request, wire| {
        let (replies, orders) = channel();
        let body = request.json();
        if sender.lock().unwrap().send(Arrived { body, replies }).is_err() {
            return;
        }
        let mut is_stream = false;
        for reply in orders {
            match reply {
                Reply::Whole(_, body) if is_stream => return wire.event(&body),
                Reply::Whole(202, _) => return wire.respond(202, &[], b""),
                Reply::Whole(status, body) => return wire.json(status, &body),
                Reply::Event(body) => {
                    if !std::mem::replace(&mut is_stream, true) {
                        wire.stream();
                    }
                    wire.event(&body);
                }
                Reply::Closed(done) => {
                    wire.wait_closed();
                    return done.send(()).unwrap_or_default();
                }
            }
        }
        wire.keep_open = false;
    });
    (stub, arrivals)
}

struct Player {
    bridge: Option<Bridge>,
    variables: Vec<(String, String)>,
    stub: Stub,
    arrivals: Receiver<Arrived>,
    open: HashMap<String, Sender<Reply>>,
    bindings: Bindings,
    /// Where the step stands that is being taken.
    place: String,
}

impl Player {
    fn bridge(&mut self) -> &mut Bridge {
        let (stub, variables) = (&self.stub, &self.variables);
        self.bridge.get_or_insert_with(|| {
            let variables: Vec<(&str, &str)> = variables
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            Bridge::to_with(stub, &variables)
        })
    }

    fn step(&mut self, step: &str) {
        let (who, rest) = step.split_once(' ').unwrap();
        match who {
            "set" => {
                let (name, value) = rest.split_once(' ').unwrap();
                self.variables.push((name.to_owned(), value.to_owned()));
            }
            "begin" => {
                let (revision, capabilities) = rest.split_once(' ').unwrap();
                self.begin(revision, capabilities);
            }
            "host" => match rest.split_once(' ').unwrap() {
                (">", line) => {
                    let line = self.bindings.fill(line).unwrap();
                    self.bridge().send(&line);
                }
                ("<", pattern) => {
                    let found = self.bridge().raw();
                    self.check(pattern, &serde_json::from_str(&found).unwrap());
                }
                other => panic!("{}: {other:?}", self.place),
            },
            "server" => self.server(rest),
            other => panic!("{}: {other}", self.place),
        }
    }

    fn begin(&mut self, revision: &str, capabilities: &str) {
        for step in [
            format!(
                r#"host > {{"jsonrpc":"2.0","id":"begin","method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{capabilities},"clientInfo":{{"name":"host","version":"1"}}}}}}"#
            ),
            r#"server > {"id":"[begin]","method":"server/discover"}"#.to_owned(),
            r#"server < {"jsonrpc":"2.0","id":"[begin]","result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"prompts":{},"resources":{"subscribe":true},"logging":{}}}}"#.to_owned(),
            format!(r#"host < {{"id":"begin","result":{{"protocolVersion":"{revision}"}}}}"#),
            r#"host > {"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        ] {
            self.step(&step);
        }
    }

    fn server(&mut self, step: &str) {
        let at = step.find([' ']).map_or(step, |at| &step[..at]);
        let (name, rest) = if matches!(at, ">" | "<" | "~" | "closed") || at.parse::<u16>().is_ok() {
            ("", step)
        } else {
            step.split_once(' ').unwrap()
        };
        let (sign, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match sign {
            ">" => {
                let arrived = self
                    .arrivals
                    .recv_timeout(LIVENESS)
                    .unwrap_or_else(|_| panic!("{}: no request arrived", self.place));
                self.check(text, &arrived.body);
                self.open.insert(name.to_owned(), arrived.replies);
            }
            "~" => {
                let event = self.bindings.fill(text).unwrap();
                self.open[name].send(Reply::Event(event)).unwrap();
            }
            "closed" => {
                let (done, closed) = channel();
                self.open[name].send(Reply::Closed(done)).unwrap();
                closed
                    .recv_timeout(LIVENESS)
                    .unwrap_or_else(|_| panic!("{}: the exchange stays open", self.place));
            }
            "<" => self.reply(name, 200, text),
            status => {
                let text = text.strip_prefix("< ").unwrap_or_default();
                self.reply(name, status.parse().unwrap(), text);
            }
        }
    }

    fn reply(&mut self, name: &str, status: u16, body: &str) {
        let body = self.bindings.fill(body).unwrap();
        let replies = self.open.remove(name).expect("no such request is open");
        replies.send(Reply::Whole(status, body)).unwrap();
    }

    fn check(&mut self, pattern: &str, found: &Value) {
        let pattern: Value =
            serde_json::from_str(pattern).unwrap_or_else(|error| panic!("{error}: {pattern}"));
        if let Err(fault) = self.bindings.check(&pattern, found) {
            panic!("{}: {fault}\nexpected {pattern}\nfound    {found}", self.place);
        }
    }
}

fn replay(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let mut steps: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        match (line.strip_prefix(' '), steps.last_mut()) {
            (Some(more), Some((_, step))) => step.push_str(more.trim_start()),
            _ if line.is_empty() || line.starts_with('#') => {}
            _ => steps.push((at + 1, line.to_owned())),
        }
    }
    let (stub, arrivals) = played();
    let mut player = Player {
        bridge: None,
        variables: Vec::new(),
        stub,
        arrivals,
        open: HashMap::new(),
        bindings: Bindings::default(),
        place: String::new(),
    };
    for (line, step) in &steps {
        player.place = format!("{}:{line}", file.display());
        player.step(step);
    }
    player.open.clear();
    let ended = player.bridge.take().unwrap().end();
    assert!(ended.lines.is_empty(), "more than expected: {:?}", ended.lines);
    assert!(
        player.arrivals.try_recv().is_err(),
        "a request more than expected"
    );
}

#[test]
fn every_conversation_goes_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        replay(&file);
    }
}
