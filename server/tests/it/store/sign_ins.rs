//! Sign-ins: found by their secret's hash alone, for as long as they, their person and their tenant are good.

use footbridge_server::{
    store::{NewSignIn, NewUser, SignIn, SignInKind, Store, TenantStatus},
    vocabulary::{Role, Timestamp, UserId},
};

use super::harness::{START, for_each_engine, tenant, write};

const HOUR: i64 = 60 * 60 * 1000;

async fn add(store: &Store, owner: &str, id: &'static str, hash: u8, kind: SignInKind) {
    let user = UserId::new("usr_ada").unwrap();
    write(store, owner, move |tx| {
        Box::pin(async move {
            if tx.users().find(&user).await?.is_none() {
                let ada = NewUser {
                    id: user.clone(),
                    email: "ada@example.com".into(),
                    name: "Ada".into(),
                    role: Role::Admin,
                    groups: vec!["staff".into()],
                    password_hash: None,
                };
                tx.users().insert(&ada).await?;
            }
            let new = NewSignIn {
                id: id.to_owned(),
                hash: [hash; 32],
                user,
                kind,
                expires_at: START.plus_millis(12 * HOUR),
            };
            tx.sign_ins().insert(&new).await
        })
    })
    .await;
}

async fn find(store: &Store, hash: u8, kind: SignInKind, idle_since: Timestamp) -> Option<SignIn> {
    store
        .system_read(move |tx| {
            Box::pin(async move { tx.sign_ins().find(&[hash; 32], kind, idle_since).await })
        })
        .await
        .unwrap()
}

#[test]
fn a_sign_in_is_found_with_the_person_as_they_are_now() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        add(&store, "acme", "ses_1", 1, SignInKind::Browser).await;
        add(&store, "globex", "ses_1", 2, SignInKind::Token).await;
        let before = START.plus_millis(-1);
        let found = find(&store, 1, SignInKind::Browser, before).await.unwrap();
        assert_eq!(found.tenant, tenant("acme"));
        assert_eq!(
            (found.role, found.groups),
            (Role::Admin, vec!["staff".to_owned()])
        );
        assert_eq!(
            find(&store, 2, SignInKind::Token, before).await.unwrap().tenant,
            tenant("globex")
        );
        assert_eq!(
            find(&store, 1, SignInKind::Token, before).await,
            None,
            "of another kind"
        );
        assert_eq!(find(&store, 3, SignInKind::Token, before).await, None, "unknown");
        assert_eq!(
            find(&store, 1, SignInKind::Browser, START).await,
            None,
            "not used since"
        );

        let ada = UserId::new("usr_ada").unwrap();
        write(&store, "acme", move |tx| {
            Box::pin(async move { tx.users().set_role(&ada, Role::Member).await })
        })
        .await;
        let found = find(&store, 1, SignInKind::Browser, before).await.unwrap();
        assert_eq!(found.role, Role::Member);
    });
}

#[test]
fn a_sign_in_ends_by_itself_by_hand_and_with_its_person_or_tenant() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        let before = START.plus_millis(-1);
        let good = async |hash| find(&store, hash, SignInKind::Token, before).await.is_some();
        for (owner, id, hash) in [
            ("acme", "ses_1", 1),
            ("acme", "ses_2", 2),
            ("acme", "ses_3", 3),
            ("globex", "ses_4", 4),
        ] {
            add(&store, owner, id, hash, SignInKind::Token).await;
        }
        let ended = write(&store, "acme", |tx| {
            Box::pin(async move {
                Ok((
                    tx.sign_ins().end("ses_1").await?,
                    tx.sign_ins().end("ses_4").await?,
                ))
            })
        })
        .await;
        assert_eq!(ended, (true, false), "another tenant's cannot be ended");
        assert!(!good(1).await && good(2).await && good(4).await);

        let ada = UserId::new("usr_ada").unwrap();
        let all = write(&store, "acme", move |tx| {
            Box::pin(async move { tx.sign_ins().end_all(&ada).await })
        })
        .await;
        assert_eq!(all, 2);
        assert!(!good(2).await && !good(3).await && good(4).await);

        store
            .system_write(|tx| {
                Box::pin(async move {
                    tx.tenants()
                        .set_status(&tenant("globex"), TenantStatus::Suspended)
                        .await
                })
            })
            .await
            .unwrap();
        assert!(!good(4).await, "its tenant is suspended");

        add(&store, "acme", "ses_5", 5, SignInKind::Token).await;
        place.clock.advance(12 * HOUR - 1);
        assert!(good(5).await, "to the last millisecond");
        place.clock.advance(1);
        assert!(!good(5).await, "it has expired");
        let purged = store
            .system_write(|tx| Box::pin(async move { tx.sign_ins().purge().await }))
            .await
            .unwrap();
        assert_eq!(purged, 2, "what has expired is forgotten, whosever it is");
    });
}
