//! Tools that are calls to a REST API: what is sent, what comes back, and what a hostile API gets away with (nothing).

pub(crate) mod api;
mod vault;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};

use self::api::{Api, answer, typed};
use crate::house::House;

/// One tool over an API on this machine; `more` is the rest of the `[tool.http]` table and may open others.
fn catalogue(port: u16, effect: &str, input: &str, more: &str) -> String {
    format!(
        r#"
format = 1
[edition]
name = "test"
title = "CRM"
instructions = "Ask."
key_prefix = "fbt_"
bare_path = "/mcp"
[scopes."t:read"]
title = "Read"
[scopes."t:write"]
title = "Write"
[upstream.crm]
base_url = "http://127.0.0.1:{port}/api/"
allow_private = true
timeout_ms = 4000
max_response_kib = 4
headers = {{ "x-version" = "7" }}
[[tool]]
name = "lead"
title = "A lead"
description = "One lead."
scope = "t:read"
effect = "{effect}"
{input}
[tool.http]
upstream = "crm"
{more}
"#
    )
}

async fn call(house: &House, arguments: Value) -> Value {
    let key = house.key("t:read").await;
    let reply = house.call(&key, "lead", arguments).send().await.json();
    reply["result"].clone()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn every_value_goes_to_its_place_and_the_answer_comes_back_shaped() {
    let api = Api::start(|_, _| {
        answer(
            "200 OK",
            "",
            r#"{"data":{"id":"l 1","fname":"Ada","password_hash":"x","notes":[{"t":"a","internal":1}]},"meta":{}}"#,
        )
    })
    .await;
    let input = r#"
input_schema = '{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}},"q":{"type":"string"},"lang":{"type":"string"}}}'
"#;
    let more = r#"
method = "GET"
path = "/v1/{tenant}/leads/{id}"
query = { q = "search" }
headers = { lang = "Accept-Language" }
bind = { tenant = "$principal.tenant", actor = "$principal.email", fixed = 3 }
select = ["/data"]
drop = ["/data/password_hash", "/data/notes/*/internal"]
rename = { "/data/fname" = "first_name" }
"#;
    let house = House::serving(&catalogue(api.port, "read", input, more)).await;
    let result = call(
        &house,
        json!({"id":"l 1","tags":["a","b&c"],"q":"x=1","lang":"de"}),
    )
    .await;
    assert_eq!(
        result["structuredContent"],
        json!({"data":{"id":"l 1","notes":[{"t":"a"}],"first_name":"Ada"}}),
        "{result}"
    );
    let seen = api.last();
    let (path, query) = seen.line.split(' ').nth(1).unwrap().split_once('?').unwrap();
    assert_eq!(path, "/api/v1/local/leads/l%201");
    let mut pairs: Vec<_> = query.split('&').collect();
    pairs.sort_unstable();
    assert_eq!(
        pairs,
        [
            "actor=operator%40localhost",
            "fixed=3",
            "search=x%3D1",
            "tags=a",
            "tags=b%26c"
        ]
    );
    assert_eq!(
        (seen.header("accept-language"), seen.header("x-version")),
        (Some("de"), Some("7"))
    );
    assert!(
        seen.header("authorization").is_none(),
        "the caller's key is never passed on"
    );

    for id in ["..", "a/b", "a\\b"] {
        let refused = call(&house, json!({ "id": id })).await;
        assert!(
            text(&refused).starts_with("400 Bad Request: id: must not"),
            "{refused}"
        );
    }
    let refused = call(&house, json!({"id":"1","lang":"de\r\nx-evil: 1"})).await;
    assert!(
        text(&refused).starts_with("400 Bad Request: lang: must be printable ASCII"),
        "{refused}"
    );
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test]
async fn a_write_sends_a_body_once_and_a_secret_by_reference() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "s3cr3t-t0ken\nsecond line\n").unwrap();
    let api = Api::start(|_, before| match before {
        0 => answer("200 OK", "", "{\"id\":1}"),
        1 => answer(
            "422 x",
            "",
            "{\"message\":\"no s3cr3t-t0ken on 127.0.0.1, \\u001b[1m please\"}",
        ),
        2 => answer("503 x", "", "{}"),
        _ => Vec::new(),
    })
    .await;
    let input = r#"
