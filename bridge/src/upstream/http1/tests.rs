//! The connection against a scripted server, and against hyper's reading of the same bytes.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::{Common, Outgoing, Wire, WireError};

const BODY: &[u8] = b"{\"a\":1}";

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

/// Sends a POST of `body`.
async fn post(wire: &mut Wire<DuplexStream>, body: Bytes) -> Result<super::Head, WireError> {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("h.example"));
    wire.send(&Outgoing {
        method: &Method::POST,
        target: &Uri::from_static("/mcp?a=b"),
        common: &Common::default(),
        headers: &headers,
        credential: None,
        body: &body,
    })
    .await
}

/// What a client makes of a reply: status, headers, body.
type Seen = (StatusCode, HeaderMap, Vec<u8>);

/// The far end: reads the request, writes `pieces` with a pause after each, and ends the connection.
async fn answer(mut far: DuplexStream, pieces: Vec<Vec<u8>>) {
    let mut request = Vec::new();
    while !request.ends_with(BODY) {
        assert!(far.read_buf(&mut request).await.unwrap() > 0);
    }
    for piece in pieces {
        if far.write_all(&piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn ours(pieces: Vec<Vec<u8>>, whole: bool) -> Result<Seen, WireError> {
    let (far, near) = duplex(1 << 20);
    let far = tokio::spawn(answer(far, pieces));
    let mut wire = Wire::new(near);
    let mut head = post(&mut wire, Bytes::from_static(BODY)).await?;
    wire.begin(&mut head);
    let mut body = Vec::with_capacity(64);
    if whole && wire.left() > 0 {
        while wire.fill(&mut body).await? {}
    }
    while let Some(chunk) = wire.chunk().await? {
        assert!(!chunk.is_empty());
        body.extend_from_slice(&chunk);
    }
    assert!(wire.is_over() || !wire.is_reusable());
    far.await.unwrap();
    Ok((head.status, head.headers, body))
}

async fn hypers(pieces: Vec<Vec<u8>>) -> Result<Seen, hyper::Error> {
    let (far, near) = duplex(1 << 20);
    tokio::spawn(answer(far, pieces));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await?;
    tokio::spawn(connection);
    let request = Request::post("/mcp").header("host", "h.example");
    let request = request.body(Full::new(Bytes::from_static(BODY))).unwrap();
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok((
        head.status,
        head.headers,
        body.collect().await?.to_bytes().to_vec(),
    ))
}

/// Cuts `bytes` into pieces.
fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| bytes[pair[0]..pair[1]].to_vec())
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// A reply as servers write them, with its body.
fn reply() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let field = ("[a-z][a-z0-9-]{0,12}", "[!-~]{0,3}[ -~]{0,20}[!-~]{0,3}");
    let chunks = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6);
    (
        prop::sample::select(vec![200_u16, 202, 204, 304, 400, 404, 503]),
        proptest::collection::vec(field, 0..6),
        chunks,
        0..4_u8,
        any::<bool>(),
        prop::sample::select(vec![
            "",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
        ]),
    )
        .prop_map(|(status, fields, chunks, framing, spelled, interim)| {
            let mut bytes = format!("{interim}HTTP/1.1 {status} Some words\r\n").into_bytes();
            for (name, value) in fields {
                // Not the names that say how the message is framed; those come below.
                bytes.extend(format!("x-{name}: {value}\r\n").bytes());
            }
            let mut body = chunks.concat();
            let bodiless = matches!(status, 204 | 304);
            match framing {
                0 | 1 if !bodiless => {
                    bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in &chunks {
                        let extension = if spelled { ";name=\"value\"" } else { "" };
                        bytes.extend(format!("{:X}{extension}\r\n", chunk.len()).bytes());
                        bytes.extend(chunk);
                        bytes.extend(b"\r\n");
                    }
                    bytes.extend(b"0\r\n");
                    if spelled {
                        bytes.extend(b"x-trailer: y\r\n");
                    }
                    bytes.extend(b"\r\n");
                }
                2 if !bodiless => {
                    bytes.extend(b"connection: close\r\n\r\n");
                    bytes.extend(&body);
                }
                _ => {
                    if bodiless {
                        body.clear();
                    }
                    bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
                    bytes.extend(&body);
                }
            }
            (bytes, body)
        })
}

