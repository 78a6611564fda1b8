//! The call log: live, filtered by the address of the page, one page after the other, and a chart of its days.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::FutureExt;
use serde::Deserialize;

use super::{Frame, PageError, Person, chart, keys, render, text};
use crate::{
    operate::keys as operate_keys,
    store::{AuditEntry, AuditFilter, AuditStatus, CallDay},
    vocabulary::{KeyId, Timestamp, ToolName},
    web::{Query, Web},
};

/// Calls on one page.
const PER_PAGE: u32 = 50;
/// Days of the chart.
const DAYS: i64 = 14;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

const STATUSES: [AuditStatus; 15] = [
    AuditStatus::Allow,
    AuditStatus::Preview,
    AuditStatus::Declined,
    AuditStatus::PendingReview,
    AuditStatus::DenyScope,
    AuditStatus::DenyRole,
    AuditStatus::DenyRate,
    AuditStatus::DenyCap,
    AuditStatus::Blocked,
    AuditStatus::Invalid,
    AuditStatus::Upstream4xx,
    AuditStatus::Upstream5xx,
    AuditStatus::NetworkError,
    AuditStatus::ClientGone,
    AuditStatus::Exception,
];

pub(super) fn router() -> Router<Web> {
    Router::new().route("/console/calls", get(page))
}

/// What the page's address asks for. Whatever it says that is none of our words finds nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CallsQuery {
    tool: String,
    status: String,
    key: String,
    from: String,
    to: String,
    before: String,
}

impl CallsQuery {
    fn is_filtered(&self) -> bool {
        [&self.tool, &self.status, &self.key, &self.from, &self.to]
            .iter()
            .any(|text| !text.is_empty())
    }

    /// The filter, or `None` when a part of it can fit nothing.
    fn to_filter(&self) -> Option<AuditFilter> {
        let moment = |text: &str| match text {
            "" => Some(None),
            text => Timestamp::parse(text).map(Some),
        };
        Some(AuditFilter {
            tool_name: match self.tool.trim() {
                "" => None,
                name => Some(ToolName::new(name).ok()?),
            },
            status: match self.status.as_str() {
                "" => None,
                word => Some(*STATUSES.iter().find(|status| status.as_str() == word)?),
            },
            api_key_id: match self.key.as_str() {
                "" => None,
                id => Some(KeyId::new(id).ok()?),
            },
            from: moment(&self.from)?,
            to: moment(&self.to)?,
        })
    }

    fn link(&self, before: Option<i64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("tool", &self.tool),
            ("status", &self.status),
            ("key", &self.key),
            ("from", &self.from),
            ("to", &self.to),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        match query.finish().as_str() {
            "" => "/console/calls".to_owned(),
            query => format!("/console/calls?{query}"),
        }
    }
}

struct CallRow {
    when: String,
    tool: String,
    edition: String,
    status: &'static str,
    status_class: &'static str,
    error: String,
    key_id: String,
    key: String,
    kind: &'static str,
    user: String,
    client: String,
    ip: String,
    latency: String,
}

#[derive(Template)]
#[template(path = "console/calls.html")]
struct CallsPage {
    frame: Frame,
    everybody: bool,
    chart: String,
    calls: Vec<CallRow>,
    live: bool,
    filtered: bool,
    paged: bool,
    self_link: String,
    newest: String,
    older: String,
    statuses: Vec<&'static str>,
    keys: Vec<(String, String)>,
    tool: String,
    status: String,
    key: String,
    from: String,
    to: String,
}

