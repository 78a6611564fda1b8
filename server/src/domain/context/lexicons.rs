//! The words of every tenant that searches, kept in memory: counted by the store, compared here.
//!
//! A lexicon is a copy, and a copy grows old: notes change with every synchronisation, on any replica. Each
//! one carries a stamp of what it was made from; a search that finds the stamp out of date uses it once more,
//! without relying on its counts, and has it made anew. Small ones are made within the search itself, so
//! that a person's note can be found by a misspelt word as soon as it is in the index.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{
    lexicon::{Lexicon, MAX_WORDS},
    source::SourceSpec,
};
use crate::{
    store::{Store, StoreError, TenantTx},
    vocabulary::TenantId,
};

/// Chunks whose words are read within a search: some 10 ms. For more of them it happens in the background.
const COUNTED_AT_ONCE: u64 = 5_000;
/// How long the words of memories count as fresh: there is no stamp to tell, they change with every call.
const MEMORY_FRESH_MS: i64 = 2_000;
/// Words kept for all tenants together, about 200 MB; the lexicon that was asked longest ago goes first.
const MOST_WORDS: usize = 1_000_000;
/// Lexicons waiting to be made. A request that finds the queue full is repeated by the next search.
const QUEUE: usize = 64;

/// Whose words: a tenant's notes or its memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shelf {
    /// Chunks of notes.
    Notes,
    /// Memories.
    Memory,
}

/// A lexicon to be made in the background.
#[derive(Clone, Debug)]
pub(super) struct Request {
    tenant: TenantId,
    shelf: Shelf,
    stamp: u64,
}

/// A lexicon for one search.
#[derive(Clone, Debug)]
pub(super) struct Words {
    /// The words; empty while none were counted yet.
    pub(super) lexicon: Arc<Lexicon>,
    /// Whether its counts are those of the store now, so that costs can be planned by them.
    pub(super) current: bool,
}

/// All lexicons of this process.
#[derive(Debug)]
pub(super) struct Lexicons {
    kept: Mutex<Kept>,
    queue: mpsc::Sender<Request>,
}

#[derive(Debug, Default)]
struct Kept {
    slots: HashMap<(TenantId, Shelf), Slot>,
    /// Counts searches, to know which lexicon was asked last.
    clock: u64,
}

#[derive(Debug)]
struct Slot {
    lexicon: Arc<Lexicon>,
    stamp: u64,
    asked: u64,
    /// The stamp that is being worked on.
    requested: Option<u64>,
}

