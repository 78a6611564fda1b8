//! The engine for many replicas: PostgreSQL 15 or newer, through a pool of connections.

mod audits;
mod connection;
mod listen;
mod open;

use std::sync::Arc;

use deadpool_postgres::Pool;
use tokio::task::JoinHandle;

pub(crate) use connection::PgConnection;

use super::{
    Engine, Health, Session, StoreError, StoreSettings, audit::SealedAudit, changes::Changes,
    figures::Waiting, work::Work,
};
use crate::vocabulary::{Clock, TenantId};

/// A running engine.
pub(crate) struct PgEngine {
    shared: Arc<Shared>,
    audits: audits::Queue,
    listener: JoinHandle<()>,
}

/// What transactions need.
pub(super) struct Shared {
    pool: Pool,
    host: String,
    clock: Clock,
    changes: Changes,
    health: Arc<Health>,
    /// Rows of the call log that are queued or being committed.
    waiting: Waiting,
}

impl PgEngine {
    pub(crate) async fn open(
        url: &str,
        settings: &StoreSettings,
        clock: &Clock,
        health: &Arc<Health>,
    ) -> Result<Self, StoreError> {
        let opened = open::open(url, settings).await?;
        let shared = Arc::new(Shared {
            pool: opened.pool,
            host: opened.host,
            clock: clock.clone(),
            changes: Changes::new(opened.counters),
            health: Arc::clone(health),
            waiting: Waiting::default(),
        });
        let audits = audits::Queue::start(&shared, settings);
        let listener = tokio::spawn(listen::listen(opened.config, Arc::downgrade(&shared)));
        Ok(Self {
            shared,
            audits,
            listener,
        })
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.shared.changes
    }

    /// Runs `work` in one transaction on a task of its own, so that a caller who goes away neither stops
    /// it half-way nor gives an open transaction back to the pool.
    pub(crate) async fn run(
        &self,
        scope: Option<&TenantId>,
        writes: bool,
        work: Work,
    ) -> Result<(), StoreError> {
        if self.shared.pool.is_closed() {
            return Err(StoreError::Closed);
        }
        let (shared, scope) = (Arc::clone(&self.shared), scope.cloned());
        let ran = tokio::spawn(async move {
            let scope = scope.as_ref().map_or("*", TenantId::as_str);
            let connection = PgConnection::begin(&shared, writes, scope).await?;
            shared.work(connection, writes, work).await
        });
        ran.await.unwrap_or(Err(StoreError::Work("panicked")))
    }

    pub(crate) async fn append(&self, tenant: TenantId, row: SealedAudit) -> Result<(), StoreError> {
        self.audits.append(tenant, row).await
    }

    pub(crate) async fn append_durable(&self, tenant: TenantId, row: SealedAudit) -> Result<(), StoreError> {
        self.audits.append_durable(tenant, row).await
    }

    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        self.audits.flush().await
    }

    /// Transactions that wait for a connection; rows of the call log that wait, and for how long.
    pub(crate) fn waiting(&self) -> (usize, (usize, std::time::Duration)) {
        (self.shared.pool.status().waiting, self.shared.waiting.now())
    }

    pub(crate) async fn close(&self) {
        self.audits.close().await;
        self.listener.abort();
        self.shared.pool.close();
    }
}

impl Drop for PgEngine {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Shared {
    async fn work(&self, connection: PgConnection, writes: bool, work: Work) -> Result<(), StoreError> {
        let mut session = Session::new(Engine::Postgres(connection), self.clock.now());
        let keep = work(&mut session).await;
        let changed = if keep && writes {
            session.append_changes().await
        } else {
            Ok(())
        };
        let failure = session.take_failure();
        let (audits, raised) = (
            std::mem::take(&mut session.audits),
            std::mem::take(&mut session.raised),
        );
        let Engine::Postgres(mut connection) = session.engine else {
            return Err(StoreError::Work("runs on the wrong engine"));
        };
        let failed = match (keep, changed, failure) {
            // The work's own error is with its caller.
            (false, ..) => Ok(()),
            (true, Ok(()), None) => Ok(()),
            (true, Err(error), _) | (true, Ok(()), Some(error)) => Err(self.noted(error)),
        };
        if !keep || failed.is_err() || !writes {
            connection.roll_back().await;
            return failed;
        }
        let committed = match connection.append_audits(&audits).await {
            Ok(()) => connection.commit(self).await,
            Err(error) => {
                connection.roll_back().await;
                Err(error)
            }
        };
        match committed {
            Ok(()) => {
                self.health.good();
                for (topic, version) in raised {
                    self.changes.tell(topic, version);
                }
                Ok(())
            }
            Err(error) => Err(self.noted(error)),
        }
    }

    /// Puts the server's name into errors that were made without it, and notes outages.
    fn noted(&self, error: StoreError) -> StoreError {
        let error = match error {
            StoreError::Unreachable { detail, .. } => StoreError::Unreachable {
                host: self.host.clone(),
                detail,
            },
            other => other,
        };
        if error.is_outage() {
            self.health.bad(&error);
        }
        error
    }
}
