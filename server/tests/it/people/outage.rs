//! A revocation that cannot be read at the moment it is heard of is read as soon as it can be.

use std::{sync::Arc, time::Duration};

use footbridge_server::{
    access::{AuthError, Keyring},
    operate::Actor,
    store::Topic,
    vocabulary::Clock,
};

use super::{catalogue, minted, request};
use crate::store::harness::{eventually, on_postgres, tenant};

#[test]
fn a_revocation_heard_of_while_the_store_is_away_is_not_forgotten() {
    on_postgres(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let mut wanted = request(None, "crm:read");
        wanted.tenant = tenant("acme");
        let key = minted(&store, &Actor::Operator, wanted).await;
        let catalogue = catalogue();
        let edition = Arc::clone(&catalogue.editions()[0]);
        let keyring = Keyring::load(store.clone(), &catalogue, 60).await.unwrap();
        let following = tokio::spawn(Arc::clone(&keyring).follow());
        let now = Clock::System.now();
        let opens = async || keyring.authenticate(Some(&key.key), &edition, now).await;
        opens().await.unwrap();
        let mut heard = store.listen(&[Topic::Resources]);
        // A notice that comes before the store listens is read from its counters, where the one below does not stand.
        let listens = async {
            loop {
                place.tamper("NOTIFY footbridge, 'resources 1000'").await;
                let next = tokio::time::timeout(Duration::from_millis(200), heard.next());
                if next.await.is_ok() {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), listens)
            .await
            .unwrap();
        let mut heard = store.listen(&[Topic::Keys]);
        // The notice comes once, while the table cannot be read.
        place
            .tamper("ALTER TABLE api_keys RENAME TO away; NOTIFY footbridge, 'keys 1000'")
            .await;
        let change = tokio::time::timeout(Duration::from_secs(10), heard.next()).await;
        assert_eq!(change.unwrap(), Some(Topic::Keys));
        place
            .tamper(
                "UPDATE away SET revoked_at = 1, version = 1000;
                 ALTER TABLE away RENAME TO api_keys",
            )
            .await;
        eventually("the key is refused", Duration::from_secs(5), async || {
            matches!(opens().await, Err(AuthError::Revoked)).then_some(())
        })
        .await;
        following.abort();
    });
}
