//! Sessions of legacy clients (design.md D6): a sealed id that says who the client is and what it can do, so that any
//! replica knows it, and beside it the little that must be remembered.
//!
//! Of most sessions nothing is remembered and no row is written. What is, stands in the store and in every replica's
//! memory: a call asks no database for it.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicI64, Ordering},
};

use futures_util::FutureExt;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;

use super::House;
use crate::{
    access::Principal,
    store::{SessionRow, SessionState, Store, StoreError, Topic},
    vocabulary::{Timestamp, sha256},
};

/// Longest session id that is made, in bytes (protocol.md S-49): it comes back in a header of every request.
const LONGEST_ID: usize = 1024;
/// Longest name and version of a client that a session keeps, in characters.
const LONGEST_NAME: usize = 60;
/// How long what a process's client wants is kept, in milliseconds: longer than any assistant stays open.
const PROCESS_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Rows that one look at the table reads.
const ROWS_AT_ONCE: u32 = 1000;
/// Capabilities that a server may make use of; nothing else of what a client declares is worth its bytes.
const KEPT_CAPABILITIES: [&str; 3] = ["elicitation", "sampling", "roots"];

/// Who a client is and what it can do, as it said when its session began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientFacts {
    /// Its name for itself.
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(rename = "v", skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it can be asked for.
    #[serde(rename = "c")]
    pub capabilities: Map<String, Value>,
    /// The revision that was agreed on.
    #[serde(rename = "r")]
    pub revision: String,
}

