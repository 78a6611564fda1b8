//! Two who act at the same moment: the store decides, on either engine, and exactly one gets what only one can have.

use std::sync::Arc;

use footbridge_server::{
    operate::{
        Actor, OperateError,
        invitations::{self, InviteRequest},
        keys::{self, KeyNarrowing, Rotation},
        people,
    },
    store::Store,
    vocabulary::{Role, TenantId},
};
use futures_util::future::join_all;

use super::{active, add, catalogue, to_role};
use crate::store::harness::{Place, for_each_engine, tenant};

async fn owners(store: &Store, tenant: &TenantId) -> usize {
    let all = people::users(store, &Actor::Operator, tenant).await.unwrap();
    let owner =
        |user: &&footbridge_server::store::User| user.role == Role::Owner && user.disabled_at.is_none();
    all.iter().filter(owner).count()
}

/// A tenant whose owners all can be named.
async fn two_replicas(place: &Place) -> (Store, Store) {
    let first = place.open_with(&["acme"]).await;
    (first, place.open().await)
}

#[test]
fn two_owners_who_shut_each_other_out_leave_one() {
    for_each_engine(|place| async move {
        let (here, there) = two_replicas(&place).await;
        let acme = tenant("acme");
        for round in 0..10 {
            let (ada, bob) = (format!("ada{round}@acme.test"), format!("bob{round}@acme.test"));
            let ada = add(&here, &acme, &ada, Role::Owner).await;
            let bob = add(&here, &acme, &bob, Role::Owner).await;
            // Only these two are left as owners.
            for user in people::users(&here, &Actor::Operator, &acme).await.unwrap() {
                if user.id != ada.id && user.id != bob.id && user.disabled_at.is_none() {
                    let out = active(false);
                    people::change_user(&here, &Actor::Operator, &acme, user.id.as_str(), out)
                        .await
                        .unwrap();
                }
            }
            let (by_ada, by_bob) = (Actor::Person(ada.id.clone()), Actor::Person(bob.id.clone()));
            let change = if round % 2 == 0 {
                active(false)
            } else {
                to_role(Role::Member)
            };
            let (one, other) = tokio::join!(
                people::change_user(&here, &by_ada, &acme, bob.id.as_str(), change.clone()),
                people::change_user(&there, &by_bob, &acme, ada.id.as_str(), change),
            );
            assert_eq!(
                u8::from(one.is_ok()) + u8::from(other.is_ok()),
                1,
                "{one:?} {other:?}"
            );
            let refused = one.err().or(other.err()).unwrap();
            assert!(matches!(refused, OperateError::Forbidden(_)), "{refused}");
            assert_eq!(owners(&here, &acme).await, 1);
        }
    });
}

#[test]
fn the_last_owner_is_neither_demoted_nor_shut_out() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let acme = tenant("acme");
        add(&store, &acme, "ada@acme.test", Role::Admin).await;
        for change in [to_role(Role::Admin), active(false)] {
            let refused =
                people::change_user(&store, &Actor::Operator, &acme, "owner@acme.test", change).await;
            assert!(refused.unwrap_err().to_string().contains("last owner"));
        }
        // A disabled owner is none.
        people::change_user(
            &store,
            &Actor::Operator,
            &acme,
            "ada@acme.test",
            to_role(Role::Owner),
        )
        .await
        .unwrap();
        people::change_user(&store, &Actor::Operator, &acme, "ada@acme.test", active(false))
            .await
            .unwrap();
        let refused =
            people::change_user(&store, &Actor::Operator, &acme, "owner@acme.test", active(false)).await;
        assert!(refused.unwrap_err().to_string().contains("last owner"));
    });
}

