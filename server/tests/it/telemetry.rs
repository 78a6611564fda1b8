//! Spans of calls at a collector: the program as it is built with `otel`, and a collector that keeps what it is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    sync::mpsc,
    time::Duration,
};

use serde_json::{Value, json};

use crate::process::{Place, Server};

/// Longer than a batch waits to be sent, and than a busy machine takes for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A collector: it takes whatever is posted to `/v1/traces`, and hands the bodies on.
fn collector() -> (u16, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                while let Some((head, body)) = request(&mut stream) {
                    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
                    assert!(head.contains("application/x-protobuf"), "{head}");
                    let _ = sender.send(body);
                    let _ = stream.write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
                    );
                }
            });
        }
    });
    (port, received)
}

fn request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if all.len() >= end + 4 + length {
                let head = String::from_utf8_lossy(&all[..end]).into_owned();
                return Some((head, all[end + 4..end + 4 + length].to_vec()));
            }
        }
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        all.extend_from_slice(&chunk[..read]);
    }
}

fn holds(spans: &[u8], part: &[u8]) -> bool {
    spans.windows(part.len()).any(|window| window == part)
}

/// A span, as far as these tests look at it.
#[derive(Debug, Default)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    /// Nanoseconds since 1970.
    start: u64,
    end: u64,
}

/// The fields of a protobuf message: each with its number, and its bytes. Of the others of their kind, OTLP's spans have
/// 64-bit numbers alone in what is read here.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(message: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = message.split_first().unwrap();
            *message = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)).unwrap(),
            5 => 4,
            kind => panic!("no such kind of field: {kind}"),
        };
        let (value, rest) = message.split_at(length);
        message = rest;
        found.push((key >> 3, value));
    }
    found
}

/// The spans of one body: `ExportTraceServiceRequest`, `ResourceSpans`, `ScopeSpans`, `Span` of opentelemetry-proto.
fn spans_of(body: &[u8]) -> Vec<Span> {
    let inside = |messages: Vec<(u64, &[u8])>, wanted: u64| -> Vec<Vec<u8>> {
        let of = messages.into_iter().filter(|(number, _)| *number == wanted);
        of.map(|(_, value)| value.to_vec()).collect()
    };
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let time = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let resources = inside(fields(body), 1);
    let scopes = resources.iter().flat_map(|resource| inside(fields(resource), 2));
    let spans: Vec<Vec<u8>> = scopes.flat_map(|scope| inside(fields(&scope), 2)).collect();
    let read = |span: &Vec<u8>| {
        let mut read = Span::default();
        for (number, value) in fields(span) {
            match number {
                1 => read.trace = hex(value),
                2 => read.id = hex(value),
                4 => read.parent = hex(value),
                5 => read.name = String::from_utf8(value.to_vec()).unwrap(),
                7 => read.start = time(value),
                8 => read.end = time(value),
                _ => {}
            }
        }
        read
    };
    spans.iter().map(read).collect()
}

/// Everything that is sent from now until nobody sends any more.
fn collected(received: &mpsc::Receiver<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while let Ok(body) = received.recv_timeout(if bodies.is_empty() {
        PATIENCE
    } else {
        Duration::from_millis(200)
    }) {
        bodies.push(body);
    }
    bodies
}

/// A server that sends its spans to a collector.
fn traced(editions: &str) -> (Place, mpsc::Receiver<Vec<u8>>) {
    let (port, received) = collector();
    let place = Place::new();
    let config = format!(
        "{editions}[telemetry]\notlp_endpoint = \"http://127.0.0.1:{port}\"\nservice_name = \"tests\"\n"
    );
    std::fs::write(place.config(), config).unwrap();
    (place, received)
}

