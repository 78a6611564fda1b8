//! Monthly caps, several processes on one store: exactly so many calls pass, whatever goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use footbridge_server::{
    access::{Keyring, Principal},
    catalogue::{Catalogue, NamedText},
    limits::{CapError, Limits, OverLimit},
    operate::{
        Actor,
        keys::{MintRequest, mint},
    },
    store::{KeyLimits, Store},
    vocabulary::{EditionName, Scope, TenantId, Timestamp},
};
use tokio::task::JoinSet;

use crate::store::harness::{Place, START, for_each_engine};

/// One process's share of the house: its own connections, its own counts.
struct Replica {
    limits: Arc<Limits>,
    keyring: Arc<Keyring>,
    store: Store,
}

fn catalogue() -> Catalogue {
    Catalogue::load(&[&[NamedText {
        name: "house.toml",
        text: include_str!("../house.toml"),
    }]])
    .unwrap()
}

impl Replica {
    async fn start(place: &Place) -> Self {
        let store = place.open().await;
        let limits = Arc::new(Limits::new(1000, store.clone()));
        tokio::spawn(Arc::clone(&limits).follow());
        let keyring = Keyring::load(store.clone(), &catalogue(), 1_000_000)
            .await
            .unwrap();
        tokio::spawn(Arc::clone(&keyring).follow());
        Self {
            limits,
            keyring,
            store,
        }
    }

    async fn key(&self, limits: KeyLimits) -> String {
        let request = MintRequest {
            tenant: tenant(),
            owner: None,
            name: "test".to_owned(),
            editions: vec![EditionName::new("test").unwrap()],
            scopes: vec![Scope::new("t:read").unwrap()],
            expires_in_days: None,
            limits,
        };
        mint(&self.store, catalogue().editions(), &Actor::Operator, request)
            .await
            .unwrap()
            .key
    }

    async fn principal(&self, key: &str) -> Principal {
        let catalogue = catalogue();
        self.keyring
            .authenticate(Some(key), &catalogue.editions()[0], START)
            .await
            .unwrap()
    }

    /// Makes one call, or says that the cap refuses it.
    async fn call(&self, principal: &Principal, now: Timestamp) -> bool {
        match self.limits.reserve(principal, now).await {
            Ok(ticket) => {
                ticket.spend();
                true
            }
            Err(CapError::Over(OverLimit::Cap { .. })) => false,
            Err(other) => panic!("{other}"),
        }
    }

    /// Calls until the cap refuses, and says how many passed.
    async fn exhaust(&self, principal: &Principal, now: Timestamp) -> u64 {
        let mut passed = 0;
        while self.call(principal, now).await {
            passed += 1;
        }
        passed
    }
}

fn tenant() -> TenantId {
    TenantId::new("local").unwrap()
}

fn capped(cap: u64) -> KeyLimits {
    KeyLimits {
        monthly_cap: Some(cap),
        ..KeyLimits::default()
    }
}

/// What the store says of a month.
async fn counted(store: &Store, name: &str, period: &'static str) -> i64 {
    let name = name.to_owned();
    store
        .read(&tenant(), move |tx| {
            Box::pin(async move { tx.counters().get(&name, period).await })
        })
        .await
        .map_err(|e: footbridge_server::store::StoreError| e)
        .unwrap()
}

async fn set_tenant_cap(replica: &Replica, cap: Option<i64>) {
    let set = replica
        .store
        .system_write(move |tx| Box::pin(async move { tx.tenants().update(&tenant(), "local", cap).await }));
    assert!(
        set.await
            .map_err(|e: footbridge_server::store::StoreError| e)
            .unwrap()
    );
}

/// Waits until a replica has heard of a tenant's new cap.
async fn hears_cap(replica: &Replica, key: &str, cap: Option<u64>) {
    crate::store::harness::eventually("the cap is heard of", Duration::from_secs(5), async || {
        let facts = replica.principal(key).await;
        let known = facts.facts().monthly_cap.map(|cap| cap.calls);
        (known == cap).then_some(())
    })
    .await;
}

