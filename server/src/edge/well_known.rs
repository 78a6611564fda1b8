//! What is answered without a message: health, figures and the documents that say where this server is
//! (catalogue.md §2.16, §2.17). None of it needs a credential; `/metrics` is for the operator alone.
//!
//! While OAuth is off every `/.well-known/oauth-*` path is one of the many at which nothing is served: a client
//! that found anything there would start OAuth and never send the key it was given (clients.md §0).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{body::Outgoing, desk::Common, front::Peer, gate, settings::EdgeSettings};
use crate::catalogue::Edition;

const CARD_SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";
const CARD_TYPE: &str = "application/mcp-server-card+json";
const CATALOG_TYPE: &str = "application/ai-catalog+json";
pub(super) const JSON_TYPE: &str = "application/json";
/// Longest description in a card, in characters, as the card's format asks.
const LONGEST_DESCRIPTION: usize = 100;

/// The discovery documents, written once from what the server really serves.
pub(super) struct Documents(Vec<Document>);

pub(super) struct Document {
    path: String,
    content_type: &'static str,
    body: Bytes,
    etag: HeaderValue,
}

impl Documents {
    /// `base` is scheme and authority, without a slash at the end.
    pub(super) fn new(settings: &EdgeSettings, editions: &[Arc<Edition>], base: &str) -> Self {
        let mut documents = Vec::new();
        let mut add = |path: String, content_type, body: &Value| {
            documents.push(Document::new(path, content_type, body));
        };
        let cards: Vec<Value> = editions
            .iter()
            .map(|edition| card(settings, edition, base))
            .collect();
        for (edition, card) in editions.iter().zip(&cards) {
            for endpoint in endpoints(edition) {
                add(format!("{endpoint}/server-card"), CARD_TYPE, card);
            }
        }
        // Where one card is asked for, the edition that owns a bare path speaks for the server.
        let first = editions
            .iter()
            .position(|edition| edition.bare_path.is_some())
            .unwrap_or(0);
        if let (Some(edition), Some(card)) = (editions.get(first), cards.get(first)) {
            add("/.well-known/mcp/server-card.json".to_owned(), CARD_TYPE, card);
            let mut overview = server(settings, edition, base);
            if let Some(members) = overview.as_object_mut() {
                let all = editions.iter().map(|edition| server(settings, edition, base));
                members.insert("servers".to_owned(), all.collect());
            }
            add("/.well-known/mcp".to_owned(), JSON_TYPE, &overview);
        }
        let domain = authority(base);
        let entries: Vec<Value> = editions
            .iter()
            .map(|edition| {
                json!({
                    "identifier": format!("urn:air:{domain}:mcp:{}-{}", settings.server_name, edition.name),
                    "type": CARD_TYPE,
                    "url": format!("{base}{}/server-card", edition.endpoint()),
                })
            })
            .collect();
        let catalog = json!({ "specVersion": "1.0", "entries": entries });
        add("/.well-known/ai-catalog.json".to_owned(), CATALOG_TYPE, &catalog);
        Self(documents)
    }

    /// The answer for a path, if a document is there.
    pub(super) fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Response<Outgoing>> {
        let document = self.0.iter().find(|document| document.path == path)?;
        Some(document.answer(method, headers))
    }
}

impl Document {
    /// The document, or that the asker has it already.
    pub(super) fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<Outgoing> {
        if let Some(refused) = only_get(method) {
            return refused;
        }
        let known = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let etag = self.etag.to_str().unwrap_or_default();
        let unchanged = known.flat_map(|tags| tags.split(',')).any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
        });
        let (status, body) = match unchanged {
            true => (StatusCode::NOT_MODIFIED, Bytes::new()),
            false if method == Method::HEAD => (StatusCode::OK, Bytes::new()),
            false => (StatusCode::OK, self.body.clone()),
        };
        let mut response = plain(status, self.content_type, body);
        let out = response.headers_mut();
        out.insert(header::ETAG, self.etag.clone());
        out.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=3600"),
        );
        out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
    }

    pub(super) fn new(path: String, content_type: &'static str, body: &Value) -> Self {
        let body = Bytes::from(body.to_string());
        let digest = Sha256::digest(&body);
        let tag: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        // Invariant: hexadecimal digits in quotes are a header value.
        let etag = HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self {
            path,
            content_type,
            body,
            etag,
        }
    }
}

