//! Questions that a running call puts to its client, and the way of an answer back to the call that waits for it.
//!
//! The answer comes as a request of its own. Where it arrives on the replica that asked, it is handed over in memory;
//! elsewhere it is left in the store, and the one that asked is told. Without an open question of that person's
//! nothing is taken.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{ClientSession, House};
use crate::{
    access::Principal,
    domain::InputRequest,
    policy::SealKey,
    store::{Store, StoreError, Topic},
    vocabulary::{TenantId, UserId, hexadecimal, sha256},
};

const PREFIX: &str = "ask_";
/// How long an order to stop a call is kept for the replica that runs it, in milliseconds: longer than any needs to hear.
const ORDER_KEPT_MS: i64 = 60_000;
/// Questions of one person that may be open at once on one replica: a person answers one after the other.
const MOST_OPEN: usize = 32;
/// Answers that one look at the table reads.
const ANSWERS_AT_ONCE: u32 = 1000;

/// What a client said to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ClientAnswer {
    /// The `result`.
    Result(Value),
    /// The message of an `error`.
    Error(String),
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody answered in time.
    #[error("nobody answered within {0} s")]
    TooLate(u64),
    /// The client will not.
    #[error("the client refused to ask: {0}")]
    Refused(String),
    /// The client's revision has no way to put it.
    #[error("the client's revision cannot show this question")]
    NotShown,
    /// So many wait already.
    #[error("{MOST_OPEN} questions wait for an answer already")]
    TooMany,
    /// Whoever asked may not any more.
    #[error("the credential was withdrawn meanwhile")]
    Withdrawn,
    /// The store refuses.
    #[error("the question cannot be recorded")]
    Store(#[from] StoreError),
}

/// Answers by key, and the principal as it may act now: rights may have changed while a person thought.
pub type Answered = Result<(Map<String, Value>, Principal), NoAnswer>;

/// A client that can be asked while its call runs.
pub trait AskClient: Send + Sync {
    /// Asks all of them.
    fn ask<'a>(&'a self, requests: &'a [(String, InputRequest)]) -> BoxFuture<'a, Answered>;
}

struct Waiting {
    tenant: TenantId,
    user: UserId,
    /// `None`: it stands in the store.
    tell: oneshot::Sender<Option<ClientAnswer>>,
}

/// A running call that its client may stop. It cannot be stopped any more once this is dropped.
pub struct Stoppable {
    id: String,
    questions: Arc<Questions>,
    /// Fires when the client wants it stopped.
    pub stop: CancellationToken,
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        self.questions.stoppable.lock().remove(&self.id);
    }
}

/// The open questions of this replica, and the calls that their clients may stop.
pub(super) struct Questions {
    store: Store,
    seal_key: Arc<SealKey>,
    waiting: Mutex<HashMap<String, Waiting>>,
    stoppable: Mutex<HashMap<String, CancellationToken>>,
    /// The newest answer that was read.
    seen: AtomicI64,
}

/// A question that was opened. Closed when dropped.
pub struct OpenQuestion {
    /// What the request to the client is called: its answer bears the same id.
    pub id: String,
    questions: Arc<Questions>,
    tenant: TenantId,
    answered: oneshot::Receiver<Option<ClientAnswer>>,
    patience: Duration,
}

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        self.questions.waiting.lock().remove(&self.id);
    }
}

impl OpenQuestion {
    /// Waits for the answer.
    ///
    /// # Errors
    /// When none comes in time.
    pub async fn answer(mut self) -> Result<ClientAnswer, NoAnswer> {
        let too_late = || NoAnswer::TooLate(self.patience.as_secs());
        let Ok(Ok(answered)) = tokio::time::timeout(self.patience, &mut self.answered).await else {
            return Err(too_late());
        };
        let (tenant, id) = (self.tenant.clone(), self.id.clone());
        let here = answered.is_some();
        let stored = self
            .questions
            .store
            .write(&tenant, move |tx| {
                async move {
                    let found = match here {
                        true => None,
                        false => tx.client_questions().find_answer(&id).await?,
                    };
                    tx.client_questions().close(&id).await?;
                    Ok::<_, StoreError>(found)
                }
                .boxed()
            })
            .await?;
        match (answered, stored) {
            (Some(answer), _) => Ok(answer),
            (None, Some(sealed)) => self
                .questions
                .seal_key
                .open_row(&binding(&self.tenant, &self.id), &sealed)
                .map_err(|_| too_late()),
            (None, None) => Err(too_late()),
        }
    }
}

/// What an order to stop a call is known by: nobody can name another session's call.
fn order_id(session: &ClientSession, request: &str) -> String {
    let digest = sha256(&format!("{}\n{request}", hexadecimal(session.hash())));
    format!("stop_{}", hexadecimal(&digest))
}

/// What a stored answer is bound to.
fn binding(tenant: &TenantId, id: &str) -> String {
    format!("answer\n{tenant}\n{id}")
}

impl Questions {
    pub(super) fn new(store: Store, seal_key: Arc<SealKey>) -> Self {
        Self {
            store,
            seal_key,
            waiting: Mutex::default(),
            stoppable: Mutex::default(),
            seen: AtomicI64::new(0),
        }
    }

