//! The call log: an append-only chain of rows per tenant (catalogue.md §2.12, security.md A1–A4).
//!
//! An [`AuditRecord`] comes in and is sealed at once into the JSON bytes that are both stored and hashed.
//! When the transaction ends, the rows join their tenant's [`chain`](super::chain).

use std::borrow::Cow;

use footbridge_protocol::jsonrpc::write_string;
use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    chain::{Chain, Members, body_of},
    log::{Kept, Log, LogEntry, Test},
};
use crate::vocabulary::{EditionName, KeyId, Scope, TenantId, Timestamp, ToolName, UserId};

/// How a call ended, as the log writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditStatus {
    /// About to run something outside the store; the outcome's row follows (security.md A1).
    Intent,
    /// Ran.
    Allow,
    /// Answered with a preview.
    Preview,
    /// The person said no.
    Declined,
    /// Waits for a review.
    PendingReview,
    /// A scope was missing.
    DenyScope,
    /// Only people may, and a program asked. Reported by other programs alone.
    DenyJwtOnly,
    /// The role was too low.
    DenyRole,
    /// Over the rate.
    DenyRate,
    /// Over the monthly cap.
    DenyCap,
    /// A guardrail stopped it.
    Blocked,
    /// Arguments did not fit.
    Invalid,
    /// The REST API behind answered 4xx.
    #[serde(rename = "upstream_4xx")]
    Upstream4xx,
    /// The REST API behind answered 5xx.
    #[serde(rename = "upstream_5xx")]
    Upstream5xx,
    /// The REST API behind could not be reached.
    NetworkError,
    /// The client went away before the answer.
    ClientGone,
    /// Our fault.
    Exception,
}

impl AuditStatus {
    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Allow => "allow",
            Self::Preview => "preview",
            Self::Declined => "declined",
            Self::PendingReview => "pending_review",
            Self::DenyScope => "deny_scope",
            Self::DenyJwtOnly => "deny_jwt_only",
            Self::DenyRole => "deny_role",
            Self::DenyRate => "deny_rate",
            Self::DenyCap => "deny_cap",
            Self::Blocked => "blocked",
            Self::Invalid => "invalid",
            Self::Upstream4xx => "upstream_4xx",
            Self::Upstream5xx => "upstream_5xx",
            Self::NetworkError => "network_error",
            Self::ClientGone => "client_gone",
            Self::Exception => "exception",
        }
    }
}

/// What kind of credential acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// An API key.
    ApiKey,
    /// An OAuth access token.
    Jwt,
    /// A credential without scopes (catalogue.md §4.6).
    Legacy,
    /// A worker's token of the context edition.
    Agent,
    /// A person in the console.
    Session,
    /// The operator at the command line.
    Operator,
}

/// One event as the caller knows it. Its number and hash are given by the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When it happened, by the caller's clock.
    pub ts: Timestamp,
    /// How it ended.
    pub status: AuditStatus,
    /// What kind of credential acted.
    pub scope_kind: ScopeKind,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// With which key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<KeyId>,
    /// The visible beginning of that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_prefix: Option<Cow<'static, str>>,
    /// Through which edition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edition: Option<EditionName>,
    /// The tool's canonical name, or the operator's command as `key.revoke`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<ToolName>,
    /// The letter of catalogue.md §2.6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'static, str>>,
    /// The scope the tool asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_tag: Option<Scope>,
    /// HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Time from request to answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Class of the error, one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<Cow<'static, str>>,
    /// The JSON-RPC id, or the reference shown to the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Cow<'static, str>>,
    /// Size of the answer in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<u64>,
    /// SHA-256 of the canonical arguments, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_digest: Option<Cow<'static, str>>,
    /// The arguments after redaction, when `audit.args = "redacted"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<serde_json::Value>,
    /// SHA-256 of the plan that was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<Cow<'static, str>>,
    /// SHA-256 of the tool's definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_digest: Option<Cow<'static, str>>,
    /// The review that allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_id: Option<Cow<'static, str>>,
    /// Records touched, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub record_ids: Vec<String>,
    /// The client's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<Cow<'static, str>>,
    /// The client's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_version: Option<Cow<'static, str>>,
    /// Protocol revision of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<Cow<'static, str>>,
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Cow<'static, str>>,
    /// The trace it belongs to (W3C Trace Context), 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Cow<'static, str>>,
    /// Another program said so (catalogue.md §2.16); the server saw nothing of the call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reported: bool,
    /// Which replica served it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<Cow<'static, str>>,
}

impl AuditRecord {
    /// A record with the fields every event has.
    pub fn new(ts: Timestamp, status: AuditStatus, scope_kind: ScopeKind) -> Self {
        Self {
            ts,
            status,
            scope_kind,
            user_id: None,
            api_key_id: None,
            key_prefix: None,
            edition: None,
            tool_name: None,
            kind: None,
            scope_tag: None,
            http_status: None,
            latency_ms: None,
            error_class: None,
            request_id: None,
            result_bytes: None,
            args_digest: None,
            args: None,
            plan_digest: None,
            definition_digest: None,
            review_id: None,
            record_ids: Vec::new(),
            client_name: None,
            client_version: None,
            protocol_version: None,
            ip: None,
            trace_id: None,
            reported: false,
            replica: None,
        }
    }

