//! Calls that go on after their reply: what the store keeps of them, opened for whom they belong to (protocol.md §5).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{CallError, House};
use crate::{
    access::Principal,
    domain::DomainError,
    store::{NewTask, StoreError, TaskRow, TaskStatus},
    vocabulary::{Timestamp, ToolName},
};

/// How long a task counts as running after it last said so. Several times [`TASK_SAYS_SO`], so that a slow store does not
/// end it.
const ALIVE_MS: i64 = 60_000;
/// How often a running task says that it does.
pub const TASK_SAYS_SO: Duration = Duration::from_secs(10);
/// Tasks of one person that may be under way at once.
const MOST_UNDER_WAY: i64 = 50;
/// Most answers to the questions of one round that are kept; other keys are none of ours.
const LARGEST_ANSWERS: usize = 1024 * 1024;

/// A task as its owner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// Its client wants it stopped.
    pub cancel_asked: bool,
    /// Questions that have no answer yet, by key.
    pub requests: Map<String, Value>,
    /// Answers by key.
    pub answers: Map<String, Value>,
    /// `{"result":…}` or `{"error":…}`, once it is over.
    pub outcome: Option<Value>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub updated_at: Timestamp,
    /// For how long it is kept, from when it was made, in milliseconds.
    pub ttl_ms: i64,
    /// Nobody runs it any more, although it is not over.
    pub is_lost: bool,
}

impl House {
    /// Keeps a call as a task that runs.
    ///
    /// # Errors
    /// When too many are under way, or the store refuses.
    pub async fn begin_task(
        &self,
        principal: &Principal,
        tool: &ToolName,
        lifetime_ms: i64,
    ) -> Result<Task, CallError> {
        let mut random = [0_u8; 24];
        getrandom::fill(&mut random)
            .map_err(|e| CallError::Domain(DomainError::internal(std::io::Error::other(e.to_string()))))?;
        let facts = principal.facts();
        let new = NewTask {
            id: format!("task_{}", URL_SAFE_NO_PAD.encode(random)),
            user: facts.user.clone(),
            edition: facts.edition.clone(),
            tool: tool.clone(),
            lifetime_ms,
            alive_ms: ALIVE_MS,
        };
        let row = self
            .store
            .write(&facts.tenant, move |tx| {
                async move {
                    if tx.client_tasks().under_way(&new.user).await? >= MOST_UNDER_WAY {
                        return Err(DomainError::Rule(format!(
                            "{MOST_UNDER_WAY} of your tasks are under way already; wait for some of them"
                        )));
                    }
                    Ok(tx.client_tasks().insert(&new).await?)
                }
                .boxed()
            })
            .await?;
        Ok(self.opened(principal, row))
    }

