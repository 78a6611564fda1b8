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

/// One receiver.
pub(super) struct Webhook {
    url: Url,
    key: SigningKey,
    outgoing: Outgoing,
}

impl Webhook {
    pub(super) fn new(url: Url, secret: &SecretString, allow_private: bool) -> Result<Self, OutboxError> {
        let outgoing = Outgoing::new(&Reach {
            allow_private,
            ca_file: None,
            timeout: TIMEOUT,
        })?;
        outgoing.judge(&url)?;
        Ok(Self {
            url,
            key: SigningKey::new(secret),
            outgoing,
        })
    }

    /// Posts it. Gives the status that the receiver took it with, or why it did not.
    pub(super) async fn post(
        &self,
        tenant: &TenantId,
        event: &Event,
        url: &str,
        now: Timestamp,
    ) -> Result<Value, String> {
        let body = json!({
            "id": event.id,
            "event": event.event,
            "created_at": event.created_at,
            "tenant": tenant,
            "url": url,
            "data": event.data,
        })
        .to_string();
        let request = self
            .outgoing
            .request(Method::POST, self.url.clone())
            .map_err(|e| e.to_string())?
            .header(header::CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", &event.id)
            .header(SIGNATURE_HEADER, self.key.sign(now, &body))
            .body(body);
        let response = request
            .send()
            .await
            .map_err(|e| format!("the webhook was not answered: {}", without_address(e)))?;
        // What was redirected was asked for again without its body.
        if *response.url() != self.url {
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

/// An address may hold a token in its path or query; what is stored beside a job must not.
fn without_address(error: reqwest::Error) -> String {
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    cause.unwrap_or_else(|| error.to_string())
}