proptest! {
    #[test]
    fn a_reply_is_read_the_same_however_it_is_cut_and_as_hyper_reads_it(
        (bytes, body) in reply(), cuts in proptest::collection::vec(any::<usize>(), 0..8), whole in any::<bool>()
    ) {
        let seen = run(ours(cut(&bytes, &cuts), whole)).unwrap();
        prop_assert_eq!(&seen.2, &body);
        prop_assert_eq!(seen, run(hypers(vec![bytes])).unwrap());
    }

    #[test]
    fn what_hyper_refuses_is_refused_here_too(
        (bytes, _) in reply(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>(), 0..3_u8), 1..4),
        cuts in proptest::collection::vec(any::<usize>(), 0..4),
    ) {
        let mut bytes = bytes;
        for (at, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at % bytes.len();
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at),
            }
        }
        if let Ok(seen) = run(ours(cut(&bytes, &cuts), false)) {
            match run(hypers(vec![bytes])) {
                Ok(theirs) => prop_assert_eq!(seen, theirs),
                Err(error) => prop_assert!(false, "read {:?}, refused with {}", seen, error),
            }
        }
    }
}

#[test]
fn a_request_is_written_as_it_is_said() {
    let mut common = HeaderMap::new();
    common.insert("host", HeaderValue::from_static("h.example"));
    let common = Common::new(common);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer old"));
    let credential = HeaderValue::from_static("Bearer new");
    for (method, body, length) in [
        (Method::POST, "{}", "content-length: 2\r\n"),
        (Method::POST, "", "content-length: 0\r\n"),
        (Method::GET, "", ""),
    ] {
        let mut out = Vec::new();
        let request = Outgoing {
            method: &method,
            target: &Uri::from_static("/mcp?a=b"),
            common: &common,
            headers: &headers,
            credential: Some(&credential),
            body: &Bytes::from_static(body.as_bytes()),
        };
        super::head::write(&mut out, &request);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                "{method} /mcp?a=b HTTP/1.1\r\nhost: h.example\r\nauthorization: Bearer new\r\n{length}\r\n"
            )
        );
    }
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    for head in [
        "content-length: 1\r\ncontent-length: 2\r\n",
        "content-length: 1, 2\r\n",
        "content-length: +1\r\n",
        "content-length: \r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length: 1\r\ntransfer-encoding: chunked\r\n",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\nabc").into_bytes();
        assert!(
            matches!(run(ours(vec![bytes], false)), Err(WireError::Malformed(_))),
            "{head}"
        );
    }
    for head in [
        "content-length: 3, 3\r\n",
        "content-length: 3\r\ncontent-length: 3\r\n",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\nabc").into_bytes();
        assert_eq!(run(ours(vec![bytes], true)).unwrap().2, b"abc", "{head}");
    }
}

#[test]
fn nothing_between_the_bytes_of_a_body_is_without_a_bound() {
    for flood in [
        ["HTTP/1.1 200 OK\r\n".to_owned(), "x: y\r\n".repeat(100_000)],
        [String::new(), "HTTP/1.1 100 Continue\r\n\r\n".repeat(100_000)],
        [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;".to_owned(),
            "x".repeat(200_000),
        ],
        [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n".to_owned(),
            "x: y\r\n".repeat(100_000),
        ],
    ] {
        let bytes = flood.concat().into_bytes();
        let pieces = bytes.chunks(4000).map(<[u8]>::to_vec).collect();
        assert!(
            matches!(run(ours(pieces, false)), Err(WireError::Malformed(_))),
            "{:.40}",
            flood[0]
        );
    }
}

