//! Groups: by every door, by two at once, and the one that is a role in the access edition.

use footbridge_server::{
    catalogue::{Catalogue, NamedText},
    operate::{Actor, groups, keys::mint, people},
    vocabulary::{EditionName, Role},
};
use serde_json::json;

use super::{CATALOGUE, add, house, local, request};
use crate::{
    house::House,
    store::harness::{for_each_engine, tenant},
};

#[test]
fn two_admins_who_put_people_into_groups_undo_nothing_of_each_other() {
    for_each_engine(|place| async move {
        let (here, acme) = (place.open_with(&["acme"]).await, tenant("acme"));
        let there = place.open().await;
        let mia = add(&here, &acme, "mia@acme.test", Role::Member).await;
        let (ada, bob) = (
            add(&here, &acme, "ada@acme.test", Role::Admin).await,
            add(&here, &acme, "bob@acme.test", Role::Admin).await,
        );
        let (ada, bob) = (Actor::Person(ada.id), Actor::Person(bob.id));
        for round in 0..10 {
            let (one, other) = (format!("a {round}"), format!("cn=b,ou={round}"));
            let (first, second) = tokio::join!(
                groups::set_member(&here, &ada, &acme, &one, "mia@acme.test", true),
                groups::set_member(&there, &bob, &acme, &other, mia.id.as_str(), true),
            );
            first.unwrap();
            second.unwrap();
        }
        let all = people::users(&here, &ada, &acme).await.unwrap();
        let counted = groups::of(&all);
        assert_eq!(counted.len(), 20, "{counted:?}");
        assert!(counted.iter().all(|group| group.members == 1));
        // Taking somebody out who is not in changes nothing, and so does putting them in twice.
        for (group, inside) in [("none", false), ("a 0", true)] {
            let user = groups::set_member(&here, &ada, &acme, group, "mia@acme.test", inside).await;
            assert_eq!(user.unwrap().groups.len(), 20);
        }
        for wrong in ["", "a\u{202e}b", &"x".repeat(65)] {
            let refused = groups::set_member(&here, &ada, &acme, wrong, "mia@acme.test", true).await;
            assert!(
                refused.unwrap_err().to_string().contains("groups: each has"),
                "{wrong:?}"
            );
        }
    });
}

#[tokio::test]
async fn groups_are_changed_over_rest_by_admins_and_read_by_auditors() {
    let house = house().await;
    let admin = house.token_of(Role::Admin).await;
    let member = house.person(Role::Member).await.id;
    let at = |group: &str| format!("/v1/groups/{group}/members/{member}");
    for group in ["night%20shift", "cn=ops,ou=it"] {
        let reply = house.rest("PUT", &at(group), &admin).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let listed = async |role| {
        let token = house.token_of(role).await;
        house.rest("GET", "/v1/groups", &token).send().await.json()["items"].clone()
    };
    let both = json!([{ "name": "cn=ops,ou=it", "members": 1 }, { "name": "night shift", "members": 1 }]);
    assert_eq!(listed(Role::Auditor).await, both);
    assert_eq!(listed(Role::Member).await, both, "their own");
    let reply = house.rest("DELETE", &at("cn=ops,ou=it"), &admin).send().await;
    assert_eq!(reply.json()["groups"], json!(["night shift"]));
    for role in [Role::Member, Role::Auditor] {
        let token = house.token_of(role).await;
        for method in ["PUT", "DELETE"] {
            let reply = house.rest(method, &at("x"), &token).send().await;
            assert_eq!(reply.status, 403, "{method} as {role:?}");
        }
    }
    let owner = house.person(Role::Owner).await.id;
    let reply = house
        .rest("PUT", &format!("/v1/groups/x/members/{owner}"), &admin)
        .send()
        .await;
    assert_eq!(reply.status, 403, "an owner is no admin's to change");
    assert_eq!(
        listed(Role::Owner).await,
        json!([{ "name": "night shift", "members": 1 }])
    );
}

/// A server with two editions of the same tools, of which one is the access edition.
async fn two_editions() -> (House, Catalogue) {
    let house = House::start().await;
    let access = CATALOGUE
        .replace("name = \"test\"", "name = \"access\"")
        .replace("key_prefix = \"test_\"", "key_prefix = \"acc_\"")
        .replace("bare_path = \"/mcp\"\n", "");
    let load = || {
        let file = |name, text| NamedText { name, text };
        Catalogue::load(&[&[file("one.toml", CATALOGUE)], &[file("two.toml", &access)]]).unwrap()
    };
    house.rooms.replace_catalogue(&load()).unwrap();
    (house, load())
}

#[tokio::test]
async fn the_group_admin_is_the_role_in_the_access_edition_alone() {
    let (house, catalogue) = two_editions().await;
    add(&house.store, &local(), "ada@example.com", Role::Member).await;
    let ask = |edition: &str| {
        let mut request = request(Some("ada@example.com"), "admin:* crm:write");
        request.editions = vec![EditionName::new(edition).unwrap()];
        request
    };
    let mint_for =
        async |edition| mint(&house.store, catalogue.editions(), &Actor::Operator, ask(edition)).await;
    assert!(mint_for("access").await.is_err(), "a member");
    groups::set_member(
        &house.store,
        &Actor::Operator,
        &local(),
        "admin",
        "ada@example.com",
        true,
    )
    .await
    .unwrap();
    let refused = mint_for("test").await.err().unwrap().to_string();
    assert!(refused.contains("not for the role member"), "{refused}");
    let key = mint_for("access").await.unwrap().key;
    house.heard_of_people().await;
    let call = async |tool| {
        let call = house.call(&key, tool, json!({})).path("/access/mcp");
        call.send().await.json()["result"]["isError"] != json!(true)
    };
    assert!(call("members.list").await && call("crm.configure").await);
    groups::set_member(
        &house.store,
        &Actor::Operator,
        &local(),
        "admin",
        "ada@example.com",
        false,
    )
    .await
    .unwrap();
    house.heard_of_people().await;
    assert!(!call("members.list").await && !call("crm.configure").await);
}