input_schema = '{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":["string","null"]},"idempotency_key":{"type":"string"}},"required":["id"]}'
"#;
    let auth = format!(
        "[upstream.crm.auth]\nkind = \"bearer\"\nsecret = \"file:{}\"\n[[tool]]",
        file.display()
    );
    let write = "method = \"PATCH\"\npath = \"/leads/{id}\"\nbody = { name = \"full_name\" }\n";
    let house = House::serving(&catalogue(api.port, "update", input, write).replace("[[tool]]", &auth)).await;
    let result = call(&house, json!({"id":7,"name":null})).await;
    assert_eq!(result["structuredContent"], json!({"id":1}), "{result}");
    let seen = api.last();
    assert_eq!(seen.line, "PATCH /api/leads/7 HTTP/1.1");
    assert_eq!(seen.body, r#"{"full_name":null}"#);
    assert_eq!(seen.header("authorization"), Some("Bearer s3cr3t-t0ken"));

    let refused = call(&house, json!({"id":7})).await;
    assert_eq!(
        text(&refused),
        "400 Bad Request: no [redacted] on crm, [1m please"
    );
    // A change that may have happened is not sent again.
    let failed = call(&house, json!({"id":7})).await;
    assert_eq!(text(&failed), "502 Bad Gateway: upstream answered 503");
    let failed = call(&house, json!({"id":7})).await;
    assert_eq!(text(&failed), "502 Bad Gateway: upstream broke off");
    assert_eq!(api.seen().len(), 4);
}

#[tokio::test]
async fn tries_are_repeated_where_that_is_harmless_and_under_one_key() {
    let api = Api::start(|_, before| match before {
        0 => answer("503 x", "", "{}"),
        1 => Vec::new(),
        _ => answer("200 OK", "", "[1,2]"),
    })
    .await;
    let more = "method = \"POST\"\npath = \"/leads\"\nidempotency_header = \"Idempotency-Key\"\n";
    let house = House::serving(&catalogue(api.port, "create", "", more)).await;
    let result = call(&house, json!({})).await;
    assert_eq!(result["structuredContent"], json!({"items":[1,2]}), "{result}");
    let keys: Vec<_> = api
        .seen()
        .iter()
        .map(|s| s.header("idempotency-key").unwrap().to_owned())
        .collect();
    assert_eq!(keys.len(), 3);
    assert!(
        keys.iter().all(|key| *key == keys[0] && key.len() > 20),
        "{keys:?}"
    );
}

