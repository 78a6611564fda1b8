//! The messages the benchmark sends and the judgement of what comes back.
//!
//! In: method, tool, arguments. Out: bytes ready for a socket, and a verdict on every reply. Knows nothing of timing.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What every component here can fail with: a sentence for the person at the terminal.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Ids have nine digits from the first to the last, so that one is patched over another in place.
pub(crate) const FIRST_ID: u64 = 100_000_000;

/// Replies up to this many bytes are parsed one by one; longer ones by sample, or the client becomes the bottleneck.
pub(crate) const PARSE_ALWAYS_BYTES: usize = 8 * 1024;

/// Revision named by a modern request.
const MODERN: &str = "2026-07-28";
/// Revision named by a legacy request.
pub(crate) const LEGACY: &str = "2025-11-25";

/// Which generation of the protocol a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// Every request describes itself in `_meta`.
    Modern,
    /// Handshake era; without a session here.
    Legacy,
}

impl Era {
    /// Reads `modern` or `legacy`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "modern" => Ok(Self::Modern),
            "legacy" => Ok(Self::Legacy),
            other => Err(format!("--era is `modern` or `legacy`, not `{other}`").into()),
        }
    }

    /// The word `parse` reads.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Legacy => "legacy",
        }
    }
}

/// Where requests go and with which credential.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) authority: String,
    /// Path, with its leading slash.
    pub(crate) path: String,
    /// Bearer key, if the server wants one.
    pub(crate) key: Option<String>,
}

impl Target {
    /// Reads a plain `http://host:port/path`.
    pub(crate) fn parse(url: &str, key: Option<String>) -> Result<Self, Failure> {
        let rest = url
            .strip_prefix("http://")
            .ok_or("the URL must start with http:// (the load runs on loopback)")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self {
            authority: authority.to_owned(),
            path: format!("/{path}"),
            key,
        })
    }

    /// Opens a connection without delay of small packets.
    pub(crate) fn connect(&self) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(&self.authority)
            .map_err(|e| format!("no connection to {}: {e}", self.authority))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// One request as a client would make it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// JSON-RPC method.
    pub(crate) method: String,
    /// Tool name, for `tools/call`.
    pub(crate) tool: Option<String>,
    /// The tool's arguments as JSON text.
    pub(crate) arguments: String,
    /// Era of the message.
    pub(crate) era: Era,
}

impl Call {
    /// A call of `tool`.
    pub(crate) fn tool(era: Era, tool: &str, arguments: &str) -> Self {
        Self {
            method: "tools/call".to_owned(),
            tool: Some(tool.to_owned()),
            arguments: arguments.to_owned(),
            era,
        }
    }

    /// A `tools/list`.
    pub(crate) fn list(era: Era) -> Self {
        Self {
            method: "tools/list".to_owned(),
            tool: None,
            arguments: "{}".to_owned(),
            era,
        }
    }

    /// The JSON-RPC message with `id`.
    pub(crate) fn body(&self, id: u64) -> String {
        let meta = match self.era {
            Era::Modern => format!(
                r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"footbridge-load","version":"0"}}}}"#
            ),
            Era::Legacy => String::new(),
        };
        let mut params: Vec<String> = Vec::new();
        if let Some(tool) = &self.tool {
            params.push(format!(r#""name":"{tool}""#));
            params.push(format!(r#""arguments":{}"#, self.arguments));
        }
        if !meta.is_empty() {
            params.push(meta);
        }
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{}","params":{{{}}}}}"#,
            self.method,
            params.join(",")
        )
    }

    /// The whole HTTP/1.1 request with `id`.
    pub(crate) fn request(&self, target: &Target, id: u64) -> Vec<u8> {
        let body = self.body(id);
        let mut head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n",
            target.path, target.authority
        );
        if let Some(key) = &target.key {
            head.push_str(&format!("authorization: Bearer {key}\r\n"));
        }
        for (name, value) in self.headers() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        head.into_bytes()
    }

    /// The protocol's own headers for this message.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        match self.era {
            Era::Modern => {
                let mut headers = vec![
                    ("mcp-protocol-version", MODERN.to_owned()),
                    ("mcp-method", self.method.clone()),
                ];
                headers.extend(self.tool.iter().map(|tool| ("mcp-name", tool.clone())));
                headers
            }
            Era::Legacy => vec![("mcp-protocol-version", LEGACY.to_owned())],
        }
    }
}

/// Fields of a reply that decide whether the call succeeded.
#[derive(Deserialize)]
struct Verdict<'a> {
    id: Option<u64>,
    result: Option<Flags>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Flags {
    #[serde(rename = "isError", default)]
    is_error: bool,
}

/// Judges a JSON-RPC reply: the id that was sent, a result, no error in it.
pub(crate) fn check(body: &[u8], id: u64) -> Result<(), String> {
    let verdict: Verdict<'_> = serde_json::from_slice(body)
        .map_err(|e| format!("reply is not JSON-RPC ({e}): {}", excerpt(body)))?;
    if let Some(error) = verdict.error {
        return Err(format!("JSON-RPC error: {}", excerpt(error.get().as_bytes())));
    }
    if verdict.id != Some(id) {
        return Err(format!("reply has id {:?}, the request had {id}", verdict.id));
    }
    match verdict.result {
        Some(Flags { is_error: false }) => Ok(()),
        Some(_) => Err(format!("tool error: {}", excerpt(body))),
        None => Err(format!("reply has neither result nor error: {}", excerpt(body))),
    }
}

