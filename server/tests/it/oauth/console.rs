//! The console's sign-in at an identity provider: the code flow, and every way to bend it.

use std::collections::BTreeMap;

use footbridge_server::{
    config::SignInSettings,
    operate::{Actor, oauth::link_at, people::change_user},
    store::{ChangeFilter, SignInKind},
    vocabulary::{Role, TenantId},
};
use serde_json::{Value, json};

use super::{
    now,
    provider::{Provider, Signer},
};
use crate::{
    house::{House, Reply},
    people,
    web::browser::Browser,
};

const CLIENT: &str = "console";
/// What every answer that is not believed gets.
const INVALID: &str = "is not valid here";
const BEGUN: &str = "begun in another browser";

struct Walk {
    house: House,
    provider: Provider,
    signer: Signer,
}

/// What the browser is sent to the provider with.
struct Sent(BTreeMap<String, String>);

impl Sent {
    fn of(reply: &Reply, provider: &Provider) -> Self {
        assert_eq!(reply.status, 303, "{}", reply.text());
        let location = reply.header("location").unwrap();
        let (place, query) = location.split_once('?').unwrap();
        assert_eq!(place, format!("{}/authorize", provider.issuer));
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl Walk {
    async fn start() -> Self {
        let signer = Signer::ec();
        let provider = Provider::start(vec![signer.public("k1")]).await;
        let house = House::signing_in(SignInSettings {
            issuer: Some(provider.issuer.clone()),
            client_id: Some(CLIENT.to_owned()),
            title: "Example ID".to_owned(),
            ..SignInSettings::default()
        })
        .await;
        Self {
            house,
            provider,
            signer,
        }
    }

    async fn begin(&self, browser: &mut Browser, next: &str) -> Sent {
        let path = format!("/console/sign-in/provider?next={next}");
        Sent::of(&browser.get(&path).await, &self.provider)
    }

    /// Lets the provider answer a code with an ID token, good but for these claims, and comes back with the code.
    async fn come_back(&self, browser: &mut Browser, sent: &Sent, changes: &Value) -> Reply {
        self.prepare(sent, changes);
        // As good as random: no two are the same.
        self.returned(browser, &self.good(sent, sent.get("nonce"))).await
    }

    /// What a browser brings back when all is well.
    fn good<'a>(&'a self, sent: &'a Sent, code: &'a str) -> [(&'a str, &'a str); 3] {
        [
            ("code", code),
            ("state", sent.get("state")),
            ("iss", &self.provider.issuer),
        ]
    }

    fn prepare(&self, sent: &Sent, changes: &Value) {
        let mut claims = json!({
            "iss": self.provider.issuer, "aud": CLIENT, "sub": "ada", "iat": now(), "exp": now() + 300,
            "nonce": sent.get("nonce"), "email": "ada@example.test", "email_verified": true, "name": "Ada",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        let token = self
            .signer
            .token(&json!({ "alg": "ES256", "kid": "k1" }), &claims);
        *self.provider.id_token.lock() = Some(token);
    }

    async fn returned(&self, browser: &mut Browser, query: &[(&str, &str)]) -> Reply {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        browser.get(&format!("/console/sign-in/callback?{query}")).await
    }
}

#[tokio::test]
async fn somebody_signs_in_at_the_provider_and_is_a_member_from_then_on() {
    let walk = Walk::start().await;
    let mut browser = walk.house.browser();
    let page = browser.get("/console/sign-in?next=/console/keys").await.text();
    assert!(page.contains("Sign in with Example ID"), "{page}");
    assert!(page.contains("/console/sign-in/provider?next="), "{page}");
    let sent = walk.begin(&mut browser, "/console/keys").await;
    let callback = format!("http://{}/console/sign-in/callback", walk.house.address);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", &callback),
        ("scope", "openid email profile"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(sent.get(name), value);
    }
    let reply = walk.come_back(&mut browser, &sent, &json!({})).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/console/keys")),
        "{}",
        reply.text()
    );
    assert!(browser.get("/console/keys").await.text().contains("Ada"));
    // What was sent for the token: the code, ours, and what proves that this server asked for it.
    let redeemed: BTreeMap<String, String> = {
        let forms = walk.provider.redeemed.lock();
        assert_eq!(forms.len(), 1);
        form_urlencoded::parse(forms[0].as_bytes()).into_owned().collect()
    };
    assert_eq!(redeemed["grant_type"], "authorization_code");
    assert_eq!(
        (redeemed["code"].as_str(), redeemed["redirect_uri"].as_str()),
        (sent.get("nonce"), callback.as_str())
    );
    assert_eq!(redeemed["client_id"], CLIENT);
    let digest = ring::digest::digest(&ring::digest::SHA256, redeemed["code_verifier"].as_bytes());
    use base64::Engine as _;
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.as_ref());
    assert_eq!(sent.get("code_challenge"), challenge);
    for secret in [redeemed["code_verifier"].as_str(), "ada@example.test"] {
        assert!(!sent.get("state").contains(secret));
    }
    // The second time it is the same person, and both times are in the log.
    let mut other = walk.house.browser();
    let sent = walk.begin(&mut other, "").await;
    let reply = walk.come_back(&mut other, &sent, &json!({})).await;
    assert_eq!(reply.header("location"), Some("/console"));
    let rows = walk
        .house
        .store
        .read(&TenantId::new("local").unwrap(), |tx| {
            Box::pin(async move {
                let signed_in = ChangeFilter {
                    action: Some("user.sign_in".to_owned()),
                    ..ChangeFilter::default()
                };
                Ok::<_, footbridge_server::store::StoreError>(
                    tx.change_log().list(&signed_in, None, 9).await?.rows,
                )
            })
        })
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].record.object_id, rows[1].record.object_id);
    assert_eq!(
        rows[0].record.after.as_ref().unwrap()["through"],
        walk.provider.issuer
    );
    let token = walk.house.token_of(Role::Owner).await;
    let people = walk
        .house
        .rest("GET", "/v1/users", &token)
        .send()
        .await
        .json()
        .to_string();
    assert_eq!(people.matches("ada@example.test").count(), 1, "{people}");
}

