//! Two servers on one store, of either engine: what one writes the other acts on, and nobody is made twice.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use footbridge_server::{
    access::{
        AuthError, Principal,
        oauth::{CodeRequest, IdTokenRequest, OAuth, OAuthLimits, Origin, TokenFault},
    },
    catalogue::{Catalogue, Edition, NamedText},
    operate::{
        Actor,
        oauth::{OAuthChange, Switch, change},
        people::{self, PersonChange},
    },
    store::Store,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::provider::{Provider, Signer};
use crate::house::HANGS;
use crate::store::harness::{Place, START, eventually, for_each_engine, run, tenant};

const BASE: &str = "https://mcp.example.com";

struct Replica {
    store: Store,
    oauth: Arc<OAuth>,
    edition: Arc<Edition>,
}

impl Replica {
    async fn on(place: &Place) -> Self {
        let replica = Self::that_hears_nothing_yet(place).await;
        tokio::spawn(Arc::clone(&replica.oauth).follow());
        replica
    }

    async fn that_hears_nothing_yet(place: &Place) -> Self {
        let store = place.open().await;
        let text = NamedText {
            name: "house.toml",
            text: include_str!("../house.toml"),
        };
        let catalogue = Catalogue::load(&[&[text]]).unwrap();
        let oauth = OAuth::load(store.clone(), &catalogue, OAuthLimits::default())
            .await
            .unwrap();
        oauth.reached_at(BASE);
        Self {
            store,
            oauth,
            edition: Arc::clone(&catalogue.editions()[0]),
        }
    }

    /// `None`: there is no entrance here.
    async fn admit(&self, token: &str) -> Option<Result<Principal, AuthError>> {
        self.admit_from(token, IpAddr::from([127, 0, 0, 1]).into()).await
    }

    async fn admit_from(&self, token: &str, origin: Origin<'_>) -> Option<Result<Principal, AuthError>> {
        let entrance = self.oauth.entrance(&self.edition.name, "/mcp/oauth")?;
        let now = self.store.clock().now();
        let result = self
            .oauth
            .admit(&entrance, &self.edition, token, origin, now)
            .await;
        Some(result.map(|found| found.expect("a token of the provider")))
    }

    async fn trust(&self, provider: &Provider) {
        let on = OAuthChange {
            issuer: Some(provider.issuer.clone()),
            ..OAuthChange::default()
        };
        self.switch(Switch::On, on).await;
    }

    async fn switch(&self, switch: Switch, values: OAuthChange) {
        change(&self.store, &tenant("acme"), &self.edition, BASE, switch, values)
            .await
            .unwrap();
    }
}

