//! A backup takes the place of the embedded store: only one that is whole, and only of a store that nobody uses.

use std::path::{Path, PathBuf};

use futures_util::FutureExt;

use super::OperateError;
use crate::{
    store::{Store, StoreSettings, StoreUrl},
    vocabulary::{Clock, TenantId},
};

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// Each tenant, with the rows of its call log that were read and found whole.
    pub tenants: Vec<(TenantId, u64)>,
    /// Where the store is that was there before.
    pub kept: Option<PathBuf>,
}

/// Puts the backup `from` in the place of the store at `path`.
///
/// # Errors
/// When the backup is damaged, its log of calls is not whole, or the store is in use. Nothing has changed then.
pub async fn restore(
    from: &Path,
    path: &Path,
    settings: &StoreSettings,
    clock: Clock,
) -> Result<Restored, OperateError> {
    let mut staged = path.as_os_str().to_owned();
    staged.push(".restoring");
    let staged = PathBuf::from(staged);
    let result = restore_through(from, &staged, path, settings, clock).await;
    for end in ["", "-wal", "-shm", ".lock"] {
        let mut name = staged.as_os_str().to_owned();
        name.push(end);
        // Nothing of it is left after a success but the lock's file.
        let _ = std::fs::remove_file(name);
    }
    result
}

async fn restore_through(
    from: &Path,
    staged: &Path,
    path: &Path,
    settings: &StoreSettings,
    clock: Clock,
) -> Result<Restored, OperateError> {
    Store::stage_backup(from, staged).await?;
    // Opened as a server would: an older schema is brought up to date, a newer one is refused.
    let store = Store::open(&StoreUrl::Sqlite(staged.to_owned()), settings, clock.clone()).await?;
    let verified = verify(&store).await;
    store.close().await;
    let tenants = verified?;
    let suffix = format!(".before-restore-{}", clock.now().0 / 1000);
    let kept = Store::swap_in(staged, path, &suffix, settings).await?;
    Ok(Restored { tenants, kept })
}

async fn verify(store: &Store) -> Result<Vec<(TenantId, u64)>, OperateError> {
    let tenants = store
        .system_read(|tx| async move { tx.tenants().list().await }.boxed())
        .await?;
    let mut found = Vec::new();
    for tenant in tenants {
        let verdict = store
            .read(&tenant.id, |tx| {
                async move { tx.audit_log().verify(None).await }.boxed()
            })
            .await?;
        if let Some(fault) = verdict.fault {
            return Err(OperateError::Rule(format!(
                "the backup's log of tenant `{}` is not whole: row {}: {}; restore another backup",
                tenant.id, fault.seq, fault.what
            )));
        }
        found.push((tenant.id, verdict.rows));
    }
    Ok(found)
}
