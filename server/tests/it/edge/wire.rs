//! HTTP that two readers could read in two ways is refused and the connection closed (security.md S3), and JSON
//! likewise (S5).

use tokio::io::AsyncWriteExt;

use crate::house::{House, read_all};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[tokio::test]
async fn ambiguous_requests_are_refused_and_the_connection_ends() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let start = format!(
        "POST /mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n",
        house.address
    );
    let length = format!("content-length: {}\r\n", PING.len());
    // What a front proxy would take for the body, and a naive server for the next request.
    let smuggled = format!("{start}{length}\r\n{PING}");
    let table = [
        (
            "two lengths",
            format!("{start}{length}content-length: 5\r\n\r\n{PING}{smuggled}"),
        ),
        (
            "lengths in a list",
            format!(
                "{start}content-length: {0}, 5\r\n\r\n{PING}{smuggled}",
                PING.len()
            ),
        ),
        (
            "a negative length",
            format!("{start}content-length: -1\r\n\r\n{PING}{smuggled}"),
        ),
        (
            "a length with a plus",
            format!("{start}content-length: +{}\r\n\r\n{PING}{smuggled}", PING.len()),
        ),
        (
            "an unknown coding",
            format!("{start}transfer-encoding: gzip\r\n\r\n{PING}{smuggled}"),
        ),
        (
            "chunked not last",
            format!("{start}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a folded header",
            format!("{start}x-a: b\r\n c\r\n{length}\r\n{PING}{smuggled}"),
        ),
        (
            "space before the colon",
            format!("{start}x-a : b\r\n{length}\r\n{PING}{smuggled}"),
        ),
        (
            "space before a length's colon",
            format!("{start}content-length : 5\r\n\r\n{PING}{smuggled}"),
        ),
        (
            "a bare CR in a value",
            format!("{start}x-a: b\rc\r\n{length}\r\n{PING}{smuggled}"),
        ),
        (
            "a NUL in a value",
            format!("{start}x-a: b\0c\r\n{length}\r\n{PING}{smuggled}"),
        ),
        (
            "a NUL in a name",
            format!("{start}x\0a: b\r\n{length}\r\n{PING}{smuggled}"),
        ),
        ("no colon", format!("{start}x-a\r\n{length}\r\n{PING}{smuggled}")),
        (
            "a line before the request",
            format!("{start}: b\r\n{length}\r\n{PING}{smuggled}"),
        ),
        ("another protocol", "POST /mcp HTTP/3.0\r\n\r\n".to_owned()),
        ("no HTTP at all", "\u{16}\u{3}\u{1} hello\r\n\r\n".to_owned()),
        (
            "a chunk size that is none",
            format!("{start}transfer-encoding: chunked\r\n\r\nzz\r\n{PING}\r\n0\r\n\r\n{smuggled}"),
        ),
    ];
    for (what, bytes) in table {
        let mut stream = house.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let answer = String::from_utf8_lossy(&read_all(&mut stream).await).into_owned();
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(
            answers <= 1,
            "{what}: the second request was answered too: {answer}"
        );
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{what}: {answer}"
        );
        assert!(!answer.contains("\"result\""), "{what}: {answer}");
    }
}

#[tokio::test]
async fn a_length_beside_chunks_never_lets_a_second_request_through() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let start = format!(
        "POST /mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n",
        house.address
    );
    let smuggled = format!("{start}content-length: {}\r\n\r\n{PING}", PING.len());
    for lengths in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let mut stream = house.connect().await;
        let bytes = format!(
            "{start}{lengths}\r\n{:x}\r\n{PING}\r\n0\r\n\r\n{smuggled}",
            PING.len()
        );
        stream.write_all(bytes.as_bytes()).await.unwrap();
        // RFC 9112 §6.3 lets the first be answered, by its chunks alone; then the connection must close.
        let answer = String::from_utf8_lossy(&read_all(&mut stream).await).into_owned();
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{lengths}: {answer}");
    }
}

#[tokio::test]
async fn requests_one_after_the_other_on_one_connection_are_answered_in_order() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let mut bytes = Vec::new();
    for id in 1..=20 {
        let post = house.post(&key, format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        bytes.extend_from_slice(&post.bytes(id == 20));
    }
    let mut stream = house.connect().await;
    stream.write_all(&bytes).await.unwrap();
    let answer = String::from_utf8(read_all(&mut stream).await).unwrap();
    let ids: Vec<_> = (1..=20)
        .map(|id| {
            answer
                .find(&format!("\"id\":{id},"))
                .unwrap_or_else(|| panic!("{answer}"))
        })
        .collect();
    assert!(ids.is_sorted());
}

#[tokio::test]
async fn bytes_that_are_no_json_or_two_values_are_refused() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let deep = |levels: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"plain","arguments":{}{}}}}}"#,
            r#"{"a":"#.repeat(levels - 1) + "{}",
            "}".repeat(levels - 1)
        )
    };
    for (levels, code) in [(31, None), (32, None), (33, Some(-32700))] {
        let (status, found) = house.post(&key, deep(levels)).send().await.outcome();
        assert_eq!(
            (status == 400, found),
            (code.is_some(), code),
            "{levels} levels of arguments"
        );
    }
    let table = [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#, -32700),
        (
            "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
            -32700,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"pi\ud800ng"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}"#,
            -32600,
        ),
    ];
    for (body, code) in table {
        assert_eq!(
            house.post(&key, body).send().await.outcome(),
            (400, Some(code)),
            "{body}"
        );
    }
    // Not UTF-8: written past the text type.
    let mut bytes = house.post(&key, PING.replace("ping", "XX")).bytes(true);
    let at = bytes.windows(2).rposition(|w| w == b"XX").unwrap();
    bytes[at..at + 2].copy_from_slice(&[0xC3, 0x28]);
    assert_eq!(
        crate::house::exchange(&mut house.connect().await, &bytes)
            .await
            .outcome(),
        (400, Some(-32700))
    );
}
