//! Tenants, users, keys, settings and setup tokens.

use footbridge_server::{
    store::{KeyLimits, KeyRights, NewKey, NewTenant, NewUser, Store, StoreError, TenantStatus, Topic},
    vocabulary::{EditionName, KeyId, Role, Scope, Timestamp, UserId},
};

use super::harness::{START, for_each_engine, tenant};

pub(super) fn new_key(id: &str, hash: u8) -> NewKey {
    NewKey {
        id: KeyId::new(id).unwrap(),
        hash: [hash; 32],
        prefix: format!("fb_live_{hash:02x}"),
        name: "laptop".into(),
        owner: UserId::new("usr_owner").unwrap(),
        scopes: vec![Scope::new("crm:read").unwrap()],
        editions: vec![EditionName::new("workspace").unwrap()],
        limits: KeyLimits {
            monthly_cap: Some(1000),
            read_only: true,
            ..KeyLimits::default()
        },
        expires_at: None,
        replaces: None,
    }
}

async fn insert_key(store: &Store, owner: &str, key: NewKey) -> Result<(), StoreError> {
    store
        .write(&tenant(owner), |tx| {
            Box::pin(async move { tx.keys().insert(&key).await.map(|_| ()) })
        })
        .await
}

#[test]
fn a_tenant_is_made_once() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let again = NewTenant {
            id: tenant("acme"),
            name: "Again".into(),
            monthly_cap: Some(5),
        };
        let refused = store
            .system_write(|tx| Box::pin(async move { tx.tenants().insert(&again).await }))
            .await;
        assert!(matches!(refused, Err(StoreError::Conflict { what }) if what == "tenant `acme`"));

        let (found, absent) = store
            .system_write(|tx| {
                Box::pin(async move {
                    assert!(
                        tx.tenants()
                            .set_status(&tenant("acme"), TenantStatus::Suspended)
                            .await?
                    );
                    assert!(!tx.tenants().update(&tenant("nobody"), "x", None).await?);
                    Ok::<_, StoreError>((
                        tx.tenants().find(&tenant("acme")).await?,
                        tx.tenants().find(&tenant("nobody")).await?,
                    ))
                })
            })
            .await
            .unwrap();
        assert_eq!(found.unwrap().status, TenantStatus::Suspended);
        assert_eq!(absent, None);
    });
}

#[test]
fn an_email_names_one_user_whatever_its_case() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        let ada = NewUser {
            id: UserId::new("usr_ada").unwrap(),
            email: "Ada@Example.test".into(),
            name: "Ada".into(),
            role: Role::Member,
            groups: vec!["sales".into()],
            password_hash: Some("$argon2id$secret".into()),
        };
        let twin = NewUser {
            id: UserId::new("usr_twin").unwrap(),
            email: "ada@example.TEST".into(),
            ..ada.clone()
        };
        for name in ["acme", "globex"] {
            let ada = ada.clone();
            store
                .write(&tenant(name), |tx| {
                    Box::pin(async move { tx.users().insert(&ada).await })
                })
                .await
                .unwrap();
        }
        let refused = store
            .write(&tenant("acme"), |tx| {
                Box::pin(async move { tx.users().insert(&twin).await })
            })
            .await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })));

        let found = store
            .write(&tenant("acme"), |tx| {
                Box::pin(async move {
                    let id = UserId::new("usr_ada").unwrap();
                    assert!(tx.users().set_role(&id, Role::Admin).await?);
                    assert!(tx.users().disable(&id).await?);
                    tx.users().find_by_email("ADA@example.test").await
                })
            })
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.role, found.disabled_at, found.groups.as_slice()),
            (Role::Admin, Some(START), &["sales".to_owned()][..])
        );
        assert!(!format!("{found:?}").contains("argon2"));
        let everywhere = store
            .system_read(|tx| Box::pin(async move { tx.users().find_by_email("ada@EXAMPLE.test").await }))
            .await;
        let everywhere: Vec<_> = everywhere
            .unwrap()
            .into_iter()
            .map(|(tenant, _)| tenant.to_string())
            .collect();
        assert_eq!(everywhere, ["acme", "globex"]);
    });
}

#[test]
fn a_conflict_handled_by_the_work_does_not_spoil_the_rest() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        insert_key(&store, "acme", new_key("key_a", 1)).await.unwrap();
        store
            .write(&tenant("acme"), |tx| {
                Box::pin(async move {
                    let taken = tx.keys().insert(&new_key("key_b", 1)).await;
                    assert!(matches!(taken, Err(StoreError::Conflict { .. })));
                    tx.keys().insert(&new_key("key_c", 3)).await.map(|_| ())
                })
            })
            .await
            .unwrap();
        let found = store
            .system_read(|tx| Box::pin(async move { tx.keys().find_by_hash(&[3; 32]).await }))
            .await;
        assert_eq!(found.unwrap().unwrap().id.as_str(), "key_c");
    });
}