#[tokio::test]
async fn a_bent_answer_signs_nobody_in() {
    let walk = Walk::start().await;
    let refused = async |browser: &mut Browser, reply: Reply, status: u16, part: &str, what: &str| {
        assert!(
            reply.status == status && reply.text().contains(part),
            "{what}: {}",
            reply.text()
        );
        assert!(!browser.cookies.contains_key("footbridge"), "{what}");
    };
    let (begun, invalid) = (BEGUN, INVALID);
    // Claims that are not ours.
    for (changes, part) in [
        (json!({ "nonce": "another" }), invalid),
        (json!({ "nonce": null }), invalid),
        (json!({ "aud": "another" }), invalid),
        (json!({ "aud": [CLIENT, "another"], "azp": "another" }), invalid),
        (json!({ "iss": "https://evil.example" }), invalid),
        (json!({ "exp": 1 }), invalid),
        (json!({ "sub": null }), invalid),
        (json!({ "email": null }), "no verified e-mail address"),
        (json!({ "email_verified": false }), "no verified e-mail address"),
    ] {
        let mut browser = walk.house.browser();
        let sent = walk.begin(&mut browser, "").await;
        let reply = walk.come_back(&mut browser, &sent, &changes).await;
        refused(&mut browser, reply, 403, part, &changes.to_string()).await;
    }
    // A state that is none, or another's, or an error, or another provider's answer.
    let mut victim = walk.house.browser();
    let sent = walk.begin(&mut victim, "").await;
    let mut attacker = walk.house.browser();
    let theirs = walk.begin(&mut attacker, "").await;
    let (own, issuer) = (sent.get("state").to_owned(), walk.provider.issuer.clone());
    let redeemed = walk.provider.redeemed.lock().len();
    for (query, status, part) in [
        (
            vec![("code", "x"), ("state", "v1.AAAA"), ("iss", issuer.as_str())],
            400,
            begun,
        ),
        (vec![("code", "x"), ("iss", &issuer)], 400, begun),
        (
            vec![("code", "x"), ("state", theirs.get("state")), ("iss", &issuer)],
            400,
            begun,
        ),
        (
            vec![("code", "x"), ("state", &own), ("iss", "https://evil.example")],
            403,
            invalid,
        ),
        (vec![("code", "x"), ("state", &own)], 403, invalid),
        (
            vec![
                ("error", "access_denied<script>"),
                ("state", &own),
                ("iss", &issuer),
            ],
            403,
            "(access_deniedscript)",
        ),
    ] {
        let reply = walk.returned(&mut victim, &query).await;
        refused(&mut victim, reply, status, part, &format!("{query:?}")).await;
    }
    assert_eq!(
        walk.provider.redeemed.lock().len(),
        redeemed,
        "no code was sent for any of them"
    );
    // A provider without an ID token, and one that says no.
    for (code, token) in [("y", None), ("z", Some("nonsense".to_owned()))] {
        *walk.provider.id_token.lock() = token.clone();
        let query = [("code", code), ("state", own.as_str()), ("iss", issuer.as_str())];
        let reply = walk.returned(&mut victim, &query).await;
        refused(
            &mut victim,
            reply,
            if token.is_some() { 403 } else { 503 },
            "",
            "a broken answer",
        )
        .await;
    }
}

