//! HTTP/2, with and without TLS, spoken in raw frames: what an honest client gets, and what floods run into
//! (security.md S10).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use footbridge_server::edge::TlsFiles;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::house::{HANGS, House, exchange};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// HPACK without a table: each field as a literal, never indexed.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            out.push(u8::try_from(text.len()).unwrap());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn request(house: &House, key: &str) -> Vec<u8> {
    block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/mcp"),
        (":authority", &house.address.to_string()),
        ("authorization", &format!("Bearer {key}")),
        ("content-type", "application/json"),
    ])
}

fn opening() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// The next frame: kind, flags, stream, payload. `None` once the connection has ended.
async fn next<S: AsyncRead + Unpin>(stream: &mut S) -> Option<(u8, u8, u32, Vec<u8>)> {
    let read = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        Some((
            head[3],
            head[4],
            u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        ))
    };
    timeout(HANGS, read)
        .await
        .expect("frames come or the connection ends")
}

/// The data of one stream, whole.
async fn answer<S: AsyncRead + Unpin>(stream: &mut S, wanted: u32) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let (kind, flags, id, payload) = next(stream).await.expect("the answer comes before the end");
        assert_ne!(kind, GOAWAY, "{payload:?}");
        if kind == DATA && id == wanted {
            data.extend_from_slice(&payload);
            if flags & END_STREAM != 0 {
                return data;
            }
        }
    }
}

async fn ping_over<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, house: &House, key: &str) {
    let mut bytes = opening();
    for id in [1, 3, 5] {
        bytes.extend(frame(HEADERS, END_HEADERS, id, &request(house, key)));
        bytes.extend(frame(DATA, END_STREAM, id, PING.as_bytes()));
    }
    stream.write_all(&bytes).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(
        answer(stream, 5).await,
        br#"{"jsonrpc":"2.0","id":1,"result":{}}"#
    );
}

#[tokio::test]
async fn a_client_that_knows_may_speak_http2_without_tls() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    ping_over(&mut house.connect().await, &house, &key).await;
}

#[tokio::test]
async fn rapid_resets_end_the_connection_that_sends_them() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let mut stream = house.connect().await;
    stream.write_all(&opening()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let head = request(&house, &key);
    let flood = async {
        for id in (1..40_000_u32).step_by(2) {
            let mut bytes = frame(HEADERS, END_HEADERS, id, &head);
            bytes.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    let ended = async {
        while let Some((kind, _, _, payload)) = next(&mut reader).await {
            if kind == GOAWAY {
                // ENHANCE_YOUR_CALM
                assert_eq!(payload[4..8], 11_u32.to_be_bytes());
            }
        }
    };
    let _ = tokio::join!(timeout(Duration::from_secs(10), flood), ended);
    assert_eq!(
        house.post(&key, PING).send().await.status,
        200,
        "others are served"
    );
}

#[tokio::test]
async fn endless_headers_end_the_connection_that_sends_them() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let mut stream = house.connect().await;
    let mut bytes = opening();
    bytes.extend(frame(HEADERS, 0, 1, &request(&house, &key)));
    stream.write_all(&bytes).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let padding = block(&[("x-padding", &"x".repeat(120))]).repeat(100);
    let flood = async {
        for _ in 0..1000 {
            if writer
                .write_all(&frame(CONTINUATION, 0, 1, &padding))
                .await
                .is_err()
            {
                return;
            }
        }
        panic!("12 MB of headers were taken");
    };
    let ended = async { while next(&mut reader).await.is_some() {} };
    tokio::select! {
        () = flood => {}
        () = ended => {}
    }
    assert_eq!(
        house.post(&key, PING).send().await.status,
        200,
        "others are served"
    );
}

#[tokio::test]
async fn streams_past_the_limit_are_refused_and_the_rest_is_answered() {
    let house = House::with(|s| s.http2_streams = 2).await;
    let key = house.key("t:read").await;
    let mut stream = house.connect().await;
    let slow = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "slow", "arguments": { "milliseconds": 500 } } });
    let mut bytes = opening();
    for id in [1, 3, 5] {
        bytes.extend(frame(HEADERS, END_HEADERS, id, &request(&house, &key)));
        bytes.extend(frame(DATA, END_STREAM, id, slow.to_string().as_bytes()));
    }
    stream.write_all(&bytes).await.unwrap();
    let (mut refused, mut answered) = (BTreeSet::new(), BTreeSet::new());
    while refused.len() + answered.len() < 3 {
        match next(&mut stream).await.expect("the connection goes on") {
            (RST_STREAM, _, id, _) => refused.insert(id),
            (DATA, flags, id, _) if flags & END_STREAM != 0 => answered.insert(id),
            (GOAWAY, _, _, payload) => panic!("{payload:?}"),
            _ => false,
        };
    }
    assert_eq!((refused, answered), (BTreeSet::from([5]), BTreeSet::from([1, 3])));
}

