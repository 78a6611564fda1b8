//! The door for systems that bring messages: a channel's secret comes in first, then a mail or JSON; what became of it goes
//! out. Nothing is read of a body before the secret opened something.

use futures_util::FutureExt;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::{
    inbound::{self, Arrival},
    outbound,
    secret::{self, ChannelSecret},
};
use crate::{
    domain::{
        DomainError,
        workspace::{
            Workspace,
            kinds::{channel::Channel, message::Enclosure},
            mail::{self, MailFault, Skim, clean},
            record::{self, Stored, Who},
            refs,
        },
    },
    store::{Store, StoreError},
    vocabulary::TenantId,
};

/// Longest text of a message, in characters: that of a reply too.
pub(super) const MOST_TEXT: usize = 20_000;
/// Longest subject or name, in characters.
const MOST_LINE: usize = 200;

/// A secret that opened a channel.
pub struct Knock {
    store: Store,
    tenant: TenantId,
    channel: String,
    /// What the server is called outside.
    base_url: String,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// What was sent cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// The channel does not take it.
    #[error("{0}")]
    Rule(String),
    /// The channel is gone since.
    #[error("There is no such channel.")]
    Gone,
    /// Something of ours failed.
    #[error(transparent)]
    Store(StoreError),
    /// Something else of ours failed.
    #[error("{0}")]
    Internal(String),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DomainError> for Refused {
    fn from(error: DomainError) -> Self {
        match error {
            DomainError::Store(error) => Self::Store(error),
            DomainError::Rule(text) | DomainError::Conflict(text) => Self::Rule(text),
            DomainError::Arguments(error) => Self::Invalid(error.to_string()),
            DomainError::NotFound { what, id } => Self::Rule(format!("there is no {what} `{id}`")),
            DomainError::ConflictWith { message, .. } => Self::Rule(message),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<MailFault> for Refused {
    fn from(fault: MailFault) -> Self {
        Self::Invalid(fault.to_string())
    }
}

/// A message as JSON.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `body`, and `from` with an email, a name or an id"
)]
struct Letter {
    #[serde(default)]
    from: From_,
    subject: Option<String>,
    body: String,
    /// The sender's id of it; the same id again is the same message.
    external_id: Option<String>,
    /// An `external_id` or message that it answers.
    in_reply_to: Option<String>,
    conversation_id: Option<String>,
    #[serde(default)]
    attachments: Vec<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object with email, name or id")]
struct From_ {
    email: Option<String>,
    name: Option<String>,
    id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with name, media_type and bytes")]
struct Named {
    name: String,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    bytes: u64,
}

impl Workspace {
    /// The channel that a secret opens. `None`: it opens nothing, whatever the reason.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn knock(&self, secret: &str) -> Result<Option<Knock>, Refused> {
        let Some(secret) = ChannelSecret::read(secret) else {
            return Ok(None);
        };
        let tenant = secret.tenant().clone();
        let opened = self
            .store()
            .read(&tenant, move |tx| {
                async move { secret.opens(&mut tx.reading()).await }.boxed()
            })
            .await?;
        Ok(opened.map(|channel| Knock {
            store: self.store().clone(),
            tenant,
            channel: channel.id,
            base_url: self.desk().settings.base_url.clone(),
        }))
    }
}

/// What the operator of a channel is shown once.
pub struct ChannelSecrets {
    /// The channel's name.
    pub channel: String,
    /// What opens `POST /in/<secret>`.
    pub inbound: SecretString,
    /// What the tenant's webhooks are signed with.
    pub signing: SecretString,
}

impl Workspace {
    /// Gives a channel, named by slug, name or id, a new secret; the one before opens nothing any more.
    ///
    /// # Errors
    /// When there is no such channel, or the store fails.
    pub async fn new_channel_secret(
        &self,
        tenant: &TenantId,
        channel: &str,
    ) -> Result<ChannelSecrets, Refused> {
        let signing = outbound::signing_secret(self.desk(), tenant);
        let named = channel.to_owned();
        let minted = self.store().write(tenant, move |tx| {
            async move {
                let channel: Stored<Channel> = refs::get(&mut tx.reading(), &named, true).await?;
                let secret = secret::mint(tx, &channel, &Who::system("operator")).await?;
                Ok::<_, DomainError>((channel.doc.fields.name, secret))
            }
            .boxed()
        });
        let (channel, inbound) = minted.await?;
        Ok(ChannelSecrets {
            channel,
            inbound,
            signing,
        })
    }
}

impl Knock {
    /// Takes a mail.
    ///
    /// # Errors
    /// When it is none, or the channel is closed.
    pub async fn mail(self, mail: Skim) -> Result<Value, Refused> {
        let (mail, ignored) = mail::read(&mail.finish())?;
        let (channel, base_url) = (self.channel, self.base_url);
        let received = self
            .store
            .write(&self.tenant, move |tx| {
                async move {
                    let Some(channel) = record::find::<Channel>(&mut tx.reading(), &channel).await? else {
                        return Err(Refused::Gone);
                    };
                    match ignored {
                        Some(why) => Ok(inbound::ignore(tx, &channel, &mail, why).await?),
                        None => Ok(inbound::receive(tx, &channel, mail.into(), &base_url).await?),
                    }
                }
                .boxed()
            })
            .await?;
        serde_json::to_value(received).map_err(|error| Refused::Internal(error.to_string()))
    }

    /// Takes a message as JSON: `{from: {email, name, id}, subject, body, external_id, in_reply_to, conversation_id,
    /// attachments: [{name, media_type, bytes}]}`, of which `body` and something of `from` must be there.
    ///
    /// # Errors
    /// When it is none, or the channel is closed.
    pub async fn json(self, body: &[u8]) -> Result<Value, Refused> {
        let letter: Letter = serde_json::from_slice(body).map_err(|error| {
            Refused::Invalid(format!("The message is not what is expected here: {error}."))
        })?;
        let arrival = letter.arrival()?;
        let (channel, base_url) = (self.channel, self.base_url);
        let received = self
            .store
            .write(&self.tenant, move |tx| {
                async move {
                    let found: Option<Stored<Channel>> = record::find(&mut tx.reading(), &channel).await?;
                    let channel = found.ok_or(Refused::Gone)?;
                    Ok::<_, Refused>(inbound::receive(tx, &channel, arrival, &base_url).await?)
                }
                .boxed()
            })
            .await?;
        serde_json::to_value(received).map_err(|error| Refused::Internal(error.to_string()))
    }
}

impl Letter {
    fn arrival(self) -> Result<Arrival, Refused> {
        let invalid = |text: &str| Refused::Invalid(text.to_owned());
        let text = clean(&self.body);
        if text.trim().is_empty() || text.chars().count() > MOST_TEXT {
            return Err(Refused::Invalid(format!(
                "body: must have 1 to {MOST_TEXT} characters."
            )));
        }
        let email = match &self.from.email {
            None => None,
            Some(text) => {
                Some(mail::email(text).ok_or_else(|| invalid("from.email: must be a mail address."))?)
            }
        };
        let sender_id = self.from.id.as_deref().map(line).filter(|id| !id.is_empty());
        if email.is_none() && sender_id.is_none() {
            return Err(invalid("from: give the sender's email, or an id of theirs."));
        }
        Ok(Arrival {
            email,
            name: self
                .from
                .name
                .as_deref()
                .map(line)
                .filter(|name| !name.is_empty()),
            sender_id,
            subject: self
                .subject
                .as_deref()
                .map(line)
                .filter(|subject| !subject.is_empty()),
            text,
            mail_id: self.external_id.as_deref().map(line),
            answers: self.in_reply_to.as_deref().map(line).into_iter().collect(),
            conversation_id: self.conversation_id,
            attachments: self
                .attachments
                .into_iter()
                .take(50)
                .map(|file| Enclosure {
                    name: line(&file.name),
                    media_type: line(&file.media_type),
                    bytes: file.bytes,
                })
                .collect(),
            ..Arrival::default()
        })
    }
}

/// A text as one line without characters that hide something, cut at what a line may have.
pub(super) fn line(text: &str) -> String {
    let words = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(MOST_LINE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(json: &str) -> Result<Arrival, String> {
        let letter: Letter = serde_json::from_str(json).map_err(|error| error.to_string())?;
        letter.arrival().map_err(|error| error.to_string())
    }

    #[test]
    fn a_message_as_json_is_judged_before_it_is_stored() {
        let read = arrival(r#"{"from":{"email":" Ada@X.example ","name":"Ada\nLovelace"},"subject":"a\u202eb","body":"Hi\r\nthere"}"#).unwrap();
        assert_eq!(read.email.as_deref(), Some("ada@x.example"));
        assert_eq!(
            (read.name.as_deref(), read.subject.as_deref()),
            (Some("Ada Lovelace"), Some("ab"))
        );
        assert_eq!(read.text, "Hi\nthere");
        let long = format!(
            r#"{{"from":{{"id":"7"}},"body":"{}"}}"#,
            "x".repeat(MOST_TEXT + 1)
        );
        for (json, says) in [
            (r#"{"from":{"email":"a@b.c"},"body":"  "}"#, "body:"),
            (long.as_str(), "body:"),
            (r#"{"from":{"email":"nobody"},"body":"x"}"#, "from.email:"),
            (r#"{"from":{"name":"Ada"},"body":"x"}"#, "from:"),
            (
                r#"{"from":{"email":"a@b.c"},"body":"x","html":"<b>"}"#,
                "unknown field `html`",
            ),
            (r#"{"from":{"email":"a@b.c"}}"#, "missing field `body`"),
        ] {
            let said = arrival(json).unwrap_err();
            assert!(said.contains(says), "{says}: {said}");
        }
    }
}