impl ClientFacts {
    /// What of a client's words is kept.
    pub fn new(
        name: Option<&str>,
        version: Option<&str>,
        mut capabilities: Map<String, Value>,
        revision: &str,
    ) -> Self {
        let cut = |text: &str| -> String {
            let shown = text.chars().filter(|c| !c.is_control());
            shown.take(LONGEST_NAME).collect()
        };
        capabilities.retain(|name, value| KEPT_CAPABILITIES.contains(&name.as_str()) && value.is_object());
        for modes in capabilities.values_mut().filter_map(Value::as_object_mut) {
            // What a mode says of itself is of no use here, and could be of any length.
            modes.retain(|name, _| {
                ["form", "url", "tools", "context", "listChanged"].contains(&name.as_str())
            });
            modes
                .values_mut()
                .for_each(|mode| *mode = Value::Object(Map::new()));
        }
        Self {
            name: name.map(cut),
            version: version.map(cut),
            capabilities,
            revision: revision.to_owned(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    facts: ClientFacts,
    #[serde(rename = "e")]
    expires_ms: i64,
}

/// A session whose id was opened.
#[derive(Clone, Debug)]
pub struct ClientSession {
    /// Who the client is.
    pub facts: ClientFacts,
    /// What is remembered of it.
    pub state: SessionState,
    hash: [u8; 32],
    expires_at: Timestamp,
}

impl ClientSession {
    /// What the session is known by: its id's digest.
    pub(super) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

/// What is remembered of sessions, in memory.
pub(super) struct Sessions {
    store: Store,
    rows: RwLock<HashMap<[u8; 32], SessionRow>>,
    /// The newest change that was read.
    seen: AtomicI64,
}

impl Sessions {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            rows: RwLock::default(),
            seen: AtomicI64::new(0),
        }
    }

    fn state(&self, hash: &[u8; 32]) -> SessionState {
        let rows = self.rows.read();
        rows.get(hash).map(|row| row.state.clone()).unwrap_or_default()
    }

    fn learn(&self, row: SessionRow) {
        let mut rows = self.rows.write();
        let known = rows.get(&row.hash).map_or(i64::MIN, |known| known.version);
        if row.version > known {
            rows.insert(row.hash, row);
        }
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        loop {
            let seen = self.seen.load(Ordering::Acquire);
            let changed = self
                .store
                .system_read(move |tx| {
                    async move { tx.client_sessions().changed_since(seen, ROWS_AT_ONCE).await }.boxed()
                })
                .await?;
            let full = changed.len() >= ROWS_AT_ONCE as usize;
            for row in changed {
                self.seen.fetch_max(row.version, Ordering::AcqRel);
                self.learn(row);
            }
            if !full {
                return Ok(());
            }
        }
    }

    pub(super) fn tidy(&self, now: Timestamp) {
        self.rows.write().retain(|_, row| row.expires_at > now);
    }

    async fn follow(&self) {
        let mut changes = self.store.listen(&[Topic::Sessions]);
        loop {
            if let Err(error) = self.refresh().await {
                warn!(error = %error, "sessions not read; the next change reads them again");
            }
            if changes.next().await.is_none() {
                return;
            }
        }
    }
}

/// What a session's id is bound to: nobody else's opens.
fn binding(principal: &Principal) -> String {
    let facts = principal.facts();
    format!("session\n{}\n{}\n{}", facts.tenant, facts.user, facts.edition)
}

impl House {
    /// Makes the id of a new session, good for `lifetime_ms`. `None`: the machine gave no random bytes; the client is
    /// served without one.
    pub fn begin_session(
        &self,
        principal: &Principal,
        facts: ClientFacts,
        lifetime_ms: i64,
    ) -> Option<String> {
        let sealed = Sealed {
            facts,
            expires_ms: self.clock.now().plus_millis(lifetime_ms).as_millis(),
        };
        let id = self.seal_key.seal_text(&binding(principal), &sealed).ok()?;
        (id.len() <= LONGEST_ID).then_some(id)
    }

    /// The session of a client that is known by its own process and needs no id.
    pub fn process_session(&self, facts: ClientFacts, process: &str) -> ClientSession {
        ClientSession {
            facts,
            state: SessionState::default(),
            hash: sha256(process),
            expires_at: self.clock.now().plus_millis(PROCESS_MS),
        }
    }

    /// Opens a session's id. `None`: it is not this principal's, not ours, or over.
    pub fn find_session(&self, principal: &Principal, id: &str) -> Option<ClientSession> {
        let sealed: Sealed = self.seal_key.open_text(&binding(principal), id).ok()?;
        let hash = sha256(id);
        let state = self.sessions.state(&hash);
        let expires_at = Timestamp(sealed.expires_ms);
        (expires_at > self.clock.now() && !state.ended).then_some(ClientSession {
            facts: sealed.facts,
            state,
            hash,
            expires_at,
        })
    }

    /// Changes what is remembered of a session.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn change_session(
        &self,
        principal: &Principal,
        session: &ClientSession,
        change: impl FnOnce(&mut SessionState) + Send + 'static,
    ) -> Result<(), StoreError> {
        let user = principal.facts().user.clone();
        let (hash, expires_at) = (session.hash, session.expires_at);
        let row = self
            .store
            .write(principal.tenant(), move |tx| {
                async move {
                    let known = tx.client_sessions().hold(&hash).await?;
                    let mut state = known.map(|row| row.state).unwrap_or_default();
                    change(&mut state);
                    tx.client_sessions().put(&user, &hash, &state, expires_at).await
                }
                .boxed()
            })
            .await?;
        self.sessions.learn(row);
        Ok(())
    }

    /// What is remembered of a session now.
    pub fn session_state(&self, session: &ClientSession) -> SessionState {
        self.sessions.state(&session.hash)
    }

    /// Keeps what is remembered of sessions in step with the store, and wakes calls whose answers came to another
    /// replica. Runs until the store ends.
    pub async fn follow_clients(&self) {
        tokio::join!(self.sessions.follow(), self.questions.follow());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_keeps_what_is_of_use_and_no_more() {
        let declared = json!({
            "elicitation": { "form": { "x": "y".repeat(5000) }, "url": {}, "other": {} },
            "sampling": {}, "roots": { "listChanged": true }, "experimental": { "a": "b".repeat(5000) }, "tasks": 7,
        });
        let facts = ClientFacts::new(
            Some(&"\n€".repeat(5000)),
            None,
            declared.as_object().unwrap().clone(),
            "2025-11-25",
        );
        assert_eq!(
            Value::Object(facts.capabilities.clone()),
            json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": { "listChanged": {} } })
        );
        assert_eq!(facts.name.as_deref(), Some("€".repeat(60).as_str()));
        let sealed = Sealed {
            facts: ClientFacts {
                version: facts.name.clone(),
                ..facts
            },
            expires_ms: i64::MAX,
        };
        let id = crate::policy::SealKey::new([7; 32])
            .seal_text("x", &sealed)
            .unwrap();
        assert!(id.len() <= LONGEST_ID, "{}", id.len());
    }
}