impl Lexicons {
    /// No lexicon yet; the receiver gets those to be made in the background, by [`Self::make`].
    #[must_use]
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (queue, requests) = mpsc::channel(QUEUE);
        let kept = Mutex::default();
        (Self { kept, queue }, requests)
    }

    /// The words of the tenant's notes, as they stand in `sources`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn of_notes(
        &self,
        tx: &mut TenantTx<'_>,
        sources: &[SourceSpec],
    ) -> Result<Words, StoreError> {
        let stamp = stamp_of(sources);
        if let Some(words) = self
            .kept(tx.tenant(), Shelf::Notes, stamp)
            .filter(|words| words.current)
        {
            return Ok(words);
        }
        let chunks = chunks(tx).await?;
        self.renew(tx, Shelf::Notes, stamp, chunks).await
    }

    /// The words of the tenant's memories.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn of_memory(&self, tx: &mut TenantTx<'_>) -> Result<Words, StoreError> {
        let stamp = u64::try_from(tx.now().0 / MEMORY_FRESH_MS).unwrap_or(0);
        if let Some(words) = self
            .kept(tx.tenant(), Shelf::Memory, stamp)
            .filter(|words| words.current)
        {
            return Ok(words);
        }
        let memories = u64::try_from(tx.memory().count().await?).unwrap_or(0);
        self.renew(tx, Shelf::Memory, stamp, memories).await
    }

    /// Whether the words of the tenant's notes are those of the store; asks for them if not.
    #[must_use]
    pub(super) fn is_current(&self, tenant: &TenantId, sources: &[SourceSpec]) -> bool {
        let stamp = stamp_of(sources);
        let current = self
            .kept(tenant, Shelf::Notes, stamp)
            .is_some_and(|words| words.current);
        if !current {
            self.request(tenant, Shelf::Notes, stamp);
        }
        current
    }

    /// Forgets what nobody has asked for when there is too much of it.
    pub(super) fn tidy(&self) {
        let mut kept = self.kept.lock();
        let mut words: usize = kept.slots.values().map(|slot| slot.lexicon.len()).sum();
        while words > MOST_WORDS
            && let Some(oldest) = kept
                .slots
                .iter()
                .min_by_key(|(_, slot)| slot.asked)
                .map(|(name, _)| name.clone())
        {
            words -= kept.slots.remove(&oldest).map_or(0, |slot| slot.lexicon.len());
        }
    }

    async fn renew(
        &self,
        tx: &mut TenantTx<'_>,
        shelf: Shelf,
        stamp: u64,
        rows: u64,
    ) -> Result<Words, StoreError> {
        if rows > COUNTED_AT_ONCE {
            let tenant = tx.tenant().clone();
            self.request(&tenant, shelf, stamp);
            return Ok(self.kept(&tenant, shelf, stamp).unwrap_or_else(|| Words {
                lexicon: Arc::default(),
                current: false,
            }));
        }
        let lexicon = Arc::new(Lexicon::from_counts(rows, counts(tx, shelf).await?));
        self.keep(tx.tenant(), shelf, stamp, &lexicon);
        Ok(Words {
            lexicon,
            current: true,
        })
    }

    fn kept(&self, tenant: &TenantId, shelf: Shelf, stamp: u64) -> Option<Words> {
        let mut kept = self.kept.lock();
        kept.clock += 1;
        let clock = kept.clock;
        let slot = kept.slots.get_mut(&(tenant.clone(), shelf))?;
        slot.asked = clock;
        Some(Words {
            lexicon: Arc::clone(&slot.lexicon),
            current: slot.stamp == stamp,
        })
    }

    fn keep(&self, tenant: &TenantId, shelf: Shelf, stamp: u64, lexicon: &Arc<Lexicon>) {
        let mut kept = self.kept.lock();
        kept.clock += 1;
        let slot = Slot {
            lexicon: Arc::clone(lexicon),
            stamp,
            asked: kept.clock,
            requested: None,
        };
        kept.slots.insert((tenant.clone(), shelf), slot);
        drop(kept);
        self.tidy();
    }

    fn request(&self, tenant: &TenantId, shelf: Shelf, stamp: u64) {
        let mut kept = self.kept.lock();
        let slot = kept.slots.entry((tenant.clone(), shelf)).or_insert_with(|| Slot {
            lexicon: Arc::default(),
            // No stamp is this one: what is not made is never current.
            stamp: !stamp,
            asked: 0,
            requested: None,
        });
        if slot.requested == Some(stamp) {
            return;
        }
        let request = Request {
            tenant: tenant.clone(),
            shelf,
            stamp,
        };
        if self.queue.try_send(request).is_ok() {
            slot.requested = Some(stamp);
        }
    }

    /// Makes a lexicon that was asked for, away from the runtime's threads.
    ///
    /// # Errors
    /// When the store cannot be read; the next search asks again.
    pub(super) async fn make(&self, store: &Store, request: &Request) -> Result<(), StoreError> {
        let shelf = request.shelf;
        let read = store
            .read(&request.tenant, move |tx| {
                Box::pin(async move {
                    let rows = match shelf {
                        Shelf::Notes => chunks(tx).await?,
                        Shelf::Memory => u64::try_from(tx.memory().count().await?).unwrap_or(0),
                    };
                    Ok::<_, StoreError>((rows, counts(tx, shelf).await?))
                })
            })
            .await;
        let made = match read {
            Ok((rows, words)) => tokio::task::spawn_blocking(move || Lexicon::from_counts(rows, words))
                .await
                .map_err(|_| StoreError::Work("panicked")),
            Err(error) => Err(error),
        };
        match made {
            Ok(lexicon) => {
                self.keep(&request.tenant, shelf, request.stamp, &Arc::new(lexicon));
                Ok(())
            }
            Err(error) => {
                let mut kept = self.kept.lock();
                if let Some(slot) = kept.slots.get_mut(&(request.tenant.clone(), shelf)) {
                    slot.requested = None;
                }
                Err(error)
            }
        }
    }
}

async fn counts(tx: &mut TenantTx<'_>, shelf: Shelf) -> Result<Vec<(String, u32)>, StoreError> {
    let most = u32::try_from(MAX_WORDS).unwrap_or(u32::MAX);
    match shelf {
        Shelf::Notes => tx.notes().word_counts(most).await,
        Shelf::Memory => tx.memory().word_counts(most).await,
    }
}

async fn chunks(tx: &mut TenantTx<'_>) -> Result<u64, StoreError> {
    let counts = tx.notes().source_counts().await?;
    Ok(counts.iter().map(|count| count.chunks.unsigned_abs()).sum())
}

/// Changes whenever the chunks of any source did, or a source came or went.
fn stamp_of(sources: &[SourceSpec]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    for source in sources {
        (&source.name, source.state.generation).hash(&mut hasher);
    }
    hasher.finish()
}
