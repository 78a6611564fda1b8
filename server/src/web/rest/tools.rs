//! Tools as plain REST (catalogue.md §2.16): `POST /v1/tools/<name>`, the arguments as body, the structured result as
//! answer, refusals with the statuses of §2.10. The call walks through the same hall as any other.

use std::time::Instant;

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, json, value::RawValue};
use tokio_util::sync::CancellationToken;

use crate::{
    access::Principal,
    audit::RequestFacts,
    domain::{Content, Progress, ToolResult},
    edge::{self, Visit},
    limits::{OverLimit, Usage},
    pipeline::{Answer, Asking, CallError, Refused, ToolCall},
    telemetry::{Arrival, Trace},
    vocabulary::EditionName,
    web::{KeyInHand, Query, RestError, Web, key::too_many, read},
};

/// Longest part of `User-Agent` that is kept as the client's name.
const LONGEST_CLIENT: usize = 200;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/v1/tools/{name}", post(call))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallQuery {
    edition: Option<EditionName>,
}

async fn call(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    key: KeyInHand,
    Path(name): Path<String>,
    Query(query): Query<CallQuery>,
    request: Request,
) -> Result<Response, RestError> {
    let principal = choose(&web, &key, &name, query.edition.as_ref())?;
    let facts = facts(&visit, request.headers(), key.arrival());
    if let Some(limit) = key.over() {
        // Nothing ran, and nothing will: the refusal stands whether or not the log takes its row.
        if let Err(error) = web
            .house()
            .refuse_call(principal, &name, facts, limit.clone())
            .await
        {
            tracing::warn!(error = %error, "no audit row for a refused call");
        }
        return Err(too_many(limit).with_headers(key.rate_headers()));
    }
    let body = arguments(&web, request).await?;
    let arguments =
        match &body {
            Some(body) => Some(serde_json::from_slice::<&RawValue>(body).map_err(|error| {
                RestError::invalid(format!("400 Bad Request: the body is no JSON: {error}"))
            })?),
            None => None,
        };
    let cancelled = CancellationToken::new();
    // Dropped with this future, that is when the client went away.
    let _cancel = cancelled.clone().drop_guard();
    let (reference, started) = (facts.request_id.clone(), Instant::now());
    let call = ToolCall {
        name: &name,
        arguments,
        input_responses: None,
        request_state: None,
        capabilities: Map::new(),
        asking: Asking::Never,
        approve_at: visit.approve_at(),
        check_headers: &|_| Ok(()),
        progress: Progress::default(),
        cancelled,
        facts,
    };
    let result = web.house().call(principal, call).await;
    let edition = principal.facts().edition.clone();
    if let Some(edition) = web.editions().iter().find(|served| served.name == edition) {
        visit.count_call(edition, &name, &result, started.elapsed());
    }
    let mut headers = key.rate_headers();
    if let Some(usage) = web.house().monthly_usage(principal).filter(Usage::is_near) {
        edge::show_usage(&mut headers, &usage);
    }
    match result {
        Ok(Answer::Done(result)) => Ok(done(result, headers)),
        // Invariant: a caller that cannot ask is never asked.
        Ok(Answer::InputRequired { .. }) => Err(failed(&CallError::CannotAsk, &reference, headers)),
        Err(error) => Err(failed(&error, &reference, headers)),
    }
}

/// As whom the key calls: in the edition that is named, or the one that has the tool.
fn choose<'k>(
    web: &Web,
    key: &'k KeyInHand,
    name: &str,
    edition: Option<&EditionName>,
) -> Result<&'k Principal, RestError> {
    let editions = web.editions();
    let has = |principal: &&Principal| {
        let entered = &principal.facts().edition;
        let served = editions.iter().find(|served| served.name == *entered);
        match edition {
            Some(named) => named == entered,
            None => served.is_some_and(|served| served.find(name).is_some()),
        }
    };
    let found: Vec<&Principal> = key.principals().iter().filter(has).collect();
    match (found.as_slice(), edition) {
        ([one], _) => Ok(one),
        ([], Some(named)) => Err(RestError::not_found(format!(
            "404 Not Found: this key enters no edition `{named}` here"
        ))),
        // The hall refuses it, and its log says so.
        ([], None) => key
            .principals()
            .first()
            .ok_or_else(|| RestError::internal(&"a key was recognised for no edition")),
        (several, _) => {
            let names: Vec<_> = several.iter().map(|one| one.facts().edition.as_str()).collect();
            Err(RestError::invalid(format!(
                "400 Bad Request: `{name}` is a tool of {}; add `?edition=` to say which",
                names.join(" and ")
            )))
        }
    }
}

fn facts(visit: &Visit, headers: &HeaderMap, arrival: Arrival) -> RequestFacts {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let client = text(header::USER_AGENT);
    RequestFacts {
        request_id: edge::request_id(),
        client_name: client.map(|client| client.chars().take(LONGEST_CLIENT).collect()),
        client_version: None,
        protocol_version: "rest",
        address: Some(visit.address),
        trace: text(header::HeaderName::from_static("traceparent")).and_then(Trace::read),
        arrival,
    }
}

/// The body, which a tool without arguments may do without.
async fn arguments(web: &Web, request: Request) -> Result<Option<Bytes>, RestError> {
    let is_json = read::is(request.headers(), "application/json");
    let body = read::body(request, web).await?;
    match (body.is_empty(), is_json) {
        (true, _) => Ok(None),
        (false, true) => Ok(Some(body)),
        (false, false) => Err(RestError::new(
            Refused::UNSUPPORTED_MEDIA_TYPE,
            "415 Unsupported Media Type: send the arguments as JSON, with `Content-Type: application/json`.",
        )),
    }
}

fn done(result: ToolResult, headers: HeaderMap) -> Response {
    // What a tool says of itself: it ran, and did not do what was asked.
    let status = if result.is_error {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let body = match result.structured {
        Some(structured) => String::from(Box::<str>::from(structured)),
        None => {
            let text = result.content.into_iter().filter_map(|block| match block {
                Content::Text(text) | Content::EmbeddedText { text, .. } => Some(text),
                _ => None,
            });
            json!({ "text": text.collect::<Vec<_>>().join("\n\n") }).to_string()
        }
    };
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, headers, kind, body).into_response()
}

fn failed(error: &CallError, reference: &str, headers: HeaderMap) -> RestError {
    edge::log(error, reference);
    if let CallError::OverLimit(limit) = error {
        let mut shown = headers;
        if let OverLimit::Rate { .. } = limit
            && let Some(rate) = limit.rate()
        {
            edge::show_rate(&mut shown, rate);
        }
        return too_many(limit)
            .with("request_id", json!(reference))
            .with_headers(shown);
    }
    let mut refused = RestError::of(error.code(), error.text(reference))
        .with("request_id", json!(reference))
        .with_headers(headers);
    if let Some(details) = edge::details(error) {
        refused = refused.with("details", details);
    }
    match error.retry_after_seconds() {
        Some(seconds) => refused.retry_after(seconds),
        None => refused,
    }
}