async fn page(
    State(web): State<Web>,
    person: Person,
    Query(query): Query<CallsQuery>,
) -> Result<Response, PageError> {
    let owner = (!person.sees_everybody()).then(|| person.user().clone());
    let before = query.before.parse::<i64>().ok();
    let filter = query.to_filter();
    let since = today(web.house().clock().now()).plus_millis(-(DAYS - 1) * DAY_MS);
    let (calls, days): (Vec<AuditEntry>, Vec<CallDay>) = web
        .store()
        .read(person.tenant(), move |tx| {
            async move {
                let calls = match &filter {
                    Some(filter) => {
                        tx.call_view()
                            .list(filter, owner.as_ref(), before, PER_PAGE + 1)
                            .await?
                    }
                    None => Vec::new(),
                };
                Ok::<_, PageError>((calls, tx.call_view().days(since, owner.as_ref()).await?))
            }
            .boxed()
        })
        .await?;
    let names = keys::names(&web, &person).await?;
    let known = operate_keys::KeyPage {
        before: None,
        limit: operate_keys::MOST_LISTED,
    };
    let known = operate_keys::list(web.store(), &person.actor(), person.tenant(), known).await?;
    let key_name = |id: &KeyId| {
        let key = known.iter().find(|key| key.id == *id);
        key.map_or_else(|| id.to_string(), |key| text::name_or(&key.name, &key.prefix))
    };
    let more = calls.len() > PER_PAGE as usize;
    let shown = calls
        .get(..calls.len().min(PER_PAGE as usize))
        .unwrap_or_default();
    let older = shown
        .last()
        .filter(|_| more)
        .map(|last| query.link(Some(last.seq)));
    let rows = shown.iter().map(|entry| {
        let record = &entry.record;
        let user = record
            .user_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        CallRow {
            when: text::when_exactly(record.ts),
            tool: record
                .tool_name
                .as_ref()
                .map_or_else(|| "–".to_owned(), ToolName::to_string),
            edition: record
                .edition
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            status: record.status.as_str(),
            status_class: class(record.status),
            error: record.error_class.as_deref().unwrap_or_default().to_owned(),
            key_id: record
                .api_key_id
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            key: record.api_key_id.as_ref().map(&key_name).unwrap_or_default(),
            kind: kind(record.scope_kind),
            user: names.get(&user).cloned().unwrap_or(user),
            client: record.client_name.as_deref().unwrap_or_default().to_owned(),
            ip: record.ip.as_deref().unwrap_or_default().to_owned(),
            latency: record
                .latency_ms
                .and_then(|ms| i64::try_from(ms).ok())
                .map_or_else(|| "–".to_owned(), text::took),
        }
    });
    let page = CallsPage {
        frame: Frame::new(&person, "Calls", None),
        everybody: person.sees_everybody(),
        chart: chart::draw(&days, since, DAYS)?,
        calls: rows.collect(),
        live: before.is_none(),
        filtered: query.is_filtered(),
        paged: before.is_some(),
        self_link: query.link(before),
        newest: query.link(None),
        older: older.unwrap_or_default(),
        statuses: STATUSES.iter().map(|status| status.as_str()).collect(),
        keys: known
            .iter()
            .map(|key| (key.id.to_string(), text::name_or(&key.name, &key.prefix)))
            .collect(),
        tool: query.tool,
        status: query.status,
        key: query.key,
        from: query.from,
        to: query.to,
    };
    Ok(render(&page)?.into_response())
}

fn today(now: Timestamp) -> Timestamp {
    Timestamp(now.as_millis().div_euclid(DAY_MS) * DAY_MS)
}

fn class(status: AuditStatus) -> &'static str {
    match status {
        AuditStatus::Allow => "good",
        AuditStatus::Preview | AuditStatus::PendingReview | AuditStatus::Intent | AuditStatus::Declined => "",
        AuditStatus::DenyScope
        | AuditStatus::DenyRole
        | AuditStatus::DenyRate
        | AuditStatus::DenyCap
        | AuditStatus::Invalid
        | AuditStatus::ClientGone
        | AuditStatus::Upstream4xx => "warn",
        _ => "bad",
    }
}

/// How a credential without a key is called.
pub(super) fn kind(kind: crate::store::ScopeKind) -> &'static str {
    use crate::store::ScopeKind;
    match kind {
        ScopeKind::ApiKey => "API key",
        ScopeKind::Jwt => "OAuth token",
        ScopeKind::Legacy => "legacy token",
        ScopeKind::Agent => "agent",
        ScopeKind::Session => "console",
        ScopeKind::Operator => "operator",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_none_of_our_words_filters_everything_out() {
        let query = |change: fn(&mut CallsQuery)| {
            let mut query = CallsQuery::default();
            change(&mut query);
            query
        };
        assert!(query(|_| ()).to_filter().is_some());
        assert!(query(|q| q.tool = "search".into()).to_filter().is_some());
        assert!(query(|q| q.tool = "' OR 1=1 --".into()).to_filter().is_none());
        assert!(query(|q| q.status = "everything".into()).to_filter().is_none());
        assert!(query(|q| q.key = "a b".into()).to_filter().is_none());
        assert!(query(|q| q.from = "tomorrow".into()).to_filter().is_none());
    }

    #[test]
    fn links_carry_the_filter_and_escape_it() {
        let query = CallsQuery {
            tool: "a&b=\"<".into(),
            ..CallsQuery::default()
        };
        assert_eq!(query.link(Some(7)), "/console/calls?tool=a%26b%3D%22%3C&before=7");
        assert_eq!(CallsQuery::default().link(None), "/console/calls");
    }
}
