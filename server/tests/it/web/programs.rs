//! What programs do with an API key over plain REST: call tools, ask what the key is good for, report calls of their own.

use footbridge_server::{
    operate::{Actor, keys},
    store::{KeyConfirm, KeyLimits},
    vocabulary::Role,
};
use serde_json::{Value, json};

use super::local;
use crate::{
    house::{HANGS, House, Post, Reply},
    store::harness::eventually,
};

impl House {
    fn program(&self, key: &str, path: &str, body: &Value) -> Post {
        let mut post = self.rest("POST", path, key);
        post.body = body.to_string();
        post
    }

    async fn tool(&self, key: &str, name: &str, arguments: Value) -> Reply {
        self.program(key, &format!("/v1/tools/{name}"), &arguments)
            .send()
            .await
    }

    /// Revokes a key and waits until the server has heard of it.
    async fn revoke(&self, key: &str) {
        keys::revoke(&self.store, &Actor::Operator, &local(), &key[..11])
            .await
            .unwrap();
        let heard = async || {
            let reply = self.call(key, "plain", json!({})).send().await;
            (reply.status == 401).then_some(())
        };
        eventually("the server hears of it", HANGS, heard).await;
    }

    async fn newest_call(&self) -> Value {
        self.store.flush().await.unwrap();
        let token = self.token_of(Role::Owner).await;
        let page = self.rest("GET", "/v1/audit?limit=1", &token).send().await.json();
        page["items"][0]["row"].clone()
    }
}

#[tokio::test]
async fn a_tool_answers_with_its_structured_result() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let reply = house.tool(&key, "notes.echo", json!({ "text": "a" })).await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "text": "a" })));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.header("x-ratelimit-remaining").is_some());
    let row = house.newest_call().await;
    assert_eq!(
        (
            row["tool_name"].as_str(),
            row["status"].as_str(),
            row["protocol_version"].as_str()
        ),
        (Some("notes.echo"), Some("allow"), Some("rest"))
    );
    // The other spelling of a name, the other header, and a call without a body.
    assert_eq!(
        house
            .tool(&key, "notes_echo", json!({ "text": "b" }))
            .await
            .status,
        200
    );
    let bare = house.rest("POST", "/v1/tools/plain", "").without("content-type");
    let reply = bare
        .header("x-api-key", &key)
        .header("user-agent", "curl/8")
        .header(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .send()
        .await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "ok": true })));
    let row = house.newest_call().await;
    assert_eq!(
        (row["client_name"].as_str(), row["trace_id"].as_str()),
        (Some("curl/8"), Some("4bf92f3577b34da6a3ce929d0e0e4736"))
    );
}

