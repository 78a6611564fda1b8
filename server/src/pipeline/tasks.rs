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
    policy::review::{self, APPROVED_LIFETIME_MS, REVIEW_LIFETIME_MS, ReviewStatus},
    store::{NewTask, PendingState, StoreError, TaskRow, TaskStatus},
    vocabulary::{Timestamp, ToolName, sha256},
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

/// How long the end of a review can be looked at, in milliseconds: a person may come back on the next day.
const REVIEW_KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// Stands in a task's id before the review that it waits for.
const REVIEW_MARK: char = '.';

/// How the review of a call stands.
#[derive(Clone, Debug, PartialEq)]
pub enum ReviewStands {
    /// Somebody still has to answer, or the time has not come; in words.
    Waiting(String),
    /// It came to nothing; why.
    Over(String),
    /// It was answered, or its call has run: repeating the call of this tool says what it came to.
    Decided(ToolName),
}

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

impl Task {
    /// The review that the call waits for, if that is what the task is.
    pub fn review(&self) -> Option<&str> {
        self.id.split_once(REVIEW_MARK).map(|(_, review)| review)
    }
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
        self.keep_task(principal, tool, None, lifetime_ms, ALIVE_MS).await
    }

    /// Keeps a call that waits for its review as a task that nothing runs, for longer than the review may take.
    ///
    /// # Errors
    /// As [`House::begin_task`].
    pub async fn begin_review_task(
        &self,
        principal: &Principal,
        tool: &ToolName,
        review: &str,
    ) -> Result<Task, CallError> {
        let lasts_ms = REVIEW_LIFETIME_MS + APPROVED_LIFETIME_MS + REVIEW_KEPT_MS;
        self.keep_task(principal, tool, Some(review), lasts_ms, lasts_ms)
            .await
    }

    async fn keep_task(
        &self,
        principal: &Principal,
        tool: &ToolName,
        review: Option<&str>,
        lifetime_ms: i64,
        alive_ms: i64,
    ) -> Result<Task, CallError> {
        let mut random = [0_u8; 24];
        getrandom::fill(&mut random)
            .map_err(|e| CallError::Domain(DomainError::internal(std::io::Error::other(e.to_string()))))?;
        let facts = principal.facts();
        let mut id = format!("task_{}", URL_SAFE_NO_PAD.encode(random));
        if let Some(review) = review {
            id.push(REVIEW_MARK);
            id.push_str(review);
        }
        let new = NewTask {
            id,
            user: facts.user.clone(),
            edition: facts.edition.clone(),
            tool: tool.clone(),
            lifetime_ms,
            alive_ms,
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

    /// How the review of a call of this principal's stands.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn review_stands(
        &self,
        principal: &Principal,
        review: &str,
    ) -> Result<ReviewStands, StoreError> {
        let (id, user) = (review.to_owned(), principal.facts().user.clone());
        let found = self.store.read(principal.tenant(), move |tx| {
            async move {
                let found = review::find(tx, &id).await?.map(|(review, _)| review);
                Ok::<_, StoreError>((found.filter(|review| review.requester == user), tx.now()))
            }
            .boxed()
        });
        let (found, now) = found.await?;
        let Some(review) = found else {
            return Ok(ReviewStands::Over(
                "the review is gone; make the call again".to_owned(),
            ));
        };
        Ok(match review.status_at(now) {
            ReviewStatus::Pending => {
                let open = review.groups.iter().filter(|vote| !vote.approved);
                let open: Vec<_> = open.map(|vote| vote.group.as_str()).collect();
                ReviewStands::Waiting(format!("Waits for the approval of {}.", open.join(", ")))
            }
            ReviewStatus::Approved if review.runs_from.is_some_and(|from| now < from) => {
                let from = review.runs_from.unwrap_or(now);
                ReviewStands::Waiting(format!(
                    "Approved, to be run from {from} until {}.",
                    review.expires_at
                ))
            }
            ReviewStatus::Processing => ReviewStands::Waiting("It is being carried out.".to_owned()),
            // A no is said by the call itself, as is the result of one that ran.
            ReviewStatus::Approved | ReviewStatus::Executed | ReviewStatus::Rejected => {
                ReviewStands::Decided(review.tool)
            }
            ReviewStatus::Revoked => {
                ReviewStands::Over("the review was revoked; the call was not run".to_owned())
            }
            ReviewStatus::Expired => ReviewStands::Over(review.rejection_reason.unwrap_or_else(|| {
                "the review expired before the call could run; make the call again".to_owned()
            })),
        })
    }

    /// Takes a call of this principal's back from its reviewers, if it still waits for them.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn withdraw_review(&self, principal: &Principal, review: &str) -> Result<(), StoreError> {
        let (id, user) = (review.to_owned(), principal.facts().user.clone());
        self.store
            .write(principal.tenant(), move |tx| {
                async move {
                    if review::withdraw(tx, &id, &user).await? {
                        tx.pending_calls()
                            .end(&sha256(&id), PendingState::Declined)
                            .await?;
                    }
                    Ok(())
                }
                .boxed()
            })
            .await
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