/// Health: whether the process lives, and whether it wants calls. `None` for other paths.
pub(super) fn health(common: &Common, method: &Method, path: &str) -> Option<Response<Outgoing>> {
    let draining = common.leaving.is_cancelled();
    let healthy = common.house.store().healthy();
    let store = if healthy { "ready" } else { "failing" };
    let (status, body) = match path {
        "/health/live" | "/healthz" => (StatusCode::OK, json!({ "ok": true })),
        "/health/ready" | "/readyz" if healthy && !draining => (StatusCode::OK, json!({ "ready": true })),
        "/health/ready" | "/readyz" => {
            let body = json!({ "ready": false, "store": store, "draining": draining });
            (StatusCode::SERVICE_UNAVAILABLE, body)
        }
        "/health" => {
            let editions = common.house.editions();
            let editions: Vec<_> = editions.iter().map(|e| e.edition.name.as_str()).collect();
            let version = env!("CARGO_PKG_VERSION");
            let ok = healthy && !draining;
            let status = if ok {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            (
                status,
                json!({
                    "ok": ok, "version": version, "store": store, "draining": draining, "editions": editions
                }),
            )
        }
        _ => return None,
    };
    if let Some(refused) = only_get(method) {
        return Some(refused);
    }
    let body = if method == Method::HEAD {
        String::new()
    } else {
        body.to_string()
    };
    let mut response = plain(status, JSON_TYPE, body);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

/// `/metrics`, for the operator: from loopback unless a proxy stands in between, or with the operator's token. To
/// others there is nothing at this path.
pub(super) async fn metrics(
    common: &Common,
    peer: &Peer,
    method: &Method,
    headers: &HeaderMap,
) -> Option<Response<Outgoing>> {
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name));
    let at_home = peer.address.is_loopback() && !forwarded;
    if !at_home && !has_token(common, headers) {
        return None;
    }
    if let Some(refused) = only_get(method) {
        return Some(refused);
    }
    common.metrics.look_at_queues(&common.house).await;
    Some(plain(
        StatusCode::OK,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        common.metrics.to_text(),
    ))
}

fn has_token(common: &Common, headers: &HeaderMap) -> bool {
    match (&common.settings.operator_token, gate::credential(headers)) {
        (Some(token), Ok(Some(given))) => {
            // Digests are compared: how far two of them agree says nothing about the token.
            let token = token.expose_secret();
            !token.is_empty() && Sha256::digest(token) == Sha256::digest(given)
        }
        _ => false,
    }
}

fn only_get(method: &Method) -> Option<Response<Outgoing>> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, JSON_TYPE, Bytes::new());
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(response)
}

pub(super) fn plain(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::of(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn endpoints(edition: &Edition) -> impl Iterator<Item = String> {
    [edition.bare_path.clone(), Some(edition.path())]
        .into_iter()
        .flatten()
}

fn server(settings: &EdgeSettings, edition: &Edition, base: &str) -> Value {
    let endpoint = edition.endpoint();
    json!({
        "name": format!("{}-{}", settings.server_name, edition.name),
        "version": env!("CARGO_PKG_VERSION"),
        "endpoint": format!("{base}{endpoint}"),
        "transport": "streamable-http",
        "protocolVersions": versions(),
        "authentication": { "type": "bearer", "header": "Authorization", "prefix": edition.key_prefix },
        "serverCard": format!("{base}{endpoint}/server-card"),
    })
}

fn card(settings: &EdgeSettings, edition: &Edition, base: &str) -> Value {
    let host = authority(base).split(':').next().unwrap_or_default();
    let mut labels: Vec<&str> = host.split('.').collect();
    // An address has no domain to turn around.
    if !host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        labels.reverse();
    }
    let description: String = edition.instructions.chars().take(LONGEST_DESCRIPTION).collect();
    json!({
        "$schema": CARD_SCHEMA,
        "name": format!("{}/{}-{}", labels.join("."), settings.server_name, edition.name),
        "version": env!("CARGO_PKG_VERSION"),
        "description": description,
        "title": edition.title,
        "remotes": [{
            "type": "streamable-http",
            "url": format!("{base}{}", edition.endpoint()),
            "headers": [{ "name": "Authorization", "isRequired": true, "isSecret": true }],
            "supportedProtocolVersions": versions(),
        }],
    })
}

fn versions() -> Value {
    json!(footbridge_protocol::era::SUPPORTED.map(footbridge_protocol::era::ProtocolVersion::as_str))
}

fn authority(base: &str) -> &str {
    base.split_once("://").map_or(base, |(_, authority)| authority)
}