#[test]
fn keys_live_are_narrowed_and_die() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        insert_key(&store, "acme", new_key("key_a", 1)).await.unwrap();
        let (all, version) = store
            .system_read(|tx| Box::pin(async move { tx.keys().all().await }))
            .await
            .unwrap();
        assert_eq!(
            (all.len(), all[0].limits.monthly_cap, version),
            (1, Some(1000), 1)
        );

        place.clock.advance(5000);
        let id = KeyId::new("key_a").unwrap();
        store
            .write(&tenant("acme"), |tx| {
                Box::pin(async move {
                    let now = tx.now();
                    let later = now.plus_millis(60_000);
                    assert!(tx.keys().expire_at(&id, later).await?);
                    assert!(
                        !tx.keys().expire_at(&id, later.plus_millis(1)).await?,
                        "a key's life only shortens"
                    );
                    tx.keys().touch(&id, now, Some("claude-code")).await?;
                    tx.keys().touch(&id, Timestamp(1), None).await?;
                    let rights = KeyRights {
                        name: "desk".into(),
                        scopes: Vec::new(),
                        editions: Vec::new(),
                        limits: KeyLimits::default(),
                        expires_at: Some(later),
                    };
                    assert!(tx.keys().narrow(&id, &rights).await?);
                    assert!(tx.keys().revoke(&id).await?);
                    assert!(
                        !tx.keys().revoke(&id).await?,
                        "revoking is for good and happens once"
                    );
                    Ok::<_, StoreError>(())
                })
            })
            .await
            .unwrap();
        let (changed, newest) = store
            .system_read(move |tx| Box::pin(async move { tx.keys().changed_since(version).await }))
            .await
            .unwrap();
        let key = &changed[0];
        assert_eq!(key.revoked_at, Some(START.plus_millis(5000)));
        assert_eq!(key.expires_at, Some(START.plus_millis(65_000)));
        assert_eq!(
            (key.last_used_at, key.last_used_client.as_deref()),
            (key.revoked_at, Some("claude-code"))
        );
        assert!(key.scopes.is_empty() && key.name == "desk" && newest > version);
        let rest = store
            .system_read(move |tx| Box::pin(async move { tx.keys().changed_since(newest).await }))
            .await;
        assert!(rest.unwrap().0.is_empty());
    });
}

#[test]
fn a_key_needs_an_owner_in_its_own_tenant() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let orphan = NewKey {
            owner: UserId::new("usr_ghost").unwrap(),
            ..new_key("key_a", 1)
        };
        assert!(insert_key(&store, "acme", orphan).await.is_err());
        assert!(insert_key(&store, "nobody", new_key("key_a", 1)).await.is_err());
        insert_key(&store, "acme", new_key("key_a", 1)).await.unwrap();
    });
}

#[test]
fn settings_belong_to_their_owner() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        let mut changes = store.listen(&[Topic::Settings]);
        store
            .write(&tenant("acme"), |tx| {
                Box::pin(async move {
                    tx.settings().set("theme", &"dark").await?;
                    tx.settings().set("theme", &"light").await
                })
            })
            .await
            .unwrap();
        store
            .system_write(|tx| Box::pin(async move { tx.settings().set("theme", &1).await }))
            .await
            .unwrap();
        let globex = store
            .read(&tenant("globex"), |tx| {
                Box::pin(async move { tx.settings().get::<String>("theme").await })
            })
            .await;
        assert_eq!(globex.unwrap(), None);
        let acme = store
            .read(&tenant("acme"), |tx| {
                Box::pin(async move { tx.settings().list().await })
            })
            .await;
        assert_eq!(acme.unwrap(), [("theme".to_owned(), "light".into())]);
        assert_eq!(changes.next().await, Some(Topic::Settings));
    });
}

#[test]
fn a_setup_token_works_once_and_not_after_its_time() {
    for_each_engine(|place| async move {
        let store = place.open().await;
        store
            .system_write(|tx| {
                Box::pin(async move {
                    let end = tx.now().plus_millis(1000);
                    tx.setup_tokens().insert(&[1; 32], "first owner", end).await?;
                    tx.setup_tokens().insert(&[2; 32], "first owner", end).await
                })
            })
            .await
            .unwrap();
        let redeem = |hash: u8| {
            let store = store.clone();
            async move {
                let redeemed = store.system_write(move |tx| {
                    Box::pin(async move { tx.setup_tokens().redeem(&[hash; 32]).await })
                });
                redeemed.await.unwrap()
            }
        };
        assert_eq!(redeem(9).await, None);
        assert_eq!(redeem(1).await.as_deref(), Some("first owner"));
        assert_eq!(redeem(1).await, None);
        place.clock.advance(1000);
        assert_eq!(redeem(2).await, None);
        let purged = store
            .system_write(|tx| Box::pin(async move { tx.setup_tokens().purge().await }))
            .await;
        assert_eq!(purged.unwrap(), 2);
    });
}
