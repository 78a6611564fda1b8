use proptest::prelude::*;

use super::*;

const ROOMY: usize = 1 << 16;

/// Every event's data, and the decoder after them.
fn decode(stream: &[u8]) -> (Vec<String>, Decoder) {
    decode_in_chunks(&mut stream.chunks(stream.len().max(1)))
}

fn decode_in_chunks(chunks: &mut dyn Iterator<Item = &[u8]>) -> (Vec<String>, Decoder) {
    let mut decoder = Decoder::new(ROOMY);
    let mut events = Vec::new();
    for mut chunk in chunks {
        while let Some(event) = decoder.next_event(&mut chunk).unwrap() {
            events.push(String::from_utf8(event.data).unwrap());
        }
        assert!(chunk.is_empty());
    }
    (events, decoder)
}

/// The rules of B-31, one line each.
#[test]
fn streams_and_their_events() {
    let rows: [(&str, &[&str]); 24] = [
        ("data: a\n\n", &["a"]),
        ("data:a\r\rdata: b\r\n\r\n", &["a", "b"]),
        ("data: a\r\ndata: b\n\n", &["a\nb"]),
        ("\u{feff}data: a\n\n", &["a"]),
        ("\u{feff}\u{feff}data: a\n\n", &[]),
        ("data: a\n\n\u{feff}data: b\n\n", &["a"]),
        (": comment\n\n:\n:x\ndata: a\n:y\n\n", &["a"]),
        ("data:  a\n\n", &[" a"]),
        ("data: a: b\n\n", &["a: b"]),
        ("data\n\n", &[]),
        ("data:\n\n", &[]),
        ("data\ndata\n\n", &["\n"]),
        ("data: a\ndata\n\n", &["a\n"]),
        ("event: message\ndata: a\n\n", &["a"]),
        ("event:\ndata: a\n\n", &["a"]),
        ("event: ping\ndata: a\n\ndata: b\n\n", &["b"]),
        ("event: ping\nevent: message\ndata: a\n\n", &["a"]),
        ("event: ping\n\ndata: a\n\n", &["a"]),
        ("other: x\nDATA: y\n data: z\ndata: a\n\n", &["a"]),
        ("data: a\n", &[]),
        ("data: a", &[]),
        ("\n\n\r\r\r\n\n", &[]),
        ("", &[]),
        ("data: {\"x\":\"世界\"}\n\n", &["{\"x\":\"世界\"}"]),
    ];
    for (stream, events) in rows {
        assert_eq!(decode(stream.as_bytes()).0, events, "{stream:?}");
    }
}

#[test]
fn an_event_is_out_as_soon_as_its_blank_line_begins() {
    let mut decoder = Decoder::new(ROOMY);
    let mut chunk: &[u8] = b"data: a\r\n\r";
    assert!(
        decoder.next_event(&mut chunk).unwrap().is_some(),
        "the LF to come belongs to the CR"
    );
    let mut chunk: &[u8] = b"";
    assert_eq!(decoder.next_event(&mut chunk), Ok(None));
    let mut chunk: &[u8] = b"\ndata: b\n\n";
    assert_eq!(decoder.next_event(&mut chunk).unwrap().unwrap().data, b"b");
}

#[test]
fn ids_and_retry_times() {
    for (stream, id, retry) in [
        ("id: 1\ndata: a\n\n", Some("1"), None),
        ("id: 1\n\n", Some("1"), None),
        ("id: 1\ndata: a\n\ndata: b\n\n", Some("1"), None),
        ("id: 1\n\nid\n\n", None, None),
        ("id: 1\n\nid: 2\n", Some("1"), None),
        ("id: 1\n\nid: 2\0\n\n", Some("1"), None),
        ("event: ping\nid: 3\ndata: x\n\n", Some("3"), None),
        ("retry: 1500\n", None, Some(1500)),
        ("retry: 15s\nretry:\nretry: -1\nretry: +1\n", None, None),
        ("retry: 10\nretry: x\n\n", None, Some(10)),
        ("retry: 99999999999999999999999\n", None, None),
    ] {
        let decoder = decode(stream.as_bytes()).1;
        assert_eq!(
            (decoder.last_event_id(), decoder.retry_ms()),
            (id, retry),
            "{stream:?}"
        );
    }
}

#[test]
fn events_carry_their_own_id_only() {
    let mut decoder = Decoder::new(ROOMY);
    let mut stream: &[u8] = b"id: 1\ndata: a\n\ndata: b\n\n";
    assert_eq!(
        decoder.next_event(&mut stream).unwrap().unwrap().id.as_deref(),
        Some("1")
    );
    assert_eq!(decoder.next_event(&mut stream).unwrap().unwrap().id, None);
}

