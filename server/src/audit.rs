//! The call log's entries, drafted while a call walks through the rooms (catalogue.md §2.12).
//!
//! A draft is opened as soon as the principal and the tool's name are known and closed with what became of the
//! call. A draft that is dropped unclosed, because the client went away, is written as such, unless a transaction that goes on
//! without its client writes it.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    access::{Credential, Principal},
    catalogue::Tool,
    domain::{Outcome, ToolResult},
    store::{AuditRecord, AuditStatus, ScopeKind, Store, StoreError, TenantTx, redacted},
    telemetry::{Arrival, CallSpan, Room, RoomSpan, Rooms, Trace},
    vocabulary::{TenantId, Timestamp, ToolName, hexadecimal, sha256},
};

/// Facts of the request that only the edge knows.
#[derive(Clone, Debug, Default)]
pub struct RequestFacts {
    /// Unique per request; also the reference in error texts.
    pub request_id: String,
    /// What the client calls itself, cut at 200 characters.
    pub client_name: Option<String>,
    /// The client's version, cut likewise.
    pub client_version: Option<String>,
    /// The protocol revision that serves it.
    pub protocol_version: &'static str,
    /// Where it comes from.
    pub address: Option<std::net::IpAddr>,
    /// The trace that its caller says it belongs to.
    pub trace: Option<Trace>,
    /// When it came.
    pub arrival: Arrival,
}

/// What the log keeps, and when a call may be answered (`[audit]` of the configuration).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// Arguments are kept, without what looks like a secret; else only their digest.
    pub arguments: bool,
    /// Every call waits until its row is durable.
    pub strict: bool,
}

/// Most bytes of arguments that are kept. Whoever wants a long text finds it where the call put it.
const LONGEST_ARGUMENTS: usize = 16 * 1024;

/// An entry being written while its call walks through the rooms.
pub struct Draft {
    store: Store,
    tenant: TenantId,
    record: Option<AuditRecord>,
    started: Instant,
    durable: bool,
    /// Something outside the store was begun, which no failure afterwards undoes.
    acted: bool,
    /// What it shares with a transaction that writes it.
    entrusted: Option<Arc<Entrusted>>,
    keeping: Keeping,
    span: CallSpan,
}

/// An entry that the call's own transaction writes, so that both are committed or neither.
pub struct EntrustedEntry {
    record: Option<AuditRecord>,
    entrusted: Arc<Entrusted>,
}

impl EntrustedEntry {
    /// Writes it, with what is known of it by then.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn write(self, tx: &mut TenantTx<'_>, note: impl FnOnce(&mut AuditRecord)) -> Result<(), StoreError> {
        if let Some(mut record) = self.record {
            note(&mut record);
            tx.audit(record)?;
            self.entrusted.is_written.store(true, Ordering::Release);
        }
        Ok(())
    }
}

/// What a draft and its transaction share. A transaction ends although nobody waits for it any more; then its end tells whether
/// there is an entry, and whoever lets go last writes what is missing.
struct Entrusted {
    store: Store,
    tenant: TenantId,
    is_written: AtomicBool,
    /// The entry of a call whose client went away.
    left: Mutex<Option<AuditRecord>>,
}

impl Drop for Entrusted {
    fn drop(&mut self) {
        if let Some(record) = self.left.get_mut().take()
            && !self.is_written.load(Ordering::Acquire)
        {
            append_or_give_up(&self.store, &self.tenant, record);
        }
    }
}

/// A destructor cannot wait: should the queue be full this instant, the row of an answer that nobody received is given up.
fn append_or_give_up(store: &Store, tenant: &TenantId, record: AuditRecord) {
    let _ = store.append_audit(tenant, record).now_or_never();
}