    /// Fixes the bytes. Done by the caller's thread, so that the writer only hashes and inserts.
    pub(crate) fn seal(&self, tenant: &TenantId) -> Result<SealedAudit, StoreError> {
        let body = body_of(tenant.as_str(), self)?;
        Ok(SealedAudit {
            ts: self.ts,
            api_key_id: self.api_key_id.clone(),
            tool_name: self.tool_name.clone(),
            status: self.status.as_str(),
            body,
        })
    }
}

/// Every call writes one: by hand, which takes a quarter of the time that a serializer does. A test holds the two together.
impl Members for AuditRecord {
    fn write(&self, body: &mut Vec<u8>) -> serde_json::Result<()> {
        // Every field by its name: one that is added does not compile until it is written.
        let Self {
            ts,
            status,
            scope_kind,
            user_id,
            api_key_id,
            key_prefix,
            edition,
            tool_name,
            kind,
            scope_tag,
            http_status,
            latency_ms,
            error_class,
            request_id,
            result_bytes,
            args_digest,
            args,
            plan_digest,
            definition_digest,
            review_id,
            record_ids,
            client_name,
            client_version,
            protocol_version,
            ip,
            trace_id,
            reported,
            replica,
        } = self;
        let mut row = Row(body);
        row.json(r#","ts":"#, ts)?;
        row.text(r#","status":"#, Some(status.as_str()));
        row.json(r#","scope_kind":"#, scope_kind)?;
        row.text(r#","user_id":"#, user_id.as_ref().map(UserId::as_str));
        row.text(r#","api_key_id":"#, api_key_id.as_ref().map(KeyId::as_str));
        row.text(r#","key_prefix":"#, key_prefix.as_deref());
        row.text(r#","edition":"#, edition.as_ref().map(EditionName::as_str));
        row.text(r#","tool_name":"#, tool_name.as_ref().map(ToolName::as_str));
        row.text(r#","kind":"#, kind.as_deref());
        row.text(r#","scope_tag":"#, scope_tag.as_ref().map(Scope::as_str));
        row.some(r#","http_status":"#, http_status.as_ref())?;
        row.some(r#","latency_ms":"#, latency_ms.as_ref())?;
        row.text(r#","error_class":"#, error_class.as_deref());
        row.text(r#","request_id":"#, request_id.as_deref());
        row.some(r#","result_bytes":"#, result_bytes.as_ref())?;
        row.text(r#","args_digest":"#, args_digest.as_deref());
        row.some(r#","args":"#, args.as_ref())?;
        row.text(r#","plan_digest":"#, plan_digest.as_deref());
        row.text(r#","definition_digest":"#, definition_digest.as_deref());
        row.text(r#","review_id":"#, review_id.as_deref());
        row.some(
            r#","record_ids":"#,
            (!record_ids.is_empty()).then_some(record_ids),
        )?;
        row.text(r#","client_name":"#, client_name.as_deref());
        row.text(r#","client_version":"#, client_version.as_deref());
        row.text(r#","protocol_version":"#, protocol_version.as_deref());
        row.text(r#","ip":"#, ip.as_deref());
        row.text(r#","trace_id":"#, trace_id.as_deref());
        row.some(r#","reported":"#, reported.then_some(&true))?;
        row.text(r#","replica":"#, replica.as_deref());
        Ok(())
    }
}

/// A row's members being written, each led by its name in JSON with what separates it.
struct Row<'b>(&'b mut Vec<u8>);

impl Row<'_> {
    fn text(&mut self, lead: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.extend_from_slice(lead.as_bytes());
            write_string(self.0, value);
        }
    }

    fn some(&mut self, lead: &str, value: Option<&impl Serialize>) -> serde_json::Result<()> {
        value.map_or(Ok(()), |value| self.json(lead, value))
    }

    fn json(&mut self, lead: &str, value: &impl Serialize) -> serde_json::Result<()> {
        self.0.extend_from_slice(lead.as_bytes());
        serde_json::to_writer(&mut *self.0, value)
    }
}

/// A record whose bytes are fixed, with the columns that lists are filtered by.
#[derive(Clone, Debug)]
pub(crate) struct SealedAudit {
    pub(super) ts: Timestamp,
    pub(super) api_key_id: Option<KeyId>,
    pub(super) tool_name: Option<ToolName>,
    pub(super) status: &'static str,
    pub(super) body: String,
}

/// One row of the call log.
pub type AuditEntry = LogEntry<AuditRecord>;
/// The call log of one tenant, for readers.
pub type AuditLog<'t> = Log<'t, AuditRecord>;

/// Which calls to list.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only this key's calls.
    pub api_key_id: Option<KeyId>,
    /// Only this tool.
    pub tool_name: Option<ToolName>,
    /// Only this outcome.
    pub status: Option<AuditStatus>,
    /// Only this person's calls, whatever their credential.
    pub user_id: Option<UserId>,
    /// Only through this edition.
    pub edition: Option<EditionName>,
    /// Only with this in the class of the error.
    pub error: Option<String>,
    /// Only with this in the client's name.
    pub client: Option<String>,
    /// Only from this address.
    pub ip: Option<String>,
    /// Only this request.
    pub request_id: Option<String>,
    /// Only calls of this trace.
    pub trace_id: Option<String>,
    /// Only from this moment on.
    pub from: Option<Timestamp>,
    /// Only before this moment.
    pub to: Option<Timestamp>,
}

impl Kept for AuditRecord {
    type Filter = AuditFilter;
    const CHAIN: Chain = Chain {
        log: "audit_log",
        heads: "audit_heads",
        columns: &["api_key_id", "tool_name", "status"],
    };
    const ID: &'static str = "aud";

    fn tests(filter: &AuditFilter) -> Vec<Test<'_>> {
        let (column, field, part) = (Test::column, Test::field, Test::part);
        [
            column("api_key_id", filter.api_key_id.as_ref().map(KeyId::as_str)),
            column("tool_name", filter.tool_name.as_ref().map(ToolName::as_str)),
            column("status", filter.status.map(AuditStatus::as_str)),
            field("user_id", filter.user_id.as_ref().map(UserId::as_str)),
            field("edition", filter.edition.as_ref().map(EditionName::as_str)),
            field("ip", filter.ip.as_deref()),
            field("request_id", filter.request_id.as_deref()),
            field("trace_id", filter.trace_id.as_deref()),
            part("error_class", filter.error.as_deref()),
            part("client_name", filter.client.as_deref()),
            filter.from.map(Test::From),
            filter.to.map(Test::Until),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::row::from_json;

    fn sealed() -> SealedAudit {
        let mut record = AuditRecord::new(
            Timestamp(1_700_000_000_000),
            AuditStatus::Upstream4xx,
            ScopeKind::ApiKey,
        );
        record.tool_name = Some(ToolName::new("create_lead").unwrap());
        record.seal(&TenantId::new("acme").unwrap()).unwrap()
    }

    #[test]
    fn the_body_is_json_that_names_its_tenant_first_and_reads_back() {
        let sealed = sealed();
        assert!(
            sealed.body.starts_with(
                r#"{"tenant_id":"acme","ts":"2023-11-14T22:13:20.000Z","status":"upstream_4xx""#
            )
        );
        let back: AuditRecord = from_json(&sealed.body).unwrap();
        assert_eq!(back.tool_name.unwrap().as_str(), "create_lead");
    }

    #[test]
    fn what_is_written_by_hand_is_what_a_serializer_writes() {
        let now = Timestamp(1_700_000_000_123);
        let bare = AuditRecord::new(now, AuditStatus::Intent, ScopeKind::Operator);
        let some = |text: &str| Some(Cow::Owned(format!("{text} \"\\\n\u{1}ä")));
        let full = AuditRecord {
            user_id: UserId::new("usr_1").ok(),
            api_key_id: KeyId::new("key_\"1").ok(),
            key_prefix: some("prefix"),
            edition: EditionName::new("context").ok(),
            tool_name: ToolName::new("memory_get").ok(),
            kind: some("R"),
            scope_tag: Scope::new("memory.read").ok(),
            http_status: Some(429),
            latency_ms: Some(u64::MAX),
            error_class: some("class"),
            request_id: some("request"),
            result_bytes: Some(0),
            args_digest: some("digest"),
            args: Some(serde_json::json!({ "a": [1, null, "\""] })),
            plan_digest: some("plan"),
            definition_digest: some("definition"),
            review_id: some("review"),
            record_ids: vec!["one".to_owned(), "\"two\"".to_owned()],
            client_name: some("client"),
            client_version: some("version"),
            protocol_version: some("protocol"),
            ip: some("::1"),
            trace_id: some("trace"),
            reported: true,
            replica: some("replica"),
            ..bare.clone()
        };
        let filled = serde_json::to_value(&full).unwrap();
        let fields = filled.as_object().unwrap().len();
        assert_eq!(fields, 28, "a field that is left out above is not compared");
        for record in [bare, full] {
            let text = serde_json::to_string(&record).unwrap();
            let expected = format!("{{\"tenant_id\":\"acme\",{}", text.strip_prefix('{').unwrap());
            assert_eq!(body_of("acme", &record).unwrap(), expected);
        }
    }

    #[test]
    fn every_status_has_one_word_in_column_and_body() {
        for status in [
            AuditStatus::Upstream5xx,
            AuditStatus::DenyScope,
            AuditStatus::Intent,
            AuditStatus::NetworkError,
        ] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