/// Calls a tool in a trace that its caller began; what the tool answers, or says is wrong.
fn call_in_trace(
    server: &Server,
    edition: &str,
    key: &str,
    tool: &str,
    arguments: &Value,
    trace: &str,
) -> Value {
    let headers = [
        ("Authorization", format!("Bearer {key}")),
        ("Content-Type", "application/json".to_owned()),
        ("Accept", "application/json".to_owned()),
        ("MCP-Protocol-Version", "2025-11-25".to_owned()),
        ("Traceparent", format!("00-{trace}-00f067aa0ba902b7-01")),
    ];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments },
    });
    let answer = server.request("POST", &format!("/{edition}/mcp"), &headers, &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["result"]["structuredContent"].clone()
}

/// The rooms of a trace, each as the way that leads to it.
fn ways<'s>(spans: &'s [Span], trace: &str) -> (&'s Span, BTreeSet<String>) {
    let own: Vec<_> = spans.iter().filter(|span| span.trace == trace).collect();
    let by_id: BTreeMap<_, _> = own.iter().map(|span| (span.id.as_str(), *span)).collect();
    assert_eq!(by_id.len(), own.len(), "each has an id of its own");
    let mut calls = own.iter().filter(|span| span.name.starts_with("tools/call "));
    let call = calls.next().unwrap();
    assert!(calls.next().is_none(), "one call, one span: {own:?}");
    assert_eq!(call.parent, "00f067aa0ba902b7", "below its caller's");
    let mut ways = BTreeSet::new();
    for span in own.iter().filter(|span| span.id != call.id) {
        assert!(span.start <= span.end, "{span:?}");
        let mut way = span.name.clone();
        let mut at = *span;
        while at.parent != call.id {
            at = by_id[at.parent.as_str()];
            way = format!("{} > {way}", at.name);
        }
        ways.insert(way);
    }
    (call, ways)
}

