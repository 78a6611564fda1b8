//! Every refusal of catalogue.md §2.10, from the one table in the code, through real requests: what a key's MCP client is
//! answered, and what REST answers. A row that nobody walks fails.

use std::collections::BTreeSet;

use footbridge_server::{
    access::ApiKey,
    catalogue::http::FaultCode,
    domain::{DomainError, http::UpstreamFault},
    operate::{Actor, OperateError, keys, tenants},
    pipeline::{REFUSED, Refused},
    store::{KeyLimits, StoreError},
    vocabulary::TenantId,
};
use serde_json::{Value, json};

use crate::{
    house::{HANGS, House, Post, Reply},
    people::local,
};

/// What the tool `refuse` fails with.
pub(crate) fn failure(how: &str) -> DomainError {
    let upstream = |code, message: &str, status| {
        DomainError::Upstream(UpstreamFault {
            code,
            message: message.to_owned(),
            status,
            retry_after_seconds: None,
        })
    };
    match how {
        "not_found" => DomainError::not_found("ticket", "tkt_01J"),
        "conflict" => DomainError::Conflict("the ticket was changed meanwhile; read it again".to_owned()),
        "rule_violation" => DomainError::Rule("a contact needs an account_id".to_owned()),
        "payment_required" => upstream(FaultCode::PaymentRequired, "wallet is empty", Some(402)),
        "upstream_error" => upstream(FaultCode::UpstreamError, "upstream answered 500", Some(500)),
        "timeout" => upstream(FaultCode::Timeout, "upstream took longer than 5 s", None),
        "unavailable" => StoreError::Closed.into(),
        "cancelled" => DomainError::Cancelled,
        _ => DomainError::internal(std::io::Error::other("/var/lib/secret.db: SELECT 1")),
    }
}

const CATALOGUE: &str = r#"
format = 1
[edition]
name = "test"
title = "Refusals"
instructions = "Tools that refuse."
key_prefix = "test_"
bare_path = "/mcp"
[scopes."t:read"]
title = "Read"
[scopes."t:write"]
title = "Write"
[[tool]]
name = "refuse"
title = "Refuse"
description = "Refuses as it is told."
scope = "t:read"
effect = "read"
handler = "tests::refuse"
[tool.input.how]
type = "string"
required = true
[[tool.example]]
title = "Refuse"
arguments = { how = "conflict" }
[[tool]]
name = "change"
title = "Change"
description = "Changes something."
scope = "t:write"
effect = "update"
handler = "tests::plain"
[[tool.example]]
title = "Change"
[[tool]]
name = "administer"
title = "Administer"
description = "Administers."
scope = "t:read"
effect = "read"
policy = "admin"
handler = "tests::plain"
[[tool.example]]
title = "Administer"
"#;

/// A way to be refused: with which key, which tool, which arguments; and what is read then, from its first letter on.
struct Case {
    code: &'static str,
    key: String,
    tool: &'static str,
    arguments: Value,
    text: &'static str,
}

/// A refusal as a door tells it: status, code of JSON-RPC, word, text.
#[derive(Debug)]
struct Told {
    status: u16,
    json_rpc: Option<i64>,
    word: Option<String>,
    text: String,
}

fn told_by_mcp(reply: &Reply) -> Told {
    let body = reply.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(error) = body.get("error") {
        return Told {
            status: reply.status,
            json_rpc: error["code"].as_i64(),
            word: None,
            text: text(&error["message"]),
        };
    }
    let result = &body["result"];
    assert_eq!(result["isError"], true, "{body}");
    let error = &result["structuredContent"]["error"];
    assert!(error["request_id"].is_string(), "{body}");
    let said = text(&result["content"][0]["text"]);
    assert!(said.ends_with(error["message"].as_str().unwrap()), "{body}");
    Told {
        status: reply.status,
        json_rpc: None,
        word: error["code"].as_str().map(str::to_owned),
        text: said,
    }
}

fn rest(house: &House, case: &Case) -> Post {
    let mut post = house.rest("POST", &format!("/v1/tools/{}", case.tool), &case.key);
    post.body = case.arguments.to_string();
    post
}

