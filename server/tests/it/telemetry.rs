//! Spans of calls at a collector: the program as it is built with `otel`, and a collector that keeps what it is sent.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    sync::mpsc,
    time::Duration,
};

use serde_json::{Value, json};

use crate::process::Place;

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

#[test]
fn a_call_is_a_span_in_its_callers_trace_and_the_log_names_the_trace() {
    let (port, received) = collector();
    let place = Place::new();
    let config =
        format!("[telemetry]\notlp_endpoint = \"http://127.0.0.1:{port}\"\nservice_name = \"tests\"\n");
    std::fs::write(place.config(), config).unwrap();
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
    let mut spans = Vec::new();
    while let Ok(body) = received.recv_timeout(if spans.is_empty() {
        PATIENCE
    } else {
        Duration::from_millis(200)
    }) {
        spans.extend(body);
    }
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
