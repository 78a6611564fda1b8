//! Who is signed in, and until when.

use footbridge_server::{
    operate::{
        Actor,
        people::{self, PersonChange},
    },
    store::SignInKind,
    vocabulary::Role,
};

use super::local;
use crate::house::House;

#[tokio::test]
async fn a_token_opens_what_its_role_may_until_it_is_given_back() {
    let house = House::start().await;
    let token = house.token_of(Role::Auditor).await;
    let me = house.rest("GET", "/v1/me", &token).send().await;
    assert_eq!(me.status, 200, "{}", me.text());
    assert_eq!(me.json()["user"]["role"], "auditor");
    assert_eq!(me.json()["tenant_id"], "local");
    assert_eq!(house.rest("POST", "/v1/logout", &token).send().await.status, 204);
    let after = house.rest("GET", "/v1/me", &token).send().await;
    assert_eq!(
        (after.status, after.header("www-authenticate")),
        (401, Some("Bearer"))
    );
}

#[tokio::test]
async fn each_secret_opens_its_own_door_alone() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    let cookie = house.session_of(Role::Owner, SignInKind::Browser).await;
    let token = house.token_of(Role::Owner).await;
    for (what, secret) in [("an API key", &key), ("a browser's secret", &cookie)] {
        let reply = house.rest("GET", "/v1/me", secret).send().await;
        assert_eq!(reply.status, 401, "{what}");
    }
    // A cookie is what another site's page could make a browser send.
    for name in ["footbridge", "__Host-footbridge"] {
        let request = house.rest("GET", "/v1/me", "");
        let reply = request.header("cookie", &format!("{name}={token}")).send().await;
        assert_eq!(reply.status, 401);
    }
    let reply = house.call(&token, "plain", serde_json::json!({})).send().await;
    assert_eq!(reply.status, 401, "a session is no key: {}", reply.text());
}

#[tokio::test]
async fn a_person_who_is_shut_out_is_signed_out() {
    let house = House::start().await;
    let token = house.token_of(Role::Member).await;
    assert_eq!(house.rest("GET", "/v1/me", &token).send().await.status, 200);
    let shut_out = PersonChange {
        active: Some(false),
        ..PersonChange::default()
    };
    people::change_user(
        &house.store,
        &Actor::Operator,
        &local(),
        "member@example.com",
        shut_out,
    )
    .await
    .unwrap();
    assert_eq!(house.rest("GET", "/v1/me", &token).send().await.status, 401);
}

#[tokio::test]
async fn strange_secrets_are_refused_and_two_are_not_guessed_between() {
    let house = House::start().await;
    for secret in ["fbt_", "x", &"f".repeat(5000), "fbt_' OR 1=1 --"] {
        let reply = house.rest("GET", "/v1/me", secret).send().await;
        assert_eq!(reply.status, 401, "{secret:.20}");
    }
    let token = house.token_of(Role::Member).await;
    let request = house.rest("GET", "/v1/me", &token).header("x-api-key", "other");
    assert_eq!(request.send().await.status, 400);
}
