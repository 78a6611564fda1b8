//! Access tokens, from the wire to the audit log. The provider is a small one of our own here; `scripts/oauth-check`
//! walks through a real one.

mod commands;
mod console;
mod forged;
mod people;
mod provider;
mod replicas;

use footbridge_server::{
    operate::oauth::{OAuthChange, Switch},
    store::{AuditFilter, OAuthMount, ScopeKind},
    vocabulary::TenantId,
};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::house::{HANGS, House, Post, Reply};
use provider::{Provider, Signer};

/// A house that takes the tokens of a provider.
struct Walk {
    house: House,
    provider: Provider,
    signer: Signer,
}

impl Walk {
    async fn with(change: OAuthChange) -> Self {
        let signer = Signer::ec();
        let provider = Provider::start(vec![signer.public("k1")]).await;
        let house = House::start().await;
        // Where it is reached, and so the audience of tokens, is known once it serves.
        assert_eq!(house.get("/healthz").send().await.status, 200);
        let change = OAuthChange {
            issuer: Some(provider.issuer.clone()),
            ..change
        };
        house.change_oauth(Switch::On, change).await;
        Self {
            house,
            provider,
            signer,
        }
    }

    async fn start() -> Self {
        Self::with(OAuthChange::default()).await
    }

    fn resource(&self) -> String {
        format!("http://{}/mcp/oauth", self.house.address)
    }

    fn metadata_url(&self) -> String {
        format!(
            "http://{}/.well-known/oauth-protected-resource/mcp/oauth",
            self.house.address
        )
    }

    /// Claims of a good token.
    fn claims(&self) -> Value {
        let now = now();
        json!({
            "iss": self.provider.issuer, "aud": self.resource(), "sub": "ada", "iat": now, "exp": now + 300,
            "scope": "t:read", "email": "ada@example.test", "name": "Ada",
        })
    }

    /// A good token but for these claims.
    fn token(&self, changes: &Value) -> String {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        self.signer
            .token(&json!({ "alg": "ES256", "kid": "k1" }), &claims)
    }

    /// A modern call at the entrance for tokens.
    fn call(&self, token: &str, tool: &str, arguments: Value) -> Post {
        self.house.call(token, tool, arguments).path("/mcp/oauth")
    }

    async fn scope_kinds(&self) -> Vec<(ScopeKind, String)> {
        self.house.store.flush().await.unwrap();
        let rows = self
            .house
            .store
            .read(&TenantId::new("local").unwrap(), |tx| {
                async move {
                    Ok::<_, footbridge_server::store::StoreError>(
                        tx.audit_log().list(&AuditFilter::default(), None, 50).await?.rows,
                    )
                }
                .boxed()
            })
            .await
            .unwrap();
        let name = |row: &footbridge_server::store::AuditEntry| {
            row.record
                .tool_name
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        rows.iter()
            .map(|row| (row.record.scope_kind, name(row)))
            .collect()
    }
}

fn now() -> i64 {
    footbridge_server::vocabulary::Clock::System.now().as_millis() / 1000
}

fn challenge(reply: &Reply) -> &str {
    reply.header("www-authenticate").unwrap_or_default()
}

#[tokio::test]
async fn while_it_is_off_nothing_of_it_is_there() {
    let house = House::start().await;
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/mcp/oauth",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/mcp/oauth",
        "/.well-known/openid-configuration",
        "/mcp/oauth",
        "/mcp/oauth/register",
        "/register",
        "/authorize",
        "/token",
    ] {
        assert_eq!(house.get(path).send().await.status, 404, "{path}");
    }
    let post = house.post("", "{}").path("/mcp/oauth").send().await;
    assert_eq!((post.status, challenge(&post)), (404, ""));
    assert_eq!(challenge(&house.post("", "{}").send().await), "Bearer");
}