#[tokio::test]
async fn a_stream_that_is_taken_back_stops_its_call() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let mut stream = house.connect().await;
    let call = house.call(&key, "slow", json!({ "milliseconds": 10_000 }));
    let mut head = request(&house, &key);
    head.extend(block(&[
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "slow"),
    ]));
    let mut bytes = opening();
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &head));
    bytes.extend(frame(DATA, END_STREAM, 1, call.body.as_bytes()));
    stream.write_all(&bytes).await.unwrap();
    house.noticed.reach(|n| &n.started, 1).await;
    stream
        .write_all(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()))
        .await
        .unwrap();
    house.noticed.reach(|n| &n.stopped, 1).await;
}

/// A certificate for `localhost` in files, and a client that trusts it.
fn certificate(folder: &TempDir) -> (TlsFiles, ClientConfig) {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("certificate.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&files.certificate, signed.cert.pem()).unwrap();
    std::fs::write(&files.key, signed.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (files, client)
}

async fn tls(house: &House, client: &ClientConfig, alpn: &[u8]) -> TlsStream<tokio::net::TcpStream> {
    let mut client = client.clone();
    client.alpn_protocols = vec![alpn.to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(client))
        .connect(name, house.connect().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn over_tls_both_versions_are_spoken_as_agreed() {
    let folder = TempDir::new().unwrap();
    let (files, client) = certificate(&folder);
    let house = House::with_tls(files).await;
    let key = house.key("t:read").await;
    let post = house
        .post(&key, PING)
        .set("host", &format!("localhost:{}", house.address.port()));
    let reply = exchange(&mut tls(&house, &client, b"http/1.1").await, &post.bytes(true)).await;
    assert_eq!(reply.status, 200);
    ping_over(&mut tls(&house, &client, b"h2").await, &house, &key).await;
    // Plain HTTP to a TLS port is no handshake.
    let mut plain = house.connect().await;
    plain.write_all(&post.bytes(true)).await.unwrap();
    let heard = crate::house::read_all(&mut plain).await;
    assert!(!String::from_utf8_lossy(&heard).contains("HTTP/1.1"));
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named_at_start() {
    let folder = TempDir::new().unwrap();
    let (files, _) = certificate(&folder);
    std::fs::write(&files.key, "no key").unwrap();
    let house = House::start().await;
    let server = footbridge_server::edge::Server::new(Arc::clone(&house.rooms), Default::default());
    let error = server.with_tls(files).err().unwrap().to_string();
    assert!(error.contains("key.pem"), "{error}");
}

#[tokio::test]
async fn a_server_that_leaves_says_goaway_and_finishes_what_it_began() {
    let mut house = House::start().await;
    let key = house.key("t:read").await;
    let mut stream = house.connect().await;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "slow", "arguments": { "milliseconds": 500 } } });
    let mut bytes = opening();
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &request(&house, &key)));
    bytes.extend(frame(DATA, END_STREAM, 1, call.to_string().as_bytes()));
    stream.write_all(&bytes).await.unwrap();
    house.noticed.reach(|n| &n.started, 1).await;
    house.stop();
    let (mut gone, mut data) = (false, Vec::new());
    while let Some((kind, _, id, payload)) = next(&mut stream).await {
        match (kind, id) {
            // NO_ERROR: nothing went wrong, the server merely goes.
            (GOAWAY, _) => {
                assert_eq!(payload[4..8], [0; 4]);
                gone = true;
            }
            (DATA, 1) => data.extend_from_slice(&payload),
            _ => {}
        }
    }
    assert!(gone, "it says that it is going away");
    assert!(
        String::from_utf8_lossy(&data).contains("500"),
        "{}",
        String::from_utf8_lossy(&data)
    );
    house.stopped().await;
}
