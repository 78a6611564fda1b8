//! The table of what is said to whoever is over a limit (catalogue.md §2.10, §2.11): each limit at each door.

use footbridge_server::{store::KeyLimits, vocabulary::Role};
use serde_json::{Value, json};

use crate::house::{House, Post, Reply};

/// Where a call comes in.
#[derive(Clone, Copy, Debug)]
enum Door {
    Modern,
    Legacy(&'static str),
    Bare,
    Rest,
}

const DOORS: [Door; 6] = [
    Door::Modern,
    Door::Legacy("2025-11-25"),
    Door::Legacy("2025-06-18"),
    Door::Legacy("2025-03-26"),
    Door::Bare,
    Door::Rest,
];

impl Door {
    fn call(self, house: &House, key: &str) -> Post {
        let params = json!({ "name": "plain", "arguments": {} });
        match self {
            Self::Modern => house.call(key, "plain", json!({})),
            Self::Legacy(version) => house.legacy(key, version, "tools/call", params),
            Self::Bare => house.post(
                key,
                json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }),
            ),
            Self::Rest => {
                let mut post = house.rest("POST", "/v1/tools/plain", key);
                post.body = "{}".to_owned();
                post
            }
        }
    }

    /// Code, word and text of a refusal. REST has no JSON-RPC code.
    fn said(self, reply: &Reply) -> (Option<i64>, String, String) {
        let body = reply.json();
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
        match self {
            Self::Rest => (None, text(&body["code"]), text(&body["error"])),
            _ => {
                assert_eq!(body["id"], 1, "the refusal belongs to its request: {body}");
                let error = &body["error"];
                let seconds = reply.header("retry-after").unwrap();
                assert_eq!(
                    error["data"]["retry_after_seconds"].to_string(),
                    seconds,
                    "{body}"
                );
                (
                    error["code"].as_i64(),
                    text(&error["data"]["code"]),
                    text(&error["message"]),
                )
            }
        }
    }
}

/// A limit of one call, and what is said over it.
struct Row {
    limits: KeyLimits,
    code: i64,
    word: &'static str,
    text: &'static str,
    seconds: std::ops::RangeInclusive<u64>,
    logged: &'static str,
}

fn table() -> [Row; 3] {
    let unlimited = || KeyLimits {
        rate_per_minute: Some(1000),
        ..KeyLimits::default()
    };
    [
        Row {
            limits: KeyLimits {
                rate_per_minute: Some(1),
                ..unlimited()
            },
            code: -32012,
            word: "rate_limited",
            text: "429 Too Many Requests: retry in ",
            seconds: 1..=61,
            logged: "deny_rate",
        },
        Row {
            limits: KeyLimits {
                rate_per_hour: Some(1),
                ..unlimited()
            },
            code: -32012,
            word: "rate_limited",
            text: "429 Too Many Requests: retry in ",
            seconds: 3540..=3660,
            logged: "deny_rate",
        },
        Row {
            limits: KeyLimits {
                monthly_cap: Some(1),
                ..unlimited()
            },
            code: -32013,
            word: "cap_reached",
            text: "429 Too Many Requests: monthly cap 1 reached, resets ",
            seconds: 1..=31 * 24 * 3600,
            logged: "deny_cap",
        },
    ]
}

#[tokio::test]
async fn every_limit_says_the_same_at_every_door() {
    let house = House::start().await;
    let token = house.token_of(Role::Owner).await;
    for row in table() {
        for door in DOORS {
            let key = house.limited_key("t:read", row.limits.clone()).await;
            let reply = door.call(&house, &key).send().await;
            assert_eq!(reply.status, 200, "{door:?}: {}", reply.text());
            let reply = door.call(&house, &key).send().await;
            let shown = format!("{} at {door:?}: {}", row.word, reply.text());
            assert_eq!(reply.status, 429, "{shown}");
            let (code, word, text) = door.said(&reply);
            let expected = (!matches!(door, Door::Rest)).then_some(row.code);
            assert_eq!((code, word.as_str()), (expected, row.word), "{shown}");
            assert!(text.starts_with(row.text), "{shown}");
            let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!(row.seconds.contains(&seconds), "{seconds} s, {shown}");
            if row.word == "rate_limited" {
                assert!(text.ends_with(&format!("retry in {seconds} s")), "{shown}");
                assert_eq!(reply.header("x-ratelimit-limit"), Some("1"), "{shown}");
                assert_eq!(reply.header("x-ratelimit-remaining"), Some("0"), "{shown}");
            } else {
                assert!(text.ends_with("-01T00:00:00Z"), "{shown}");
            }
            house.store.flush().await.unwrap();
            let newest = house.rest("GET", "/v1/audit?limit=1", &token).send().await.json();
            assert_eq!(newest["items"][0]["row"]["status"], row.logged, "{shown}");
            // Another key of the same owner is not held up.
            let other = house.key("t:read").await;
            assert_eq!(door.call(&house, &other).send().await.status, 200, "{shown}");
        }
    }
}

#[tokio::test]
async fn what_a_rate_counts_is_every_request_and_a_cap_only_calls() {
    let house = House::start().await;
    let rated = KeyLimits {
        rate_per_minute: Some(2),
        ..KeyLimits::default()
    };
    let capped = KeyLimits {
        monthly_cap: Some(1),
        ..KeyLimits::default()
    };
    let list = |key: &str| house.modern(key, "tools/list", json!({}));
    let key = house.limited_key("t:read", rated).await;
    for status in [200, 200, 429] {
        assert_eq!(list(&key).send().await.status, status);
    }
    let key = house.limited_key("t:read", capped).await;
    for _ in 0..3 {
        assert_eq!(list(&key).send().await.status, 200);
    }
    // A call that is refused before it runs costs nothing of the month.
    assert_eq!(house.call(&key, "notes.echo", json!({})).send().await.status, 200);
    assert_eq!(house.call(&key, "plain", json!({})).send().await.status, 200);
    assert_eq!(house.call(&key, "plain", json!({})).send().await.status, 429);
}