/// The column "MCP client with a key" of "where a refusal travels": a status, or the tool's own answer.
fn travels(row: &Refused) -> u16 {
    match row.code {
        "unauthorized" => 401,
        "rate_limited" | "cap_reached" => 429,
        "internal" => 500,
        "unavailable" => 503,
        _ => 200,
    }
}

async fn cases(house: &House) -> Vec<Case> {
    let store = &house.store;
    let free = KeyLimits {
        rate_per_minute: Some(1_000_000),
        ..KeyLimits::default()
    };
    let key = async |limits: KeyLimits| house.limited_key("t:read", limits).await;
    let good = key(free.clone()).await;
    let id_of = async |key: &str| {
        let all = keys::list(store, &Actor::Operator, &local(), keys::KeyPage::default())
            .await
            .unwrap();
        let prefix: String = key.chars().take("test_".len() + 6).collect();
        let found = all.into_iter().find(|one| one.prefix == prefix);
        found.unwrap().id
    };
    let revoked = key(free.clone()).await;
    keys::revoke(store, &Actor::Operator, &local(), id_of(&revoked).await.as_str())
        .await
        .unwrap();
    let expired = key(free.clone()).await;
    let at_once = keys::Rotation {
        grace_minutes: Some(0),
        ..keys::Rotation::default()
    };
    let editions: Vec<_> = house
        .rooms
        .editions()
        .iter()
        .map(|bound| bound.edition.clone())
        .collect();
    keys::rotate(
        store,
        &editions,
        &Actor::Operator,
        &local(),
        id_of(&expired).await.as_str(),
        at_once,
    )
    .await
    .unwrap();
    let read_only = house
        .limited_key(
            "t:write",
            KeyLimits {
                read_only: true,
                ..free.clone()
            },
        )
        .await;
    let member = house.member_key("t:read").await;
    let one_call = KeyLimits {
        monthly_cap: Some(1),
        ..free.clone()
    };
    let (mut all, refuse) = (Vec::new(), |how: &str| json!({ "how": how }));
    let mut case = |code, key: &str, tool, arguments, text| {
        all.push(Case {
            code,
            key: key.to_owned(),
            tool,
            arguments,
            text,
        });
    };
    let unknown = ApiKey::mint("test_").unwrap().reveal().to_owned();
    for (key, text) in [
        (unknown.as_str(), "401 Unauthorized: key not recognised"),
        (&revoked, "401 Unauthorized: key revoked"),
        (&expired, "401 Unauthorized: key expired"),
        ("", "401 Unauthorized: missing access token"),
    ] {
        case("unauthorized", key, "refuse", refuse("x"), text);
    }
    case(
        "missing_scope",
        &good,
        "change",
        json!({}),
        "403 Forbidden: missing scope t:write",
    );
    case(
        "role_required",
        &member,
        "administer",
        json!({}),
        "403 Forbidden: admin access required",
    );
    case(
        "read_only",
        &read_only,
        "change",
        json!({}),
        "403 Forbidden: this key is read-only",
    );
    case(
        "invalid_arguments",
        &good,
        "refuse",
        json!({ "how": 7 }),
        "400 Bad Request: how: ",
    );
    case(
        "rate_limited",
        &key(KeyLimits {
            rate_per_minute: Some(1),
            ..KeyLimits::default()
        })
        .await,
        "refuse",
        refuse("conflict"),
        "429 Too Many Requests: retry in ",
    );
    case(
        "cap_reached",
        &key(one_call).await,
        "refuse",
        refuse("conflict"),
        "429 Too Many Requests: monthly cap 1 reached, resets ",
    );
    case("unknown_tool", &good, "nothing", json!({}), "");
    for (how, text) in [
        ("not_found", "404 Not Found: ticket tkt_01J"),
        ("conflict", "409 Conflict: the ticket was changed meanwhile"),
        (
            "rule_violation",
            "422 Unprocessable: a contact needs an account_id",
        ),
        ("payment_required", "402 Payment Required: wallet is empty"),
        ("upstream_error", "502 Bad Gateway: upstream answered 500"),
        ("timeout", "504 Gateway Timeout: upstream took longer"),
        ("internal", "500 Internal Error: request "),
        ("unavailable", "503 Service Unavailable: the call was not run"),
        ("cancelled", "499 Client Closed Request: cancelled"),
    ] {
        case(how, &good, "refuse", refuse(how), text);
    }
    all
}