#[tokio::test]
async fn a_token_opens_its_entrance_and_its_use_is_in_the_log() {
    let walk = Walk::start().await;
    let metadata = walk.metadata_url();
    let none = walk.call("", "plain", json!({})).send().await;
    assert_eq!(none.status, 401);
    assert_eq!(
        challenge(&none),
        format!(r#"Bearer resource_metadata="{metadata}", scope="t:read""#)
    );

    let path = metadata.split_once("://").unwrap().1.split_once('/').unwrap().1;
    let document = walk.house.get(&format!("/{path}")).send().await;
    assert_eq!(document.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        document.json(),
        json!({
            "resource": walk.resource(),
            "authorization_servers": [walk.provider.issuer],
            "bearer_methods_supported": ["header"],
            "resource_name": "Tests",
            "scopes_supported": ["t:read"],
        })
    );
    // The short form, for old clients; nothing of an authorization server.
    let short = walk
        .house
        .get("/.well-known/oauth-protected-resource")
        .send()
        .await;
    assert_eq!(short.json(), document.json());
    for path in [
        "/.well-known/oauth-authorization-server/mcp/oauth",
        "/mcp/oauth/register",
    ] {
        assert_eq!(walk.house.get(path).send().await.status, 404, "{path}");
    }

    let token = walk.token(&json!({}));
    let reply = walk.call(&token, "plain", json!({})).send().await;
    assert_eq!(
        reply.json()["result"]["structuredContent"],
        json!({ "ok": true }),
        "{reply:?}"
    );
    let list = walk
        .house
        .modern(&token, "tools/list", json!({}))
        .path("/mcp/oauth")
        .send()
        .await;
    let names = list.json()["result"]["tools"].to_string();
    assert!(names.contains("plain") && !names.contains("\"note\""), "{names}");
    let kinds = walk.scope_kinds().await;
    assert!(kinds.contains(&(ScopeKind::Jwt, "plain".to_owned())), "{kinds:?}");
    assert!(
        kinds.contains(&(ScopeKind::Jwt, "user.add".to_owned())),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn keys_and_tokens_each_keep_to_their_doors() {
    let walk = Walk::start().await;
    let (key, token) = (walk.house.key("t:read").await, walk.token(&json!({})));
    // A key opens both: clients that found OAuth keep working with the key they have.
    for path in ["/mcp", "/mcp/oauth"] {
        let reply = walk.house.call(&key, "plain", json!({})).path(path).send().await;
        assert_eq!(reply.status, 200, "{path}");
    }
    // The endpoint for keys knows no tokens, and its challenge names no metadata.
    let refused = walk.house.call(&token, "plain", json!({})).send().await;
    assert_eq!(
        (refused.status, challenge(&refused)),
        (401, r#"Bearer error="invalid_token""#)
    );
    let none = walk.house.post("", "{}").send().await;
    assert_eq!(challenge(&none), "Bearer");
    // The other spelling of the endpoint has no entrance of its own: its address is not the resource's.
    assert_eq!(
        walk.house
            .post("", "{}")
            .path("/test/mcp/oauth")
            .send()
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn on_one_endpoint_both_are_taken() {
    let walk = Walk::with(OAuthChange {
        mount: Some(OAuthMount::Same),
        ..OAuthChange::default()
    })
    .await;
    let resource = format!("http://{}/mcp", walk.house.address);
    let (key, token) = (
        walk.house.key("t:read").await,
        walk.token(&json!({ "aud": resource })),
    );
    for credential in [&key, &token] {
        assert_eq!(
            walk.house
                .call(credential, "plain", json!({}))
                .send()
                .await
                .status,
            200
        );
    }
    let none = walk.house.post("", "{}").send().await;
    assert!(
        challenge(&none).contains("/.well-known/oauth-protected-resource/mcp\""),
        "{none:?}"
    );
    assert_eq!(
        walk.house.post("", "{}").path("/mcp/oauth").send().await.status,
        404
    );
}

/// The table of catalogue.md §2.10, "where a refusal travels".
#[tokio::test]
async fn each_refusal_travels_as_its_caller_can_read_it() {
    let walk = Walk::start().await;
    let (key, token) = (walk.house.key("t:read").await, walk.token(&json!({})));
    let metadata = walk.metadata_url();
    let bare = |credential: &str, path: &str| {
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "note", "arguments": { "text": "a" } },
        });
        walk.house.post(credential, call).path(path)
    };
    let mcp = |credential: &str, path: &str| {
        walk.house
            .call(credential, "note", json!({ "text": "a" }))
            .path(path)
    };
    let step_up = format!(
        "Bearer error=\"insufficient_scope\", scope=\"t:read t:write\", resource_metadata=\"{metadata}\", \
         error_description=\"This call needs more scopes\""
    );
    let plain_step_up = r#"Bearer error="insufficient_scope", scope="t:write", error_description="This call needs more scopes""#;
    let no_token = format!(r#"Bearer resource_metadata="{metadata}", scope="t:read""#);
    // Who, what they send, status, whether the message is an error of JSON-RPC, the challenge.
    let table: [(&str, Post, u16, Option<i64>, &str); 8] = [
        (
            "MCP, key, no credential",
            mcp("", "/mcp"),
            401,
            Some(-32010),
            "Bearer",
        ),
        ("MCP, key, scope", mcp(&key, "/mcp"), 200, None, ""),
        (
            "MCP, token, no credential",
            mcp("", "/mcp/oauth"),
            401,
            Some(-32010),
            &no_token,
        ),
        (
            "MCP, token, scope",
            mcp(&token, "/mcp/oauth"),
            403,
            Some(-32011),
            &step_up,
        ),
        (
            "MCP, key at the entrance for tokens",
            mcp(&key, "/mcp/oauth"),
            200,
            None,
            "",
        ),
        (
            "bare, no credential",
            bare("", "/mcp"),
            401,
            Some(-32010),
            "Bearer",
        ),
        (
            "bare, key, scope",
            bare(&key, "/mcp"),
            403,
            Some(-32011),
            plain_step_up,
        ),
        (
            "bare, token, scope",
            bare(&token, "/mcp/oauth"),
            403,
            Some(-32011),
            &step_up,
        ),
    ];
    for (who, post, status, code, expected) in table {
        let reply = post.send().await;
        assert_eq!(
            (reply.outcome(), challenge(&reply)),
            ((status, code), expected),
            "{who}: {reply:?}"
        );
        let json = reply.json();
        if status == 403 {
            assert_eq!(json["id"], 1, "{who}");
            assert_eq!(
                json["error"]["data"]["requiredScopes"],
                json!(["t:write"]),
                "{who}"
            );
            let text = json["error"]["message"].as_str().unwrap();
            assert!(
                text.starts_with("403 Forbidden: missing scope t:write"),
                "{who}: {text}"
            );
        }
        if status == 200 {
            let text = json["result"]["content"][0]["text"].as_str().unwrap();
            assert!(
                text.starts_with("403 Forbidden: missing scope t:write"),
                "{who}: {text}"
            );
        }
    }
    // The scopes that were asked for open the tool.
    let more = walk.token(&json!({ "scope": "t:read t:write" }));
    let reply = mcp(&more, "/mcp/oauth").send().await;
    assert_eq!(reply.json()["result"]["structuredContent"]["text"], "a");
}

#[tokio::test]
async fn groups_bring_scopes_and_a_client_may_be_given_less() {
    let walk = Walk::with(OAuthChange {
        groups_claim: Some("teams".to_owned()),
        scope_map: vec![
            ("staff".to_owned(), vec!["t:read".parse().unwrap()]),
            ("writers".to_owned(), vec!["t:write".parse().unwrap()]),
        ],
        ..OAuthChange::default()
    })
    .await;
    // Teams, the token's own scopes; then the status of a read and of a write, and whether stepping up would help.
    let table: [(Value, Value, u16, u16, bool); 6] = [
        (json!(["staff", "writers"]), json!(null), 200, 200, false),
        (json!("staff"), json!("openid profile"), 200, 403, false),
        (json!(["writers"]), json!("t:read"), 200, 403, true),
        (json!(["staff"]), json!("t:read t:write"), 200, 403, false),
        (json!(["unknown"]), json!("t:read"), 403, 403, false),
        (json!(null), json!("t:read t:write *"), 403, 403, false),
    ];
    for (number, (teams, scope, read, write, helps)) in table.into_iter().enumerate() {
        let person = format!("p{number}");
        let token = walk.token(&json!({
            "teams": teams, "scope": scope, "sub": person, "email": format!("{person}@example.test"),
        }));
        let reply = walk.call(&token, "plain", json!({})).send().await;
        assert_eq!(reply.status, read, "{teams} {scope}: {reply:?}");
        let reply = walk.call(&token, "note", json!({ "text": "a" })).send().await;
        assert_eq!(reply.status, write, "{teams} {scope}: {reply:?}");
        assert_eq!(
            challenge(&reply).contains("insufficient_scope"),
            helps,
            "{teams} {scope}: {reply:?}"
        );
    }
    // The provider does not know our scopes: clients are not told to ask for them.
    let document = walk
        .house
        .get("/.well-known/oauth-protected-resource")
        .send()
        .await
        .json();
    assert!(document.get("scopes_supported").is_none());
}

#[tokio::test]
async fn a_provider_that_registers_nobody_is_mirrored_with_its_one_client() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "the-clients-secret\n").unwrap();
    let walk = Walk::with(OAuthChange {
        client_id: Some("footbridge".to_owned()),
        client_secret: Some(format!("file:{}", secret.display())),
        ..OAuthChange::default()
    })
    .await;
    let document = walk
        .house
        .get("/.well-known/oauth-protected-resource/mcp/oauth")
        .send()
        .await
        .json();
    assert_eq!(document["authorization_servers"], json!([walk.resource()]));
    let mirror = walk
        .house
        .get("/.well-known/oauth-authorization-server/mcp/oauth")
        .send()
        .await;
    assert_eq!(
        mirror.json(),
        json!({
            "issuer": walk.resource(),
            "authorization_endpoint": format!("{}/authorize", walk.provider.issuer),
            "token_endpoint": format!("{}/token", walk.provider.issuer),
            "jwks_uri": format!("{}/keys", walk.provider.issuer),
            "code_challenge_methods_supported": ["S256"],
            "registration_endpoint": format!("{}/register", walk.resource()),
        })
    );
    let asked = json!({ "redirect_uris": ["http://127.0.0.1:7/callback"], "client_name": "A client" });
    let client = walk
        .house
        .post("", asked)
        .path("/mcp/oauth/register")
        .send()
        .await;
    assert_eq!(
        (client.status, client.header("cache-control")),
        (201, Some("no-store"))
    );
    let client = client.json();
    assert_eq!(client["client_id"], "footbridge");
    assert_eq!(client["client_secret"], "the-clients-secret");
    assert_eq!(client["redirect_uris"], json!(["http://127.0.0.1:7/callback"]));
    for (body, status) in [("{}", 400), ("[]", 400), (r#"{"redirect_uris":[]}"#, 400)] {
        let reply = walk.house.post("", body).path("/mcp/oauth/register").send().await;
        assert_eq!(reply.status, status, "{body}");
    }
    let huge = json!({ "redirect_uris": ["a".repeat(20_000)] });
    assert_eq!(
        walk.house
            .post("", huge)
            .path("/mcp/oauth/register")
            .send()
            .await
            .status,
        413
    );
}

#[tokio::test]
async fn legacy_tokens_see_everything_and_are_judged_by_role() {
    let walk = Walk::with(OAuthChange {
        legacy_jwt: Some(true),
        ..OAuthChange::default()
    })
    .await;
    let legacy = walk.token(&json!({ "scope": null }));
    // On the endpoint for keys, where the bridge sends it.
    let reply = walk
        .house
        .call(&legacy, "note", json!({ "text": "a" }))
        .send()
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    // A token with scopes is none of them.
    let scoped = walk.token(&json!({}));
    assert_eq!(
        walk.house.call(&scoped, "plain", json!({})).send().await.status,
        401
    );
    let list = walk
        .house
        .modern(&legacy, "tools/list", json!({}))
        .send()
        .await
        .json();
    assert!(list["result"]["tools"].to_string().contains("\"note\""));
    let kinds = walk.scope_kinds().await;
    assert!(
        kinds.contains(&(ScopeKind::Legacy, "note".to_owned())),
        "{kinds:?}"
    );
    walk.house
        .change_oauth(
            Switch::Stays,
            OAuthChange {
                legacy_jwt: Some(false),
                ..OAuthChange::default()
            },
        )
        .await;
    assert_eq!(
        walk.house.call(&legacy, "plain", json!({})).send().await.status,
        401
    );
}

#[tokio::test]
async fn what_an_operator_turns_off_is_off_within_a_second() {
    let walk = Walk::start().await;
    let token = walk.token(&json!({}));
    assert_eq!(walk.call(&token, "plain", json!({})).send().await.status, 200);
    // Another process writes; this one hears of it through the store alone.
    let tenant = TenantId::new("local").unwrap();
    let edition = walk.house.rooms.editions()[0].edition.clone();
    footbridge_server::operate::oauth::change(
        &walk.house.store,
        &tenant,
        &edition,
        "",
        Switch::Off,
        OAuthChange::default(),
    )
    .await
    .unwrap();
    let gone = async {
        while walk.call(&token, "plain", json!({})).send().await.status != 404 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(HANGS, gone)
        .await
        .expect("the entrance closes");
}
