//! Rows 1 to 5 of the gate: names, methods, credentials, media and sizes.

use footbridge_server::store::KeyLimits;
use serde_json::json;

use crate::house::House;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[tokio::test]
async fn hosts_and_origins_that_are_not_ours_are_refused() {
    let house = House::with(|s| {
        s.public_names = vec!["mcp.example.com".to_owned()];
        s.allowed_origins = vec!["https://app.example.com".to_owned()];
    })
    .await;
    let key = house.key("t:read").await;
    let own = house.address.to_string();
    let table: [(&str, Option<&str>, u16); 9] = [
        (&own, None, 200),
        ("mcp.example.com", None, 200),
        ("evil.example.com", None, 403),
        ("mcp.example.com.evil.example", None, 403),
        ("127.0.0.1:1", None, 403),
        (&own, Some("https://app.example.com"), 200),
        (&own, Some("null"), 403),
        (&own, Some("http://evil.example.com"), 403),
        (&own, Some(&format!("http://{own}")), 200),
    ];
    for (host, origin, status) in table {
        let mut post = house.post(&key, PING).set("host", host);
        if let Some(origin) = origin {
            post = post.header("origin", origin);
        }
        let reply = post.send().await;
        assert_eq!(reply.status, status, "{host} {origin:?}: {}", reply.text());
    }
    let reply = house.post(&key, PING).header("host", &own).send().await;
    assert!(matches!(reply.status, 400 | 403), "two hosts: {}", reply.status);
    let absolute = house.post(&key, PING).path("http://evil.example.com/mcp");
    assert_eq!(
        absolute.send().await.status,
        403,
        "the target in absolute form names another server"
    );
}

#[tokio::test]
async fn refusals_come_in_the_order_of_the_gate() {
    let house = House::with(|s| s.body_bytes = 1000).await;
    let key = house.key("t:read").await;
    // Everything is wrong with this one; each step mends what was complained about.
    let mut post = house
        .post("", "x".repeat(1001))
        .set("host", "evil")
        .set("content-type", "text/plain");
    post.method = "PUT";
    assert_eq!(post.send().await.status, 403);
    post = post.set("host", &house.address.to_string());
    assert_eq!(post.send().await.status, 405);
    post.method = "POST";
    let reply = post.send().await;
    assert_eq!(
        (reply.status, reply.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    post = post.set("authorization", &format!("Bearer {key}"));
    assert_eq!(post.send().await.status, 415);
    post = post
        .set("content-type", "application/json")
        .set("accept", "text/html");
    assert_eq!(post.send().await.status, 406);
    post = post.set("accept", "*/*");
    assert_eq!(post.send().await.status, 413);
    post.body = "[".to_owned();
    assert_eq!(post.send().await.outcome(), (400, Some(-32700)));
}

#[tokio::test]
async fn get_says_what_to_do_and_other_methods_say_post() {
    let house = House::start().await;
    let reply = house.get("/mcp").send().await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    assert!(
        reply.json()["message"]
            .as_str()
            .unwrap()
            .contains("streamableHttp")
    );
    for method in ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
        let mut other = house.post("", "");
        other.method = method;
        let reply = other.send().await;
        assert_eq!(
            (reply.status, reply.header("allow"), reply.body.len()),
            (405, Some("POST"), 0),
            "{method}"
        );
    }
    assert_eq!(house.get("/nowhere").send().await.status, 404);
    assert_eq!(house.post("", PING).path("/test/mcp/").send().await.status, 404);
    assert_eq!(house.post("", PING).path("/test/mcp").send().await.status, 401);
}

#[tokio::test]
async fn browsers_are_told_what_they_may_send_only_where_their_origin_is_configured() {
    let house = House::with(|s| s.allowed_origins = vec!["https://app.example.com".to_owned()]).await;
    let key = house.key("t:read").await;
    let mut preflight = house.post("", "").header("origin", "https://app.example.com");
    preflight.method = "OPTIONS";
    let reply = preflight.send().await;
    assert_eq!(reply.status, 204);
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert!(
        reply
            .header("access-control-allow-headers")
            .unwrap()
            .contains("mcp-param-region")
    );
    let reply = house
        .post(&key, PING)
        .header("origin", "https://app.example.com")
        .send()
        .await;
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert_eq!(
        reply.header("access-control-expose-headers"),
        Some("WWW-Authenticate, Mcp-Session-Id")
    );
    let reply = house.post(&key, PING).send().await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn one_credential_in_either_header_and_never_two() {
    let house = House::start().await;
    let (key, other) = (house.key("t:read").await, house.key("t:read").await);
    let bare = house.post("", PING);
    let table = [
        (bare.clone(), 401, "missing access token"),
        (
            bare.clone().header("authorization", &format!("Bearer {key}")),
            200,
            "",
        ),
        (
            bare.clone().header("authorization", &format!("bearer {key}")),
            200,
            "",
        ),
        (bare.clone().header("x-api-key", &key), 200, ""),
        (
            bare.clone()
                .header("x-api-key", &key)
                .header("authorization", &format!("Bearer {key}")),
            200,
            "",
        ),
        (
            bare.clone()
                .header("x-api-key", &other)
                .header("authorization", &format!("Bearer {key}")),
            400,
            "one credential",
        ),
        (
            bare.clone()
                .header("authorization", &format!("Bearer {key}"))
                .header("authorization", "Bearer x"),
            400,
            "one credential",
        ),
        (
            bare.clone().header("authorization", "Bearer test_nonsense"),
            401,
            "key not recognised",
        ),
        (
            bare.clone().header("authorization", &format!("Basic {key}")),
            401,
            "missing access token",
        ),
        (
            bare.clone().path(&format!("/mcp?api_key={key}")),
            401,
            "missing access token",
        ),
        (
            bare.clone().header("cookie", &format!("api_key={key}")),
            401,
            "missing access token",
        ),
    ];
    for (position, (post, status, text)) in table.into_iter().enumerate() {
        let reply = post.send().await;
        assert_eq!(reply.status, status, "row {position}: {}", reply.text());
        assert!(reply.text().contains(text), "row {position}: {}", reply.text());
        assert!(!reply.text().contains(&key), "a key never comes back");
        let challenge = reply.header("www-authenticate");
        assert_eq!(challenge.is_some(), status == 401, "row {position}");
        assert!(
            !challenge.unwrap_or_default().contains("resource_metadata"),
            "OAuth is off"
        );
    }
}

#[tokio::test]
async fn bodies_and_heads_are_held_to_their_limits() {
    let house = House::with(|s| {
        s.body_bytes = 2000;
        s.head_bytes = 16 * 1024;
    })
    .await;
    let key = house.key("t:read").await;
    let body_of = |bytes: usize| format!("{PING}{}", " ".repeat(bytes - PING.len()));
    for (bytes, status) in [(1999, 200), (2000, 200), (2001, 413)] {
        assert_eq!(
            house.post(&key, body_of(bytes)).send().await.status,
            status,
            "{bytes} bytes of body"
        );
        // The same in chunks, whose length nobody declares.
        let post = house.post(&key, "").header("transfer-encoding", "chunked");
        let head = String::from_utf8(post.bytes(true))
            .unwrap()
            .replace("content-length: 0\r\n", "");
        let chunked = format!("{head}{bytes:x}\r\n{}\r\n0\r\n\r\n", body_of(bytes));
        let reply = crate::house::exchange(&mut house.connect().await, chunked.as_bytes()).await;
        assert_eq!(reply.status, status, "{bytes} bytes in a chunk");
    }
    // A length that is only claimed is refused without waiting for a byte of it.
    let post = house.post(&key, "");
    let huge = String::from_utf8(post.bytes(true))
        .unwrap()
        .replace("content-length: 0", "content-length: 999999999999");
    let reply = crate::house::exchange(&mut house.connect().await, huge.as_bytes()).await;
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));

    let head_of = |bytes: usize| {
        let plain = house.post(&key, PING).header("x-padding", "").bytes(true);
        let rest = plain.len() - PING.len();
        house
            .post(&key, PING)
            .header("x-padding", &"x".repeat(bytes - rest))
    };
    for (bytes, status) in [
        (16 * 1024 - 1, 200),
        (16 * 1024, 200),
        (16 * 1024 + 1, 431),
        (60 * 1024, 431),
    ] {
        assert_eq!(
            head_of(bytes).send().await.status,
            status,
            "{bytes} bytes of head"
        );
    }
    let with_headers = |count: usize| {
        let own = String::from_utf8(house.post(&key, PING).bytes(true))
            .unwrap()
            .matches("\r\n")
            .count()
            - 2;
        (own..count).fold(house.post(&key, PING), |post, n| {
            post.header(&format!("x-{n}"), "1")
        })
    };
    for (count, status) in [(99, 200), (100, 200), (101, 431)] {
        assert_eq!(with_headers(count).send().await.status, status, "{count} headers");
    }
}

