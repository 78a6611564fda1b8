//! The lock row of a tenant's synchronisation: taken for a minute, prolonged while the work goes on, free by
//! itself when its holder died.

use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::super::new_uuid;
use crate::{
    store::{Store, StoreError},
    vocabulary::TenantId,
};

/// The row's name.
const NAME: &str = "sync";
/// How long a lock outlives its holder.
const LASTS_MS: u32 = 60_000;
/// How often it is prolonged: twice may fail before it is lost.
const PROLONG_EVERY: Duration = Duration::from_secs(20);
/// How often whoever waits for it looks again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// A lock held. Dropped without [`Lock::release`], it ends within a minute.
pub(super) struct Lock {
    store: Store,
    tenant: TenantId,
    owner: String,
    _prolonging: DropGuard,
}

impl Lock {
    /// Takes the tenant's lock; `None` while somebody else holds it. `stop` is cancelled if it is lost.
    pub(super) async fn take(
        store: &Store,
        tenant: &TenantId,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, StoreError> {
        let owner = new_uuid();
        if !try_lock(store, tenant, &owner).await? {
            return Ok(None);
        }
        let end = CancellationToken::new();
        tokio::spawn(prolong(
            store.clone(),
            tenant.clone(),
            owner.clone(),
            end.clone(),
            stop.clone(),
        ));
        Ok(Some(Self {
            store: store.clone(),
            tenant: tenant.clone(),
            owner,
            _prolonging: end.drop_guard(),
        }))
    }

    /// Gives it back.
    pub(super) async fn release(self) -> Result<(), StoreError> {
        let owner = self.owner;
        self.store
            .write(&self.tenant, move |tx| {
                Box::pin(async move { tx.notes().unlock(NAME, &owner).await.map(|_| ()) })
            })
            .await
    }
}

async fn try_lock(store: &Store, tenant: &TenantId, owner: &str) -> Result<bool, StoreError> {
    let owner = owner.to_owned();
    store
        .write(tenant, move |tx| {
            Box::pin(async move { tx.notes().try_lock(NAME, &owner, LASTS_MS).await })
        })
        .await
}

async fn prolong(
    store: Store,
    tenant: TenantId,
    owner: String,
    end: CancellationToken,
    stop: CancellationToken,
) {
    while end
        .run_until_cancelled(tokio::time::sleep(PROLONG_EVERY))
        .await
        .is_some()
    {
        match try_lock(&store, &tenant, &owner).await {
            Ok(true) => {}
            Ok(false) => {
                // This process slept for longer than the lock lasts; another one is at work now.
                warn!(tenant.id = %tenant, "lost the synchronisation lock");
                stop.cancel();
                return;
            }
            Err(error) => warn!(tenant.id = %tenant, %error, "failed to prolong the synchronisation lock"),
        }
    }
}
