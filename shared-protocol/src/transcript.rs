//! Golden conversations: text files that say what goes over the wire, replayed by the tests of both crates.
//!
//! The server must produce each reply, the bridge must survive it. A file is a list of exchanges:
//!
//! ```text
//! # Row 13: the method header differs from the body.
//! > POST /mcp
//! > authorization: Bearer [key]
//! > mcp-method: tools/list
//! >
//! > {"jsonrpc":"2.0","id":1,"method":"tools/call"}
//! < 400
//! < content-type: application/json
//! < !mcp-session-id
//! <
//! < {"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"[text]"}}
//! ```
//!
//! - `>` is what the client sends: request line, headers, an empty line, the body. `/mcp` stands for whatever path
//!   the endpoint has; `Host` and `Content-Length` are the replayer's.
//! - `<` is what the server answers: status, headers it must have, `!name` for headers it must not have, an empty
//!   line, and one JSON message per line (several when the reply is an event stream). `[empty]` demands an empty
//!   body; without the empty line the body is not looked at.
//! - `#` starts a comment; the first one of a block names the exchange.
//! - `[name]` in a sent header, or `"[name]"` as a whole string in a sent body, is replaced by a bound value.
//!   As a whole string in an expected body it matches what is bound, or binds what is there. `"[any]"` matches any
//!   value, `"[text]"` any non-empty string, `"[absent]"` says that the member must not be there.
//! - Expected objects may have further members; everything else must match as it is.

mod parse;
mod pattern;

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

use crate::sse;

/// The conversations of this crate, by file name.
pub const GOLDEN: [(&str, &str); 4] = [
    ("era.txt", include_str!("../transcripts/era.txt")),
    ("gate.txt", include_str!("../transcripts/gate.txt")),
    (
        "header_values.txt",
        include_str!("../transcripts/header_values.txt"),
    ),
    ("legacy.txt", include_str!("../transcripts/legacy.txt")),
];

/// One file.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// In the order of the file. Later ones may use what earlier ones bound.
    pub exchanges: Vec<Exchange>,
}

/// One request and its reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Where it starts in the file, from 1.
    pub line: usize,
    /// The first comment line above it.
    pub title: String,
    /// What the client sends, with redactions.
    pub request: Request,
    /// What the server answers.
    pub reply: Reply,
}

/// What the client sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// HTTP method.
    pub method: String,
    /// Request target.
    pub target: String,
    /// Lower-case names with values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, lines joined with LF.
    pub body: String,
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Lower-case names, each with the value it must have, or `None` if the header must not be there.
    pub headers: Vec<(String, Option<String>)>,
    /// The body.
    pub body: Body,
}

/// What is expected of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Nothing.
    Unchecked,
    /// It has no bytes.
    Empty,
    /// These messages, as patterns.
    Messages(Vec<Value>),
}

/// Why a transcript cannot be read, or an exchange not be played.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// The file breaks the format.
    #[error("line {line}: {what}")]
    Syntax {
        /// From 1.
        line: usize,
        /// What was expected.
        what: &'static str,
    },
    /// A redaction without a value. A replayer that cannot provide one may skip the exchange.
    #[error("nothing is bound to `[{name}]`")]
    Unbound {
        /// The name between the brackets.
        name: String,
    },
    /// The reply is another one.
    #[error("{at}: expected {expected}, found {found}")]
    Different {
        /// `status`, a header's name, or the path of a member.
        at: String,
        /// What the transcript says.
        expected: String,
        /// What was there.
        found: String,
    },
}

/// Values behind the `[name]`s of one replay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings {
    values: BTreeMap<String, Value>,
}

