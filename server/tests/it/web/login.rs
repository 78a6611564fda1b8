//! Signing in as a program: `/v1/login`.

use footbridge_server::{operate::new_password, vocabulary::Role};
use serde_json::json;

use super::local;
use crate::house::House;

pub(super) const PASSWORD: &str = "a bridge for every foot";

impl House {
    /// Gives the person with this role a password.
    pub(super) async fn with_password(&self, role: Role) -> String {
        let user = self.person(role).await;
        new_password::set_password(&self.store, &local(), user.id.as_str(), PASSWORD.into())
            .await
            .unwrap();
        user.email
    }

    async fn login(&self, body: &serde_json::Value) -> crate::house::Reply {
        let mut request = self.rest("POST", "/v1/login", "");
        request.body = body.to_string();
        request.send().await
    }
}

#[tokio::test]
async fn a_password_becomes_a_token_that_opens_what_its_person_may() {
    let house = House::start().await;
    let email = house.with_password(Role::Admin).await;
    let reply = house
        .login(&json!({ "email": email, "password": PASSWORD }))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["user"]["role"], "admin");
    let token = reply.json()["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("fbt_") && token.len() == 47, "{token}");
    assert_eq!(house.rest("GET", "/v1/me", &token).send().await.status, 200);
}

#[tokio::test]
async fn wrong_passwords_and_strangers_read_the_same_and_are_soon_held_up() {
    let house = House::start().await;
    let email = house.with_password(Role::Owner).await;
    let wrong = house
        .login(&json!({ "email": email, "password": "not this one" }))
        .await;
    let nobody = house
        .login(&json!({ "email": "nobody@example.com", "password": PASSWORD }))
        .await;
    assert_eq!((wrong.status, nobody.status), (401, 401));
    assert_eq!(wrong.json(), nobody.json());
    assert!(!wrong.text().contains(&email));
    let mut last = wrong;
    for _ in 0..12 {
        last = house
            .login(&json!({ "email": email, "password": "not this one" }))
            .await;
    }
    assert_eq!(last.status, 429, "{}", last.text());
    assert!(last.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    // Not even the right password helps from there; an account of somebody else is not held up.
    let right = house
        .login(&json!({ "email": email, "password": PASSWORD }))
        .await;
    assert_eq!(right.status, 429);
    let other = house.with_password(Role::Member).await;
    assert_eq!(
        house
            .login(&json!({ "email": other, "password": PASSWORD }))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_body_that_is_no_login_is_told_what_is() {
    let house = House::start().await;
    for body in [
        json!({}),
        json!([]),
        json!({ "email": 1 }),
        json!({ "email": "a", "password": "b", "x": 1 }),
    ] {
        let reply = house.login(&body).await;
        assert_eq!(
            (reply.status, reply.json()["code"].as_str()),
            (400, Some("invalid_arguments"))
        );
    }
    let mut request = house
        .rest("POST", "/v1/login", "")
        .set("content-type", "text/plain");
    request.body = "{}".to_owned();
    assert_eq!(request.send().await.status, 415);
}
