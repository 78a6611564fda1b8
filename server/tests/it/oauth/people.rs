//! Who is behind a token: made at first sight, refreshed later, shut out at once, and never taken for somebody else.

use std::time::Duration;

use footbridge_server::{
    operate::{
        Actor, oauth,
        people::{self, NewPerson, PersonChange},
    },
    store::User,
    vocabulary::{Role, TenantId},
};
use serde_json::{Value, json};

use super::Walk;
use crate::house::{HANGS, Post};

fn local() -> TenantId {
    TenantId::new("local").unwrap()
}

impl Walk {
    async fn person(&self, email: &str) -> Option<User> {
        let users = people::users(&self.house.store, &Actor::Operator, &local())
            .await
            .unwrap();
        users.into_iter().find(|user| user.email == email)
    }

    /// The status of a call with a token that differs in these claims, and what was said.
    async fn outcome(&self, changes: &Value) -> (u16, String) {
        let reply = self.call(&self.token(changes), "plain", json!({})).send().await;
        (reply.status, reply.text())
    }
}

#[tokio::test]
async fn the_first_token_makes_the_person_and_later_ones_refresh_them() {
    let walk = Walk::start().await;
    let (status, text) = walk.outcome(&json!({ "email": null })).await;
    assert_eq!(status, 403);
    assert!(text.contains("carries no verified e-mail address"), "{text}");
    let unchecked = json!({ "email_verified": false });
    assert_eq!(
        walk.outcome(&unchecked).await.0,
        403,
        "nobody checked the address"
    );
    assert!(walk.person("ada@example.test").await.is_none());

    assert_eq!(walk.outcome(&json!({ "groups": ["staff"] })).await.0, 200);
    let ada = walk.person("ada@example.test").await.unwrap();
    assert_eq!((ada.name.as_str(), ada.role), ("Ada", Role::Member));
    assert_eq!(ada.groups, ["staff"]);

    // The subject is who it is, whatever else changes; an address is needed no more.
    let later = json!({ "name": "Ada L.", "groups": "lead", "email": null });
    assert_eq!(walk.outcome(&later).await.0, 200);
    let refreshed = walk.person("ada@example.test").await.unwrap();
    assert_eq!((refreshed.id, refreshed.name.as_str()), (ada.id, "Ada L."));
    assert_eq!(refreshed.groups, ["lead"]);
    let silent = json!({ "name": null, "groups": null });
    assert_eq!(walk.outcome(&silent).await.0, 200);
    assert_eq!(walk.person("ada@example.test").await.unwrap().groups, ["lead"]);
}

#[tokio::test]
async fn nobody_becomes_somebody_else_by_their_address() {
    let walk = Walk::start().await;
    let boss = NewPerson {
        email: "Boss@example.test".to_owned(),
        name: "Boss".to_owned(),
        role: Role::Owner,
        groups: Vec::new(),
    };
    people::add_user(&walk.house.store, &Actor::Operator, &local(), boss)
        .await
        .unwrap();
    let impostor = json!({ "sub": "mallory", "email": "boss@example.test", "email_verified": true });
    let (status, text) = walk.outcome(&impostor).await;
    assert_eq!(status, 403);
    assert!(text.contains("admin mcp auth link"), "{text}");
    // An admin says that they are the same.
    let edition = walk.house.rooms.editions()[0].edition.clone();
    oauth::link(
        &walk.house.store,
        &local(),
        &edition,
        "boss@example.test",
        "mallory",
    )
    .await
    .unwrap();
    assert_eq!(walk.outcome(&impostor).await.0, 200);
    let again = oauth::link(
        &walk.house.store,
        &local(),
        &edition,
        "boss@example.test",
        "mallory",
    )
    .await;
    assert!(again.unwrap_err().to_string().contains("somebody here already"));
    // And an owner stays one, whatever groups a token has.
    assert_eq!(walk.person("Boss@example.test").await.unwrap().role, Role::Owner);
}

#[tokio::test]
async fn a_person_who_is_shut_out_is_out_within_a_second() {
    let walk = Walk::start().await;
    let token = walk.token(&json!({}));
    let call = walk.call(&token, "plain", json!({}));
    assert_eq!(call.send().await.status, 200);
    let out = PersonChange {
        active: Some(false),
        ..PersonChange::default()
    };
    people::change_user(
        &walk.house.store,
        &Actor::Operator,
        &local(),
        "ada@example.test",
        out,
    )
    .await
    .unwrap();
    let out = async {
        loop {
            let reply = call.send().await;
            if reply.status != 200 {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reply = tokio::time::timeout(HANGS, out).await.expect("the door closes");
    // Signing in again would not help: no challenge.
    assert_eq!((reply.status, reply.header("www-authenticate")), (403, None));
    assert!(reply.text().contains("suspended"));
}

#[tokio::test]
async fn many_first_calls_at_once_make_one_person() {
    let walk = Walk::start().await;
    let token = walk.token(&json!({}));
    let posts: Vec<_> = (0..16).map(|_| walk.call(&token, "plain", json!({}))).collect();
    let calls = posts.iter().map(Post::send);
    for reply in futures_util::future::join_all(calls).await {
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let users = people::users(&walk.house.store, &Actor::Operator, &local())
        .await
        .unwrap();
    assert_eq!(
        users
            .iter()
            .filter(|user| user.email == "ada@example.test")
            .count(),
        1
    );
}
