//! How long the logs are kept: whole months go once their last day is older than the setting, of both logs and of every
//! tenant. The chain keeps the hash of the last row that went as its anchor, so what stays still verifies; what went is
//! noted in the change log of its tenant. Reviews go with the calls that they allowed.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;
use tracing::{info, warn};

use super::OperateError;
use crate::{
    policy::review,
    store::{self, NewChange, Store, StoreError, SystemTx},
    vocabulary::{TenantId, Timestamp},
};

/// How often somebody looks whether a month is over.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows that one transaction drops: others need not wait for it.
const AT_ONCE: u32 = 5000;
/// Reviews that one transaction removes, each with a few statements.
const REVIEWS_AT_ONCE: u32 = 200;
/// The server's setting that says up to when rows were dropped.
const DONE: &str = "audit_dropped_before";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The moment before which rows go: the beginning of the month in which the oldest day to be kept lies.
pub fn cut(now: Timestamp, retention_days: u32) -> Timestamp {
    let oldest = now.plus_millis(-i64::from(retention_days).saturating_mul(DAY_MS));
    Timestamp::parse(&format!("{}-01", oldest.month())).unwrap_or(Timestamp(i64::MIN))
}

/// Drops what is older, when that was not done yet for this month; gives the number of rows.
///
/// # Errors
/// When the store fails; what was dropped until then stays dropped, and the next look goes on.
pub async fn apply(store: &Store, retention_days: u32) -> Result<u64, OperateError> {
    let before = cut(store.clock().now(), retention_days);
    let (done, tenants) = store
        .system_read(|tx| {
            async move {
                let done = tx.settings().get::<i64>(DONE).await?;
                let tenants = tx.tenants().list().await?;
                let tenants: Vec<_> = tenants.into_iter().map(|tenant| tenant.id).collect();
                Ok::<_, StoreError>((done, tenants))
            }
            .boxed()
        })
        .await?;
    if done == Some(before.as_millis()) {
        return Ok(0);
    }
    let mut dropped = 0;
    for owner in tenants.into_iter().map(Some).chain([None]) {
        for log in Dropped::BOTH {
            dropped += drop_of(store, owner.clone(), log, before).await?;
        }
        if let Some(tenant) = owner {
            sweep_reviews(store, &tenant, before).await?;
        }
    }
    store
        .system_write(move |tx| async move { tx.settings().set(DONE, &before.as_millis()).await }.boxed())
        .await?;
    Ok(dropped)
}

#[derive(Clone, Copy)]
enum Dropped {
    Calls,
    Changes,
}

impl Dropped {
    const BOTH: [Self; 2] = [Self::Calls, Self::Changes];

    fn name(self) -> &'static str {
        match self {
            Self::Calls => "call_log",
            Self::Changes => "change_log",
        }
    }

    async fn drop(
        self,
        tx: &mut SystemTx<'_>,
        owner: Option<&TenantId>,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        match (self, owner) {
            (Self::Calls, Some(tenant)) => tx.within(tenant).audit_log().drop_before(before, AT_ONCE).await,
            (Self::Changes, Some(tenant)) => {
                tx.within(tenant).change_log().drop_before(before, AT_ONCE).await
            }
            // The server itself calls no tools.
            (Self::Calls, None) => Ok(0),
            (Self::Changes, None) => tx.change_log().drop_before(before, AT_ONCE).await,
        }
    }
}

/// Drops of one log, a bounded number of rows in each transaction; the last one notes how many.
async fn drop_of(
    store: &Store,
    owner: Option<TenantId>,
    log: Dropped,
    before: Timestamp,
) -> Result<u64, OperateError> {
    let mut total = 0;
    loop {
        let (owner, so_far) = (owner.clone(), total);
        let dropped = store
            .system_write(move |tx| {
                async move {
                    let dropped = log.drop(tx, owner.as_ref(), before).await?;
                    let total = so_far + dropped;
                    if dropped < u64::from(AT_ONCE) && total > 0 {
                        let change =
                            NewChange::new(store::Actor::operator(), "audit.drop", "audit", log.name())
                                .after(json!({ "before": before, "rows": total }));
                        match &owner {
                            Some(tenant) => tx.within(tenant).log_change(change),
                            None => tx.log_change(change),
                        }
                    }
                    Ok::<_, StoreError>(dropped)
                }
                .boxed()
            })
            .await?;
        total += dropped;
        if dropped < u64::from(AT_ONCE) {
            return Ok(total);
        }
    }
}

/// Reviews are evidence of calls, and go with them.
async fn sweep_reviews(store: &Store, tenant: &TenantId, before: Timestamp) -> Result<(), StoreError> {
    loop {
        let swept = store.write(tenant, move |tx| {
            async move { review::sweep(tx, before, REVIEWS_AT_ONCE).await }.boxed()
        });
        if swept.await? < REVIEWS_AT_ONCE as usize {
            return Ok(());
        }
    }
}

/// Looks now and then, until it is dropped.
pub(super) async fn follow(store: Store, retention_days: u32) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        match apply(&store, retention_days).await {
            Ok(0) => {}
            Ok(rows) => info!(
                rows,
                "dropped months of the logs that are older than `audit.retention_days`"
            ),
            Err(error) => warn!(error = %error, "old months of the logs not dropped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_goes_when_its_last_day_is_too_old() {
        let table = [
            ("2026-11-28T10:00:00Z", 400, "2025-10-01T00:00:00.000Z"),
            ("2026-03-01T00:00:00Z", 28, "2026-02-01T00:00:00.000Z"),
            ("2026-03-01T00:00:00Z", 29, "2026-01-01T00:00:00.000Z"),
            ("2026-03-31T23:59:59Z", 31, "2026-02-01T00:00:00.000Z"),
            ("2024-03-01T00:00:00Z", 1, "2024-02-01T00:00:00.000Z"),
        ];
        for (now, days, expected) in table {
            assert_eq!(
                cut(Timestamp::parse(now).unwrap(), days).to_string(),
                expected,
                "{now} {days}"
            );
        }
    }
}