#[tokio::test]
async fn refusals_have_the_statuses_and_texts_of_every_other_door() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let revoked = house.key("t:read").await;
    house.revoke(&revoked).await;
    let token = house.token_of(Role::Owner).await;
    let text = || json!({ "text": "a" });
    for (credential, name, arguments, status, code, said) in [
        (
            "",
            "plain",
            json!({}),
            401,
            "unauthorized",
            "401 Unauthorized: missing access token",
        ),
        (
            "test_x",
            "plain",
            json!({}),
            401,
            "unauthorized",
            "401 Unauthorized: key not recognised",
        ),
        (
            &revoked,
            "plain",
            json!({}),
            401,
            "unauthorized",
            "401 Unauthorized: key revoked",
        ),
        (
            &token,
            "plain",
            json!({}),
            401,
            "unauthorized",
            "401 Unauthorized: key not recognised",
        ),
        (
            &key,
            "note",
            text(),
            403,
            "missing_scope",
            "403 Forbidden: missing scope t:write",
        ),
        (
            &key,
            "nothing",
            json!({}),
            404,
            "unknown_tool",
            "404 Not Found: Unknown tool: nothing",
        ),
        (
            &key,
            "query_sql",
            json!({}),
            404,
            "unknown_tool",
            "404 Not Found: Unknown tool: query_sql",
        ),
        (
            &key,
            "notes.echo",
            json!({}),
            400,
            "invalid_arguments",
            "400 Bad Request: text",
        ),
        (
            &key,
            "notes.echo",
            json!([1]),
            400,
            "invalid_arguments",
            "400 Bad Request: ",
        ),
        (
            &key,
            "fail",
            json!({}),
            500,
            "internal",
            "500 Internal Error: request req_",
        ),
        (
            &key,
            "panic",
            json!({}),
            500,
            "internal",
            "500 Internal Error: request req_",
        ),
        (
            &key,
            "ask",
            json!({}),
            422,
            "rule_violation",
            "422 Unprocessable: ",
        ),
    ] {
        let reply = house.tool(credential, name, arguments).await;
        let body = reply.json();
        let error = body["error"].as_str().unwrap_or_default();
        assert_eq!(
            (reply.status, body["code"].as_str()),
            (status, Some(code)),
            "{name}: {body}"
        );
        assert!(error.starts_with(said), "{name}: {body}");
        assert!(!error.contains("a secret from inside"), "{body}");
        let challenge = (status == 401).then_some("Bearer");
        assert_eq!(reply.header("www-authenticate"), challenge, "{name}");
    }
    let mut broken = house.program(&key, "/v1/tools/plain", &json!({}));
    broken.body = "{".to_owned();
    assert_eq!(broken.send().await.status, 400);
    let form = house.program(&key, "/v1/tools/plain", &json!({}));
    assert_eq!(form.set("content-type", "text/plain").send().await.status, 415);
    let elsewhere = house.program(&key, "/v1/tools/plain?edition=other", &json!({}));
    assert_eq!(elsewhere.send().await.status, 404);
    assert_eq!(
        house.rest("GET", "/v1/tools/plain", &key).send().await.status,
        405
    );
}

#[tokio::test]
async fn a_call_that_changes_something_is_confirmed_here_too() {
    let house = House::start().await;
    let limits = KeyLimits {
        confirm: KeyConfirm::Preview,
        ..KeyLimits::default()
    };
    let key = house.limited_key("t:write", limits).await;
    let preview = house.tool(&key, "note", json!({ "text": "a" })).await.json();
    assert_eq!(preview["status"], "confirmation_required", "{preview}");
    let token = preview["confirmation_token"].as_str().unwrap();
    let done = house
        .tool(&key, "note", json!({ "text": "a", "confirmation_token": token }))
        .await
        .json();
    assert_eq!(done, json!({ "status": "done", "result": { "text": "a" } }));
}

#[tokio::test]
async fn rates_hold_at_every_door_of_a_key_together() {
    let house = House::start().await;
    let limits = KeyLimits {
        rate_per_minute: Some(3),
        ..KeyLimits::default()
    };
    let key = house.limited_key("t:read", limits).await;
    assert_eq!(house.tool(&key, "plain", json!({})).await.status, 200);
    assert_eq!(house.call(&key, "plain", json!({})).send().await.status, 200);
    let report = json!({ "tool_name": "theirs", "status": "allow" });
    assert_eq!(
        house
            .program(&key, "/v1/mcp/audit-log", &report)
            .send()
            .await
            .status,
        204
    );
    for reply in [
        house.tool(&key, "plain", json!({})).await,
        house.rest("GET", "/v1/mcp/api-key-context", &key).send().await,
        house.program(&key, "/v1/mcp/audit-log", &report).send().await,
    ] {
        let body = reply.json();
        assert_eq!(
            (reply.status, body["code"].as_str()),
            (429, Some("rate_limited")),
            "{body}"
        );
        assert!(
            body["error"]
                .as_str()
                .unwrap()
                .starts_with("429 Too Many Requests: retry in "),
            "{body}"
        );
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=61).contains(&wait));
        assert_eq!(reply.header("x-ratelimit-limit"), Some("3"));
        assert_eq!(reply.header("x-ratelimit-remaining"), Some("0"));
    }
    assert_eq!(house.newest_call().await["status"], "deny_rate");
}