    /// A principal's task.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_task(&self, principal: &Principal, id: &str) -> Result<Option<Task>, StoreError> {
        let (name, user) = (id.to_owned(), principal.facts().user.clone());
        let found = self
            .store
            .read(principal.tenant(), move |tx| {
                async move { tx.client_tasks().find(&name, &user).await }.boxed()
            })
            .await?;
        Ok(found.map(|row| self.opened(principal, row)))
    }

    /// Says that a task still runs.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn keep_task_alive(&self, principal: &Principal, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.store
            .write(principal.tenant(), move |tx| {
                async move { tx.client_tasks().keep_alive(&id, ALIVE_MS).await }.boxed()
            })
            .await
    }

    /// Puts a task's questions, or with none lets it work on.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn set_task_questions(
        &self,
        principal: &Principal,
        id: &str,
        requests: Option<&Map<String, Value>>,
    ) -> Result<(), StoreError> {
        let sealed = requests
            .map(|requests| self.seal_part(principal, id, "requests", requests))
            .transpose()?;
        let id = id.to_owned();
        self.store
            .write(principal.tenant(), move |tx| {
                async move { tx.client_tasks().set_questions(&id, sealed.as_deref()).await }.boxed()
            })
            .await
    }

    /// Takes answers to a task's questions; keys that were not asked for are ignored. `false`: no such task.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn answer_task(
        &self,
        principal: &Principal,
        id: &str,
        answers: Map<String, Value>,
    ) -> Result<bool, StoreError> {
        // Held while it is read and written: two clients may answer at once.
        let (name, user) = (id.to_owned(), principal.facts().user.clone());
        let (key, owner) = (std::sync::Arc::clone(&self.seal_key), principal.clone());
        self.store
            .write(principal.tenant(), move |tx| {
                async move {
                    let Some(row) = tx.client_tasks().hold(&name, &user).await? else {
                        return Ok(false);
                    };
                    let open = |part: &str, bytes: &Option<Vec<u8>>| -> Map<String, Value> {
                        let bytes = bytes.as_deref().unwrap_or_default();
                        key.open_row(&binding(&owner, &name, part), bytes)
                            .unwrap_or_default()
                    };
                    let asked = open("requests", &row.requests);
                    let mut all = open("answers", &row.answers);
                    let new = answers.into_iter().filter(|(key, _)| asked.contains_key(key));
                    all.extend(new);
                    let sealed = key.seal_row(&binding(&owner, &name, "answers"), &all);
                    let Ok(sealed) = sealed else { return Ok(true) };
                    if row.status == TaskStatus::InputRequired && sealed.len() <= LARGEST_ANSWERS {
                        tx.client_tasks().set_answers(&name, &sealed).await?;
                    }
                    Ok(true)
                }
                .boxed()
            })
            .await
    }

    /// Asks for a task to be stopped. `false`: no such task.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn cancel_task(&self, principal: &Principal, id: &str) -> Result<bool, StoreError> {
        let (name, user) = (id.to_owned(), principal.facts().user.clone());
        self.store
            .write(principal.tenant(), move |tx| {
                async move {
                    let Some(row) = tx.client_tasks().hold(&name, &user).await? else {
                        return Ok(false);
                    };
                    if !row.status.is_final() {
                        tx.client_tasks().ask_cancel(&name).await?;
                    }
                    Ok(true)
                }
                .boxed()
            })
            .await
    }

    /// Ends a task.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn finish_task(
        &self,
        principal: &Principal,
        id: &str,
        status: TaskStatus,
        outcome: Option<&Value>,
    ) -> Result<(), StoreError> {
        let sealed = outcome
            .map(|outcome| self.seal_part(principal, id, "outcome", outcome))
            .transpose()?;
        let id = id.to_owned();
        self.store
            .write(principal.tenant(), move |tx| {
                async move { tx.client_tasks().finish(&id, status, sealed.as_deref()).await }.boxed()
            })
            .await
    }

    fn seal_part(
        &self,
        principal: &Principal,
        id: &str,
        part: &str,
        value: &impl Serialize,
    ) -> Result<Vec<u8>, StoreError> {
        self.seal_key
            .seal_row(&binding(principal, id, part), value)
            .map_err(|_| StoreError::Invalid {
                what: "no random bytes".into(),
            })
    }

    fn opened(&self, principal: &Principal, row: TaskRow) -> Task {
        fn open<T: DeserializeOwned>(house: &House, binding: &str, bytes: Option<&Vec<u8>>) -> Option<T> {
            house.seal_key.open_row(binding, bytes?).ok()
        }
        let part = |name: &str| binding(principal, &row.id, name);
        let answers: Map<String, Value> =
            open(self, &part("answers"), row.answers.as_ref()).unwrap_or_default();
        let mut requests: Map<String, Value> =
            open(self, &part("requests"), row.requests.as_ref()).unwrap_or_default();
        requests.retain(|key, _| !answers.contains_key(key));
        Task {
            outcome: open(self, &part("outcome"), row.outcome.as_ref()),
            status: row.status,
            cancel_asked: row.cancel_asked,
            requests,
            answers,
            created_at: row.created_at,
            updated_at: row.updated_at,
            ttl_ms: row
                .expires_at
                .as_millis()
                .saturating_sub(row.created_at.as_millis()),
            is_lost: !row.status.is_final() && row.alive_until < self.clock.now(),
            id: row.id,
        }
    }
}

/// What the sealed parts of a task are bound to.
fn binding(principal: &Principal, id: &str, part: &str) -> String {
    let facts = principal.facts();
    format!("task\n{}\n{}\n{id}\n{part}", facts.tenant, facts.user)
}