/// Claims as of when the store's clock stands.
fn claims(issuer: &str, more: &Value) -> Value {
    let now = START.as_millis() / 1000;
    let mut all = json!({
        "iss": issuer, "aud": format!("{BASE}/mcp/oauth"), "sub": "ada", "iat": now, "exp": now + 300,
        "scope": "t:read", "email": "ada@example.test",
    });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

/// A provider, and a token of ada's that it signed.
async fn provider_and_token() -> (Provider, String) {
    let signer = Signer::ed();
    let provider = Provider::start(vec![signer.public("k")]).await;
    let token = signer.token(
        &json!({ "alg": "EdDSA", "kid": "k" }),
        &claims(&provider.issuer, &json!({})),
    );
    (provider, token)
}

#[test]
fn what_one_server_is_told_the_other_acts_on() {
    for_each_engine(|place| async move {
        place.open_with(&["acme"]).await.close().await;
        let (provider, token) = provider_and_token().await;
        let (one, two) = (Replica::on(&place).await, Replica::on(&place).await);
        assert!(two.admit(&token).await.is_none());
        one.trust(&provider).await;
        let admitted = eventually("the other opens", HANGS, async || two.admit(&token).await)
            .await
            .unwrap();
        // The first call on each made one person.
        let here = eventually("this one opens", HANGS, async || one.admit(&token).await)
            .await
            .unwrap();
        assert_eq!(here.facts().user, admitted.facts().user);

        let out = PersonChange {
            active: Some(false),
            ..PersonChange::default()
        };
        let ada = "ada@example.test";
        people::change_user(&one.store, &Actor::Operator, &tenant("acme"), ada, out)
            .await
            .unwrap();
        eventually("the other shuts ada out", HANGS, async || {
            matches!(two.admit(&token).await, Some(Err(AuthError::Suspended))).then_some(())
        })
        .await;
        one.switch(Switch::Off, OAuthChange::default()).await;
        eventually("the other closes", HANGS, async || {
            two.admit(&token).await.is_none().then_some(())
        })
        .await;
    });
}

#[test]
fn what_changes_before_a_server_listens_is_not_missed() {
    for_each_engine(|place| async move {
        place.open_with(&["acme"]).await.close().await;
        let (provider, token) = provider_and_token().await;
        let replica = Replica::that_hears_nothing_yet(&place).await;
        replica.trust(&provider).await;
        assert!(replica.admit(&token).await.is_none());
        tokio::spawn(Arc::clone(&replica.oauth).follow());
        eventually("it opens", HANGS, async || replica.admit(&token).await)
            .await
            .unwrap();
    });
}

#[test]
fn a_verified_token_is_looked_at_again_when_its_time_is_over() {
    for_each_engine(|place| async move {
        place.open_with(&["acme"]).await.close().await;
        let (provider, token) = provider_and_token().await;
        let replica = Replica::on(&place).await;
        replica.trust(&provider).await;
        replica.oauth.reload().await.unwrap();
        replica.admit(&token).await.unwrap().unwrap();
        place.clock.advance(299_000);
        // Somebody at the same address floods: one of eight strangers is looked at, and this is no stranger.
        let suspect = Origin {
            address: IpAddr::from([127, 0, 0, 1]),
            is_suspect: &|| true,
        };
        let forged = format!("{}.AAAA", token.rsplit_once('.').unwrap().0);
        let looked_at = replica.admit_from(&forged, suspect).await.unwrap();
        assert!(matches!(looked_at, Err(AuthError::Token(TokenFault::Signature))));
        let stranger = replica.admit_from(&forged, suspect).await.unwrap();
        assert!(matches!(stranger, Err(AuthError::Token(TokenFault::Unchecked))));
        replica.admit_from(&token, suspect).await.unwrap().unwrap();
        place.clock.advance(60_000);
        let refused = replica.admit(&token).await.unwrap();
        assert!(
            matches!(refused, Err(AuthError::Token(TokenFault::Expired))),
            "{refused:?}"
        );
    });
}

#[test]
fn a_provider_that_hangs_is_waited_for_by_all_at_once() {
    run(async {
        let place = Place::sqlite();
        place.open_with(&["acme"]).await.close().await;
        let (mut provider, _) = provider_and_token().await;
        let hangs = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        provider.issuer = format!("http://{}", hangs.local_addr().unwrap());
        let token = Signer::ed().token(
            &json!({ "alg": "EdDSA", "kid": "k" }),
            &claims(&provider.issuer, &json!({})),
        );
        let replica = Replica::on(&place).await;
        replica.trust(&provider).await;
        replica.oauth.reload().await.unwrap();
        let calls = (0..20).map(|_| replica.admit(&token));
        // One document may take five seconds.
        let fates = tokio::time::timeout(HANGS, join_all(calls)).await;
        for fate in fates.expect("nobody waits for twenty of them") {
            assert!(matches!(fate.unwrap(), Err(AuthError::Provider(_))));
        }
    });
}

#[test]
fn an_id_token_signs_in_the_person_that_access_tokens_know() {
    for_each_engine(|place| async move {
        place.open_with(&["acme"]).await.close().await;
        let signer = Signer::ec();
        let provider = Provider::start(vec![signer.public("k")]).await;
        let replica = Replica::on(&place).await;
        let asked = IdTokenRequest {
            issuer: &provider.issuer,
            client_id: "console",
            nonce: "n-1",
            groups_claim: None,
            address: [127, 0, 0, 1].into(),
            now: START,
        };
        let token = |more: Value| {
            let mut all = claims(
                &provider.issuer,
                &json!({ "aud": "console", "nonce": "n-1", "groups": ["staff"] }),
            );
            for (name, value) in more.as_object().unwrap() {
                all[name] = value.clone();
            }
            signer.token(&json!({ "alg": "ES256", "kid": "k" }), &all)
        };
        let code = CodeRequest {
            issuer: &provider.issuer,
            client_id: "console",
            client_secret: None,
            code: "",
            redirect_uri: "http://127.0.0.1/callback",
            verifier: "v",
        };
        let verify = async |more: Value| {
            *provider.id_token.lock() = Some(token(more.clone()));
            let code = CodeRequest {
                code: &more.to_string(),
                ..code
            };
            replica.oauth.identify(code, asked).await
        };
        let who = verify(json!({})).await.unwrap();
        assert_eq!(
            (who.subject.as_str(), who.email.as_deref()),
            ("ada", Some("ada@example.test"))
        );
        assert_eq!(who.groups.as_deref(), Some(&["staff".to_owned()][..]));
        let user = replica.oauth.user(&tenant("acme"), &who).await.unwrap();
        assert_eq!(user.email, "ada@example.test");
        assert_eq!(
            replica.oauth.user(&tenant("acme"), &who).await.unwrap().id,
            user.id
        );
        for (wrong, fault) in [
            (json!({ "nonce": "n-2" }), TokenFault::Claims),
            (json!({ "nonce": null }), TokenFault::Claims),
            (json!({ "aud": "another" }), TokenFault::Audience),
            (
                json!({ "aud": ["console", "another"], "azp": "another" }),
                TokenFault::Audience,
            ),
            (json!({ "iss": "https://id.example.com" }), TokenFault::Issuer),
        ] {
            let refused = verify(wrong.clone()).await;
            assert!(
                matches!(refused, Err(AuthError::Token(found)) if found == fault),
                "{wrong}: {refused:?}"
            );
        }
        let endpoints = replica.oauth.provider_endpoints(&provider.issuer).await.unwrap();
        assert_eq!(endpoints.authorization, format!("{}/authorize", provider.issuer));
    });
}