impl Bindings {
    /// Sets what `[name]` stands for.
    pub fn bind(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// Replaces each `"[name]"` in a message that is to be sent.
    pub fn fill(&self, message: &str) -> Result<String, Fault> {
        pattern::fill_json_text(message, self)
    }

    /// Compares a message that was received with a pattern and binds what it reveals.
    pub fn check(&mut self, pattern: &Value, found: &Value) -> Result<(), Fault> {
        pattern::check(pattern, found, "message", self)
    }

    /// What `[name]` stands for.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }
}

impl Transcript {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        parse::transcript(text)
    }
}

impl Request {
    /// The request with every redaction replaced.
    pub fn fill(&self, bindings: &Bindings) -> Result<Request, Fault> {
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            headers.push((name.clone(), pattern::fill_text(value, bindings)?));
        }
        Ok(Request {
            headers,
            body: pattern::fill_json_text(&self.body, bindings)?,
            ..self.clone()
        })
    }
}

impl Reply {
    /// Compares a reply that was received and binds what it reveals. `header` looks a lower-case name up.
    pub fn check(
        &self,
        bindings: &mut Bindings,
        status: u16,
        header: impl Fn(&str) -> Option<String>,
        body: &[u8],
    ) -> Result<(), Fault> {
        if status != self.status {
            return Err(different("status", &self.status, &status));
        }
        for (name, expected) in &self.headers {
            let found = header(name);
            let expected = expected
                .as_deref()
                .map(|value| pattern::fill_text(value, bindings))
                .transpose()?;
            if found != expected {
                let shown = |value: Option<String>| value.unwrap_or_else(|| "no such header".to_owned());
                return Err(different(name, &shown(expected), &shown(found)));
            }
        }
        match &self.body {
            Body::Unchecked => Ok(()),
            Body::Empty if body.is_empty() => Ok(()),
            Body::Empty => Err(different("body", &"no bytes", &String::from_utf8_lossy(body))),
            Body::Messages(patterns) => {
                let is_stream =
                    header("content-type").is_some_and(|value| value.starts_with("text/event-stream"));
                let found = messages(body, is_stream)?;
                if found.len() != patterns.len() {
                    return Err(different("number of messages", &patterns.len(), &found.len()));
                }
                patterns
                    .iter()
                    .zip(&found)
                    .try_for_each(|(pattern, value)| pattern::check(pattern, value, "body", bindings))
            }
        }
    }

    /// A body that passes [`Reply::check`], for a stub that plays the server: bound values where they are known,
    /// a plain text elsewhere.
    pub fn play(&self, bindings: &Bindings) -> Vec<u8> {
        let mut out = Vec::new();
        let Body::Messages(patterns) = &self.body else {
            return out;
        };
        let is_stream = self.headers.iter().any(|(name, value)| {
            name == "content-type" && value.as_deref().is_some_and(|value| value == "text/event-stream")
        });
        for pattern in patterns {
            let message = pattern::example(pattern, bindings).to_string();
            if is_stream {
                sse::write_event(&mut out, message.as_bytes());
            } else {
                out.extend_from_slice(message.as_bytes());
            }
        }
        out
    }
}

/// Longest event a golden conversation may hold, in bytes.
const LONGEST_EVENT: usize = 1 << 20;

fn messages(body: &[u8], is_stream: bool) -> Result<Vec<Value>, Fault> {
    let read = |bytes: &[u8]| {
        serde_json::from_slice(bytes).map_err(|error| {
            different(
                "body",
                &"JSON",
                &format!("{error} in {}", String::from_utf8_lossy(bytes)),
            )
        })
    };
    if !is_stream {
        return Ok(vec![read(body)?]);
    }
    let mut decoder = sse::Decoder::new(LONGEST_EVENT);
    let mut rest = body;
    let mut messages = Vec::new();
    while let Some(event) = decoder
        .next_event(&mut rest)
        .map_err(|error| different("body", &"short events", &error))?
    {
        messages.push(read(&event.data)?);
    }
    Ok(messages)
}

fn different(at: &str, expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display) -> Fault {
    Fault::Different {
        at: at.to_owned(),
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

#[cfg(test)]
mod tests;
