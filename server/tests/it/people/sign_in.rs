//! Signing in with a password: one text for every no, and guessing that gets nowhere.

use std::net::IpAddr;

use footbridge_server::{
    operate::{
        Actor, OperateError, new_password, people,
        sign_in::{Attempt, PasswordCheck},
        tenants,
    },
    store::{Store, TenantStatus, User},
    vocabulary::{Role, TenantId},
};

use super::{active, add};
use crate::store::harness::{Place, add_tenant, for_each_engine, tenant};

const PASSWORD: &str = "correct horse battery";

async fn try_at(
    check: &PasswordCheck,
    email: &str,
    password: &str,
    tenant: Option<&str>,
    address: &str,
) -> Result<(TenantId, User), OperateError> {
    let attempt = Attempt {
        email: email.to_owned(),
        password: password.to_owned().into(),
        tenant: tenant.map(|name| TenantId::new(name).unwrap()),
        address: address.parse::<IpAddr>().unwrap(),
    };
    check.sign_in(attempt).await
}

async fn with_ada(place: &Place) -> (Store, PasswordCheck) {
    let store = place.open_with(&["acme"]).await;
    add(&store, &tenant("acme"), "Ada@acme.test", Role::Admin).await;
    new_password::set_password(&store, &tenant("acme"), "ada@acme.test", PASSWORD.into())
        .await
        .unwrap();
    let check = PasswordCheck::new(store.clone(), 10_000);
    (store, check)
}

#[test]
fn whoever_cannot_come_in_reads_the_same() {
    for_each_engine(|place| async move {
        let (store, check) = with_ada(&place).await;
        let here = "192.0.2.1";
        let (in_tenant, ada) = try_at(&check, " ADA@acme.test ", PASSWORD, None, here)
            .await
            .unwrap();
        assert_eq!((in_tenant.as_str(), ada.role), ("acme", Role::Admin));
        let wrong = [
            ("ada@acme.test", "correct horse batterz", None),
            ("nobody@acme.test", PASSWORD, None),
            ("owner@acme.test", PASSWORD, None),
            ("ada@acme.test", PASSWORD, Some("globex")),
            ("' OR 1=1 --", "' OR '1'='1", None),
            ("", "", None),
        ];
        for (email, password, tenant) in wrong {
            let refused = try_at(&check, email, password, tenant, here).await.unwrap_err();
            assert!(
                matches!(refused, OperateError::WrongPassword),
                "{email}: {refused}"
            );
        }
        people::change_user(
            &store,
            &Actor::Operator,
            &tenant("acme"),
            "ada@acme.test",
            active(false),
        )
        .await
        .unwrap();
        let refused = try_at(&check, "ada@acme.test", PASSWORD, None, here)
            .await
            .unwrap_err();
        assert!(matches!(refused, OperateError::WrongPassword), "{refused}");
        people::change_user(
            &store,
            &Actor::Operator,
            &tenant("acme"),
            "ada@acme.test",
            active(true),
        )
        .await
        .unwrap();
        tenants::set_status(&store, &tenant("acme"), TenantStatus::Suspended)
            .await
            .unwrap();
        let refused = try_at(&check, "ada@acme.test", PASSWORD, None, here)
            .await
            .unwrap_err();
        assert!(matches!(refused, OperateError::WrongPassword), "{refused}");
    });
}

#[test]
fn an_address_in_two_tenants_names_the_tenant() {
    for_each_engine(|place| async move {
        let (store, check) = with_ada(&place).await;
        add_tenant(&store, "globex").await;
        add(&store, &tenant("globex"), "ada@acme.test", Role::Member).await;
        new_password::set_password(
            &store,
            &tenant("globex"),
            "ada@acme.test",
            "another long password".into(),
        )
        .await
        .unwrap();
        let refused = try_at(&check, "ada@acme.test", PASSWORD, None, "192.0.2.1")
            .await
            .unwrap_err();
        assert!(matches!(refused, OperateError::WrongPassword), "{refused}");
        let (found, _) = try_at(&check, "ada@acme.test", PASSWORD, Some("acme"), "192.0.2.1")
            .await
            .unwrap();
        assert_eq!(found.as_str(), "acme");
        let other = try_at(&check, "ada@acme.test", PASSWORD, Some("globex"), "192.0.2.1").await;
        assert!(other.is_err(), "one tenant's password opens another");
    });
}

#[test]
fn guessing_is_stopped_where_it_comes_from_and_the_owner_comes_in_elsewhere() {
    for_each_engine(|place| async move {
        let (store, check) = with_ada(&place).await;
        // Another replica counts together with this one.
        let other = PasswordCheck::new(place.open().await, 10_000);
        for account in ["ada@acme.test", "nobody@acme.test"] {
            for n in 0..10 {
                let check = if n % 2 == 0 { &check } else { &other };
                let refused = try_at(check, account, "a wrong password", None, "192.0.2.9")
                    .await
                    .unwrap_err();
                assert!(matches!(refused, OperateError::WrongPassword), "{n}: {refused}");
            }
            let stopped = try_at(&other, account, PASSWORD, None, "192.0.2.9")
                .await
                .unwrap_err();
            let OperateError::TooManyAttempts(seconds) = stopped else {
                panic!("{account}: {stopped}");
            };
            assert!((1..=900).contains(&seconds), "{seconds}");
        }
        try_at(&check, "ada@acme.test", PASSWORD, None, "192.0.2.1")
            .await
            .unwrap();
        place.clock.advance(15 * 60 * 1000);
        try_at(&check, "ada@acme.test", PASSWORD, None, "192.0.2.9")
            .await
            .unwrap();
        // A success takes its attempt back: a busy day locks nobody out.
        for _ in 0..30 {
            try_at(&check, "ada@acme.test", PASSWORD, None, "192.0.2.9")
                .await
                .unwrap();
        }
        place.clock.advance(2 * 60 * 60 * 1000);
        check.tidy().await.unwrap();
        drop(store);
    });
}

#[test]
fn a_new_password_needs_the_old_one_and_guessing_it_is_bounded() {
    for_each_engine(|place| async move {
        let (store, check) = with_ada(&place).await;
        let acme = tenant("acme");
        let ada = people::find_user(&store, &Actor::Operator, &acme, "ada@acme.test")
            .await
            .unwrap();
        let change = async |present: &str, new: &str| {
            new_password::change_own_password(
                &store,
                &acme,
                &ada.id,
                present.to_owned().into(),
                new.to_owned().into(),
            )
            .await
        };
        let weak = change(PASSWORD, "ada@acme.test").await.unwrap_err();
        assert!(matches!(weak, OperateError::Invalid(_)), "{weak}");
        for _ in 0..10 {
            let refused = change("a wrong password", "an entirely new one")
                .await
                .unwrap_err();
            assert!(matches!(refused, OperateError::WrongPassword), "{refused}");
        }
        let refused = change(PASSWORD, "an entirely new one").await.unwrap_err();
        assert!(matches!(refused, OperateError::TooManyAttempts(_)), "{refused}");
        place.clock.advance(15 * 60 * 1000);
        let changed = change(PASSWORD, "an entirely new one").await.unwrap();
        assert_eq!(changed.password_set_at, Some(place.clock.now()));
        assert!(
            try_at(&check, "ada@acme.test", PASSWORD, None, "192.0.2.1")
                .await
                .is_err()
        );
        try_at(&check, "ada@acme.test", "an entirely new one", None, "192.0.2.1")
            .await
            .unwrap();
    });
}