/// A connection after one reply, and its far end.
async fn after(reply: &str) -> (Wire<DuplexStream>, DuplexStream) {
    let (mut far, near) = duplex(1 << 16);
    let mut wire = Wire::new(near);
    let reply = reply.to_owned();
    let server = tokio::spawn(async move {
        let mut request = [0; 4096];
        assert!(far.read(&mut request).await.unwrap() > 0);
        far.write_all(reply.as_bytes()).await.unwrap();
        far
    });
    let mut head = post(&mut wire, Bytes::from_static(BODY)).await.unwrap();
    wire.begin(&mut head);
    while wire.left() > 0 && wire.chunk().await.unwrap().is_some() {}
    (wire, server.await.unwrap())
}

#[test]
fn a_connection_is_used_again_only_if_both_ends_are_done_with_the_last_exchange() {
    for (reply, reusable) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true),
        ("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", true),
        (
            "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok",
            true,
        ),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", false),
        (
            "HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 2\r\n\r\nok",
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nok", false),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        // A body that there can not be, on its way all the same.
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 1\r\n\r\n", false),
        // Something was said that nobody asked for.
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
            false,
        ),
    ] {
        run(async {
            let (mut wire, far) = after(reply).await;
            assert_eq!(wire.is_reusable(), reusable, "{reply}");
            drop(far);
            assert!(!wire.is_reusable(), "{reply}");
        });
    }
    run(async {
        let (mut wire, mut far) = after("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        far.write_all(b"H").await.unwrap();
        assert!(!wire.is_reusable());
    });
}

#[test]
fn a_long_body_that_has_arrived_whole_is_taken_as_it_lies_and_one_that_something_follows_is_not() {
    run(async {
        let body = "b".repeat(20_000);
        for (follows, is_taken) in [("", true), ("x", false)] {
            let (far, near) = duplex(1 << 20);
            let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n{body}{follows}");
            let far = tokio::spawn(answer(far, vec![reply.into_bytes()]));
            let mut wire = Wire::new(near);
            // As it is once a long reply has come.
            wire.room = 1 << 16;
            let mut head = post(&mut wire, Bytes::from_static(BODY)).await.unwrap();
            wire.begin(&mut head);
            assert_eq!(wire.take_arrived(), is_taken.then(|| body.clone().into_bytes()));
            assert_eq!(wire.is_over(), is_taken);
            far.await.unwrap();
        }
    });
}

#[test]
fn a_request_that_found_the_connection_closed_was_not_sent() {
    run(async {
        let (far, near) = duplex(64);
        drop(far);
        let mut wire = Wire::new(near);
        assert!(post(&mut wire, Bytes::from_static(BODY)).await.is_err());
        assert!(!wire.has_sent());
    });
}

#[test]
fn a_server_may_answer_before_it_has_read_the_request() {
    let large = Bytes::from(vec![b'x'; 1 << 20]);
    run(async {
        // One that reads no further.
        let (mut far, near) = duplex(1024);
        far.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
            .await
            .unwrap();
        let mut wire = Wire::new(near);
        let mut head = post(&mut wire, large.clone()).await.unwrap();
        wire.begin(&mut head);
        assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(wire.chunk().await.unwrap().unwrap(), "no");
        assert!(wire.is_over() && !wire.is_reusable());
    });
    run(async {
        // One that reads on while it answers.
        let (mut far, near) = duplex(1024);
        let server = tokio::spawn(async move {
            far.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
                .await
                .unwrap();
            let (mut head, mut rest) = (Vec::new(), vec![0; 1 << 20]);
            while !head.ends_with(b"\r\n\r\n") {
                head.push(far.read_u8().await.unwrap());
            }
            far.read_exact(&mut rest).await.unwrap();
            far.write_all(b"ok").await.unwrap();
            (far, rest)
        });
        let mut wire = Wire::new(near);
        let mut head = post(&mut wire, large.clone()).await.unwrap();
        wire.begin(&mut head);
        assert_eq!(wire.chunk().await.unwrap().unwrap(), "ok");
        let (_far, rest) = server.await.unwrap();
        assert!(rest == large && wire.is_reusable());
    });
}
