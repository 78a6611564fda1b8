//! Audit rows whose callers do not wait for a transaction of their own: gathered for at most
//! `audit_linger`, inserted in one transaction, kept and tried again when that fails.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{PgConnection, Shared};
use crate::{
    store::{StoreError, StoreSettings, audit::SealedAudit},
    vocabulary::TenantId,
};

/// Most rows in one transaction.
const MOST_ROWS: usize = 2048;
/// Wait after a failure, and between probes while nobody asks for anything.
const AGAIN: Duration = Duration::from_millis(250);

type Reply = oneshot::Sender<Result<(), StoreError>>;

enum Message {
    Row(TenantId, SealedAudit, Option<Reply>),
    Flush(Reply),
}

/// The way to the task that inserts.
pub(super) struct Queue {
    shared: Arc<Shared>,
    sender: Mutex<Option<mpsc::Sender<Message>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Queue {
    pub(super) fn start(shared: &Arc<Shared>, settings: &StoreSettings) -> Self {
        let (sender, receiver) = mpsc::channel(settings.audit_queue.max(1));
        let task = Gatherer {
            receiver,
            shared: Arc::clone(shared),
            linger: settings.audit_linger,
            rows: Vec::new(),
            replies: Vec::new(),
            closed: false,
        };
        Self {
            shared: Arc::clone(shared),
            sender: Mutex::new(Some(sender)),
            task: Mutex::new(Some(tokio::spawn(task.serve()))),
        }
    }

    async fn send(&self, message: Message) -> Result<(), StoreError> {
        let sender = self.sender.lock().clone().ok_or(StoreError::Closed)?;
        sender.send(message).await.map_err(|_| StoreError::Closed)
    }

    /// Counted before it can be done: the task may be faster than we are.
    async fn send_row(&self, message: Message) -> Result<(), StoreError> {
        self.shared.waiting.queued();
        let sent = self.send(message).await;
        if sent.is_err() {
            self.shared.waiting.given_up(1);
        }
        sent
    }

    pub(super) async fn append(&self, tenant: TenantId, row: SealedAudit) -> Result<(), StoreError> {
        self.send_row(Message::Row(tenant, row, None)).await
    }

    pub(super) async fn append_durable(&self, tenant: TenantId, row: SealedAudit) -> Result<(), StoreError> {
        let (reply, answered) = oneshot::channel();
        self.send_row(Message::Row(tenant, row, Some(reply))).await?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let (reply, answered) = oneshot::channel();
        self.send(Message::Flush(reply)).await?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Inserts what is queued and ends the task.
    pub(super) async fn close(&self) {
        drop(self.sender.lock().take());
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A panic in it has told its story already.
            let _ = task.await;
        }
    }
}

struct Gatherer {
    receiver: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
    linger: Duration,
    /// Rows not committed yet. Those at the front may come from a failed attempt.
    rows: Vec<(TenantId, SealedAudit)>,
    /// Who waits, and for the row at which place (`None`: for all of them).
    replies: Vec<(Option<usize>, Reply)>,
    closed: bool,
}

impl Gatherer {
    async fn serve(mut self) {
        while !self.closed || !self.rows.is_empty() || !self.replies.is_empty() {
            self.gather().await;
            if self.rows.is_empty() && self.replies.is_empty() && self.shared.health.is_good() {
                continue;
            }
            let began = std::time::Instant::now();
            let outcome = self.commit().await;
            // Before anybody is told, so that whoever was refused finds the store unhealthy.
            match &outcome {
                Ok(()) => self.shared.health.good(),
                Err(error) => self.shared.health.bad(error),
            }
            let waited_for: Vec<usize> = self.replies.iter().filter_map(|(row, _)| *row).collect();
            for (_, reply) in self.replies.drain(..) {
                // The asker may have gone.
                let _ = reply.send(outcome.clone());
            }
            match outcome {
                Ok(()) => {
                    self.shared.waiting.done(self.rows.len(), began);
                    self.rows.clear();
                }
                Err(_) => {
                    self.shared.waiting.given_up(waited_for.len());
                    // Who waited was told and will not count on the row; the others must not be lost.
                    let mut at = 0..;
                    self.rows
                        .retain(|_| at.next().is_none_or(|at| !waited_for.contains(&at)));
                    if self.closed {
                        tracing::error!(
                            rows = self.rows.len(),
                            "closed the store without being able to commit audit rows"
                        );
                        return;
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Row(tenant, row, reply) => {
                if let Some(reply) = reply {
                    self.replies.push((Some(self.rows.len()), reply));
                }
                self.rows.push((tenant, row));
            }
            Message::Flush(reply) => self.replies.push((None, reply)),
        }
    }

    /// Fills `rows` until somebody waits, the oldest row has lingered, or the group is full.
    async fn gather(&mut self) {
        let linger = self.linger;
        let mut until = if self.rows.is_empty() {
            None
        } else {
            Some(Instant::now())
        };
        while !self.closed && self.rows.len() < MOST_ROWS {
            let message = if !self.replies.is_empty() {
                match self.receiver.try_recv() {
                    Ok(message) => Some(message),
                    Err(mpsc::error::TryRecvError::Empty) => return,
                    Err(mpsc::error::TryRecvError::Disconnected) => None,
                }
            } else if let Some(until) = until {
                match timeout_at(until, self.receiver.recv()).await {
                    Ok(message) => message,
                    Err(_) => return,
                }
            } else {
                // Transactions elsewhere may find the database gone while nothing is queued here, so an idle
                // queue looks up now and then and probes.
                match tokio::time::timeout(AGAIN, self.receiver.recv()).await {
                    Ok(message) => message,
                    Err(_) if self.shared.health.is_good() => continue,
                    Err(_) => return,
                }
            };
            match message {
                Some(message) => self.take(message),
                None => self.closed = true,
            }
            until.get_or_insert_with(|| Instant::now() + linger);
        }
    }

    async fn commit(&self) -> Result<(), StoreError> {
        // A flush of nothing, while all is well, needs no transaction.
        if self.rows.is_empty() && self.shared.health.is_good() {
            return Ok(());
        }
        let mut last = StoreError::Contended;
        for _ in 0..3 {
            match self.try_commit().await {
                Err(error) if error.is_retryable() => last = error,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    async fn try_commit(&self) -> Result<(), StoreError> {
        let mut connection = PgConnection::begin(&self.shared, true, "*").await?;
        if self.rows.is_empty() {
            // A probe must really write: a standby or a full disk lets an empty transaction commit.
            const PROBE: &str = "INSERT INTO changes (topic, counter) VALUES ('probe', 1)
                ON CONFLICT (topic) DO UPDATE SET counter = changes.counter + 1";
            connection.execute(PROBE, &[]).await?;
        }
        connection.append_audits(&self.rows).await?;
        connection.commit(&self.shared).await
    }
}
