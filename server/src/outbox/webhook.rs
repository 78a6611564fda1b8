//! Posts an event, signed (catalogue.md §3.5): `X-Footbridge-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`.

use std::time::Duration;

use http::{Method, header};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use super::{Event, OutboxError};
use crate::{
    outgoing::{Outgoing, Reach, SIGNATURE_HEADER, SigningKey},
    vocabulary::{TenantId, Timestamp},
};

/// For the whole exchange (catalogue.md §3.5).
const TIMEOUT: Duration = Duration::from_secs(8);

/// Posts to whatever address it is given, if that may be called.
pub(super) struct Poster {
    outgoing: Outgoing,
}

/// What is posted.
pub(super) struct Notice<'a> {
    /// The same for every attempt.
    pub(super) id: &'a str,
    pub(super) event: &'a str,
    pub(super) created_at: Timestamp,
    /// The page of the console that it is about.
    pub(super) page: Option<&'a str>,
    pub(super) data: &'a Value,
}

impl Poster {
    pub(super) fn new(allow_private: bool) -> Result<Self, OutboxError> {
        let outgoing = Outgoing::new(&Reach {
            allow_private,
            ca_file: None,
            timeout: TIMEOUT,
        })?;
        Ok(Self { outgoing })
    }

    /// Posts a notice. Gives the status that the receiver took it with, or why it did not.
    pub(super) async fn post(
        &self,
        url: &Url,
        key: &SigningKey,
        tenant: &TenantId,
        notice: Notice<'_>,
        now: Timestamp,
    ) -> Result<Value, String> {
        let mut body = json!({
            "id": notice.id,
            "event": notice.event,
            "created_at": notice.created_at,
            "tenant": tenant,
            "data": notice.data,
        });
        if let (Some(page), Some(body)) = (notice.page, body.as_object_mut()) {
            body.insert("url".to_owned(), page.into());
        }
        let body = body.to_string();
        let request = self
            .outgoing
            .request(Method::POST, url.clone())
            .map_err(|e| e.to_string())?
            .header(header::CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", notice.id)
            .header(SIGNATURE_HEADER, key.sign(now, &body))
            .body(body);
        let response = request
            .send()
            .await
            .map_err(|e| format!("the webhook was not answered: {}", without_address(e)))?;
        // What was redirected was asked for again without its body.
        if response.url() != url {
            return Err("the webhook answered with a redirect; set the address it leads to".to_owned());
        }
        let status = response.status();
        if status.is_success() {
            Ok(json!({ "status": status.as_u16() }))
        } else {
            Err(format!("the webhook answered {status}"))
        }
    }
}

/// One receiver.
pub(super) struct Webhook {
    url: Url,
    key: SigningKey,
    poster: Poster,
}

impl Webhook {
    pub(super) fn new(url: Url, secret: &SecretString, allow_private: bool) -> Result<Self, OutboxError> {
        let poster = Poster::new(allow_private)?;
        poster.outgoing.judge(&url)?;
        Ok(Self {
            url,
            key: SigningKey::new(secret),
            poster,
        })
    }

    /// Posts it. Gives the status that the receiver took it with, or why it did not.
    pub(super) async fn post(
        &self,
        tenant: &TenantId,
        event: &Event,
        page: &str,
        now: Timestamp,
    ) -> Result<Value, String> {
        let notice = Notice {
            id: &event.id,
            event: &event.event,
            created_at: event.created_at,
            page: Some(page),
            data: &event.data,
        };
        self.poster.post(&self.url, &self.key, tenant, notice, now).await
    }
}

/// An address may hold a token in its path or query; what is stored beside a job must not.
fn without_address(error: reqwest::Error) -> String {
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    cause.unwrap_or_else(|| error.to_string())
}
