//! What other MCP programs ask with an API key (catalogue.md §2.16): what the key is good for, and to write a call of their
//! own into the log. A report that cannot be written is an error for the reporter alone; it must not fail its call for it.

use axum::{
    Extension, Router,
    extract::State,
    routing::{get, post},
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value, json};

use crate::{
    catalogue::ToolSet,
    edge::Visit,
    store::{AuditRecord, AuditStatus, ScopeKind},
    vocabulary::{Scope, ToolName},
    web::{Json, KeyInHand, RestError, Web},
};

/// Longest text of a report that is kept.
const LONGEST_TEXT: usize = 128;
/// A day: no call that anybody still reports took longer.
const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/v1/mcp/api-key-context", get(context))
        .route("/v1/mcp/audit-log", post(report))
}

async fn context(State(web): State<Web>, key: KeyInHand) -> Result<(HeaderMap, Json<Value>), RestError> {
    key.within_rate()?;
    let Some(any) = key.principals().first() else {
        return Err(RestError::internal(&"a key was recognised for no edition"));
    };
    let (row, facts) = (key.key(), any.facts());
    let used = web
        .house()
        .limits()
        .used_by_key(any, web.house().clock().now())
        .await?;
    let editions = web.editions();
    let mut visible = Map::new();
    for principal in key.principals() {
        let name = &principal.facts().edition;
        let Some(edition) = editions.iter().find(|edition| edition.name == *name) else {
            continue;
        };
        let tools: &ToolSet = principal.visible();
        let seen = edition.tools().iter().filter(|tool| tools.contains(tool.index));
        visible.insert(name.to_string(), json!(seen.count()));
    }
    Ok((
        key.rate_headers(),
        Json(json!({
            "api_key_id": row.id,
            "key_prefix": row.prefix,
            "name": row.name,
            "tenant_id": row.tenant,
            "user_id": row.owner,
            "customer_id": null,
            "role": facts.role,
            "scopes": row.scopes,
            "editions": row.editions,
            "rate_limit_per_minute": facts.rate_per_minute,
            "rate_limit_per_hour": facts.rate_per_hour,
            "monthly_cap": row.limits.monthly_cap,
            "monthly_used": used,
            "expires_at": row.expires_at,
            "hash_version": "sha256-1",
            "needs_reissue": false,
            "tools_visible": visible,
        })),
    ))
}

/// How a reported call ended: less than what our own calls can end with.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reported {
    Allow,
    DenyScope,
    DenyJwtOnly,
    #[serde(rename = "upstream_4xx")]
    Upstream4xx,
    #[serde(rename = "upstream_5xx")]
    Upstream5xx,
    NetworkError,
    Exception,
}

impl From<Reported> for AuditStatus {
    fn from(reported: Reported) -> Self {
        match reported {
            Reported::Allow => Self::Allow,
            Reported::DenyScope => Self::DenyScope,
            Reported::DenyJwtOnly => Self::DenyJwtOnly,
            Reported::Upstream4xx => Self::Upstream4xx,
            Reported::Upstream5xx => Self::Upstream5xx,
            Reported::NetworkError => Self::NetworkError,
            Reported::Exception => Self::Exception,
        }
    }
}

/// A call that another program served. Who it was for is not its to say: the key stamps it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    #[serde(deserialize_with = "tool_name")]
    tool_name: ToolName,
    status: Reported,
    scope_tag: Option<Scope>,
    http_status: Option<u16>,
    latency_ms: Option<u64>,
    #[serde(default, deserialize_with = "short")]
    error_class: Option<String>,
    #[serde(default, deserialize_with = "short")]
    request_id: Option<String>,
}

fn tool_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ToolName, D::Error> {
    let name = ToolName::deserialize(deserializer)?;
    let begins = name.as_str().starts_with(|c: char| c.is_ascii_alphabetic());
    begins
        .then_some(name)
        .ok_or_else(|| D::Error::custom("tool_name begins with a letter"))
}

fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let fits = |text: &String| text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control);
    if text.as_ref().is_none_or(fits) {
        return Ok(text);
    }
    Err(D::Error::custom(format!(
        "at most {LONGEST_TEXT} bytes without control characters"
    )))
}

async fn report(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    key: KeyInHand,
    Json(report): Json<Report>,
) -> Result<(StatusCode, HeaderMap), RestError> {
    key.within_rate()?;
    if report
        .http_status
        .is_some_and(|status| !(100..=599).contains(&status))
    {
        return Err(RestError::invalid("http_status: 100 to 599"));
    }
    if report.latency_ms.is_some_and(|ms| ms > LONGEST_MS) {
        return Err(RestError::invalid(format!("latency_ms: at most {LONGEST_MS}")));
    }
    let row = key.key();
    let now = web.house().clock().now();
    let mut record = AuditRecord::new(now, report.status.into(), ScopeKind::ApiKey);
    record.reported = true;
    record.user_id = Some(row.owner.clone());
    record.api_key_id = Some(row.id.clone());
    record.key_prefix = Some(row.prefix.clone().into());
    record.ip = Some(visit.address.to_string().into());
    record.tool_name = Some(report.tool_name);
    record.scope_tag = report.scope_tag;
    record.http_status = report.http_status;
    record.latency_ms = report.latency_ms;
    record.error_class = report.error_class.map(Into::into);
    record.request_id = report.request_id.map(Into::into);
    web.store().append_audit(&row.tenant, record).await?;
    Ok((StatusCode::NO_CONTENT, key.rate_headers()))
}