#[test]
fn the_rooms_of_a_call_are_spans_below_it() {
    let (place, received) = traced("");
    let key = place.key("memory.write,memory.read");
    let server = place.serve();
    let [write, read, refused] = ["a", "b", "c"].map(|digit| digit.repeat(32));
    let call = |tool: &str, arguments: Value, trace: &str| {
        call_in_trace(&server, "context", &key, tool, &arguments, trace);
    };
    call("memory_put", json!({ "key": "k", "content": "c" }), &write);
    call("memory_get", json!({ "key": "k" }), &read);
    call("memory_search", json!({}), &refused);
    assert!(server.terminate_and_read().0.success());
    let spans: Vec<Span> = collected(&received)
        .iter()
        .flat_map(|body| spans_of(body))
        .collect();
    let set = |ways: &[&str]| -> BTreeSet<String> { ways.iter().map(|way| (*way).to_owned()).collect() };
    let before = [
        "edge",
        "edge > access",
        "limits",
        "catalogue",
        "policy",
        "catalogue/arguments",
    ];
    let with = |more: &[&'static str]| set(&[&before, more].concat());
    // The row of a write commits with its effect; that of a read and of a refusal is written by itself.
    let (call, rooms) = ways(&spans, &write);
    assert_eq!(rooms, with(&["store", "store > domain"]));
    // The call began when the request came, which is when the edge began.
    let edge = spans
        .iter()
        .find(|span| span.trace == write && span.name == "edge");
    assert_eq!(edge.unwrap().start, call.start);
    assert_eq!(ways(&spans, &read).1, with(&["store", "store > domain", "audit"]));
    assert_eq!(ways(&spans, &refused).1, with(&["audit"]));
}

#[test]
fn a_preview_and_the_change_it_leads_to_show_their_rooms() {
    let (place, received) = traced("[server]\neditions = [\"workspace\"]\n");
    let key = place.ok(&[
        "key",
        "mint",
        "--edition",
        "workspace",
        "--name",
        "t",
        "--scopes",
        "crm:write",
    ]);
    let server = place.serve();
    let [shown, done] = ["a", "b"].map(|digit| digit.repeat(32));
    let create = |arguments: Value, trace: &str| {
        call_in_trace(&server, "workspace", key.trim(), "create_lead", &arguments, trace)
    };
    let mut lead = json!({ "name": "Ada" });
    let preview = create(lead.clone(), &shown);
    lead["confirmation_token"] = preview["confirmation_token"].clone();
    assert!(lead["confirmation_token"].is_string(), "{preview}");
    create(lead, &done);
    assert!(server.terminate_and_read().0.success());
    let spans: Vec<Span> = collected(&received)
        .iter()
        .flat_map(|body| spans_of(body))
        .collect();
    let has = |trace: &str, wanted: &[&str], other: &[&str]| {
        let rooms = ways(&spans, trace).1;
        for way in wanted {
            assert!(rooms.contains(*way), "{way} is missing in {rooms:?}");
        }
        for way in other {
            assert!(!rooms.contains(*way), "{way} in {rooms:?}");
        }
    };
    has(
        &shown,
        &["policy", "store > domain"],
        &["audit", "store > policy"],
    );
    has(&done, &["policy", "store > policy", "store > domain"], &["audit"]);
}

#[test]
fn a_call_is_a_span_in_its_callers_trace_and_the_log_names_the_trace() {
    let (place, received) = traced("");
    let key = place.key("memory.write,memory.read");
    let server = place.serve();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = "00f067aa0ba902b7";
    let arguments = json!({ "key": "k", "content": "the secret of the tower" });
    let call = |tool: &str, arguments: &Value, caller: Option<String>| {
        let mut headers = vec![("Authorization", format!("Bearer {key}"))];
        headers.push(("Content-Type", "application/json".to_owned()));
        headers.extend(caller.map(|caller| ("Traceparent", caller)));
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments },
        });
        server.request("POST", "/mcp", &headers, &body.to_string())
    };
    assert_eq!(
        call("memory_put", &arguments, Some(format!("00-{trace}-{parent}-01"))).status,
        200
    );
    call("memory_search", &json!({}), None);
    // Whoever says that a trace is not kept is heeded.
    let quiet = "c".repeat(32);
    call(
        "memory_get",
        &json!({ "key": "k" }),
        Some(format!("00-{quiet}-{parent}-00")),
    );
    let rows: Vec<Value> = {
        // Rows of reads are written in groups; leaving writes the last of them, and sends the last spans.
        assert!(server.terminate_and_read().0.success());
        let export = place.ok(&["audit", "export"]);
        export
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let row = |tool: &str| {
        let parsed = rows.iter().map(|line| match &line["row"] {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            row => row.clone(),
        });
        parsed.into_iter().find(|row| row["tool_name"] == tool).unwrap()
    };
    let spans = collected(&received).concat();
    let bytes = |text: &str| -> Vec<u8> {
        let pairs = text.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    assert_eq!(row("memory_put")["trace_id"], trace);
    assert!(
        holds(&spans, &bytes(trace)) && holds(&spans, &bytes(parent)),
        "in the caller's trace"
    );
    for part in [
        "tools/call memory_put",
        "tool.name",
        "tenant.id",
        "local",
        "call.status",
        "allow",
        "edition",
        "context",
        "duration_ms",
        "service.name",
        "tests",
        row("memory_put")["request_id"].as_str().unwrap(),
        // Refused for its arguments, without a trace of its caller's: it has one of its own.
        "tools/call memory_search",
        "invalid_arguments",
    ] {
        assert!(holds(&spans, part.as_bytes()), "{part}");
    }
    let own = row("memory_search")["trace_id"].as_str().unwrap().to_owned();
    assert_ne!(own, trace);
    assert!(
        holds(&spans, &bytes(&own)),
        "the trace of the row is the trace of the span"
    );
    let unsampled = row("memory_get");
    assert_eq!(unsampled["trace_id"], quiet.as_str());
    assert!(!holds(&spans, &bytes(&quiet)));
    // Words of people and keys stay here.
    assert!(!holds(&spans, b"tower") && !holds(&spans, key.as_bytes()));
}