impl Draft {
    /// Opens the entry of one call.
    pub fn open(
        store: Store,
        keeping: Keeping,
        principal: &Principal,
        tool_name: &str,
        facts: RequestFacts,
        now: Timestamp,
    ) -> Self {
        let who = principal.facts();
        let (api_key_id, key_prefix, scope_kind) = match &who.credential {
            Credential::ApiKey { id, shown_prefix } => (
                Some(id.clone()),
                Some(Cow::Owned(shown_prefix.clone())),
                ScopeKind::ApiKey,
            ),
            Credential::Token { .. } => (None, None, ScopeKind::Jwt),
            Credential::LegacyToken => (None, None, ScopeKind::Legacy),
            Credential::Session => (None, None, ScopeKind::Session),
            Credential::Local => (None, None, ScopeKind::Operator),
        };
        let mut record = AuditRecord::new(now, AuditStatus::Allow, scope_kind);
        record.user_id = Some(who.user.clone());
        record.api_key_id = api_key_id;
        record.key_prefix = key_prefix;
        record.edition = Some(who.edition.clone());
        record.tool_name = ToolName::new(tool_name).ok();
        record.http_status = Some(200);
        record.request_id = Some(Cow::Owned(facts.request_id));
        record.client_name = facts.client_name.map(Cow::Owned);
        record.client_version = facts.client_version.map(Cow::Owned);
        record.protocol_version = Some(Cow::Borrowed(facts.protocol_version));
        let span = CallSpan::begin(facts.trace, facts.arrival);
        let trace_id = span.trace_id().or_else(|| facts.trace.map(Trace::id_text));
        record.trace_id = trace_id.map(Cow::Owned);
        record.ip = facts.address.map(|address| Cow::Owned(address.to_string()));
        Self {
            store,
            tenant: who.tenant.clone(),
            record: Some(record),
            started: Instant::now(),
            durable: keeping.strict,
            acted: false,
            entrusted: None,
            keeping,
            span,
        }
    }

    /// Enters a room, in the call's trace.
    pub fn enter(&self, room: Room) -> RoomSpan {
        self.rooms().enter(room)
    }

    /// Where rooms are entered by what outlives this.
    pub fn rooms(&self) -> Rooms {
        self.span.rooms()
    }

    /// Notes which tool is called.
    pub fn tool(&mut self, tool: &Tool) {
        if let Some(record) = &mut self.record {
            record.tool_name = Some(tool.name.clone());
            record.kind = Some(Cow::Borrowed(tool.kind()));
            record.scope_tag = tool.scope.scopes().first().cloned();
        }
    }

    /// Notes the digest of the arguments, and themselves where that is wanted.
    pub fn arguments(&mut self, canonical: &str) {
        if let Some(record) = &mut self.record {
            if self.keeping.arguments {
                record.args = Some(kept_arguments(canonical));
            }
            record.args_digest = Some(Cow::Owned(hexadecimal(&sha256(canonical))));
        }
    }

    /// Notes the digest of the plan that was previewed or carried out.
    pub fn plan(&mut self, digest: &[u8; 32]) {
        if let Some(record) = &mut self.record {
            record.plan_digest = Some(Cow::Owned(hexadecimal(digest)));
        }
    }

    /// Notes the review that the call waits for or was allowed by.
    pub fn review(&mut self, id: &str) {
        if let Some(record) = &mut self.record {
            record.review_id = Some(Cow::Owned(id.to_owned()));
        }
    }

    /// Has the call's own transaction write the entry, with this status.
    pub fn entrust(&mut self, status: AuditStatus) -> EntrustedEntry {
        let entrusted = Arc::new(Entrusted {
            store: self.store.clone(),
            tenant: self.tenant.clone(),
            is_written: AtomicBool::new(false),
            left: Mutex::default(),
        });
        self.entrusted = Some(Arc::clone(&entrusted));
        EntrustedEntry {
            record: self.to_record(status),
            entrusted,
        }
    }

    /// The entry as it stands, for an intent row. `None` once it was written.
    pub fn to_record(&self, status: AuditStatus) -> Option<AuditRecord> {
        let mut record = self.record.clone()?;
        record.status = status;
        record.latency_ms = Some(self.elapsed_ms());
        Some(record)
    }

    /// The entry was committed inside the call's own transaction, with this status: nothing is left to write.
    pub fn already_written(&mut self, status: AuditStatus) {
        if let Some(mut record) = self.record.take() {
            record.status = status;
            record.latency_ms = Some(self.elapsed_ms());
            self.span.tell(&self.tenant, &record);
            self.span.end();
        }
    }

