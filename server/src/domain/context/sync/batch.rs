//! What one transaction of a pass writes.

use std::sync::Arc;

use super::{
    super::{entity_uri, source::uri},
    reader::Found,
};
use crate::{
    store::{Store, StoreError, TenantTx},
    vocabulary::TenantId,
};

/// Chunks written in one transaction: it takes some 10 ms, which is what another writer may have to wait. Four
/// times as many would save a quarter of a first synchronisation's time.
const CHUNKS_AT_ONCE: usize = 64;
/// Files in one transaction, however short they are.
const FILES_AT_ONCE: usize = 64;

/// How often a transaction is tried again that met another pass. Each time at least one of the two succeeds.
const MOST_ATTEMPTS: u32 = 10;

/// Work for one transaction.
#[derive(Default)]
pub(super) struct Batch {
    work: Vec<Found>,
    chunks: usize,
}

impl Batch {
    pub(super) fn push(&mut self, found: Found) {
        if let Found::Put { entity, .. } = &found {
            self.chunks += entity.chunks.len();
        }
        self.work.push(found);
    }

    pub(super) fn is_full(&self) -> bool {
        self.chunks >= CHUNKS_AT_ONCE || self.work.len() >= FILES_AT_ONCE
    }

    pub(super) fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    /// Writes it all and is empty again; `None`, and nothing written, when the source is gone.
    pub(super) async fn commit(
        &mut self,
        store: &Store,
        tenant: &TenantId,
        source: &str,
    ) -> Result<Option<Written>, StoreError> {
        let work = Arc::new(std::mem::take(self).work);
        let source = Arc::<str>::from(source);
        let mut attempts = 0;
        loop {
            let (work, source) = (Arc::clone(&work), Arc::clone(&source));
            let write = store.write(tenant, move |tx| {
                Box::pin(async move {
                    // A pass goes on for seconds after somebody removed its source.
                    if tx.notes().find_source(&source).await?.is_none() {
                        return Ok(None);
                    }
                    let mut written = Written::default();
                    for found in work.iter() {
                        write(tx, &source, found, &mut written).await?;
                    }
                    Ok::<_, StoreError>(Some(written))
                })
            });
            match write.await {
                // Another pass wrote the same file in the same moment; now its row can be seen.
                Err(StoreError::Conflict { .. } | StoreError::Contended) if attempts < MOST_ATTEMPTS => {
                    attempts += 1;
                }
                done => return done,
            }
        }
    }
}

/// How many files a transaction brought in.
#[derive(Default)]
pub(super) struct Written {
    pub(super) added: u64,
    pub(super) updated: u64,
}

async fn write(
    tx: &mut TenantTx<'_>,
    source: &str,
    found: &Found,
    written: &mut Written,
) -> Result<(), StoreError> {
    match found {
        Found::Put { entity, is_new } => {
            // Another pass may have been here since the marks were read; the id that has the path counts.
            let there = tx.notes().find_entity_at(source, &entity.path).await?;
            match there {
                Some(there) if there.id != entity.id => {
                    let mut adopted = entity.as_ref().clone();
                    adopted.id = there.id;
                    tx.notes().put_entity(&adopted).await?;
                    tx.resources().touch(&entity_uri(&adopted.id)).await?;
                    written.updated += 1;
                }
                _ => {
                    tx.notes().put_entity(entity).await?;
                    // Nobody could have subscribed to what was not there.
                    if !*is_new {
                        tx.resources().touch(&entity_uri(&entity.id)).await?;
                    }
                    *if *is_new {
                        &mut written.added
                    } else {
                        &mut written.updated
                    } += 1;
                }
            }
        }
        Found::Mark(mark) => {
            let uri = uri(source, &mark.path);
            tx.notes().mark_entity(mark, &uri).await?;
        }
        // Problems never get into a batch.
        Found::Problem(_) => {}
    }
    Ok(())
}
