//! Small documents of other servers: fetched over connections of their own, within limits (protocol.md C-10).
//!
//! Nothing here carries the credential of the MCP server; what is sent is what the caller hands in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::Trouble;
use super::address::{Address, Trust};
use crate::brand;
use crate::error::quote;
use crate::upstream::{Common, Dialer, Endpoint, Outgoing, Wire};

/// Longest time for one document, connection included.
const LIMIT: Duration = Duration::from_secs(20);
/// Largest document. Real ones have a few kilobytes.
const BYTES: usize = 256 * 1024;
/// Redirects followed for one document.
const REDIRECTS: usize = 3;

/// Fetches on behalf of one sign-in.
pub(super) struct Fetcher {
    pub(super) trust: Trust,
    dialer: Arc<Dialer>,
}

/// What came back.
pub(super) struct Document {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// `Null` if it is no JSON.
    pub(super) json: Value,
}

impl Document {
    /// A member that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.json.get(name)?.as_str()
    }

    /// An error of OAuth in words: its code and description, as the server tells them.
    pub(super) fn refusal(&self) -> String {
        let code = self.text("error").map(|code| quote(code.as_bytes(), 60));
        let words = self
            .text("error_description")
            .map(|words| quote(words.as_bytes(), 200));
        match (code, words) {
            (Some(code), Some(words)) => format!("{code}: {}", words.trim_end_matches('.')),
            (Some(code), None) => code,
            _ => format!("status {}", self.status.as_u16()),
        }
    }
}

impl Fetcher {
    pub(super) fn new(server: Endpoint, dialer: Arc<Dialer>) -> Fetcher {
        Fetcher {
            trust: Trust::new(server),
            dialer,
        }
    }

    /// GETs a document. Redirects are followed to the same origin or to https.
    pub(super) async fn get(&self, address: &Address) -> Result<Document, Trouble> {
        let mut address = address.clone();
        for _ in 0..=REDIRECTS {
            let document = self
                .exchange(&address, &Method::GET, HeaderMap::new(), Bytes::new())
                .await?;
            if !document.status.is_redirection() {
                return Ok(document);
            }
            let location = document
                .headers
                .get(header::LOCATION)
                .and_then(|location| location.to_str().ok())
                .unwrap_or_default();
            let location = location.split('#').next().unwrap_or_default();
            let next = match address.endpoint.follow(location) {
                Some(target) => format!("{}{target}", address.origin()),
                None => location.to_owned(),
            };
            address = self.trust.address(&next, "redirect")?;
        }
        Err(Trouble::Failed(format!(
            "`{}` redirects more than {REDIRECTS} times. Its operator has to correct that",
            address.endpoint.place()
        )))
    }

    /// POSTs a form; `authorization` is the client's own.
    pub(super) async fn post_form(
        &self,
        address: &Address,
        authorization: Option<HeaderValue>,
        form: String,
    ) -> Result<Document, Trouble> {
        let mut headers = content("application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        self.exchange(address, &Method::POST, headers, form.into()).await
    }

    /// POSTs JSON.
    pub(super) async fn post_json(&self, address: &Address, json: &Value) -> Result<Document, Trouble> {
        let headers = content("application/json");
        self.exchange(address, &Method::POST, headers, json.to_string().into())
            .await
    }

    async fn exchange(
        &self,
        address: &Address,
        method: &Method,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Document, Trouble> {
        let endpoint = &address.endpoint;
        headers.insert(header::HOST, endpoint.authority.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(brand::USER_AGENT));
        if !headers.contains_key(header::ACCEPT) {
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        }
        let request = Outgoing {
            method,
            target: &endpoint.target,
            common: &Common::default(),
            headers: &headers,
            credential: None,
            body: &body,
        };
        let whole = async {
            self.trust.check(address).await?;
            self.send(endpoint, &request).await
        };
        match tokio::time::timeout(LIMIT, whole).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Trouble::Failed(format!(
                "`{}` did not answer within {} s during the sign-in. Try again",
                endpoint.place(),
                LIMIT.as_secs()
            ))),
        }
    }

    async fn send(&self, endpoint: &Endpoint, request: &Outgoing<'_>) -> Result<Document, Trouble> {
        let failed = |cause: &dyn std::fmt::Display| {
            Trouble::Failed(format!(
                "The connection to `{}` failed during the sign-in ({cause}). Try again",
                endpoint.place()
            ))
        };
        let stream = self
            .dialer
            .connect(endpoint)
            .await
            .map_err(|error| Trouble::Failed(error.to_string()))?;
        let mut wire = Wire::new(stream);
        let mut head = wire.send(request).await.map_err(|error| failed(&error))?;
        wire.begin(&mut head);
        let mut body = Vec::new();
        while let Some(bytes) = wire.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + bytes.len() > BYTES {
                return Err(Trouble::Failed(format!(
                    "`{}` sent more than {BYTES} bytes during the sign-in. Its operator has to correct that",
                    endpoint.place()
                )));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(Document {
            status: head.status,
            headers: head.headers,
            json: serde_json::from_slice(&body).unwrap_or(Value::Null),
        })
    }
}

fn content(essence: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(essence));
    if essence == "application/json" {
        // The MCP endpoint wants both; nobody else minds.
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
    }
    headers
}
