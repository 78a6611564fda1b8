use std::time::Duration;

use footbridge_protocol::{era::ProtocolVersion, jsonrpc::OwnedId};

use super::*;
use crate::{catalogue::ArgumentError, store::StoreError};

const TAIL: &[u8] = br#","_meta":{}"#;

fn bare() -> Dialect {
    Dialect {
        bare: true,
        ..Dialect::of(ProtocolVersion::V2025_03_26)
    }
}

fn answer(error: &CallError, dialect: Dialect) -> (u16, Option<u64>, Value) {
    let id = OwnedId::from_integer(7);
    let reply = of_call_error(
        error,
        Asker {
            id: id.as_id(),
            dialect,
            stepping: None,
            reference: "req_1",
            tail: TAIL,
        },
    );
    let (status, retry_after) = (reply.status.as_u16(), reply.retry_after);
    (
        status,
        retry_after,
        serde_json::from_slice(&reply.into_bytes()).unwrap(),
    )
}

fn missing_scope() -> CallError {
    CallError::Denied(Denial::MissingScope(vec![
        Scope::new("a:read").unwrap(),
        Scope::new("a:write").unwrap(),
    ]))
}

/// Every failure, by what a modern client with a key gets: HTTP status, JSON-RPC code or none for a tool error,
/// `Retry-After`, and how the text begins.
#[test]
fn each_failure_has_its_status_code_and_text() {
    let rate = || OverLimit::Rate {
        retry_after: Duration::from_millis(1500),
        limit: 60,
    };
    let capability = || Map::from_iter([("elicitation".to_owned(), json!({ "url": {} }))]);
    type Row = (CallError, u16, Option<i64>, Option<u64>, &'static str);
    let table: Vec<Row> = vec![
        (
            CallError::UnknownTool("x".into()),
            200,
            Some(-32602),
            None,
            "Unknown tool: x",
        ),
        (CallError::Params("bad".into()), 200, Some(-32602), None, "bad"),
        (
            DomainError::Protocol("bad".into()).into(),
            200,
            Some(-32602),
            None,
            "bad",
        ),
        (
            ArgumentError::one("a: is required").into(),
            200,
            None,
            None,
            "400 Bad Request: a: is required",
        ),
        (CallError::CannotAsk, 200, None, None, "422 Unprocessable: "),
        (
            missing_scope(),
            200,
            None,
            None,
            "403 Forbidden: missing scope a:read a:write",
        ),
        (
            CallError::Denied(Denial::RoleRequired),
            200,
            None,
            None,
            "403 Forbidden: admin access required",
        ),
        (
            CallError::Denied(Denial::ReadOnly),
            200,
            None,
            None,
            "403 Forbidden: this key is read-only",
        ),
        (
            rate().into(),
            429,
            Some(-32012),
            Some(2),
            "429 Too Many Requests: retry in 2 s",
        ),
        (
            OverLimit::Cap {
                cap: 10_000,
                resets: "2026-12-01T00:00:00Z".into(),
                retry_after: Duration::from_secs(77),
            }
            .into(),
            429,
            Some(-32013),
            Some(77),
            "429 Too Many Requests: monthly cap 10000 reached, resets 2026-12-01T00:00:00Z",
        ),
        (
            OverLimit::Concurrency { most: 8 }.into(),
            429,
            Some(-32012),
            Some(1),
            "429 Too Many Requests: 8 calls",
        ),
        (
            DomainError::Exhausted {
                message: "budget".into(),
                retry_after_seconds: 9,
            }
            .into(),
            429,
            Some(-32012),
            Some(9),
            "429 Too Many Requests: budget",
        ),
        (
            DomainError::not_found("note", "n1").into(),
            200,
            None,
            None,
            "404 Not Found: note n1",
        ),
        (
            DomainError::Conflict("c".into()).into(),
            200,
            None,
            None,
            "409 Conflict: c",
        ),
        (
            DomainError::Rule("r".into()).into(),
            200,
            None,
            None,
            "422 Unprocessable: r",
        ),
        (
            DomainError::MissingCapability(capability()).into(),
            400,
            Some(-32021),
            None,
            "Not possible: ",
        ),
        (
            CallError::Timeout {
                limit_seconds: 5,
                effect: "nothing was changed",
            },
            200,
            None,
            None,
            "504 Gateway Timeout: ",
        ),
        (
            StoreError::Closed.into(),
            503,
            Some(-32603),
            Some(SOON),
            "503 Service Unavailable: ",
        ),
        (
            DomainError::Store(StoreError::Closed).into(),
            503,
            Some(-32603),
            Some(SOON),
            "503 Service Unavailable: ",
        ),
        (
            DomainError::internal(std::io::Error::other("/secret/path")).into(),
            500,
            Some(-32603),
            None,
            "500 Internal Error: request req_1",
        ),
        (
            CallError::Panicked,
            500,
            Some(-32603),
            None,
            "500 Internal Error: request req_1",
        ),
    ];
    for (error, status, code, retry_after, text) in table {
        let (got_status, got_retry, message) = answer(&error, Dialect::of(ProtocolVersion::V2026_07_28));
        assert_eq!(
            (got_status, got_retry),
            (status, retry_after),
            "{error:?}: {message}"
        );
        assert_eq!(message["error"]["code"].as_i64(), code, "{error:?}: {message}");
        assert_eq!(message["id"], 7);
        let shown = match code {
            Some(_) => &message["error"]["message"],
            None => &message["result"]["content"][0]["text"],
        };
        assert!(shown.as_str().unwrap().starts_with(text), "{error:?}: {message}");
        assert!(!message.to_string().contains("secret"), "{message}");
        if code.is_none() {
            assert_eq!(message["result"]["isError"], true);
            assert_eq!(
                message["result"]["structuredContent"]["error"]["code"],
                error.code()
            );
            assert_eq!(
                message["result"]["structuredContent"]["error"]["request_id"],
                "req_1"
            );
        }
    }
}

#[test]
fn a_bare_caller_reads_a_denial_from_the_status() {
    let (status, _, message) = answer(&missing_scope(), bare());
    assert_eq!(status, 403);
    assert_eq!(message["error"]["code"], -32011);
    assert_eq!(
        message["error"]["data"]["requiredScopes"],
        json!(["a:read", "a:write"])
    );
    let (status, _, message) = answer(&DomainError::Rule("r".into()).into(), bare());
    assert_eq!((status, &message["result"]["isError"]), (200, &json!(true)));
}

#[test]
fn details_say_what_a_program_can_use() {
    let modern = Dialect::of(ProtocolVersion::V2026_07_28);
    let (.., message) = answer(&missing_scope(), modern);
    let details = &message["result"]["structuredContent"]["error"]["details"];
    assert_eq!(details["missing_scopes"], json!(["a:read", "a:write"]));
    let (.., message) = answer(
        &ArgumentError {
            faults: vec!["a".into(), "b".into()],
        }
        .into(),
        modern,
    );
    assert_eq!(
        message["result"]["structuredContent"]["error"]["details"]["faults"],
        json!(["a", "b"])
    );
    let capability = Map::from_iter([("sampling".to_owned(), json!({}))]);
    let (.., message) = answer(&DomainError::MissingCapability(capability).into(), modern);
    assert_eq!(
        message["error"]["data"]["requiredCapabilities"],
        json!({ "sampling": {} })
    );
}

#[test]
fn an_unknown_name_comes_back_in_a_small_piece() {
    let (.., message) = answer(&CallError::UnknownTool("x".repeat(100_000)), bare());
    assert!(message.to_string().len() < 400);
}
