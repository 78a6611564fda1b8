//! What every path of the door has in common: hosts, origins, sizes, headers, and refusals in one shape.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::house::{House, exchange};

#[tokio::test]
async fn a_path_that_is_not_there_is_said_in_json() {
    let house = House::start().await;
    let reply = house.get("/v1/nothing").send().await;
    assert_eq!(reply.status, 404);
    assert_eq!(
        reply.json(),
        json!({ "error": "Nothing is served at this path.", "code": "not_found" })
    );
    let reply = house.rest("PUT", "/v1/me", "").send().await;
    assert_eq!(
        (reply.status, reply.json()["code"].as_str()),
        (405, Some("method_not_allowed"))
    );
}

#[tokio::test]
async fn every_answer_tells_browsers_to_keep_to_themselves() {
    let house = House::start().await;
    for path in ["/v1/me", "/v1/nothing"] {
        let reply = house.get(path).send().await;
        let policy = reply.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path} {name}");
        }
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
}

/// A method, header fields, and the status they get.
type Asked<'a> = (&'static str, &'a [(&'static str, &'a str)], u16);

#[tokio::test]
async fn hosts_and_origins_are_ours_or_refused() {
    let house = House::start().await;
    let own = format!("http://{}", house.address);
    let table: &[Asked<'_>] = &[
        ("GET", &[], 401),
        ("GET", &[("host", "evil.example")], 403),
        // A link on another site may lead here.
        ("GET", &[("origin", "https://evil.example")], 401),
        ("POST", &[], 401),
        ("POST", &[("origin", &own)], 401),
        (
            "POST",
            &[("origin", &own), ("sec-fetch-site", "same-origin")],
            401,
        ),
        ("POST", &[("origin", "https://evil.example")], 403),
        ("POST", &[("origin", "null")], 403),
        ("POST", &[("sec-fetch-site", "cross-site")], 403),
        ("POST", &[("sec-fetch-site", "same-site")], 403),
    ];
    for (method, headers, status) in table {
        let path = if *method == "GET" { "/v1/me" } else { "/v1/logout" };
        let mut request = house.rest(method, path, "");
        for (name, value) in *headers {
            request = request.set(name, value);
        }
        let reply = request.send().await;
        assert_eq!(reply.status, *status, "{method} {headers:?}: {}", reply.text());
        assert!(reply.json()["code"].is_string());
    }
}

#[tokio::test]
async fn a_body_that_declares_too_much_is_refused_before_it_comes() {
    let house = House::start().await;
    let mut stream = house.connect().await;
    let head = format!(
        "POST /v1/logout HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 10000000\r\n\r\n",
        house.address
    );
    let reply = exchange(&mut stream, head.as_bytes()).await;
    assert_eq!(
        (reply.status, reply.json()["code"].as_str()),
        (413, Some("too_large"))
    );
    stream.shutdown().await.ok();
}

#[tokio::test]
async fn the_doors_of_machines_stay_as_they_were() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    assert_eq!(house.get("/health").send().await.status, 200);
    assert_eq!(
        house
            .get("/.well-known/oauth-protected-resource")
            .send()
            .await
            .status,
        404
    );
    let reply = house.call(&key, "plain", json!({})).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-security-policy"), None);
}
