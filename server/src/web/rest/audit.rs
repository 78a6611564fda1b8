//! The logs for people and their programs: `/v1/audit`, the calls, and `/v1/audit/changes`, who changed which record. For
//! owners, admins and auditors.
//!
//! | Request | Answers |
//! |---|---|
//! | `GET /v1/audit?<filters>&limit=&cursor=` | `{items, next_cursor}`, newest first |
//! | the same with `Accept: application/x-ndjson`, or `format=ndjson` | the whole log, oldest first, a row a line; `after=` goes on |
//!
//! A row is `{seq, hash, row}`, `row` exactly as it was stored and hashed, so that whoever keeps it can check the chain.

use axum::{
    Router,
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{json, value::RawValue};
use tracing::error;

use crate::{
    operate::{
        Actor, OperateError,
        logs::{self, Asked, From},
    },
    store::{AuditRecord, ChangeRecord, LogEntry, StoreError},
    web::{Json, ReaderSession, RestError, Web},
};

/// Rows of a page when nothing is said.
const PAGE: u32 = 100;
/// Rows of a page at most.
const MOST: u32 = 500;
const NDJSON: &str = "application/x-ndjson";

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/v1/audit", get(read::<AuditRecord>))
        .route("/v1/audit/changes", get(read::<ChangeRecord>))
}

/// What is asked besides the filters.
#[derive(Debug, Default)]
struct Paging {
    limit: Option<u32>,
    cursor: Option<String>,
    after: i64,
    ndjson: bool,
}

async fn read<R: Asked<Filter: Default + Clone>>(
    State(web): State<Web>,
    signed_in: ReaderSession,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, RestError> {
    let (paging, pairs) = split(query.as_deref().unwrap_or_default())?;
    let asked = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let filter = logs::filter::<R>(asked, web.house().clock().now())?;
    let by = Actor::Person(signed_in.user().clone());
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if paging.ndjson || accept.is_some_and(|accept| accept.trim().eq_ignore_ascii_case(NDJSON)) {
        if paging.cursor.is_some() || paging.limit.is_some() {
            return Err(RestError::invalid(
                "cursor, limit: an NDJSON answer is the whole log; give `after`, the number of the last row you have",
            ));
        }
        return Ok(whole::<R>(&web, by, &signed_in, filter, paging.after));
    }
    let limit = paging.limit.unwrap_or(PAGE);
    if !(1..=MOST).contains(&limit) {
        return Err(RestError::invalid(format!("limit: 1 to {MOST}")));
    }
    if paging.after != 0 {
        return Err(RestError::invalid(
            "after: goes with `format=ndjson`; give `cursor`",
        ));
    }
    let binding = binding::<R>(&signed_in, pairs);
    let seal = web.house().seal_key();
    let before = match &paging.cursor {
        None => None,
        Some(cursor) => {
            let sealed = URL_SAFE_NO_PAD.decode(cursor).ok();
            let opened = sealed.and_then(|sealed| seal.open_row::<i64>(&binding, &sealed).ok());
            Some(opened.ok_or_else(|| RestError::invalid("cursor does not belong to this query"))?)
        }
    };
    let from = From::Newest(before);
    let page = logs::page::<R>(web.store(), &by, signed_in.tenant(), filter, from, limit).await?;
    let next = match page.more {
        true => Some(
            seal.seal_row(&binding, &page.go_on)
                .map_err(|error| RestError::internal(&error))?,
        ),
        false => None,
    };
    let items = page.rows.iter().map(line).collect::<Result<Vec<_>, _>>();
    let items = items.map_err(|error| RestError::internal(&error))?;
    let next = next.map(|sealed| URL_SAFE_NO_PAD.encode(sealed));
    Ok(Json(json!({ "items": items, "next_cursor": next })).into_response())
}

/// Takes our own parameters out of a query; what is left are filters.
fn split(query: &str) -> Result<(Paging, Vec<(String, String)>), RestError> {
    let (mut paging, mut filters) = (Paging::default(), Vec::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
        let number = |rule: &str| RestError::invalid(format!("{name}: {rule}"));
        match name.as_str() {
            "limit" => paging.limit = Some(value.parse().map_err(|_| number("must be a number"))?),
            "cursor" => paging.cursor = Some(value),
            "after" => paging.after = value.parse().map_err(|_| number("must be a number"))?,
            "format" => {
                paging.ndjson = match value.as_str() {
                    "json" => false,
                    "ndjson" => true,
                    _ => return Err(RestError::invalid("format: json or ndjson")),
                }
            }
            _ => filters.push((name, value)),
        }
    }
    Ok((paging, filters))
}

/// What a cursor belongs to: the log, its tenant, who reads it and the filters.
fn binding<R: Asked>(signed_in: &ReaderSession, mut pairs: Vec<(String, String)>) -> String {
    pairs.retain(|(_, value)| !value.is_empty());
    pairs.sort();
    let filters = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&pairs)
        .finish();
    format!("log cursor\n{}\n{}\n{filters}", R::ID, signed_in.tenant())
}

/// One row as it is handed out.
fn line<R>(entry: &LogEntry<R>) -> Result<serde_json::Value, serde_json::Error> {
    let row: &RawValue = serde_json::from_str(&entry.body)?;
    Ok(json!({ "seq": entry.seq, "hash": entry.hash, "row": row }))
}

/// The whole log from a number on, a page at a time as the reader takes it.
fn whole<R: Asked<Filter: Default + Clone>>(
    web: &Web,
    by: Actor,
    signed_in: &ReaderSession,
    filter: R::Filter,
    after: i64,
) -> Response {
    let (store, tenant) = (web.store().clone(), signed_in.tenant().clone());
    let lines = stream::try_unfold(Some(after), move |after| {
        let (store, tenant, by, filter) = (store.clone(), tenant.clone(), by.clone(), filter.clone());
        async move {
            let Some(after) = after else { return Ok(None) };
            let page = logs::page::<R>(&store, &by, &tenant, filter, From::After(after), MOST).await;
            let page =
                page.inspect_err(|error| error!("failed to go on with an export of a log: {error}"))?;
            let mut text = String::new();
            for entry in &page.rows {
                let line = line(entry).map_err(|error| StoreError::Row(error.to_string()))?;
                text.push_str(&line.to_string());
                text.push('\n');
            }
            Ok::<_, OperateError>(Some((Bytes::from(text), page.more.then_some(page.go_on))))
        }
    });
    let mut response = Body::from_stream(lines).into_response();
    let kind = HeaderValue::from_static(NDJSON);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
