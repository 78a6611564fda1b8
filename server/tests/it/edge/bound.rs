//! Endpoints that are bound to a tenant (catalogue.md §2.15).

use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn a_tenants_address_takes_its_own_keys_alone() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let at = |path: &str, key: &str| house.call(key, "plain", json!({})).path(path);
    for path in ["/mcp", "/test/mcp", "/t/local/mcp", "/t/local/test/mcp"] {
        assert_eq!(at(path, &key).send().await.status, 200, "{path}");
    }
    for path in ["/t/globex/mcp", "/t/globex/test/mcp", "/t/LOCAL/mcp"] {
        let reply = at(path, &key).send().await;
        assert_eq!(reply.outcome(), (401, Some(-32010)), "{path}");
        assert_eq!(
            reply.json()["error"]["message"],
            "401 Unauthorized: key belongs to another tenant",
            "{path}"
        );
        assert_eq!(
            reply.header("www-authenticate"),
            Some("Bearer error=\"invalid_token\"")
        );
        // Whoever has no key learns nothing of which tenants there are.
        let stranger = at(path, "test_nonsense").send().await;
        assert!(
            stranger.text().contains("key not recognised"),
            "{path}: {}",
            stranger.text()
        );
    }
    for path in [
        "/t/local",
        "/t/local/",
        "/t//mcp",
        "/t/local/nothing/mcp",
        "/t/a/t/local/mcp",
        "/t/local/v1/me",
    ] {
        assert_eq!(at(path, &key).send().await.status, 404, "{path}");
    }
}