#[tokio::test]
async fn every_row_of_the_vocabulary_is_told_by_mcp_and_rest_as_it_stands() {
    let house = House::serving(CATALOGUE).await;
    let cases = cases(&house).await;
    // The server hears of keys that have ended within a second; one call each is used up.
    tokio::time::timeout(HANGS, async {
        for case in &cases {
            while !case.text.contains("recognised")
                && case.code == "unauthorized"
                && rest(&house, case).send().await.status != 401
            {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            if matches!(case.code, "rate_limited" | "cap_reached") {
                rest(&house, case).send().await;
            }
        }
    })
    .await
    .unwrap();
    let mut walked = BTreeSet::new();
    for case in &cases {
        let row = REFUSED.iter().find(|row| row.code == case.code).unwrap();
        let heading = format!("{} {}", row.http, row.title);
        assert!(
            case.text.is_empty() || case.text.starts_with(&heading),
            "{}",
            case.text
        );
        let reply = house
            .call(&case.key, case.tool, case.arguments.clone())
            .send()
            .await;
        let told = told_by_mcp(&reply);
        let about = format!("{} over MCP: {told:?}", case.code);
        assert_eq!(told.status, travels(row), "{about}");
        match told.json_rpc {
            // Scopes and roles are errors of the protocol for access tokens and bare callers alone.
            Some(code) => assert_eq!(Some(code), row.json_rpc, "{about}"),
            None => assert_eq!(told.word.as_deref(), Some(row.code), "{about}"),
        }
        match row.code {
            "unknown_tool" => assert_eq!(told.text, "Unknown tool: nothing"),
            _ => assert!(told.text.starts_with(case.text), "{about}"),
        }
        for secret in ["/var/lib", "SELECT"] {
            assert!(!reply.text().contains(secret), "{about}");
        }
        let reply = rest(&house, case).send().await;
        let body = reply.json();
        let about = format!("{} over REST: {} {body}", case.code, reply.status);
        assert_eq!(
            (reply.status, body["code"].as_str()),
            (row.http, Some(row.code)),
            "{about}"
        );
        assert!(body["error"].as_str().unwrap().starts_with(case.text), "{about}");
        if row.http == 429 {
            assert!(reply.header("retry-after").is_some(), "{about}");
        }
        walked.insert(case.code);
    }
    let known: BTreeSet<_> = REFUSED.iter().map(|row| row.code).collect();
    assert_eq!(walked, known, "a row without a case, or a case without a row");
}

#[tokio::test]
async fn a_key_of_another_tenant_is_told_so_at_a_bound_endpoint() {
    let house = House::serving(CATALOGUE).await;
    tenants::add(&house.store, "acme", "Acme").await.unwrap();
    assert!(TenantId::new("acme").is_ok());
    let key = house.key("t:read").await;
    let call = house
        .call(&key, "refuse", json!({ "how": "conflict" }))
        .path("/t/acme/mcp");
    let told = told_by_mcp(&call.send().await);
    assert_eq!(
        (told.status, told.text.as_str()),
        (401, "401 Unauthorized: key belongs to another tenant")
    );
}

#[test]
fn what_people_are_refused_speaks_the_same_vocabulary() {
    let text = || "x".to_owned();
    for error in [
        OperateError::Invalid(text()),
        OperateError::Rule(text()),
        OperateError::NotFound(text()),
        OperateError::Conflict(text()),
        OperateError::Forbidden(text()),
        OperateError::WrongPassword,
        OperateError::TooManyAttempts(1),
        OperateError::Busy,
        OperateError::Provider(text()),
        OperateError::Hash(text()),
        StoreError::Closed.into(),
    ] {
        assert!(REFUSED.contains(&error.refused()), "{error:?}");
    }
}