#[tokio::test]
async fn an_answer_is_good_once_and_in_the_browser_that_asked() {
    let walk = Walk::start().await;
    let mut browser = walk.house.browser();
    let planted = walk.house.session_of(Role::Member, SignInKind::Browser).await;
    browser.cookies.insert("footbridge".to_owned(), planted.clone());
    let sent = walk.begin(&mut browser, "").await;
    let visit = browser.cookies["footbridge-visit"].clone();
    walk.prepare(&sent, &json!({}));
    // Somebody who saw the address the browser was sent to has no cookie that fits.
    let mut thief = walk.house.browser();
    let reply = walk.returned(&mut thief, &walk.good(&sent, "c-1")).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(reply.text().contains(BEGUN));

    let reply = walk.returned(&mut browser, &walk.good(&sent, "c-1")).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    let after = browser.cookies["footbridge"].clone();
    assert_ne!(after, planted, "a session planted before is not the one after");
    assert!(!browser.cookies.contains_key("footbridge-visit"));
    let page = browser.get("/console/settings").await.text();
    assert!(page.contains("ada@example.test"), "{page}");

    // The same address again, as a browser's history has it.
    let reply = walk.returned(&mut browser, &walk.good(&sent, "c-1")).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    // And with the cookie of before: the provider takes no code twice.
    let mut again = walk.house.browser();
    again.cookies.insert("footbridge-visit".to_owned(), visit);
    let reply = walk.returned(&mut again, &walk.good(&sent, "c-1")).await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert!(reply.text().contains(INVALID));
    assert!(!again.cookies.contains_key("footbridge"));
}

#[tokio::test]
async fn nobody_comes_in_as_somebody_else_or_after_they_were_shut_out() {
    let walk = Walk::start().await;
    let (store, local) = (&walk.house.store, TenantId::new("local").unwrap());
    let boss = people::add(store, &local, "boss@example.test", Role::Owner).await;
    let mallory = json!({ "sub": "mallory", "email": "Boss@example.test" });
    let mut browser = walk.house.browser();
    let sent = walk.begin(&mut browser, "").await;
    let reply = walk.come_back(&mut browser, &sent, &mallory).await;
    assert_eq!(reply.status, 403);
    assert!(
        reply.text().contains("footbridge-server user link"),
        "{}",
        reply.text()
    );
    assert!(!browser.cookies.contains_key("footbridge"));
    // An operator says that they are the same.
    link_at(store, &local, &walk.provider.issuer, &boss.email, "mallory")
        .await
        .unwrap();
    let sent = walk.begin(&mut browser, "").await;
    assert_eq!(walk.come_back(&mut browser, &sent, &mallory).await.status, 303);
    let page = browser.get("/console/settings").await.text();
    assert!(page.contains("owner of local"), "{page}");

    let sent = walk.begin(&mut browser, "").await;
    assert_eq!(walk.come_back(&mut browser, &sent, &json!({})).await.status, 303);
    change_user(
        store,
        &Actor::Operator,
        &local,
        "ada@example.test",
        people::active(false),
    )
    .await
    .unwrap();
    let mut browser = walk.house.browser();
    let sent = walk.begin(&mut browser, "").await;
    let reply = walk.come_back(&mut browser, &sent, &json!({})).await;
    assert_eq!(reply.status, 403);
    assert!(reply.text().contains("suspended"), "{}", reply.text());
    assert!(!browser.cookies.contains_key("footbridge"));
}

#[tokio::test]
async fn what_the_token_does_not_say_the_provider_is_asked_for() {
    let walk = Walk::start().await;
    let mut browser = walk.house.browser();
    let silent = json!({ "email": null, "name": null, "email_verified": null });
    // Of somebody else it is not believed, and an address that nobody checked is none.
    for said in [
        json!({ "sub": "mallory", "email": "ada@example.test" }),
        json!({ "sub": "ada", "email": "ada@example.test", "email_verified": false }),
        json!({}),
    ] {
        *walk.provider.user_info.lock() = said.clone();
        let sent = walk.begin(&mut browser, "").await;
        let reply = walk.come_back(&mut browser, &sent, &silent).await;
        assert_eq!(reply.status, 403, "{said}: {}", reply.text());
        assert!(reply.text().contains("no verified e-mail address"), "{said}");
    }
    *walk.provider.user_info.lock() =
        json!({ "sub": "ada", "email": "ada@example.test", "name": "Ada", "groups": ["staff", "lead"] });
    let sent = walk.begin(&mut browser, "").await;
    let reply = walk.come_back(&mut browser, &sent, &silent).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    let page = browser.get("/console/settings").await.text();
    assert!(
        page.contains("ada@example.test") && page.contains("staff, lead"),
        "{page}"
    );
}

#[tokio::test]
async fn where_to_go_on_is_a_page_of_ours_and_without_a_provider_there_is_no_such_door() {
    let walk = Walk::start().await;
    let mut browser = walk.house.browser();
    let sent = walk.begin(&mut browser, "https://evil.example/").await;
    let reply = walk.come_back(&mut browser, &sent, &json!({})).await;
    assert_eq!(reply.header("location"), Some("/console"));
    let house = House::start().await;
    for path in [
        "/console/sign-in/provider",
        "/console/sign-in/callback?code=a&state=b",
    ] {
        assert_eq!(house.get(path).send().await.status, 404, "{path}");
    }
    let page = house.browser().get("/console/sign-in").await.text();
    assert!(!page.contains("/console/sign-in/provider"));
}