#[tokio::test]
async fn lists_go_on_where_the_api_says() {
    let api = Api::start(|seen, _| {
        if seen.line.contains("after=n2") {
            answer("200 OK", "", r#"{"leads":[3],"meta":{"next":null}}"#)
        } else {
            answer("200 OK", "", r#"{"leads":[1,2],"meta":{"next":"n2"}}"#)
        }
    })
    .await;
    let input = "[tool.input.cursor]\ntype = \"string\"\n";
    let more = "method = \"GET\"\npath = \"/leads\"\npaging = { cursor = { param = \"after\", next = \"/meta/next\" } }\ndrop = [\"/meta\"]\n";
    let house = House::serving(&catalogue(api.port, "read", input, more)).await;
    let first = call(&house, json!({})).await;
    assert_eq!(
        first["structuredContent"],
        json!({"leads":[1,2],"next_cursor":"n2"})
    );
    let last = call(&house, json!({"cursor":"n2"})).await;
    assert_eq!(last["structuredContent"], json!({"leads":[3],"next_cursor":null}));
}

#[tokio::test]
async fn a_hostile_or_broken_api_yields_one_clear_error() {
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(8192));
    let endless = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_owned()
        + &format!("1000\r\n{}\r\n", "y".repeat(0x1000)).repeat(40);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (
            answer("200 OK", "", "{broken"),
            "502 Bad Gateway: upstream answered with something that is not valid JSON",
        ),
        (
            typed("200 OK", "text/html", "<html>sign in</html>"),
            "502 Bad Gateway: upstream answered with text/html, not with JSON or text",
        ),
        (
            typed("200 OK", "image/png", "x"),
            "502 Bad Gateway: upstream answered with image/png, not with JSON or text",
        ),
        (
            answer("200 OK", "", &huge),
            "502 Bad Gateway: upstream's answer is too large; ask for less",
        ),
        (
            endless.into_bytes(),
            "502 Bad Gateway: upstream's answer is too large; ask for less",
        ),
        (
            answer("302 x", "location: http://169.254.169.254/\r\n", ""),
            "502 Bad Gateway: upstream redirects elsewhere, which is not followed",
        ),
        (
            answer("401 x", "", "{\"message\":\"who are you\"}"),
            "502 Bad Gateway: upstream refused Footbridge's credential",
        ),
        (
            answer("404 x", "", "{\"detail\":\"no lead 7\"}"),
            "404 Not Found: no lead 7",
        ),
        (
            answer("409 x", "", "{\"error\":{\"message\":\"locked\"}}"),
            "409 Conflict: locked",
        ),
        (
            answer("429 x", "", "{}"),
            "429 Too Many Requests: upstream takes no more calls for now",
        ),
        (
            answer("418 x", "", "{\"errors\":[{\"message\":\"a\"},\"b\"]}"),
            "402 Payment Required: a; b",
        ),
        (
            answer("500 x", "", "{\"trace\":\"/srv/app.py\"}"),
            "502 Bad Gateway: upstream answered 500",
        ),
    ];
    let more = "method = \"GET\"\npath = \"/x\"\nretry = false\nerrors = { 418 = \"payment_required\" }\n";
    let answers: Vec<Vec<u8>> = cases.iter().map(|(bytes, _)| bytes.clone()).collect();
    let api = Api::start(move |_, before| answers[before].clone()).await;
    let house = House::serving(&catalogue(api.port, "read", "", more)).await;
    for (_, expected) in &cases {
        let result = call(&house, json!({})).await;
        assert_eq!(result["isError"], true, "{result}");
        assert_eq!(text(&result), *expected);
    }
    let api = Api::start(|_, _| answer("429 x", "retry-after: 17\r\n", "{}")).await;
    let house = House::serving(&catalogue(api.port, "read", "", more)).await;
    let key = house.key("t:read").await;
    let reply = house.call(&key, "lead", json!({})).send().await.json();
    assert_eq!(
        reply["result"]["structuredContent"]["error"]["retry_after_seconds"], 17,
        "{reply}"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_the_tools_promise_is_not_passed_on() {
    let api = Api::start(|_, before| {
        answer(
            "200 OK",
            "",
            if before == 0 {
                r#"{"id":"a"}"#
            } else {
                r#"{"id":5}"#
            },
        )
    })
    .await;
    let input =
        "output = { type = \"object\", required = [\"id\"], properties = { id = { type = \"string\" } } }\n";
    let house = House::serving(&catalogue(
        api.port,
        "read",
        input,
        "method = \"GET\"\npath = \"/x\"\n",
    ))
    .await;
    assert_eq!(
        call(&house, json!({})).await["structuredContent"],
        json!({"id":"a"})
    );
    let result = call(&house, json!({})).await;
    assert_eq!(
        text(&result),
        "502 Bad Gateway: upstream's answer is not what this tool promises: see /id"
    );
}

#[tokio::test]
async fn a_change_is_shown_field_by_field_and_made_only_to_the_record_that_was_shown() {
    let version = Arc::new(AtomicU32::new(1));
    let now = Arc::clone(&version);
    let api = Api::start(move |seen, _| {
        let current = format!("\"v{}\"", now.load(Ordering::SeqCst));
        if seen.line.starts_with("PATCH") && seen.header("if-match") != Some(current.as_str()) {
            return answer("412 x", "", "{\"message\":\"changed meanwhile\"}");
        }
        let status = if current == "\"v1\"" { "new" } else { "lost" };
        answer(
            "200 OK",
            &format!("etag: {current}\r\n"),
            &format!("{{\"id\":\"7\",\"status\":\"{status}\"}}"),
        )
    })
    .await;
    let input = r#"
policy = "confirm"
input_schema = '{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"status":{"type":"string"}}}'
"#;
    let more = "method = \"PATCH\"\npath = \"/leads/{id}\"\npreview = { current = \"GET /leads/{id}\" }\n";
    let house = House::serving(&catalogue(api.port, "update", input, more)).await;
    // A client that cannot be asked confirms with a token.
    let key = house.key("t:read").await;
    let ask = async |arguments: Value| {
        let params = json!({ "name": "lead", "arguments": arguments });
        let reply = house
            .legacy(&key, "2025-11-25", "tools/call", params)
            .send()
            .await
            .json();
        reply["result"]["structuredContent"].clone()
    };
    let change = json!({"id":"7","status":"won"});
    let shown = ask(change.clone()).await;
    assert_eq!(shown["status"], "confirmation_required", "{shown}");
    assert_eq!(
        shown["preview"]["changes"],
        json!([{"op":"update","object":"crm","id":"7","field":"status","from":"new","to":"won"}])
    );
    assert!(
        api.seen().iter().all(|seen| seen.line.starts_with("GET ")),
        "nothing was changed yet"
    );

    let with = |token: &Value| {
        let mut arguments = change.clone();
        arguments["confirmation_token"] = token.clone();
        arguments
    };
    version.store(2, Ordering::SeqCst);
    let again = ask(with(&shown["confirmation_token"])).await;
    assert_eq!(again["reason"], "changed_since_preview", "{again}");
    assert_eq!(again["preview"]["changes"][0]["from"], "lost");

    let done = ask(with(&again["confirmation_token"])).await;
    assert_eq!(done["status"], "done", "{done}");
    let last = api.last();
    assert_eq!(
        (last.line.as_str(), last.header("if-match")),
        ("PATCH /api/leads/7 HTTP/1.1", Some("\"v2\""))
    );
    assert_eq!(last.body, r#"{"status":"won"}"#);
    let replayed = ask(with(&again["confirmation_token"])).await;
    assert_eq!(replayed["replayed"], true, "{replayed}");
    let patches = api
        .seen()
        .iter()
        .filter(|seen| seen.line.starts_with("PATCH"))
        .count();
    assert_eq!(patches, 1);
}

#[tokio::test]
async fn a_form_is_sent_to_a_path_with_text_around_its_hole() {
    let api = Api::start(|_, _| answer("200 OK", "", "{\"sid\":\"CA1\"}")).await;
    let input = r#"
input_schema = '{"type":"object","required":["sid"],"properties":{"sid":{"type":"string"},"Status":{"type":"string"},"Events":{"type":"array","items":{"type":"string"}}}}'
"#;
    let post = "method = \"POST\"\npath = \"/Calls/{sid}.json\"\nencoding = \"form\"\n";
    let house = House::serving(&catalogue(api.port, "update", input, post)).await;
    let result = call(
        &house,
        json!({ "sid": "CA1", "Status": "done & over", "Events": ["a", "b"] }),
    )
    .await;
    assert_eq!(result["structuredContent"]["sid"], "CA1", "{result}");
    let seen = api.last();
    assert_eq!(seen.line, "POST /api/Calls/CA1.json HTTP/1.1");
    assert_eq!(
        seen.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    let mut fields: Vec<_> = seen.body.split('&').collect();
    fields.sort_unstable();
    assert_eq!(fields, ["Events=a", "Events=b", "Status=done+%26+over"]);
}
