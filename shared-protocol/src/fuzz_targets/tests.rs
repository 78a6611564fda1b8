//! The fuzz targets on stable: random bytes, and the golden requests with bytes changed, removed and added.

use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::transcript::{GOLDEN, Transcript};

/// Bodies of all golden requests, each behind a version header as the `era` target wants it.
fn seeds() -> Vec<Vec<u8>> {
    let exchanges = GOLDEN
        .iter()
        .flat_map(|(_, text)| Transcript::parse(text).expect("readable").exchanges);
    exchanges
        .flat_map(|exchange| {
            let body = exchange.request.body.into_bytes();
            let version = exchange
                .request
                .headers
                .into_iter()
                .find(|(name, _)| name == headers::PROTOCOL_VERSION);
            let version = version.map(|(_, value)| value).unwrap_or_default();
            [[version.as_bytes(), b"\n", &body].concat(), body]
        })
        .collect()
}

#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        "\\u0069d",
        ":",
        ",",
        "null",
        "1e9",
        "\"id\":1,",
        "\"_meta\":{},",
        "\n",
        "\r",
        "\u{feff}",
        "data: ",
        "=?base64?",
        "?=",
        "x-mcp-header",
    ]);
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        any::<prop::sample::Index>().prop_map(Change::Remove),
        (any::<prop::sample::Index>(), token)
            .prop_map(|(at, token)| Change::Insert(at, token.as_bytes().to_vec())),
    ]
}

fn apply(mut bytes: Vec<u8>, changes: Vec<Change>) -> Vec<u8> {
    for change in changes {
        match change {
            Change::Set(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Change::Remove(at) if !bytes.is_empty() => {
                bytes.remove(at.index(bytes.len()));
            }
            Change::Insert(at, token) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, token);
            }
            Change::Set(..) | Change::Remove(_) => {}
        }
    }
    bytes
}

fn run_all(bytes: &[u8]) {
    for (_, target) in ALL {
        target(bytes);
    }
}

#[test]
fn targets_hold_on_the_golden_requests() {
    seeds().iter().for_each(|seed| run_all(seed));
}

#[test]
fn every_target_has_its_binary() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for (name, _) in ALL {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), ALL.len());
}

proptest! {
    #[test]
    fn targets_hold_on_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        run_all(&bytes);
    }

    #[test]
    fn targets_hold_on_changed_requests(
        seed in prop::sample::select(seeds()),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        run_all(&apply(seed, changes));
    }

    #[test]
    fn targets_hold_on_schemas_and_arguments(
        name in arbitrary::string(),
        kind in prop::sample::select(vec!["\"string\"", "\"integer\"", "\"boolean\"", "\"number\"", "[\"string\",\"null\"]"]),
        value in arbitrary::value(),
    ) {
        let schema = format!(r#"{{"properties":{{"a":{{"type":{kind},"x-mcp-header":{name}}},"b":{{"type":"string","x-mcp-header":"b"}}}}}}"#);
        let flat = value.replace(['\n', '\r'], " ");
        param_headers(format!("{schema}\n{{\"a\":{flat},\"b\":\"\u{e9}\"}}").as_bytes());
    }
}