#[tokio::test]
async fn a_key_is_told_what_it_is_good_for() {
    let house = House::start().await;
    let limits = KeyLimits {
        monthly_cap: Some(50),
        rate_per_hour: Some(1000),
        ..KeyLimits::default()
    };
    let key = house.limited_key("t:read", limits).await;
    house.tool(&key, "plain", json!({})).await;
    let reply = house.rest("GET", "/v1/mcp/api-key-context", &key).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let said = reply.json();
    let names: Vec<_> = said.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "api_key_id",
            "key_prefix",
            "name",
            "tenant_id",
            "user_id",
            "customer_id",
            "role",
            "scopes",
            "editions",
            "rate_limit_per_minute",
            "rate_limit_per_hour",
            "monthly_cap",
            "monthly_used",
            "expires_at",
            "hash_version",
            "needs_reissue",
            "tools_visible"
        ]
    );
    assert_eq!(said["key_prefix"], key[..11], "{said}");
    assert_eq!(
        (&said["tenant_id"], &said["role"]),
        (&json!("local"), &json!("owner"))
    );
    assert_eq!(
        (&said["monthly_cap"], &said["monthly_used"]),
        (&json!(50), &json!(1))
    );
    assert_eq!(said["rate_limit_per_hour"], 1000);
    assert!(said["tools_visible"]["test"].as_u64().unwrap() > 3, "{said}");
    assert!(!reply.text().contains(&key), "the key itself is not repeated");
    // A person's session and an access token are no keys.
    for credential in [
        house.token_of(Role::Owner).await,
        "eyJhbGciOiJub25lIn0.e30.".to_owned(),
        String::new(),
    ] {
        let reply = house
            .rest("GET", "/v1/mcp/api-key-context", &credential)
            .send()
            .await;
        assert_eq!(
            (reply.status, reply.json()["code"].as_str()),
            (401, Some("unauthorized"))
        );
    }
}

#[tokio::test]
async fn another_program_reports_its_calls_under_its_keys_name() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let report = json!({
        "tool_name": "crm.sync", "status": "upstream_4xx", "scope_tag": "crm:read", "http_status": 404,
        "latency_ms": 12, "error_class": "not_found", "request_id": "r-1",
    });
    let reply = house.program(&key, "/v1/mcp/audit-log", &report).send().await;
    assert_eq!((reply.status, reply.text().as_str()), (204, ""));
    let row = house.newest_call().await;
    for (name, value) in report.as_object().unwrap() {
        assert_eq!(row[name], *value, "{row}");
    }
    assert_eq!(
        (&row["reported"], &row["scope_kind"]),
        (&json!(true), &json!("api_key"))
    );
    assert_eq!(row["key_prefix"], key[..11]);
    for field in ["user_id", "api_key_id", "ip"] {
        assert!(row[field].is_string(), "{row}");
    }
}

#[tokio::test]
async fn a_report_that_is_not_taken_leaves_calls_as_they_were() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let good = json!({ "tool_name": "theirs", "status": "allow" });
    let with = |name: &str, value: Value| {
        let mut report = good.clone();
        report[name] = value;
        report
    };
    for (report, part) in [
        (json!({}), "tool_name"),
        (json!({ "tool_name": "x" }), "status"),
        (with("status", json!("preview")), "preview"),
        (with("tool_name", json!("1x")), "begins with a letter"),
        (with("tool_name", json!("a b")), "tool name"),
        (with("tool_name", json!("x".repeat(129))), "tool name"),
        (with("http_status", json!(99)), "100 to 599"),
        (with("http_status", json!(-1)), "expected u16"),
        (with("latency_ms", json!(u64::MAX)), "latency_ms"),
        (with("error_class", json!("a\nb")), "without control characters"),
        (with("request_id", json!("x".repeat(129))), "at most 128 bytes"),
        // Who it was is not theirs to say.
        (with("user_id", json!("usr_ceo")), "user_id"),
        (with("tenant_id", json!("acme")), "tenant_id"),
        (with("ts", json!("2020-01-01")), "ts"),
    ] {
        let reply = house.program(&key, "/v1/mcp/audit-log", &report).send().await;
        let text = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(reply.status == 400 && text.contains(part), "{report}: {text}");
        assert_eq!(house.call(&key, "plain", json!({})).send().await.status, 200);
    }
    for credential in ["", "test_x"] {
        let reply = house.program(credential, "/v1/mcp/audit-log", &good).send().await;
        assert_eq!(reply.status, 401);
    }
    assert_ne!(house.newest_call().await["reported"], true);
}