    /// The answer waits until the entry is durable: the effect lies outside the store.
    pub fn require_durable(&mut self) {
        self.durable = true;
        self.acted = true;
    }

    /// The request's id, until the entry is written.
    pub fn reference(&self) -> Option<&str> {
        self.record.as_ref()?.request_id.as_deref()
    }

    /// Whether something outside the store was begun.
    pub fn has_acted(&self) -> bool {
        self.acted
    }

    /// Notes another end than success.
    pub fn status(&mut self, status: AuditStatus) {
        if let Some(record) = &mut self.record {
            record.status = status;
        }
    }

    /// Notes a refusal or failure.
    pub fn refuse(&mut self, status: AuditStatus, http_status: u16, error_class: &'static str) {
        if let Some(record) = &mut self.record {
            record.status = status;
            record.http_status = Some(http_status);
            record.error_class = Some(Cow::Borrowed(error_class));
        }
    }

    /// Notes what a finished call touched.
    pub fn outcome(&mut self, outcome: &Outcome) {
        if let Some(record) = &mut self.record {
            note_outcome(record, outcome);
        }
    }

    /// Notes what a finished planned call touched.
    pub fn result(&mut self, result: &ToolResult) {
        if let Some(record) = &mut self.record {
            note_result(record, result);
        }
    }

    /// Writes the entry: queued for the next group, or durable when the call needs that.
    ///
    /// # Errors
    /// When the log cannot be written; the call is then refused (security.md A2).
    pub async fn close(&mut self) -> Result<(), StoreError> {
        let Some(mut record) = self.record.take() else {
            return Ok(());
        };
        record.latency_ms = Some(self.elapsed_ms());
        self.span.tell(&self.tenant, &record);
        let audit = self.enter(Room::Audit);
        let written = if self.durable {
            Box::pin(self.store.append_audit_durable(&self.tenant, &record)).await
        } else {
            self.store.append_audit(&self.tenant, &record).await
        };
        audit.leave();
        self.span.end();
        written
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.status = AuditStatus::ClientGone;
            record.http_status = Some(499);
            record.latency_ms = Some(self.elapsed_ms());
            self.span.tell(&self.tenant, &record);
            self.span.end();
            match &self.entrusted {
                Some(entrusted) => *entrusted.left.lock() = Some(record),
                None => append_or_give_up(&self.store, &self.tenant, record),
            }
        }
    }
}

/// Arguments without their secrets, or their size where they are too long to be kept.
fn kept_arguments(canonical: &str) -> Value {
    // A confirmation's token is one; `redacted` knows it by its name.
    let value = serde_json::from_str(canonical).map_or(Value::Null, redacted);
    let bytes = value.to_string().len();
    if bytes <= LONGEST_ARGUMENTS {
        return value;
    }
    json!({ "omitted_bytes": bytes })
}

/// Records named in one entry (catalogue.md §2.12).
const MOST_RECORD_IDS: usize = 20;

/// Adds to an entry what its call touched.
pub fn note_outcome(record: &mut AuditRecord, outcome: &Outcome) {
    if let Outcome::Done(result) = outcome {
        note_result(record, result);
    }
}

/// Adds to an entry what a finished call touched.
pub fn note_result(record: &mut AuditRecord, result: &ToolResult) {
    let touched = result.record_ids.iter().take(MOST_RECORD_IDS);
    record.record_ids = touched.cloned().collect();
    record.result_bytes = result.structured.as_ref().map(|json| json.get().len() as u64);
    if result.is_error {
        record.error_class = Some(Cow::Borrowed("tool_error"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_kept_without_secrets_and_not_beyond_a_size() {
        assert_eq!(
            kept_arguments(r#"{"confirmation_token":"cft_x","text":"a"}"#),
            json!({ "confirmation_token": "[redacted]", "text": "a" })
        );
        let long = format!(r#"{{"text":"{}"}}"#, "a ".repeat(LONGEST_ARGUMENTS / 2));
        assert_eq!(
            kept_arguments(&long),
            json!({ "omitted_bytes": LONGEST_ARGUMENTS + 11 })
        );
    }
}
