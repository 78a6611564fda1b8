//! Everything that outlives a process, behind one [`Store`] with two engines.
//!
//! Work comes in as a closure over a [`TenantTx`], which is bound to one tenant and has no way to name
//! another; its result goes out after the commit is durable. SQL text lives in this folder and nowhere
//! else: one file of rows and statements per domain, used by both engines.
//!
//! Reading order: [`StoreUrl`], [`Store`], [`TenantTx`] and [`SystemTx`], the domain files, the engines.

mod attempts;
mod audit;
mod call_view;
mod caps;
mod chain;
mod change_log;
mod changes;
mod client_questions;
mod client_sessions;
mod client_tasks;
mod counters;
mod error;
mod figures;
mod health;
mod invitations;
mod jobs;
mod keys;
mod log;
mod memory;
mod notes;
mod oauth;
mod pending;
mod postgres;
mod reading;
mod records;
mod redact;
mod reply_messages;
mod resets;
mod resources;
mod row;
mod session;
mod settings;
mod sign_ins;
mod sqlite;
mod tenants;
mod text;
mod tx;
mod url;
mod users;
mod work;

use std::{borrow::Borrow, path::Path, sync::Arc};

pub use attempts::{Attempts, SignInAttempts};
pub use audit::{AuditEntry, AuditFilter, AuditLog, AuditRecord, AuditStatus, ScopeKind};
pub use call_view::{CallDay, CallView, MOST_SUMMED};
pub use caps::{CapAsk, CapGrant, Caps, SystemCaps};
pub use chain::{AuditFault, AuditHead, AuditVerdict};
pub use change_log::{Actor, ChangeEntry, ChangeFilter, ChangeLog, ChangeRecord, NewChange};
pub use changes::{Listener, Topic};
pub use client_questions::{ClientQuestions, SystemClientQuestions};
pub use client_sessions::{ClientSessions, SessionRow, SessionState, SystemClientSessions};
pub use client_tasks::{ClientTasks, NewTask, SystemClientTasks, TaskRow, TaskStatus};
pub use counters::Counters;
pub use error::StoreError;
pub use figures::{Durations, StoreFigures};
pub use futures_util::future::BoxFuture;
pub use invitations::{Invitation, Invitations, NewInvitation, SystemInvitations};
pub use jobs::{Job, JobState, Jobs, NewJob, QueueDepth, SystemJobs};
pub use keys::{Key, KeyConfirm, KeyLimits, KeyRights, Keys, NewKey, SystemKeys};
pub use log::{Kept, Log, LogEntry, LogPage, MOST_LOOKED_AT};
pub use memory::{Memories, Memory, MemoryVersion, NewMemory};
pub use notes::{
    Chunk, Entity, EntityMark, NewChunk, NewEntity, Notes, Source, SourceCount, StoredVector, VectorShelf,
};
pub use oauth::{OAuthMount, OAuthRow, OAuthSettings, SystemOAuth, TenantOAuth};
pub use pending::{
    NewPending, PENDING_LIFETIME_MS, Pending, PendingCalls, PendingState, SystemPendingCalls, Taken,
};
pub use reading::{ReadMemories, ReadNotes, ReadRecords, ReadSettings, ReadTx, ReadUsers};
pub use records::{
    Condition, Draft, Extract, Extracted, Field, FieldValue, Found, NamedBy, Record, RecordChange,
    RecordCursor, RecordPage, RecordQuery, Records, Total, within,
};
pub use redact::redacted;
pub use reply_messages::{ReplyMessage, ReplyMessages, SystemReplyMessages};
pub use resets::{PasswordReset, PasswordResets, SystemPasswordResets};
pub use resources::{ResourceChanges, ResourceStamp, SystemResourceChanges};
pub use session::StatementPlan;
pub use settings::{Settings, SetupTokens};
pub use sign_ins::{NewSignIn, SignIn, SignInKind, SignIns, SystemSignIns};
pub use tenants::{NewTenant, Tenant, TenantStatus, Tenants};
pub use text::{Matching, Ranking, TextHit, TextQuery};
pub use tx::{SystemTx, TenantTx};
pub use url::{StoreSettings, StoreUrl};
pub use users::{NewUser, SystemUsers, User, Users};

use crate::vocabulary::{Clock, TenantId};
use health::Health;
use postgres::PgEngine;
use session::{Engine, Session};
use sqlite::SqliteEngine;
use work::{Slot, Work};

/// The store. Clones share one engine; it ends with the last of them.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Which,
    health: Arc<Health>,
    clock: Clock,
    durations: Durations,
}

enum Which {
    Sqlite(SqliteEngine),
    Postgres(PgEngine),
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Write,
    Read,
    Lookup,
}