/// The `result` member of a checked reply, byte for byte.
pub(crate) fn result_text(body: &[u8]) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Reply<'a> {
        #[serde(borrow)]
        result: &'a RawValue,
    }
    let reply: Reply<'_> = serde_json::from_slice(body)?;
    Ok(reply.result.get().to_owned())
}

/// The structured result of a tool call.
pub(crate) fn tool_result(body: &[u8]) -> Result<serde_json::Value, Failure> {
    let reply: serde_json::Value = serde_json::from_slice(body)?;
    let found = reply.pointer("/result/structuredContent").cloned();
    found.ok_or_else(|| "the tool gave no structured content".into())
}

/// The arguments with one more, or with another value of one.
pub(crate) fn with(
    arguments: &serde_json::Value,
    name: &str,
    value: impl Into<serde_json::Value>,
) -> serde_json::Value {
    let mut all = arguments.as_object().cloned().unwrap_or_default();
    all.insert(name.to_owned(), value.into());
    all.into()
}

/// The first 300 bytes, printable.
pub(crate) fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..300).unwrap_or(body)).replace(['\n', '\r'], " ")
}

/// Where a complete reply begins and ends in a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Framed {
    /// Status code.
    pub(crate) status: u16,
    /// First byte of the body.
    pub(crate) body_at: usize,
    /// One past the last byte of the body.
    pub(crate) end: usize,
}

/// Finds the frame of the HTTP/1.1 reply at the start of `buffer`; `None` until its head is complete.
///
/// Only `content-length` framing: a server that answers a small JSON reply in chunks or as a stream pays for it in the
/// measurement of somebody else's client, so it is an error here and named.
pub(crate) fn frame(buffer: &[u8]) -> Result<Option<Framed>, String> {
    let Some(head_len) = memchr::memmem::find(buffer, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = buffer.get(..head_len).unwrap_or_default();
    let mut lines = head
        .split(|&b| b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines
        .next()
        .and_then(|line| line.get(9..12))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!("not an HTTP/1.1 reply: {}", excerpt(head)))?;
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"content-length") {
            let length: usize = std::str::from_utf8(value.get(1..).unwrap_or_default())
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .ok_or("content-length is not a number")?;
            let body_at = head_len + 4;
            return Ok(Some(Framed {
                status,
                body_at,
                end: body_at + length,
            }));
        }
    }
    Err(format!(
        "the reply has no content-length (HTTP {status}): {}",
        excerpt(head)
    ))
}

/// Sends `request` and waits for its whole reply: status and body. Blocking, for everything that is not under measurement.
pub(crate) fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    timeout: Duration,
) -> Result<(u16, Vec<u8>), Failure> {
    stream.write_all(request)?;
    receive(stream, timeout)
}

/// Waits for the whole reply to a request that was sent: status and body.
pub(crate) fn receive(stream: &mut TcpStream, timeout: Duration) -> Result<(u16, Vec<u8>), Failure> {
    stream.set_read_timeout(Some(timeout))?;
    let mut buffer = Vec::with_capacity(8 * 1024);
    let mut chunk = vec![0_u8; 64 * 1024];
    loop {
        if let Some(framed) = frame(&buffer)?
            && buffer.len() >= framed.end
        {
            let body = buffer
                .get(framed.body_at..framed.end)
                .unwrap_or_default()
                .to_vec();
            return Ok((framed.status, body));
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err("the server closed the connection before its reply was complete".into());
        }
        buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
}

/// One checked call on a connection of its own; returns the reply's body.
pub(crate) fn call_once(target: &Target, call: &Call, timeout: Duration) -> Result<Vec<u8>, Failure> {
    let mut stream = target.connect()?;
    let (status, body) = exchange(&mut stream, &call.request(target, FIRST_ID), timeout)?;
    if status != 200 {
        return Err(format!("HTTP {status}: {}", excerpt(&body)).into());
    }
    check(&body, FIRST_ID)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_framed_by_its_length_and_not_before_its_head_is_whole() {
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ndate: x\r\n\r\n{}";
        assert_eq!(frame(&reply[..30]), Ok(None));
        assert_eq!(
            frame(reply),
            Ok(Some(Framed {
                status: 200,
                body_at: reply.len() - 2,
                end: reply.len()
            }))
        );
        assert!(frame(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn errors_of_both_kinds_and_foreign_ids_fail_the_check() {
        assert_eq!(
            check(br#"{"jsonrpc":"2.0","id":5,"result":{"content":[]}}"#, 5),
            Ok(())
        );
        assert!(check(br#"{"jsonrpc":"2.0","id":6,"result":{"content":[]}}"#, 5).is_err());
        assert!(check(br#"{"jsonrpc":"2.0","id":5,"result":{"isError":true}}"#, 5).is_err());
        assert!(check(br#"{"jsonrpc":"2.0","id":5,"error":{"code":1,"message":"x"}}"#, 5).is_err());
        assert!(check(br#"{"jsonrpc":"2.0","id":5}"#, 5).is_err());
    }

    #[test]
    fn a_modern_call_mirrors_its_name_in_the_headers() {
        let call = Call::tool(Era::Modern, "memory_get", r#"{"key":"k"}"#);
        assert!(call.headers().contains(&("mcp-name", "memory_get".to_owned())));
        let body: serde_json::Value = serde_json::from_str(&call.body(7)).expect("valid JSON");
        assert_eq!(
            body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"],
            MODERN
        );
    }
}
