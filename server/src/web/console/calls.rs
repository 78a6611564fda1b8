//! The call log: live, filtered by the address of the page, one page after the other, and a chart of its days.

use askama::Template;
use axum::{
    Router,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::FutureExt;

use super::{
    Frame, PageError, Person,
    asking::{Asking, Field},
    chart, keys, render, text,
};
use crate::{
    operate::{
        keys as operate_keys,
        logs::{self, From},
    },
    store::{AuditRecord, AuditStatus, CallDay},
    vocabulary::{KeyId, Timestamp, ToolName},
    web::Web,
};

/// Calls on one page.
const PER_PAGE: u32 = 50;
/// Characters of kept arguments that a row shows; an export has all of them.
const SHOWN_ARGUMENTS: usize = 200;
/// Days of the chart.
const DAYS: i64 = 14;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/console/calls", get(page))
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
    arguments: String,
}

#[derive(Template)]
#[template(path = "console/calls.html")]
struct CallsPage {
    frame: Frame,
    everybody: bool,
    keeps_arguments: bool,
    chart: String,
    calls: Vec<CallRow>,
    live: bool,
    filtered: bool,
    paged: bool,
    self_link: String,
    newest: String,
    older: String,
    fields: Vec<Field>,
    problem: String,
}

async fn page(
    State(web): State<Web>,
    person: Person,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let asking = Asking::read::<AuditRecord>("/console/calls", query.as_deref());
    let now = web.house().clock().now();
    let (store, tenant, by) = (web.store(), person.tenant(), person.actor());
    let from = From::Newest(asking.before());
    let found = match asking.filter::<AuditRecord>(now) {
        Ok(filter) => logs::page::<AuditRecord>(store, &by, tenant, filter, from, PER_PAGE).await,
        Err(error) => Err(error),
    };
    // What is wrong with a filter is said on the page that has it.
    let (calls, problem) = match found {
        Ok(page) => (Some(page), String::new()),
        Err(error) if error.is_for_the_caller() => (None, error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let owner = (!person.sees_everybody()).then(|| person.user().clone());
    let since = today(now).plus_millis(-(DAYS - 1) * DAY_MS);
    let days: Vec<CallDay> = store
        .read(tenant, move |tx| {
            async move { tx.call_view().days(since, owner.as_ref()).await }.boxed()
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
    let older = calls
        .as_ref()
        .filter(|page| page.more)
        .map(|page| asking.link(Some(&page.go_on)));
    let rows = calls.iter().flat_map(|page| &page.rows).map(|entry| {
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
            arguments: record.args.as_ref().map_or_else(String::new, |kept| {
                text::shortened(&kept.to_string(), SHOWN_ARGUMENTS)
            }),
        }
    });
    let page = CallsPage {
        frame: Frame::new(&person, "Calls", None),
        everybody: person.sees_everybody(),
        keeps_arguments: web.house().keeps_arguments(),
        chart: chart::draw(&days, since, DAYS)?,
        calls: rows.collect(),
        live: asking.before().is_none(),
        filtered: asking.is_filtered(),
        paged: asking.before().is_some(),
        self_link: asking.link(asking.before().as_ref().map(|before| before as _)),
        newest: asking.link(None),
        older: older.unwrap_or_default(),
        fields: asking.fields::<AuditRecord>(|name| match name {
            "status" => {
                let words = logs::STATUSES.iter().map(|status| status.as_str().to_owned());
                Some(words.map(|word| (word.clone(), word)).collect())
            }
            "key" => {
                let named = |key: &operate_keys::KeyView| text::name_or(&key.name, &key.prefix);
                Some(known.iter().map(|key| (key.id.to_string(), named(key))).collect())
            }
            "user" => person.sees_everybody().then(|| text::sorted(&names)),
            "edition" => {
                let served = web.editions();
                let titled = served.iter().map(|e| (e.name.to_string(), e.title.clone()));
                Some(titled.collect())
            }
            _ => Some(Vec::new()),
        }),
        problem,
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
