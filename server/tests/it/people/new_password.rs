//! Links to a new password: who may make one, that it works once, and what it ends.

use footbridge_server::{
    operate::{
        Actor, OperateError, new_password, people,
        sign_in::{Attempt, PasswordCheck},
    },
    store::{ChangeFilter, Store, User},
    vocabulary::{Role, TenantId},
};

use super::{active, add, to_role};
use crate::store::harness::{Place, for_each_engine, tenant};

const PASSWORD: &str = "crossing rivers daily";
const HOUR_MS: i64 = 60 * 60 * 1000;

struct Team {
    store: Store,
    acme: TenantId,
    owner: User,
    admin: User,
    member: User,
}

impl Team {
    async fn of(place: &Place) -> Self {
        let store = place.open_with(&["acme"]).await;
        let acme = tenant("acme");
        let of = async |name: &str, role| add(&store, &acme, &format!("{name}@acme.test"), role).await;
        let (owner, admin) = (of("olga", Role::Owner).await, of("ada", Role::Admin).await);
        let member = of("mia", Role::Member).await;
        Self {
            store,
            acme,
            owner,
            admin,
            member,
        }
    }

    async fn link(&self, by: &Actor, whose: &User) -> Result<String, OperateError> {
        let made = new_password::make_link(&self.store, by, &self.acme, whose.id.as_str()).await;
        made.map(|link| link.token)
    }

    async fn follow(&self, token: &str) -> Result<User, String> {
        let followed = new_password::follow(&self.store, token, PASSWORD.into()).await;
        followed.map(|(_, user)| user).map_err(|error| error.to_string())
    }

    async fn signs_in(&self, user: &User, password: &str) -> bool {
        let check = PasswordCheck::new(self.store.clone(), 10_000);
        let attempt = Attempt {
            email: user.email.clone(),
            password: password.into(),
            tenant: None,
            address: [192, 0, 2, 1].into(),
        };
        check.sign_in(attempt).await.is_ok()
    }
}

fn by(user: &User) -> Actor {
    Actor::Person(user.id.clone())
}

#[test]
fn whoever_may_command_a_person_makes_the_link_and_it_works_once() {
    for_each_engine(|place| async move {
        let team = Team::of(&place).await;
        new_password::set_password(
            &team.store,
            &team.acme,
            "mia@acme.test",
            "of before, forgotten".into(),
        )
        .await
        .unwrap();
        let token = team.link(&by(&team.admin), &team.member).await.unwrap();
        assert!(token.starts_with("fbr_") && token.len() == 47, "{token}");
        let (found, user) = new_password::look(&team.store, &token).await.unwrap();
        assert_eq!((found, user.id), (team.acme.clone(), team.member.id.clone()));
        let weak = new_password::follow(&team.store, &token, "short".into()).await;
        assert!(weak.unwrap_err().to_string().contains("12 characters"));
        assert!(
            team.signs_in(&team.member, "of before, forgotten").await,
            "a link that nobody followed changes nothing"
        );
        // Of two who follow it at the same moment, one sets the password.
        let (one, other) = tokio::join!(team.follow(&token), team.follow(&token));
        assert_eq!(
            u8::from(one.is_ok()) + u8::from(other.is_ok()),
            1,
            "{one:?} {other:?}"
        );
        assert!(
            one.err()
                .or(other.err())
                .unwrap()
                .contains("this link is not valid")
        );
        assert!(team.signs_in(&team.member, PASSWORD).await);
        assert!(!team.signs_in(&team.member, "of before, forgotten").await);
        let rows = team
            .store
            .read(&team.acme, |tx| {
                Box::pin(async move {
                    let all = tx.change_log().list(&ChangeFilter::default(), None, 50).await?;
                    Ok::<_, footbridge_server::store::StoreError>(all.rows)
                })
            })
            .await
            .unwrap();
        let told: Vec<_> = rows
            .iter()
            .map(|row| row.record.action.as_str())
            .filter(|action| action.starts_with("user.password"))
            .collect();
        assert_eq!(
            told.iter()
                .filter(|action| **action == "user.password_link")
                .count(),
            1
        );
        assert_eq!(
            told.iter().filter(|action| **action == "user.password").count(),
            2
        );
        let text = format!("{rows:?}");
        assert!(!text.contains(&token) && !text.contains(PASSWORD));
    });
}

#[test]
fn nobody_makes_a_link_for_those_above_them_for_themselves_or_for_nobody() {
    for_each_engine(|place| async move {
        let team = Team::of(&place).await;
        let refused = [
            (by(&team.admin), &team.owner, "owner access required"),
            (by(&team.member), &team.admin, "admin access required"),
            (by(&team.member), &team.member, "admin access required"),
            (by(&team.admin), &team.admin, "a link is for somebody else"),
            (by(&team.owner), &team.owner, "a link is for somebody else"),
        ];
        for (actor, whose, part) in refused {
            let error = team.link(&actor, whose).await.unwrap_err().to_string();
            assert!(error.contains(part), "{actor:?} for {}: {error}", whose.email);
        }
        for actor in [Actor::Operator, by(&team.admin)] {
            let nobody = new_password::make_link(&team.store, &actor, &team.acme, "nobody@acme.test").await;
            assert!(matches!(nobody, Err(OperateError::NotFound(_))));
        }
        people::change_user(
            &team.store,
            &Actor::Operator,
            &team.acme,
            "mia@acme.test",
            active(false),
        )
        .await
        .unwrap();
        let out = team.link(&Actor::Operator, &team.member).await.unwrap_err();
        assert!(out.to_string().contains("is shut out"), "{out}");
        team.link(&Actor::Operator, &team.owner).await.unwrap();
    });
}

#[test]
fn a_link_is_worth_nothing_once_something_changed() {
    for_each_engine(|place| async move {
        let team = Team::of(&place).await;
        let (store, acme) = (&team.store, &team.acme);
        let change = async |whose: &User, change| {
            people::change_user(store, &Actor::Operator, acme, whose.id.as_str(), change)
                .await
                .unwrap();
        };
        let worthless = async |token: &str, why: &str| {
            assert!(new_password::look(store, token).await.is_err(), "{why}");
            let refused = team.follow(token).await.unwrap_err();
            assert!(refused.contains("this link is not valid"), "{why}: {refused}");
        };
        worthless("fbr_x", "made up").await;
        let replaced = team.link(&by(&team.admin), &team.member).await.unwrap();
        let token = team.link(&by(&team.admin), &team.member).await.unwrap();
        worthless(&replaced, "an older one").await;
        // Whoever made it may no longer: they were demoted, shut out, or the person has risen above them.
        change(&team.admin, to_role(Role::Member)).await;
        worthless(&token, "its maker was demoted").await;
        change(&team.admin, to_role(Role::Admin)).await;
        change(&team.member, to_role(Role::Owner)).await;
        worthless(&token, "they are an owner by now").await;
        change(&team.member, to_role(Role::Member)).await;
        change(&team.member, active(false)).await;
        worthless(&token, "they are shut out").await;
        change(&team.member, active(true)).await;
        new_password::set_password(store, acme, "mia@acme.test", "set in another way".into())
            .await
            .unwrap();
        worthless(&token, "there is a newer password").await;
        let token = team.link(&by(&team.owner), &team.member).await.unwrap();
        place.clock.advance(23 * HOUR_MS);
        assert!(new_password::look(store, &token).await.is_ok());
        place.clock.advance(HOUR_MS);
        worthless(&token, "a day has gone by").await;
        new_password::tidy(store).await.unwrap();
        worthless(&token, "it was forgotten").await;
    });
}
