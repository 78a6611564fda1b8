//! What OAuth clients ask for without a credential: where tokens come from (RFC 9728), and, for providers that register
//! no clients, their metadata (RFC 8414) with a registration that hands out the one client there is (catalogue.md §2.18).
//!
//! While OAuth is off there is nothing at any of these paths.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tracing::warn;

use super::{
    body::Outgoing,
    well_known::{self, Document, JSON_TYPE},
};
use crate::access::oauth::{OAuth, Resource};

const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const SERVER: &str = "/.well-known/oauth-authorization-server";
/// Largest registration. Real ones have a few hundred bytes.
pub(super) const REGISTRATION_BYTES: usize = 16 * 1024;
/// Redirects of one registration.
const MOST_REDIRECTS: usize = 16;
/// What of a provider's metadata is repeated: what a client needs for the code flow, and no promise that only the
/// provider itself can keep (its issuer, and that it puts it into answers).
const MIRRORED: [&str; 12] = [
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "scopes_supported",
    "response_types_supported",
    "response_modes_supported",
    "grant_types_supported",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
    "revocation_endpoint",
    "introspection_endpoint",
    "end_session_endpoint",
];

/// A path that OAuth clients ask for.
pub(super) enum Found {
    /// The metadata of a resource.
    Resource(Arc<Resource>),
    /// The metadata of its provider, mirrored.
    Mirror(Arc<Resource>),
    /// The registration.
    Register(Arc<Resource>),
}

/// What is at a path.
pub(super) fn find(oauth: &OAuth, path: &str) -> Option<Found> {
    if !path.starts_with("/.well-known/oauth-") && !path.ends_with("/register") {
        return None;
    }
    let resources = oauth.resources();
    // The short form of old clients, as long as it is clear which resource is meant (protocol.md A-01).
    let is_only = resources.len() == 1;
    let is_at = |resource: &Resource, start: &str| {
        path.strip_prefix(start).is_some_and(|rest| {
            rest == resource.path() || rest == path_of(resource.uri()) || (rest.is_empty() && is_only)
        })
    };
    resources.into_iter().find_map(|resource| {
        let has_client = resource.static_client().is_some();
        if is_at(&resource, RESOURCE) {
            Some(Found::Resource(resource))
        } else if has_client && is_at(&resource, SERVER) {
            Some(Found::Mirror(resource))
        } else if has_client && path.strip_suffix("/register") == Some(resource.path()) {
            Some(Found::Register(resource))
        } else {
            None
        }
    })
}

fn path_of(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default()
}

/// Answers a GET; a registration is answered by [`register`].
pub(super) async fn answer(
    oauth: &OAuth,
    found: &Found,
    method: &Method,
    headers: &HeaderMap,
) -> Response<Outgoing> {
    let body = match found {
        Found::Resource(resource) => metadata(resource),
        Found::Mirror(resource) => match mirror(oauth, resource).await {
            Ok(body) => body,
            Err(error) => {
                warn!(issuer = resource.issuer_url(), "no metadata to mirror: {error}");
                let body = json!({ "error": "temporarily_unavailable" }).to_string();
                let mut response = well_known::plain(StatusCode::SERVICE_UNAVAILABLE, JSON_TYPE, body);
                let soon = HeaderValue::from_static("5");
                response.headers_mut().insert(header::RETRY_AFTER, soon);
                return response;
            }
        },
        Found::Register(_) => {
            let mut response = well_known::plain(StatusCode::METHOD_NOT_ALLOWED, JSON_TYPE, Bytes::new());
            let post = HeaderValue::from_static("POST");
            response.headers_mut().insert(header::ALLOW, post);
            return response;
        }
    };
    Document::new(String::new(), JSON_TYPE, &body).answer(method, headers)
}

/// The provider, as clients are told. A provider that registers no clients is spoken for by us.
fn metadata(resource: &Resource) -> Value {
    let server = match resource.static_client() {
        Some(_) => resource.uri(),
        None => resource.issuer_url(),
    };
    let mut out = json!({
        "resource": resource.uri(),
        "authorization_servers": [server],
        "bearer_methods_supported": ["header"],
        "resource_name": resource.title(),
    });
    if let (Some(members), false) = (out.as_object_mut(), resource.scopes().is_empty()) {
        members.insert("scopes_supported".to_owned(), json!(resource.scopes()));
    }
    out
}

async fn mirror(oauth: &OAuth, resource: &Resource) -> Result<Value, crate::access::AuthError> {
    let theirs = oauth.provider_metadata(resource.issuer_url()).await?;
    let mut out = Map::new();
    out.insert("issuer".to_owned(), json!(resource.uri()));
    for name in MIRRORED {
        if let Some(value) = theirs.get(name) {
            out.insert(name.to_owned(), value.clone());
        }
    }
    out.insert(
        "registration_endpoint".to_owned(),
        json!(format!("{}/register", resource.uri())),
    );
    Ok(Value::Object(out))
}

#[derive(Deserialize)]
struct Registration {
    redirect_uris: Vec<String>,
    client_name: Option<String>,
}

/// Hands out the one client (RFC 7591 §3.2.1). Nothing is kept: the provider knows it already.
pub(super) fn register(resource: &Resource, body: &[u8]) -> Response<Outgoing> {
    let wrong = |what: &str| {
        let body = json!({ "error": "invalid_client_metadata", "error_description": what });
        well_known::plain(StatusCode::BAD_REQUEST, JSON_TYPE, body.to_string())
    };
    let Ok(asked) = serde_json::from_slice::<Registration>(body) else {
        return wrong("send a JSON object with redirect_uris");
    };
    if asked.redirect_uris.is_empty() || asked.redirect_uris.len() > MOST_REDIRECTS {
        return wrong("redirect_uris must hold 1 to 16 addresses");
    }
    let Some((id, secret)) = resource.static_client() else {
        return wrong("no client is configured");
    };
    let secret = match secret.map(crate::access::oauth::read_secret).transpose() {
        Ok(secret) => secret,
        Err(error) => {
            warn!(edition = %resource.edition(), "the client's secret cannot be read: {error}");
            let body = json!({ "error": "temporarily_unavailable" }).to_string();
            return well_known::plain(StatusCode::SERVICE_UNAVAILABLE, JSON_TYPE, body);
        }
    };
    let mut out = json!({
        "client_id": id,
        "redirect_uris": asked.redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": if secret.is_some() { "client_secret_basic" } else { "none" },
    });
    if let Some(members) = out.as_object_mut() {
        if let Some(name) = asked.client_name {
            members.insert("client_name".to_owned(), json!(name));
        }
        if let Some(secret) = secret {
            use secrecy::ExposeSecret;
            members.insert("client_secret".to_owned(), json!(secret.expose_secret()));
            members.insert("client_secret_expires_at".to_owned(), json!(0));
        }
    }
    let mut response = well_known::plain(StatusCode::CREATED, JSON_TYPE, out.to_string());
    let never = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, never);
    response
}