impl Store {
    /// Opens a store: creates it when missing, checks and migrates it, refuses what it cannot use safely.
    pub async fn open(url: &StoreUrl, settings: &StoreSettings, clock: Clock) -> Result<Self, StoreError> {
        let health = Arc::new(Health::default());
        let engine = match url {
            StoreUrl::Sqlite(path) => {
                let (path, settings, clock, health) =
                    (path.clone(), settings.clone(), clock.clone(), Arc::clone(&health));
                blocking(move || SqliteEngine::open(&path, &settings, &clock, &health))
                    .await
                    .map(Which::Sqlite)?
            }
            StoreUrl::Postgres(url) => Which::Postgres(PgEngine::open(url, settings, &clock, &health).await?),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                health,
                clock,
                durations: Durations::default(),
            }),
        })
    }

    /// `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match &self.inner.engine {
            Which::Sqlite(_) => "sqlite",
            Which::Postgres(_) => "postgres",
        }
    }

    /// The clock that transactions take their moment from.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Runs `work` in one transaction of one tenant, which commits if the work returns `Ok`. Resolves after
    /// the commit is durable.
    ///
    /// The work may run on the writer's thread: it awaits nothing but the transaction, else it fails with
    /// [`StoreError::Work`]. Once begun it runs to its end, even if the caller goes away.
    pub fn write<T, E, F>(
        &self,
        tenant: &TenantId,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send + use<'_, T, E, F>
    where
        F: for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.of_tenant(tenant, Kind::Write, work)
    }

    /// Runs `work` on one snapshot of one tenant's rows; writing in it fails.
    pub fn read<T, E, F>(
        &self,
        tenant: &TenantId,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send + use<'_, T, E, F>
    where
        F: for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.of_tenant(tenant, Kind::Read, work)
    }

    /// Like [`Store::read`], for work that reads a few rows by their keys and is over within microseconds: SQLite may
    /// answer it on this very thread. Whatever scans or searches belongs into [`Store::read`].
    pub fn lookup<T, E, F>(
        &self,
        tenant: &TenantId,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send + use<'_, T, E, F>
    where
        F: for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.of_tenant(tenant, Kind::Lookup, work)
    }

    /// What the three above have in common. The work is packed up before anybody waits, so that no future holds it.
    pub(crate) fn of_tenant<T, E, F>(
        &self,
        tenant: &TenantId,
        kind: Kind,
        work: F,
    ) -> impl Future<Output = Result<T, E>> + Send + use<'_, T, E, F>
    where
        F: for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (tenant, scope) = (tenant.clone(), tenant.clone());
        let (work, slot) = Slot::hide(move |session, slot| {
            Box::pin(async move { slot.fill(work(&mut TenantTx::new(session, tenant)).await) })
        });
        async move {
            self.run(Some(&scope), kind, work).await?;
            slot.take()
        }
    }

    /// Runs operator's work across tenants; otherwise like [`Store::write`].
    pub async fn system_write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut SystemTx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (work, slot) = Slot::hide(move |session, slot| {
            Box::pin(async move { slot.fill(work(&mut SystemTx::new(session)).await) })
        });
        self.run(None, Kind::Write, work).await?;
        slot.take()
    }

    /// Reads across tenants on one snapshot.
    pub async fn system_read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut SystemTx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (work, slot) = Slot::hide(move |session, slot| {
            Box::pin(async move { slot.fill(work(&mut SystemTx::new(session)).await) })
        });
        self.run(None, Kind::Read, work).await?;
        slot.take()
    }

    /// `scope` is the one tenant whose rows the work may see, which PostgreSQL checks a second time.
    async fn run(&self, scope: Option<&TenantId>, kind: Kind, work: Work) -> Result<(), StoreError> {
        let began = std::time::Instant::now();
        let writes = kind == Kind::Write;
        let result = match (&self.inner.engine, kind) {
            (Which::Sqlite(engine), Kind::Write) => engine.write(work).await,
            (Which::Sqlite(engine), Kind::Read) => engine.read(work).await,
            (Which::Sqlite(engine), Kind::Lookup) => engine.lookup(work).await,
            // Boxed: SQLite's should not be as large.
            (Which::Postgres(engine), _) => Box::pin(engine.run(scope, writes, work)).await,
        };
        let Durations {
            reads,
            writes: written,
        } = &self.inner.durations;
        let durations = if writes { written } else { reads };
        durations.observe(began.elapsed().as_secs_f64());
        result
    }

    /// Queues an audit row whose caller does not wait (design.md D9): it is committed within
    /// [`StoreSettings::audit_linger`], together with whatever else commits. Waits while the queue is
    /// full; refuses while the store is known to refuse writes (security.md A2).
    pub fn append_audit<R: Borrow<AuditRecord>>(
        &self,
        tenant: &TenantId,
        event: R,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<'_, R> {
        // Sealed before anybody waits: what waits is then a short text and not a record of many fields.
        let sealed = self
            .inner
            .health
            .check()
            .and_then(|()| event.borrow().seal(tenant));
        let row = sealed.map(|row| (tenant.clone(), row));
        async move {
            let (tenant, row) = row?;
            match &self.inner.engine {
                Which::Sqlite(engine) => engine.append(tenant, row).await,
                Which::Postgres(engine) => Box::pin(engine.append(tenant, row)).await,
            }
        }
    }

    /// Appends an audit row and returns after its commit.
    pub fn append_audit_durable<R: Borrow<AuditRecord>>(
        &self,
        tenant: &TenantId,
        event: R,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<'_, R> {
        let row = event.borrow().seal(tenant).map(|row| (tenant.clone(), row));
        async move {
            let (tenant, row) = row?;
            match &self.inner.engine {
                Which::Sqlite(engine) => engine.append_durable(tenant, row).await,
                Which::Postgres(engine) => Box::pin(engine.append_durable(tenant, row)).await,
            }
        }
    }

    /// Returns once every audit row queued before is durable.
    pub async fn flush(&self) -> Result<(), StoreError> {
        match &self.inner.engine {
            Which::Sqlite(engine) => engine.flush().await,
            Which::Postgres(engine) => engine.flush().await,
        }
    }

    /// `false` while writes fail (full disk, lost database). Recovers by itself.
    pub fn healthy(&self) -> bool {
        self.inner.health.is_good()
    }

    /// What the store is busy with now.
    pub fn figures(&self) -> StoreFigures {
        let health = &self.inner.health;
        let (writes_waiting, (audit_rows_waiting, lag)) = match &self.inner.engine {
            Which::Sqlite(engine) => engine.waiting(),
            Which::Postgres(engine) => engine.waiting(),
        };
        StoreFigures {
            healthy: health.is_good(),
            writes_waiting,
            audit_rows_waiting,
            audit_lag: if audit_rows_waiting == 0 {
                std::time::Duration::ZERO
            } else {
                lag.max(health.bad_for())
            },
        }
    }

    /// How long transactions took.
    pub fn durations(&self) -> &Durations {
        &self.inner.durations
    }

    /// Hears from now on which of these topics change, in this or any other process, within 1 s (design.md D10).
    pub fn listen(&self, topics: &[Topic]) -> Listener {
        self.changes().listen(topics)
    }

    /// The same for whoever keeps what they read before they could listen: what has changed since the store was opened is
    /// heard as well.
    pub fn listen_since_opened(&self, topics: &[Topic]) -> Listener {
        self.changes().listen_since_opened(topics)
    }

    fn changes(&self) -> &changes::Changes {
        match &self.inner.engine {
            Which::Sqlite(engine) => engine.changes(),
            Which::Postgres(engine) => engine.changes(),
        }
    }

    /// Copies an SQLite store into a new file while it is in use. PostgreSQL has `pg_dump` for that.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let (store, to) = (self.clone(), to.to_owned());
        blocking(move || match &store.inner.engine {
            Which::Sqlite(engine) => engine.backup(&to),
            Which::Postgres(_) => Err(StoreError::Invalid {
                what: "this store is PostgreSQL: back it up with pg_dump".into(),
            }),
        })
        .await
    }

    /// Copies the backup of an SQLite store to `staged`, once the file is found whole.
    pub async fn stage_backup(from: &Path, staged: &Path) -> Result<(), StoreError> {
        let (from, staged) = (from.to_owned(), staged.to_owned());
        blocking(move || sqlite::open::stage(&from, &staged)).await
    }

    /// Puts a staged file in the place of the SQLite store at `path`, which nobody may have open. Gives the name, ending
    /// with `suffix`, under which the old one is kept.
    pub async fn swap_in(
        staged: &Path,
        path: &Path,
        suffix: &str,
        settings: &StoreSettings,
    ) -> Result<Option<std::path::PathBuf>, StoreError> {
        let (staged, path, suffix) = (staged.to_owned(), path.to_owned(), suffix.to_owned());
        let limit = settings.lock_timeout;
        blocking(move || sqlite::open::swap(&staged, &path, &suffix, limit)).await
    }

    /// Commits what is queued and ends the engine. Other clones answer [`StoreError::Closed`] from then on.
    pub async fn close(self) {
        match &self.inner.engine {
            Which::Postgres(engine) => engine.close().await,
            Which::Sqlite(_) => {
                let inner = Arc::clone(&self.inner);
                let stopped = blocking(move || {
                    if let Which::Sqlite(engine) = &inner.engine {
                        engine.stop();
                    }
                    Ok(())
                });
                // Stopping reports nothing; only a panic in it could come back here.
                let _ = stopped.await;
            }
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.kind())
    }
}

/// Runs what blocks away from the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(StoreError::Work("panicked")))
}