#[tokio::test]
async fn compressed_bodies_are_refused_before_they_are_opened() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    for encoding in ["gzip", "br", "zstd", "deflate, gzip"] {
        let reply = house
            .post(&key, "bomb")
            .header("content-encoding", encoding)
            .send()
            .await;
        assert_eq!(reply.status, 415, "{encoding}");
    }
}

#[tokio::test]
async fn a_key_that_calls_too_often_is_told_when_to_come_back() {
    let house = House::start().await;
    let limits = KeyLimits {
        rate_per_minute: Some(2),
        ..KeyLimits::default()
    };
    let key = house.limited_key("t:read", limits).await;
    for _ in 0..2 {
        assert_eq!(house.post(&key, PING).send().await.status, 200);
    }
    let reply = house
        .post(&key, json!({"jsonrpc":"2.0","id":"mine","method":"ping"}))
        .send()
        .await;
    assert_eq!(reply.outcome(), (429, Some(-32012)));
    assert_eq!(reply.json()["id"], "mine");
    assert_eq!(reply.header("x-ratelimit-limit"), Some("2"));
    assert_eq!(reply.header("x-ratelimit-remaining"), Some("0"));
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    // A slot of the sliding minute leaves a second after the minute is over at the latest.
    assert!((1..=61).contains(&wait), "{wait}");
    // An array counts as many as it holds.
    let limits = KeyLimits {
        rate_per_minute: Some(2),
        ..KeyLimits::default()
    };
    let key = house.limited_key("t:read", limits).await;
    let reply = house.post(&key, format!("[{PING},{PING},{PING}]")).send().await;
    let codes: Vec<_> = reply
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["error"]["code"].as_i64())
        .collect();
    assert_eq!(codes, [None, None, Some(-32012)]);
}