#[test]
fn an_invitation_lets_one_in_and_only_while_its_inviter_could_invite() {
    for_each_engine(|place| async move {
        let (here, there) = two_replicas(&place).await;
        let acme = tenant("acme");
        let ada = add(&here, &acme, "ada@acme.test", Role::Admin).await;
        let by = Actor::Person(ada.id.clone());
        let invite = async |email: &str, role| {
            let request = InviteRequest {
                email: email.to_owned(),
                role,
                groups: vec!["sales".to_owned()],
                expires_in_days: None,
            };
            invitations::invite(&here, &by, &acme, request).await
        };
        let refused = invite("boss@acme.test", Role::Owner).await.err().unwrap();
        assert!(
            matches!(refused, OperateError::Forbidden(_)),
            "an admin makes an owner"
        );
        let token = invite("new@acme.test", Role::Member).await.unwrap().token;
        let tries = (0..6).map(|n| {
            let store = if n % 2 == 0 { &here } else { &there };
            invitations::accept(store, &token, "New", "correct horse battery".into())
        });
        let results = join_all(tries).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let (_, user) = results.into_iter().find_map(Result::ok).unwrap();
        assert_eq!(
            (user.role, user.groups.as_slice()),
            (Role::Member, &["sales".to_owned()][..])
        );
        assert!(user.password_hash.unwrap().starts_with("$argon2id$"));

        let replaced = invite("late@acme.test", Role::Member).await.unwrap().token;
        let stale = invite("late@acme.test", Role::Member).await.unwrap().token;
        let expired = invite("slow@acme.test", Role::Member).await.unwrap().token;
        let taken_back = invite("never@acme.test", Role::Member).await.unwrap();
        invitations::revoke(&here, &by, &acme, &taken_back.invitation.id)
            .await
            .unwrap();
        people::change_user(
            &here,
            &Actor::Operator,
            &acme,
            "ada@acme.test",
            to_role(Role::Member),
        )
        .await
        .unwrap();
        let accept = async |token: &str| {
            let refused = invitations::accept(&here, token, "", "correct horse battery".into()).await;
            refused.unwrap_err().to_string()
        };
        let text = accept("fbi_unknown").await;
        for token in [&token, &replaced, &stale, &taken_back.token] {
            assert_eq!(accept(token).await, text, "what is worth nothing looks alike");
        }
        place.clock.advance(8 * 24 * 60 * 60 * 1000);
        assert_eq!(accept(&expired).await, text);
    });
}

#[test]
fn a_key_is_rotated_once_and_narrowed_by_both() {
    for_each_engine(|place| async move {
        let (here, there) = two_replicas(&place).await;
        let acme = tenant("acme");
        let editions = Arc::new(catalogue());
        let mut request = super::request(None, "crm:read crm:write memory.read");
        request.tenant = acme.clone();
        request.expires_in_days = Some(90);
        let key = super::minted(&here, &Actor::Operator, request).await.view;
        let narrow = |store: Store, wish: KeyNarrowing| {
            let (editions, acme, id) = (Arc::clone(&editions), acme.clone(), key.id.clone());
            async move {
                let editions = editions.editions();
                keys::narrow(&store, editions, &Actor::Operator, &acme, id.as_str(), wish, 60).await
            }
        };
        let fewer = KeyNarrowing {
            scopes: Some(super::scopes("crm:read")),
            ..KeyNarrowing::default()
        };
        let reads = KeyNarrowing {
            read_only: Some(true),
            ..KeyNarrowing::default()
        };
        let (one, other) = tokio::join!(narrow(here.clone(), fewer), narrow(there.clone(), reads));
        one.unwrap();
        other.unwrap();
        let now = keys::show(&there, &Actor::Operator, &acme, key.id.as_str())
            .await
            .unwrap();
        assert!(
            now.read_only && now.scopes == super::scopes("crm:read"),
            "one undid the other: {now:?}"
        );

        place.clock.advance(89 * 24 * 60 * 60 * 1000);
        let tries = (0..4).map(|n| {
            let store = if n % 2 == 0 { &here } else { &there };
            keys::rotate(
                store,
                editions.editions(),
                &Actor::Operator,
                &acme,
                key.id.as_str(),
                Rotation::default(),
            )
        });
        let results = join_all(tries).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        for refused in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(matches!(refused, OperateError::Conflict(_)), "{refused}");
        }
        let twin = results.into_iter().find_map(Result::ok).unwrap();
        assert_eq!(
            (twin.view.replaces.as_ref(), twin.view.read_only),
            (Some(&key.id), true)
        );
        let life = twin.view.expires_at.unwrap().as_millis() - twin.view.created_at.as_millis();
        assert_eq!(
            life,
            90 * 24 * 60 * 60 * 1000,
            "a twin lives as long as the old one was made for"
        );
        let old = keys::show(&here, &Actor::Operator, &acme, key.id.as_str())
            .await
            .unwrap();
        let grace = old.expires_at.unwrap().as_millis() - twin.view.created_at.as_millis();
        assert_eq!(grace, 60 * 60 * 1000);
    });
}
