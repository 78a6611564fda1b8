//! `/v1/keys`, `/v1/users` and `/v1/invitations`: who may, what is refused, and in which shape.

use footbridge_server::{operate::Actor, vocabulary::Role};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{house, minted, request};
use crate::house::{House, Post, Reply, exchange};

impl House {
    fn json(&self, method: &'static str, path: &str, token: &str, body: &Value) -> Post {
        let mut post = self.rest(method, path, token);
        post.body = body.to_string();
        post
    }
}

fn said(reply: &Reply) -> (u16, String) {
    (
        reply.status,
        reply.json()["code"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test]
async fn a_key_lives_its_whole_life_over_rest() {
    let house = house().await;
    let token = house.token_of(Role::Owner).await;
    let body = json!({ "name": "laptop", "scopes": ["crm:read", "crm:write"], "expires_in_days": 30 });
    let reply = house.json("POST", "/v1/keys", &token, &body).send().await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let made = reply.json();
    for field in [
        "id",
        "name",
        "prefix",
        "key",
        "scopes",
        "tenant_id",
        "owner_id",
        "expires_at",
        "monthly_cap",
        "created_at",
    ] {
        assert!(made.get(field).is_some(), "the reply has no {field}");
    }
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(house.call(key, "crm.add", json!({})).send().await.status, 200);
    let listed = house.rest("GET", "/v1/keys", &token).send().await;
    assert!(!listed.text().contains(key));
    let listed = listed.json();
    assert_eq!(
        (&listed["items"][0]["id"], &listed["next_before"]),
        (&made["id"], &Value::Null)
    );
    let path = format!("/v1/keys/{id}");
    let narrowed = house
        .json("PATCH", &path, &token, &json!({ "scopes": ["crm:read"] }))
        .send()
        .await;
    assert_eq!(
        (narrowed.status, &narrowed.json()["scopes"]),
        (200, &json!(["crm:read"]))
    );
    let wider = house
        .json("PATCH", &path, &token, &json!({ "scopes": ["crm:*"] }))
        .send()
        .await;
    assert_eq!(said(&wider), (422, "rule_violation".to_owned()));
    let twin = house
        .json(
            "POST",
            &format!("{path}/rotate"),
            &token,
            &json!({ "grace_minutes": 5 }),
        )
        .send()
        .await;
    assert_eq!((twin.status, &twin.json()["replaces"]), (201, &made["id"]));
    let again = house
        .json("POST", &format!("{path}/rotate"), &token, &json!({}))
        .send()
        .await;
    assert_eq!(said(&again), (409, "conflict".to_owned()));
    let gone = house.rest("DELETE", &path, &token).send().await;
    assert_eq!((gone.status, &gone.json()["state"]), (200, &json!("revoked")));
    assert_eq!(
        said(&house.rest("DELETE", &path, &token).send().await),
        (409, "conflict".to_owned())
    );
    let missing = house.rest("GET", "/v1/keys/key_none", &token).send().await;
    assert_eq!(said(&missing), (404, "not_found".to_owned()));
    let page = house.rest("GET", "/v1/keys?limit=1", &token).send().await.json();
    let next = page["next_before"].as_str().unwrap();
    let second = house
        .rest("GET", &format!("/v1/keys?limit=1&before={next}"), &token)
        .send()
        .await
        .json();
    assert_ne!(page["items"][0]["id"], second["items"][0]["id"]);
}

#[tokio::test]
async fn no_api_key_opens_any_of_it() {
    let house = house().await;
    let key = minted(&house.store, &Actor::Operator, request(None, "* admin:*"))
        .await
        .key;
    for credential in ["", key.as_str()] {
        for (method, path) in [
            ("GET", "/v1/keys"),
            ("POST", "/v1/keys"),
            ("GET", "/v1/keys/x"),
            ("PATCH", "/v1/keys/x"),
            ("DELETE", "/v1/keys/x"),
            ("POST", "/v1/keys/x/rotate"),
            ("GET", "/v1/users"),
            ("POST", "/v1/users"),
            ("PATCH", "/v1/users/x"),
            ("GET", "/v1/invitations"),
            ("POST", "/v1/invitations"),
            ("DELETE", "/v1/invitations/x"),
            ("POST", "/v1/me/password"),
            ("POST", "/v1/users/x/password-link"),
            ("GET", "/v1/groups"),
            ("PUT", "/v1/groups/x/members/y"),
            ("DELETE", "/v1/groups/x/members/y"),
        ] {
            let reply = house.json(method, path, credential, &json!({})).send().await;
            assert_eq!(said(&reply), (401, "unauthorized".to_owned()), "{method} {path}");
            assert!(
                reply.json()["error"].as_str().unwrap().contains("Sign in"),
                "{}",
                reply.text()
            );
        }
    }
}

#[tokio::test]
async fn each_role_does_what_the_table_says() {
    let house = house().await;
    let owner = house.token_of(Role::Owner).await;
    let admin = house.token_of(Role::Admin).await;
    let auditor = house.token_of(Role::Auditor).await;
    let member = house.token_of(Role::Member).await;
    let agent = house.token_of(Role::Agent).await;
    let people = house.rest("GET", "/v1/users", &owner).send().await.json();
    let id_of = |role: &str| {
        let items = people["items"].as_array().unwrap();
        let email = format!("{role}@example.com");
        items.iter().find(|u| u["email"] == *email).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let mint = async |token: &str, owner: Option<&str>, scopes: Value| {
        let body = json!({ "scopes": scopes, "owner": owner.map(str::to_owned) });
        house.json("POST", "/v1/keys", token, &body).send().await
    };
    let crm = || json!(["crm:read"]);
    // Who mints, and for whom.
    for (token, for_whom, status) in [
        (&owner, None, 201),
        (&owner, Some("member"), 201),
        (&owner, Some("admin"), 201),
        (&admin, None, 201),
        (&admin, Some("member"), 201),
        (&admin, Some("owner"), 403),
        (&auditor, None, 403),
        (&auditor, Some("member"), 403),
        (&member, None, 201),
        (&member, Some("admin"), 403),
        (&agent, None, 403),
    ] {
        let whom = for_whom.map(id_of);
        let reply = mint(token, whom.as_deref(), crm()).await;
        assert_eq!(reply.status, status, "{for_whom:?}: {}", reply.text());
    }
    // Scopes that a role does not reach, and the operator's own.
    assert_eq!(
        said(&mint(&member, None, json!(["admin:members"])).await),
        (403, "role_required".to_owned())
    );
    assert_eq!(mint(&admin, None, json!(["admin:*"])).await.status, 201);
    assert_eq!(
        said(&mint(&owner, None, json!(["*"])).await),
        (403, "role_required".to_owned())
    );
    // Whose keys are seen, and who stops them.
    let count = async |token: &str| {
        let reply = house.rest("GET", "/v1/keys", token).send().await.json();
        reply["items"].as_array().unwrap().len()
    };
    let all = count(&owner).await;
    assert_eq!((count(&admin).await, count(&auditor).await), (all, all));
    assert_eq!(
        count(&member).await,
        3,
        "the one they minted, and the two minted for them"
    );
    assert_eq!(count(&agent).await, 0);
    let theirs = mint(&owner, None, crm()).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/keys/{theirs}");
    for (token, status) in [(&member, 404), (&auditor, 403), (&admin, 200)] {
        assert_eq!(house.rest("DELETE", &path, token).send().await.status, status);
    }
    let owners_key = mint(&owner, None, crm()).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let rotate = house
        .json(
            "POST",
            &format!("/v1/keys/{owners_key}/rotate"),
            &admin,
            &json!({}),
        )
        .send()
        .await;
    assert_eq!(
        rotate.status,
        403,
        "an admin would hold an owner's key: {}",
        rotate.text()
    );
    // People.
    for (token, seen) in [
        (&admin, true),
        (&auditor, true),
        (&member, false),
        (&agent, false),
    ] {
        let reply = house.rest("GET", "/v1/users", token).send().await.json();
        assert_eq!(reply["items"].as_array().unwrap().len() > 1, seen);
        let invitations = house.rest("GET", "/v1/invitations", token).send().await;
        assert_eq!(invitations.status, if seen { 200 } else { 403 });
    }
    let change = async |token: &str, of: &str, body: Value| {
        house
            .json("PATCH", &format!("/v1/users/{}", id_of(of)), token, &body)
            .send()
            .await
            .status
    };
    assert_eq!(change(&admin, "member", json!({ "role": "auditor" })).await, 200);
    assert_eq!(
        change(&admin, "member", json!({ "role": "member", "groups": ["a"] })).await,
        200
    );
    assert_eq!(change(&admin, "member", json!({ "role": "owner" })).await, 403);
    assert_eq!(change(&admin, "admin", json!({ "role": "owner" })).await, 403);
    assert_eq!(change(&admin, "owner", json!({ "role": "member" })).await, 403);
    assert_eq!(change(&admin, "owner", json!({ "active": false })).await, 403);
    assert_eq!(change(&auditor, "member", json!({ "active": false })).await, 403);
    assert_eq!(change(&member, "member", json!({ "role": "admin" })).await, 403);
    assert_eq!(change(&member, "member", json!({ "name": "Me" })).await, 200);
    for (role, status) in [("owner", 403), ("admin", 201), ("member", 201)] {
        let body = json!({ "email": format!("new-{role}@example.com"), "role": role });
        assert_eq!(
            house
                .json("POST", "/v1/invitations", &admin, &body)
                .send()
                .await
                .status,
            status
        );
    }
    // A demotion acts on the very next request.
    assert_eq!(change(&owner, "admin", json!({ "role": "member" })).await, 200);
    assert_eq!(change(&admin, "member", json!({ "name": "x" })).await, 403);
}

#[tokio::test]
async fn an_invited_person_comes_in_over_rest_once() {
    let house = house().await;
    let owner = house.token_of(Role::Owner).await;
    let body = json!({ "email": "eve@example.com", "role": "member", "groups": ["sales"] });
    let invited = house
        .json("POST", "/v1/invitations", &owner, &body)
        .send()
        .await
        .json();
    let accept = async |password: &str| {
        let body = json!({ "token": invited["token"], "name": "Eve", "password": password });
        house
            .json("POST", "/v1/invitations/accept", "", &body)
            .send()
            .await
    };
    let weak = accept("short").await;
    assert_eq!(said(&weak), (400, "invalid_arguments".to_owned()));
    let joined = accept("correct horse battery").await;
    assert_eq!(joined.status, 201, "{}", joined.text());
    assert_eq!(joined.json()["user"]["role"], "member");
    assert!(!joined.text().contains("argon2"));
    assert_eq!(
        said(&accept("correct horse battery").await),
        (404, "not_found".to_owned())
    );
}

#[tokio::test]
async fn what_is_not_expected_is_refused_by_name() {
    let house = house().await;
    let token = house.token_of(Role::Owner).await;
    let injection = "'; DROP TABLE users; --";
    let table = [
        (
            "POST",
            "/v1/keys",
            json!({ "scopes": ["crm:read"], "tenant_id": "acme" }),
            "tenant_id",
        ),
        (
            "POST",
            "/v1/keys",
            json!({ "scopes": ["crm:read"], "owner_role": "owner" }),
            "owner_role",
        ),
        ("POST", "/v1/keys", json!({}), "scopes"),
        ("POST", "/v1/keys", json!({ "scopes": [] }), "scopes"),
        (
            "POST",
            "/v1/keys",
            json!({ "scopes": ["nothing:here"] }),
            "nothing:here",
        ),
        ("POST", "/v1/keys", json!({ "scopes": [injection] }), "scope"),
        (
            "POST",
            "/v1/keys",
            json!({ "scopes": ["crm:read"], "expires_in_days": 0 }),
            "1 to 730",
        ),
        (
            "POST",
            "/v1/keys",
            json!({ "scopes": ["crm:read"], "expires_in_days": 731 }),
            "1 to 730",
        ),
        (
            "POST",
            "/v1/keys",
            json!({ "scopes": ["crm:read"], "rate_per_minute": 0 }),
            "rate_per_minute",
        ),
        (
            "POST",
            "/v1/keys",
            json!({ "scopes": ["crm:read"], "monthly_cap": -1 }),
            "integer `-1`",
        ),
        (
            "POST",
            "/v1/keys",
            json!({ "scopes": ["crm:read"], "name": "a\r\nX-Evil: 1" }),
            "name",
        ),
        (
            "POST",
            "/v1/keys",
            json!({ "scopes": ["crm:read"], "tools_allow": [injection] }),
            "tools_allow",
        ),
        (
            "POST",
            "/v1/keys",
            json!({ "scopes": ["crm:read"], "editions": ["nope"] }),
            "nope",
        ),
        (
            "POST",
            "/v1/users",
            json!({ "email": injection, "role": "member" }),
            "email",
        ),
        (
            "POST",
            "/v1/users",
            json!({ "email": "a@b.c", "role": "root" }),
            "root",
        ),
        (
            "POST",
            "/v1/users",
            json!({ "email": "a@b.c", "role": "member", "password": "x" }),
            "password",
        ),
        (
            "POST",
            "/v1/users",
            json!({ "email": "a@b.c", "role": "member", "groups": ["\u{202e}"] }),
            "groups",
        ),
        (
            "POST",
            "/v1/invitations",
            json!({ "email": "a@b.c", "role": "member", "expires_in_days": 31 }),
            "1 to 30",
        ),
    ];
    for (method, path, body, named) in table {
        let reply = house.json(method, path, &token, &body).send().await;
        let text = reply.text();
        assert_eq!(reply.status, 400, "{body}: {text}");
        assert_eq!(reply.json()["code"], "invalid_arguments", "{body}");
        // A name's rule quotes what it refuses; what cannot stand in a name has a rule that names the field.
        assert!(text.contains(named), "{body}: {text}");
    }
    // In a name, SQL is only a name; in an id, only an id that nobody has.
    let odd = json!({ "scopes": ["crm:read"], "name": injection });
    let made = house.json("POST", "/v1/keys", &token, &odd).send().await.json();
    assert_eq!(made["name"], injection);
    for path in [
        "/v1/keys/'%20OR%201=1%20--",
        "/v1/users/'%20OR%201=1%20--",
        "/v1/users/%00",
    ] {
        assert_eq!(house.rest("GET", path, &token).send().await.status, 404, "{path}");
    }
    for query in ["limit=0", "limit=1001", "limit=x", "before=", "tenant=acme"] {
        let reply = house
            .rest("GET", &format!("/v1/keys?{query}"), &token)
            .send()
            .await;
        assert_eq!(said(&reply), (400, "invalid_arguments".to_owned()), "{query}");
    }
    let whole = house.rest("GET", "/v1/users", &token).send().await.json();
    assert!(
        whole["items"].as_array().unwrap().len() >= 2,
        "the table is still there"
    );
}

#[tokio::test]
async fn ten_megabytes_are_refused_before_they_are_read() {
    let house = house().await;
    let token = house.token_of(Role::Owner).await;
    for path in ["/v1/keys", "/v1/users", "/v1/invitations/accept"] {
        let mut stream = house.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: 10485760\r\n\r\n",
            house.address
        );
        let reply = exchange(&mut stream, head.as_bytes()).await;
        assert_eq!(said(&reply), (413, "too_large".to_owned()), "{path}");
        stream.shutdown().await.ok();
    }
}

#[tokio::test]
async fn another_tenants_people_and_keys_are_nobody_and_nothing() {
    let house = house().await;
    let acme = footbridge_server::vocabulary::TenantId::new("acme").unwrap();
    footbridge_server::operate::tenants::add(&house.store, "acme", "Acme")
        .await
        .unwrap();
    let theirs = super::add(&house.store, &acme, "boss@acme.test", Role::Owner).await;
    let mut wanted = request(None, "crm:read");
    wanted.tenant = acme;
    let key = minted(&house.store, &Actor::Operator, wanted).await.view;
    let token = house.token_of(Role::Owner).await;
    for (method, path) in [
        ("GET", format!("/v1/keys/{}", key.id)),
        ("DELETE", format!("/v1/keys/{}", key.id)),
        ("GET", format!("/v1/keys/{}", key.prefix)),
        ("GET", format!("/v1/users/{}", theirs.id)),
        ("GET", "/v1/users/boss@acme.test".to_owned()),
    ] {
        let reply = house.rest(method, &path, &token).send().await;
        assert_eq!(reply.status, 404, "{method} {path}: {}", reply.text());
    }
    let body = json!({ "scopes": ["crm:read"], "owner": theirs.id });
    assert_eq!(
        house.json("POST", "/v1/keys", &token, &body).send().await.status,
        404
    );
    assert!(
        !house
            .rest("GET", "/v1/keys", &token)
            .send()
            .await
            .text()
            .contains("acme")
    );
}