    /// Wakes those whose answers came to another replica.
    pub(super) async fn follow(&self) {
        let mut changes = self.store.listen(&[Topic::Answers]);
        while changes.next().await.is_some() {
            if self.waiting.lock().is_empty() && self.stoppable.lock().is_empty() {
                continue;
            }
            if let Err(error) = self.wake().await {
                warn!(error = %error, "answers of clients not read; the next one reads them again");
            }
        }
    }

    async fn wake(&self) -> Result<(), StoreError> {
        loop {
            let seen = self.seen.load(Ordering::Acquire);
            let answered = self
                .store
                .system_read(move |tx| {
                    async move { tx.client_questions().answered_since(seen, ANSWERS_AT_ONCE).await }.boxed()
                })
                .await?;
            let full = answered.len() >= ANSWERS_AT_ONCE as usize;
            for (id, version) in answered {
                self.seen.fetch_max(version, Ordering::AcqRel);
                if let Some(stop) = self.stoppable.lock().remove(&id) {
                    stop.cancel();
                }
                if let Some(waiting) = self.waiting.lock().remove(&id) {
                    // Whoever stopped waiting needs no answer.
                    let _ = waiting.tell.send(None);
                }
            }
            if !full {
                return Ok(());
            }
        }
    }
}

impl House {
    /// Lets a session's client stop a call of its own by the id of its request.
    pub fn stoppable(&self, session: &ClientSession, request: &str) -> Stoppable {
        let (id, stop) = (order_id(session, request), CancellationToken::new());
        self.questions.stoppable.lock().insert(id.clone(), stop.clone());
        Stoppable {
            id,
            questions: Arc::clone(&self.questions),
            stop,
        }
    }

    /// Stops a call of a session, on whatever replica it runs. What is over, or was never there, is none of its business.
    ///
    /// # Errors
    /// When another replica cannot be told.
    pub async fn stop_call(
        &self,
        principal: &Principal,
        session: &ClientSession,
        request: &str,
    ) -> Result<(), StoreError> {
        let id = order_id(session, request);
        let here = self.questions.stoppable.lock().remove(&id);
        if let Some(stop) = here {
            stop.cancel();
            return Ok(());
        }
        // A store of one process has nobody else to tell.
        if self.store.kind() != "postgres" {
            return Ok(());
        }
        let user = principal.facts().user.clone();
        self.store
            .write(principal.tenant(), move |tx| {
                async move {
                    // The same order twice is one: the first is still there.
                    tx.client_questions().close(&id).await?;
                    tx.client_questions().ask(&id, &user, ORDER_KEPT_MS).await?;
                    tx.client_questions().answer(&id, &user, &[]).await.map(drop)
                }
                .boxed()
            })
            .await
    }

    /// Opens a question to a principal's client, for as long as `patience`.
    ///
    /// # Errors
    /// When too many are open, or the store refuses.
    pub async fn open_question(
        &self,
        principal: &Principal,
        patience: Duration,
    ) -> Result<OpenQuestion, NoAnswer> {
        let (tenant, user) = (principal.tenant().clone(), principal.facts().user.clone());
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(|_| NoAnswer::TooMany)?;
        let id = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let (tell, answered) = oneshot::channel();
        {
            let mut waiting = self.questions.waiting.lock();
            let own = waiting.values().filter(|w| w.user == user && w.tenant == tenant);
            if own.count() >= MOST_OPEN {
                return Err(NoAnswer::TooMany);
            }
            let entry = Waiting {
                tenant: tenant.clone(),
                user: user.clone(),
                tell,
            };
            waiting.insert(id.clone(), entry);
        }
        let question = OpenQuestion {
            id: id.clone(),
            questions: Arc::clone(&self.questions),
            tenant: tenant.clone(),
            answered,
            patience,
        };
        let lifetime_ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        self.store
            .write(&tenant, move |tx| {
                async move { tx.client_questions().ask(&id, &user, lifetime_ms).await }.boxed()
            })
            .await?;
        Ok(question)
    }

    /// Takes a client's answer to whatever call waits for it, on whatever replica. An answer that nobody waits for is
    /// dropped.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn take_answer(
        &self,
        principal: &Principal,
        id: &str,
        answer: ClientAnswer,
    ) -> Result<(), StoreError> {
        if !id.starts_with(PREFIX) || id.len() > 64 {
            return Ok(());
        }
        let (tenant, user) = (principal.tenant(), &principal.facts().user);
        let here = {
            let mut waiting = self.questions.waiting.lock();
            match waiting.get(id) {
                Some(known) if known.tenant == *tenant && known.user == *user => waiting.remove(id),
                Some(_) => return Ok(()),
                None => None,
            }
        };
        if let Some(waiting) = here {
            // Whoever stopped waiting needs no answer.
            let _ = waiting.tell.send(Some(answer));
            return Ok(());
        }
        let sealed = self.seal_key.seal_row(&binding(tenant, id), &answer);
        let Ok(sealed) = sealed else { return Ok(()) };
        let (id, user) = (id.to_owned(), user.clone());
        self.store
            .write(tenant, move |tx| {
                async move { tx.client_questions().answer(&id, &user, &sealed).await.map(drop) }.boxed()
            })
            .await
    }
}