#[test]
fn three_processes_and_256_callers_pass_exactly_the_cap() {
    for_each_engine(|place| async move {
        const CAP: u64 = 3_000;
        let place = Arc::new(place);
        let replicas: Vec<_> = {
            let mut all = Vec::new();
            for _ in 0..3 {
                all.push(Arc::new(Replica::start(&place).await));
            }
            all
        };
        let key = replicas[0].key(capped(CAP)).await;
        let (passed, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut callers = JoinSet::new();
        for caller in 0..256_usize {
            let (replica, passed, refused) = (
                Arc::clone(&replicas[caller % 3]),
                Arc::clone(&passed),
                Arc::clone(&refused),
            );
            let principal = replica.principal(&key).await;
            callers.spawn(async move {
                for round in 0.. {
                    match replica.limits.reserve(&principal, START).await {
                        // Some calls are refused in a later room, and count for nothing.
                        Ok(ticket) if (caller + round) % 7 == 0 => {
                            tokio::task::yield_now().await;
                            drop(ticket);
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(ticket) => {
                            ticket.spend();
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(CapError::Over(OverLimit::Cap { cap, resets, .. })) => {
                            assert_eq!((cap, resets.as_str()), (CAP, "2026-12-01T00:00:00Z"));
                            return;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        while let Some(done) = callers.join_next().await {
            done.unwrap();
        }
        assert!(
            refused.load(Ordering::Relaxed) > 0,
            "the test refuses some calls itself"
        );
        assert_eq!(passed.load(Ordering::Relaxed), CAP);
        let principal = replicas[1].principal(&key).await;
        let usage = replicas[1].limits.usage(&principal, START).unwrap();
        assert_eq!((usage.used, usage.cap), (CAP, CAP));
    });
}

#[test]
fn what_one_process_holds_and_does_not_need_another_gets() {
    for_each_engine(|place| async move {
        const CAP: u64 = 2_000;
        let (one, other) = (Replica::start(&place).await, Replica::start(&place).await);
        let key = one.key(capped(CAP)).await;
        // One call takes a block in advance, most of which stands idle.
        let principal = one.principal(&key).await;
        assert!(one.call(&principal, START).await);
        let id = one.limits.usage(&principal, START).unwrap();
        assert_eq!(id.used, 1);
        let principal = other.principal(&key).await;
        assert_eq!(other.exhaust(&principal, START).await, CAP - 1);
    });
}

#[test]
fn a_new_month_starts_anew_and_an_old_one_is_not_reset_by_a_clock_set_back() {
    for_each_engine(|place| async move {
        let (one, other) = (Replica::start(&place).await, Replica::start(&place).await);
        let key = one.key(capped(100)).await;
        let (mine, theirs) = (one.principal(&key).await, other.principal(&key).await);
        assert_eq!(one.exhaust(&mine, START).await, 100);
        let december = Timestamp::parse("2026-12-01").unwrap();
        assert!(!other.call(&theirs, december.plus_millis(-1)).await);
        assert_eq!(other.exhaust(&theirs, december).await, 100);
        assert!(!one.call(&mine, december).await);
        assert!(
            !one.call(&mine, START).await,
            "the clock goes back, the count does not"
        );
        let january = Timestamp::parse("2027-01-01").unwrap();
        let usage = |at| one.limits.usage(&mine, at);
        assert_eq!(usage(january), None);
        assert!(one.call(&mine, january).await);
        assert_eq!(usage(january).unwrap().used, 1);
    });
}

#[test]
fn keys_without_a_cap_share_the_tenants_budget_and_a_cap_of_their_own_is_apart() {
    for_each_engine(|place| async move {
        let (one, other) = (Replica::start(&place).await, Replica::start(&place).await);
        let first = one.key(KeyLimits::default()).await;
        let second = one.key(KeyLimits::default()).await;
        let own = one.key(capped(5)).await;
        set_tenant_cap(&one, Some(300)).await;
        hears_cap(&one, &first, Some(300)).await;
        hears_cap(&other, &second, Some(300)).await;
        let (a, b, c) = (
            one.principal(&first).await,
            other.principal(&second).await,
            other.principal(&own).await,
        );
        for _ in 0..40 {
            assert!(one.call(&a, START).await);
        }
        assert_eq!(other.exhaust(&c, START).await, 5);
        assert_eq!(other.exhaust(&b, START).await, 260);
        assert!(!one.call(&a, START).await);
        assert_eq!(one.limits.used_by_key(&a, START).await.unwrap(), 40);
        assert_eq!(other.limits.used_by_key(&b, START).await.unwrap(), 260);
        assert_eq!(other.limits.used_by_key(&c, START).await.unwrap(), 5);
    });
}

#[test]
fn a_cap_changed_on_the_way_holds_from_then_on() {
    for_each_engine(|place| async move {
        let (one, other) = (Replica::start(&place).await, Replica::start(&place).await);
        let key = one.key(KeyLimits::default()).await;
        let mine = one.principal(&key).await;
        assert_eq!(mine.facts().monthly_cap, None);
        for _ in 0..30 {
            assert!(one.call(&mine, START).await, "no cap, no refusal");
        }
        // What was called before there was a cap counts.
        one.limits.leave().await.unwrap();
        set_tenant_cap(&one, Some(1_000)).await;
        for replica in [&one, &other] {
            hears_cap(replica, &key, Some(1_000)).await;
        }
        let (mine, theirs) = (one.principal(&key).await, other.principal(&key).await);
        for _ in 0..100 {
            assert!(one.call(&mine, START).await && other.call(&theirs, START).await);
        }
        set_tenant_cap(&one, Some(400)).await;
        for replica in [&one, &other] {
            hears_cap(replica, &key, Some(400)).await;
        }
        let (mine, theirs) = (one.principal(&key).await, other.principal(&key).await);
        let rest = one.exhaust(&mine, START).await;
        assert_eq!(rest + other.exhaust(&theirs, START).await, 400 - 230);
        set_tenant_cap(&one, Some(403)).await;
        hears_cap(&other, &key, Some(403)).await;
        let theirs = other.principal(&key).await;
        assert_eq!(
            other.exhaust(&theirs, START).await,
            3,
            "raised, it passes again at once"
        );
    });
}

#[test]
fn leaving_brings_everything_back_and_dying_costs_no_more_than_what_was_held() {
    for_each_engine(|place| async move {
        const CAP: u64 = 5_000;
        let one = Replica::start(&place).await;
        let key = one.key(capped(CAP)).await;
        let mine = one.principal(&key).await;
        let footbridge_server::access::Credential::ApiKey { id, .. } = &mine.facts().credential else {
            panic!("a key");
        };
        let name = format!("calls:{id}");
        for _ in 0..25 {
            assert!(one.call(&mine, START).await);
        }
        assert!(
            counted(&one.store, &name, "2026-11").await > 25,
            "calls are taken in advance"
        );
        one.limits.leave().await.unwrap();
        assert_eq!(counted(&one.store, &name, "2026-11").await, 25);

        assert!(one.call(&mine, START).await);
        let held = counted(&one.store, &name, "2026-11").await - 26;
        assert!(held > 0);
        // It never says another word, as if it had been killed.
        one.store.clone().close().await;
        let other = Replica::start(&place).await;
        let theirs = other.principal(&key).await;
        let passed = other.exhaust(&theirs, START).await;
        assert_eq!(passed, CAP - 26 - u64::try_from(held).unwrap());
        place.clock.advance(120_000);
        assert!(!other.call(&theirs, START).await);
    });
}

#[test]
fn a_store_that_cannot_be_asked_lets_nothing_pass() {
    for_each_engine(|place| async move {
        let one = Replica::start(&place).await;
        let key = one.key(capped(10)).await;
        let mine = one.principal(&key).await;
        one.store.clone().close().await;
        assert!(matches!(
            one.limits.reserve(&mine, START).await,
            Err(CapError::Store(_))
        ));
    });
}