#[test]
fn events_are_bounded() {
    let fill = |limit: usize, stream: &[u8]| {
        let mut decoder = Decoder::new(limit);
        let mut rest = stream;
        let first = decoder.next_event(&mut rest);
        (first, decoder.next_event(&mut rest))
    };
    assert!(fill(7, b"data: a\n\n").0.is_ok_and(|event| event.is_some()));
    assert_eq!(
        fill(6, b"data: a\n\n"),
        (Err(TooLarge { limit: 6 }), Err(TooLarge { limit: 6 }))
    );
    assert!(
        fill(8, b"data: a\ndata: b\n\n")
            .0
            .is_ok_and(|event| event.is_some())
    );
    assert!(
        fill(7, b"data: a\ndata: b\n\n").0.is_err(),
        "what earlier lines hold counts"
    );
    assert!(
        fill(7, b":1234567").0.is_err(),
        "an endless line is no way around"
    );
    assert!(
        fill(7, b":123456\n:123456\n:123456\ndata: a\n\n")
            .0
            .is_ok_and(|event| event.is_some())
    );
}

#[test]
fn written_events_are_plain() {
    let mut out = Vec::new();
    write_event(&mut out, b"{\"a\":1}");
    write_comment(&mut out);
    assert_eq!(out, b"data: {\"a\":1}\n\n:\n");
    assert_eq!(
        decode(b"data: a\n:\n\n").0,
        ["a"],
        "a comment does not end an event"
    );
}

#[test]
fn newlines_in_data_become_lines() {
    for (data, expected) in [
        ("{\n}", "{\n}"),
        ("{\r\n}", "{\n}"),
        ("{\r}", "{\n}"),
        ("a\n\nb", "a\n\nb"),
        ("a\n", "a\n"),
    ] {
        let mut out = Vec::new();
        write_event(&mut out, data.as_bytes());
        assert_eq!(decode(&out).0, [expected], "{data:?}");
    }
}

#[test]
fn flattening_keeps_the_value() {
    let mut json = b"{\r\n \"a\": 1.0,\n\"b\":\"\\n\"}\n".to_vec();
    flatten_newlines(&mut json);
    assert_eq!(json, b"{   \"a\": 1.0, \"b\":\"\\n\"} ");
}

fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "data: ?[a-z:{} ]{0,6}",
        "(id|event|retry|other): ?[a-z0-9]{0,4}",
        "event: message",
        ":[a-z]{0,3}",
        Just(String::new()),
        Just("\u{feff}".to_owned()),
        "[界a\0]{1,3}",
    ];
    let end = prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "\r\r"]);
    prop::collection::vec((line, end).prop_map(|(line, end)| format!("{line}{end}")), 0..16)
        .prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn chunks_do_not_matter(stream in lines(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let stream = stream.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut start = 0;
        let mut chunks = cuts.iter().map(|&end| {
            let chunk = &stream[start..end];
            start = end;
            chunk
        });
        let (events, decoder) = decode_in_chunks(&mut chunks);
        let (whole, reference) = decode(stream);
        prop_assert_eq!(events, whole);
        prop_assert_eq!(decoder.last_event_id(), reference.last_event_id());
        prop_assert_eq!(decoder.retry_ms(), reference.retry_ms());
    }

    #[test]
    fn every_json_value_travels(values in prop::collection::vec(crate::arbitrary::value(), 0..5)) {
        let mut stream = Vec::new();
        for value in &values {
            write_event(&mut stream, value.as_bytes());
            write_comment(&mut stream);
        }
        // The wire knows one newline; a CR between tokens becomes it, and nothing else changes.
        let expected: Vec<String> =
            values.iter().map(|value| value.replace("\r\n", "\n").replace('\r', "\n")).collect();
        prop_assert_eq!(decode(&stream).0, expected);
    }
}

#[test]
fn one_more_type_of_event_is_handed_out_if_it_was_named() {
    let mut decoder = Decoder::new(100).with_type("endpoint");
    let mut rest: &[u8] = b"event: other\ndata: a\n\nevent: endpoint\ndata: /b\n\ndata: c\n\n";
    let mut seen = Vec::new();
    while let Some(event) = decoder.next_event(&mut rest).unwrap() {
        seen.push((event.data, event.named));
    }
    assert_eq!(seen, [(b"/b".to_vec(), true), (b"c".to_vec(), false)]);
}
