//! Where events are told.

use lettre::message::Mailbox;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::courier::Receivers;
use crate::outgoing::{Forbidden, OutgoingError};

/// `[notifications]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NotificationSettings {
    /// Address that every event is posted to, e.g. `https://hooks.example.com/footbridge`. None by default.
    pub webhook: Option<String>,
    /// What webhooks are signed with; at least 16 characters. Belongs in the environment rather than in a file that is
    /// copied around.
    #[serde(deserialize_with = "secret")]
    #[schemars(with = "Option<String>")]
    pub webhook_secret: Option<SecretString>,
    /// Whether the webhook may be at a loopback or private address, by plain `http` too. Off, so that nobody who may write
    /// this file reaches what stands behind the server.
    pub allow_private: bool,
    /// Mail server as `smtps://user:password@mail.example.com`, or `smtp://…?tls=required` for STARTTLS. None by default:
    /// no mail is sent.
    #[serde(deserialize_with = "secret")]
    #[schemars(with = "Option<String>")]
    pub smtp: Option<SecretString>,
    /// Who mails are from, e.g. `Footbridge <footbridge@example.com>`.
    pub from: Option<String>,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Not an address.
    #[error("notifications.webhook is no address: {0}")]
    Webhook(url::ParseError),
    /// An address that may not be called.
    #[error("notifications.webhook: {0}")]
    Forbidden(#[from] Forbidden),
    /// No key to sign with, or one that can be guessed.
    #[error(
        "notifications.webhook_secret must be set, with at least {SHORTEST_SECRET} characters: whoever gets the webhook \
             tells by it that it is from this server"
    )]
    Secret,
    /// No client can be made.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    /// Not an address of a mail server. What was written there is not repeated: it holds a password.
    #[error("notifications.smtp must be like smtps://user:password@mail.example.com")]
    Smtp,
    /// No sender, or not an address.
    #[error(
        "notifications.from must be the address that mails are from, e.g. Footbridge <footbridge@example.com>"
    )]
    From,
}

/// Shorter ones can be guessed.
const SHORTEST_SECRET: usize = 16;

/// What the settings say, judged.
pub(super) struct Routes {
    pub(super) webhook: Option<(Url, SecretString)>,
    pub(super) mail: Option<(SecretString, Mailbox)>,
}

impl NotificationSettings {
    /// Whether everything is there that is needed to send.
    ///
    /// # Errors
    /// What is not in order.
    pub fn check(&self) -> Result<(), OutboxError> {
        Receivers::open(self).map(|_| ())
    }

    pub(super) fn routes(&self) -> Result<Routes, OutboxError> {
        let webhook = self
            .webhook
            .as_deref()
            .map(|address| {
                let url = Url::parse(address).map_err(OutboxError::Webhook)?;
                let secret = self
                    .webhook_secret
                    .clone()
                    .filter(|secret| secret.expose_secret().chars().count() >= SHORTEST_SECRET);
                Ok::<_, OutboxError>((url, secret.ok_or(OutboxError::Secret)?))
            })
            .transpose()?;
        let mail = self
            .smtp
            .clone()
            .map(|smtp| {
                let from = self.from.as_deref().and_then(|from| from.parse().ok());
                Ok::<_, OutboxError>((smtp, from.ok_or(OutboxError::From)?))
            })
            .transpose()?;
        Ok(Routes { webhook, mail })
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}
