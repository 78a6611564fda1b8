//! The logs over REST: who reads them, filters, pages, and the whole as lines that prove themselves.

use footbridge_server::{audit::Keeping, store::KeyLimits, vocabulary::Role};
use serde_json::{Value, json};

use crate::house::{House, Reply};

/// A house with calls of several outcomes: 7 that pass, one with bad arguments, one without its scope.
async fn called() -> House {
    let house = House::start().await;
    let key = house.key("t:read").await;
    for number in 0..7 {
        let (tool, arguments) = match number % 2 {
            0 => ("plain", json!({})),
            _ => ("notes.echo", json!({ "text": "a" })),
        };
        let reply = house.call(&key, tool, arguments).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    house.call(&key, "notes.echo", json!({})).send().await;
    house.call(&key, "note", json!({ "text": "a" })).send().await;
    house.store.flush().await.unwrap();
    house
}

async fn asked(house: &House, role: Role, path: &str) -> Reply {
    let token = house.token_of(role).await;
    house.rest("GET", path, &token).send().await
}

async fn numbers(house: &House, path: &str) -> (Vec<i64>, Option<String>) {
    let reply = asked(house, Role::Auditor, path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    let page = reply.json();
    let items = page["items"].as_array().unwrap().iter();
    let next = page["next_cursor"].as_str().map(str::to_owned);
    (items.map(|item| item["seq"].as_i64().unwrap()).collect(), next)
}

#[tokio::test]
async fn those_who_read_everything_read_the_logs() {
    let house = called().await;
    let key = house.key("t:read").await;
    for path in ["/v1/audit", "/v1/audit/changes", "/v1/audit?format=ndjson"] {
        for (role, status) in [
            (Role::Owner, 200),
            (Role::Admin, 200),
            (Role::Auditor, 200),
            (Role::Member, 403),
            (Role::Agent, 403),
        ] {
            assert_eq!(
                asked(&house, role, path).await.status,
                status,
                "{path} for {role:?}"
            );
        }
        for token in ["", key.as_str(), "fbt_nonsense"] {
            assert_eq!(house.rest("GET", path, token).send().await.status, 401, "{path}");
        }
    }
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended_whatever_comes_meanwhile() {
    let house = called().await;
    let (first, cursor) = numbers(&house, "/v1/audit?limit=4").await;
    assert_eq!(first, [9, 8, 7, 6]);
    let key = house.key("t:read").await;
    house.call(&key, "plain", json!({})).send().await;
    house.store.flush().await.unwrap();
    let (second, cursor) = numbers(&house, &format!("/v1/audit?limit=4&cursor={}", cursor.unwrap())).await;
    assert_eq!(second, [5, 4, 3, 2]);
    let last = format!("/v1/audit?limit=4&cursor={}", cursor.unwrap());
    assert_eq!(numbers(&house, &last).await, (vec![1], None));
    // A cursor is of one question, one log and one tenant.
    let cursor = last.split_once("cursor=").unwrap().1;
    for path in [
        format!("/v1/audit?tool=plain&cursor={cursor}"),
        format!("/v1/audit/changes?cursor={cursor}"),
        "/v1/audit?cursor=AAAA".to_owned(),
        "/v1/audit?cursor=%00".to_owned(),
    ] {
        let reply = asked(&house, Role::Owner, &path).await;
        assert_eq!(
            (reply.status, reply.json()["error"].as_str()),
            (400, Some("cursor does not belong to this query")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_filter_of_the_table_filters() {
    let house = called().await;
    let first = asked(&house, Role::Owner, "/v1/audit?limit=1").await.json();
    let row = &first["items"][0]["row"];
    let (user, key) = (
        row["user_id"].as_str().unwrap(),
        row["api_key_id"].as_str().unwrap(),
    );
    let request = row["request_id"].as_str().unwrap();
    for (filter, expected) in [
        ("tool=plain", vec![7, 5, 3, 1]),
        ("tool=plain&status=invalid", vec![]),
        ("status=invalid", vec![8]),
        ("status=deny_scope", vec![9]),
        ("error=MISSING", vec![9]),
        ("error=%25", vec![]),
        ("edition=test&error=ARG", vec![8]),
        ("edition=other", vec![]),
        (&format!("user={user}&status=invalid"), vec![8]),
        ("user=usr_nobody", vec![]),
        (&format!("key={key}&status=invalid"), vec![8]),
        ("key=key_nobody", vec![]),
        (&format!("request={request}"), vec![9]),
        ("ip=127.0.0.1&status=invalid", vec![8]),
        ("ip=10.0.0.1", vec![]),
        ("trace=00000000000000000000000000000001", vec![]),
        ("from=-1h&status=invalid", vec![8]),
        ("to=-1h", vec![]),
        ("from=today&to=today", vec![]),
    ] {
        let (found, next) = numbers(&house, &format!("/v1/audit?{filter}")).await;
        assert_eq!((found, next), (expected, None), "{filter}");
    }
    let mints = asked(
        &house,
        Role::Owner,
        "/v1/audit/changes?action=key.mint&kind=key&from=-1h",
    )
    .await;
    let mints = mints.json();
    assert_eq!(mints["items"].as_array().unwrap().len(), 2, "{mints}");
    assert_eq!(mints["items"][0]["row"]["action"], "key.mint");
}

/// What somebody may write where a word or a number is expected.
const HOSTILE: [&str; 8] = [
    "' OR '1'='1",
    "'; DROP TABLE audit_log; --",
    "\" OR 1=1 --",
    "$1) OR (1=1",
    "%\\_!%",
    "{\"$ne\":null}",
    "a\0b",
    "<script>alert(1)</script>",
];

#[tokio::test]
async fn sql_in_any_filter_finds_nothing_and_changes_nothing() {
    let house = called().await;
    let token = house.token_of(Role::Owner).await;
    let mut browser = house.browser_of(Role::Owner).await;
    let calls = [
        "tool", "status", "key", "user", "edition", "error", "client", "ip", "request", "trace", "from", "to",
    ];
    let changes = ["action", "user", "kind", "object", "from", "to"];
    for (rest, page, filters) in [
        ("/v1/audit", "/console/calls", calls.as_slice()),
        ("/v1/audit/changes", "/console/audit", changes.as_slice()),
    ] {
        for filter in filters {
            for value in HOSTILE {
                let query: String = form_urlencoded::Serializer::new(String::new())
                    .append_pair(filter, value)
                    .finish();
                let reply = house.rest("GET", &format!("{rest}?{query}"), &token).send().await;
                match reply.status {
                    200 => assert_eq!(reply.json()["items"], json!([]), "{rest}?{query}"),
                    status => assert!(matches!(status, 400 | 404), "{rest}?{query}: {}", reply.text()),
                }
                let reply = browser.get(&format!("{page}?{query}")).await;
                let html = reply.text();
                assert_eq!(reply.status, 200, "{page}?{query}: {html}");
                assert!(!html.contains("<script>alert"), "{page}?{query}");
                assert!(!html.contains("<code>plain</code>"), "{page}?{query}");
                assert!(!html.contains("<code>key.mint</code>"), "{page}?{query}");
            }
        }
    }
    assert_eq!(numbers(&house, "/v1/audit").await.0.len(), 9);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_said_in_a_sentence() {
    let house = called().await;
    for (query, said) in [
        ("colour=red", "colour: not a filter of this log, which has tool,"),
        ("tool=a&tool=b", "tool: give it once"),
        ("limit=0", "limit: 1 to 500"),
        ("limit=501", "limit: 1 to 500"),
        ("limit=many", "limit: must be a number"),
        ("format=xml", "format: json or ndjson"),
        ("after=3", "after: goes with"),
        ("format=ndjson&limit=3", "cursor, limit: an NDJSON answer"),
        (
            "user=nobody@example.com",
            "Nobody here has the address nobody@example.com",
        ),
    ] {
        let reply = asked(&house, Role::Owner, &format!("/v1/audit?{query}")).await;
        let text = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(
            matches!(reply.status, 400 | 404) && text.starts_with(said),
            "{query}: {text}"
        );
    }
}

fn lines(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let text = reply.text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn the_whole_log_comes_as_lines_whose_hashes_form_the_chain() {
    let house = called().await;
    let token = house.token_of(Role::Auditor).await;
    let request = house.rest("GET", "/v1/audit", &token);
    let reply = request.set("accept", "application/x-ndjson").send().await;
    let rows = lines(&reply);
    assert_eq!(rows.len(), 9);
    // Bytes between `"row":` and the last brace are the hashed ones.
    let mut before = [0_u8; 32];
    for (line, row) in reply.text().lines().zip(&rows) {
        let body = line.split_once("\"row\":").unwrap().1.strip_suffix('}').unwrap();
        let number = row["seq"].as_i64().unwrap().to_be_bytes();
        let hash = ring::digest::digest(
            &ring::digest::SHA256,
            &[&before[..], &number[..], body.as_bytes()].concat(),
        );
        let shown: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(row["hash"], shown, "{line}");
        before.copy_from_slice(hash.as_ref());
    }
    let rest = house
        .rest("GET", "/v1/audit?format=ndjson&after=7", &token)
        .send()
        .await;
    assert_eq!(lines(&rest).len(), 2);
    let some = house
        .rest("GET", "/v1/audit?format=ndjson&status=invalid", &token)
        .send()
        .await;
    assert_eq!(lines(&some)[0]["row"]["status"], "invalid");
}

#[tokio::test]
async fn a_limit_shows_in_the_log_as_what_it_is() {
    let house = House::start().await;
    let limits = KeyLimits {
        rate_per_minute: Some(1),
        ..KeyLimits::default()
    };
    let key = house.limited_key("t:read", limits).await;
    house.call(&key, "plain", json!({})).send().await;
    assert_eq!(house.call(&key, "plain", json!({})).send().await.status, 429);
    house.store.flush().await.unwrap();
    assert_eq!(numbers(&house, "/v1/audit?status=deny_rate").await.0, [2]);
}

#[tokio::test]
async fn the_pages_of_the_console_take_the_same_filters() {
    let house = called().await;
    let mut browser = house.browser_of(Role::Owner).await;
    let page = browser.get("/console/calls?status=invalid").await.text();
    assert_eq!(page.matches("<span class=\"state ").count(), 1, "{page}");
    for name in [
        "tool", "status", "key", "user", "edition", "error", "client", "ip", "request", "trace", "from", "to",
    ] {
        assert!(page.contains(&format!("name=\"{name}\"")), "{name}: {page}");
    }
    assert!(page.contains("<option value=\"invalid\" selected>"), "{page}");
    let wrong = browser.get("/console/calls?from=soon").await.text();
    assert!(wrong.contains("from: must be a date"), "{wrong}");
    let changes = browser.get("/console/audit?action=key.mint").await.text();
    assert!(
        changes.contains("<code>key.mint</code>") && changes.contains("name=\"object\""),
        "{changes}"
    );
    let none = browser.get("/console/audit?action=key.nothing").await.text();
    assert!(none.contains("No change fits these filters"), "{none}");
    // A member's form does not ask for other people.
    let mut member = house.browser_of(Role::Member).await;
    let page = member.get("/console/calls").await.text();
    assert!(
        page.contains("name=\"tool\"") && !page.contains("name=\"user\""),
        "{page}"
    );
}

#[tokio::test]
async fn arguments_are_kept_when_that_is_asked_for_and_reads_then_wait_for_their_row() {
    let house = House::keeping(Keeping {
        arguments: true,
        strict: true,
    })
    .await;
    let key = house.key("t:read").await;
    let secret = format!("my key is {key}");
    house
        .call(&key, "notes.echo", json!({ "text": secret }))
        .send()
        .await;
    // Not flushed: the answer came after the row.
    let page = asked(&house, Role::Owner, "/v1/audit").await.json();
    let row = &page["items"][0]["row"];
    assert_eq!(row["args"], json!({ "text": "my key is [redacted]" }), "{page}");
    assert_eq!(row["args_digest"].as_str().unwrap().len(), 64);
    // Whatever a caller writes, a row is its caller's alone.
    let member = house.person(Role::Member).await;
    let forged = json!({ "text": format!("\"user_id\":\"{}\"", member.id) });
    house.call(&key, "notes.echo", forged).send().await;
    let theirs = asked(&house, Role::Owner, &format!("/v1/audit?user={}", member.id)).await;
    assert_eq!(theirs.json()["items"], json!([]));
}
