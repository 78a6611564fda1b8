//! The step `webhook`: posts the event to a receiver, signed with the tenant's secret (catalogue.md §3.5).

use std::{sync::Arc, time::Duration};

use http::{Method, header};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use url::Url;

use super::run::Cause;
use crate::{
    outgoing::{Forbidden, Outgoing, OutgoingError, Reach, SIGNATURE_HEADER, SigningKey, read_capped},
    policy::SealKey,
    vocabulary::{TenantId, Timestamp},
};

/// For the whole exchange (catalogue.md §3.5).
const TIMEOUT: Duration = Duration::from_secs(8);
/// As much of an answer as is read, so that the connection can be used again.
const MOST_ANSWER: usize = 64 * 1024;

/// Why a receiver was not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookError {
    /// It may take it later.
    Later(String),
    /// It never will.
    Never(String),
}

/// What posts.
#[derive(Clone, Debug)]
pub struct Hooks {
    outgoing: Outgoing,
    seal: Arc<SealKey>,
}

impl Hooks {
    /// `allow_private`: whether receivers may be at loopback and private addresses, by plain `http` too.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(seal: Arc<SealKey>, allow_private: bool) -> Result<Self, OutgoingError> {
        let outgoing = Outgoing::new(&Reach {
            allow_private,
            ca_file: None,
            timeout: TIMEOUT,
        })?;
        Ok(Self { outgoing, seal })
    }

    /// What a tenant's webhooks are signed with. An operator tells it to whoever runs the receiver.
    pub fn secret(seal: &SealKey, tenant: &TenantId) -> SecretString {
        seal.derived(&format!("workspace webhooks of {tenant}"))
    }

    /// Posts an event under its id. Gives what the receiver answered.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn post(
        &self,
        tenant: &TenantId,
        url: &str,
        (id, cause): (&str, &Cause),
        data: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Value, HookError> {
        let never = |what: &str| HookError::Never(what.to_owned());
        let url = Url::parse(url).map_err(|_| never("the address cannot be read"))?;
        let body = json!({
            "id": id,
            "event": cause.event,
            "created_at": cause.created_at,
            "tenant": tenant,
            "data": data,
        })
        .to_string();
        let signature = SigningKey::new(&Self::secret(&self.seal, tenant)).sign(now, &body);
        let request = self
            .outgoing
            .request(Method::POST, url.clone())
            .map_err(|e| HookError::Never(e.to_string()))?
            .header(header::CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", id)
            .header(SIGNATURE_HEADER, signature)
            .body(body);
        let response = request.send().await.map_err(unanswered)?;
        // What was redirected was asked for again without its body.
        let (moved, status) = (*response.url() != url, response.status());
        // An answer that breaks off was an answer.
        let _ = read_capped(response, MOST_ANSWER).await;
        if moved || status.is_redirection() {
            return Err(never(
                "the webhook answered with a redirect; set the address it leads to",
            ));
        }
        if status.is_success() {
            return Ok(json!({ "status": status.as_u16() }));
        }
        Err(HookError::Later(format!(
            "the webhook answered {}",
            status.as_u16()
        )))
    }
}

/// An address may hold a token in its path or query; the run log must not.
fn unanswered(error: reqwest::Error) -> HookError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
        return HookError::Never(forbidden.to_string());
    }
    HookError::Later(format!("the webhook was not answered: {cause}"))
}
