//! Health, figures and discovery documents.

use footbridge_server::{
    store::{NewJob, StoreError},
    vocabulary::{TenantId, Timestamp},
};
use futures_util::FutureExt;
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn health_is_told_to_everybody() {
    let house = House::start().await;
    for path in ["/healthz", "/readyz", "/health", "/health/live", "/health/ready"] {
        // A probe names the server by whatever address it has.
        let reply = house.get(path).set("host", "10.1.2.3:8080").send().await;
        assert_eq!(reply.status, 200, "{path}");
    }
    let health = house.get("/health").send().await.json();
    assert_eq!(health["ok"], true);
    assert_eq!(health["store"], "ready");
    assert_eq!(health["editions"], json!(["test"]));
    let mut post = house.get("/health");
    post.method = "POST";
    assert_eq!(post.send().await.status, 405);
}

/// Queues a job that nobody takes.
async fn enqueue(house: &House, id: &str, run_at: Timestamp) {
    let job = NewJob {
        id: id.to_owned(),
        queue: "tests".to_owned(),
        payload: json!({}),
        run_at,
        max_attempts: 1,
    };
    let queued: Result<bool, StoreError> = house
        .store
        .write(&TenantId::new("local").unwrap(), move |tx| {
            async move { tx.jobs().enqueue(&job).await }.boxed()
        })
        .await;
    assert!(queued.unwrap());
}

#[tokio::test]
async fn figures_are_for_the_operator() {
    let house = House::with(|s| s.operator_token = Some("operator-token".to_owned().into())).await;
    let key = house.key("t:read").await;
    house.call(&key, "plain", json!({})).send().await;
    house.call(&key, "a_name_of_the_callers", json!({})).send().await;
    house.post("", "{}").send().await;
    enqueue(&house, "late", Timestamp(0)).await;
    enqueue(&house, "later", Timestamp(i64::MAX)).await;
    let figures = house.get("/metrics").send().await;
    assert_eq!(figures.status, 200);
    let text = figures.text();
    for line in [
        r#"footbridge_requests_total{edition="test",method="tools/call",status="200"} 2"#,
        r#"footbridge_tool_calls_total{edition="test",tool="plain",outcome="ok"} 1"#,
        r#"footbridge_tool_calls_total{edition="test",tool="unknown",outcome="unknown_tool"} 1"#,
        r#"footbridge_refusals_total{status="401",reason="unauthorized"} 1"#,
        r#"footbridge_sign_in_failures_total{reason="missing"} 1"#,
        r#"footbridge_tool_call_duration_seconds_count{edition="test",tool="plain"} 1"#,
        concat!(
            "footbridge_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        "footbridge_ready 1",
        "footbridge_store_healthy 1",
        "footbridge_audit_lag_seconds ",
        "footbridge_store_write_duration_seconds_count ",
        "footbridge_connections 1",
        r#"footbridge_jobs_waiting{queue="tests"} 2"#,
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(!text.contains("a_name_of_the_callers"));
    let late = text
        .split_once(r#"footbridge_jobs_late_seconds{queue="tests"} "#)
        .unwrap()
        .1;
    let late: f64 = late.lines().next().unwrap().parse().unwrap();
    assert!(late > 1e9, "due since 1970: {late}");
    let through_proxy = house.get("/metrics").header("x-forwarded-for", "192.0.2.9");
    assert_eq!(
        through_proxy.send().await.status,
        404,
        "a proxy on this machine lends nobody its address"
    );
    let with_token = through_proxy
        .clone()
        .header("authorization", "Bearer operator-token");
    assert_eq!(with_token.send().await.status, 200);
    let with_key = through_proxy.header("authorization", &format!("Bearer {key}"));
    assert_eq!(with_key.send().await.status, 404);
    assert_eq!(
        house
            .get("/metrics")
            .set("host", "evil.example")
            .send()
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn documents_say_where_the_server_is() {
    let house = House::with(|s| s.public_url = Some("https://mcp.example.com/".to_owned())).await;
    let overview = house.get("/.well-known/mcp").send().await;
    assert_eq!(overview.header("access-control-allow-origin"), Some("*"));
    assert_eq!(overview.header("cache-control"), Some("public, max-age=3600"));
    let server = overview.json();
    assert_eq!(server["endpoint"], "https://mcp.example.com/mcp");
    assert_eq!(server["servers"][0]["authentication"]["prefix"], "test_");
    let card = house.get("/mcp/server-card").send().await;
    assert_eq!(
        card.header("content-type"),
        Some("application/mcp-server-card+json")
    );
    assert_eq!(card.json()["name"], "com.example.mcp/footbridge-test");
    assert_eq!(card.json()["remotes"][0]["url"], "https://mcp.example.com/mcp");
    for path in ["/test/mcp/server-card", "/.well-known/mcp/server-card.json"] {
        assert_eq!(house.get(path).send().await.json(), card.json(), "{path}");
    }
    let catalog = house.get("/.well-known/ai-catalog.json").send().await.json();
    assert_eq!(
        catalog["entries"][0]["url"],
        "https://mcp.example.com/mcp/server-card"
    );
    let discover = house
        .modern(&house.key("t:read").await, "server/discover", json!({}))
        .send()
        .await
        .json();
    assert_eq!(
        card.json()["remotes"][0]["supportedProtocolVersions"],
        discover["result"]["supportedVersions"]
    );

    let etag = card.header("etag").unwrap();
    let unchanged = house
        .get("/mcp/server-card")
        .header("if-none-match", etag)
        .send()
        .await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let changed = house
        .get("/mcp/server-card")
        .header("if-none-match", "\"other\"")
        .send()
        .await;
    assert_eq!(changed.status, 200);
}

#[tokio::test]
async fn nothing_hints_at_oauth_while_it_is_off() {
    let house = House::start().await;
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/authorize",
        "/token",
        "/register",
    ] {
        assert_eq!(house.get(path).send().await.status, 404, "{path}");
    }
}

/// Every name of a figure that stands in a file, without the endings that a histogram's and a counter's parts have.
fn figures_named(text: &str) -> std::collections::BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = text
        .split(|c| !word(c))
        .filter(|name| name.starts_with("footbridge_"));
    named
        .map(|name| name.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[tokio::test]
async fn dashboard_and_alerts_ask_for_figures_that_there_are() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    house.call(&key, "plain", json!({})).send().await;
    house.post("", "{}").send().await;
    enqueue(&house, "one", Timestamp(0)).await;
    let there = house.get("/metrics").send().await.text();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/monitoring");
    let mut asked = 0;
    for file in ["grafana.json", "footbridge.rules.yml"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        for name in figures_named(&text) {
            asked += 1;
            let shown = there.contains(&name);
            assert!(shown, "{file} asks for `{name}`, which is not among\n{there}");
        }
    }
    assert!(asked > 15, "{asked}");
    let dashboard: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("grafana.json")).unwrap()).unwrap();
    let ids: std::collections::BTreeSet<_> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|panel| panel["id"].as_u64())
        .collect();
    assert_eq!(
        ids.len(),
        dashboard["panels"].as_array().unwrap().len(),
        "each panel has an id of its own"
    );
}
