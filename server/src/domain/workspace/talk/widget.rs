//! The chat window on somebody's site, seen from the server: what it looks like, what a visitor writes and reads. Whoever
//! holds a visitor's token is that visitor; only its hash is stored.

use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    door::{MOST_TEXT, Refused, line},
    inbound::{self, Arrival},
};
use crate::{
    domain::{
        DomainError,
        workspace::{
            Workspace,
            kinds::{
                channel::Channel,
                message::{AuthorType, Direction, Message, MessageKind},
                widget::Widget,
            },
            mail::{self, clean},
            record::{self, Kind, Stored},
        },
    },
    store::{ReadTx, RecordQuery, Store},
    vocabulary::{TenantId, hexadecimal, sha256},
};

/// How visitors' tokens begin.
const PREFIX: &str = "vis_";
const BYTES: usize = 32;
/// Messages that a window shows at once.
const MOST_SHOWN: u32 = 100;

/// A chat window that is open to visitors.
pub struct WidgetView {
    store: Store,
    tenant: TenantId,
    widget: Stored<Widget>,
    channel: Stored<Channel>,
    /// What the server is called outside.
    base_url: String,
}

/// A visitor, known by their token.
#[derive(Clone)]
pub struct Guest {
    hash: String,
}

impl Guest {
    /// The visitor who holds a token. `None`: it can be none.
    pub fn of(token: &str) -> Option<Self> {
        let random = token.strip_prefix(PREFIX)?;
        let plain = random.len() == 2 * BYTES && random.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| Self {
            hash: hexadecimal(&sha256(token)),
        })
    }

    /// A new visitor, and the token they are known by from now on.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn new() -> Result<(Self, SecretString), Refused> {
        let mut random = [0_u8; BYTES];
        getrandom::fill(&mut random)
            .map_err(|error| Refused::Internal(format!("no random bytes: {error}")))?;
        let token = SecretString::from(format!("{PREFIX}{}", hexadecimal(&random)));
        let hash = hexadecimal(&sha256(token.expose_secret()));
        Ok((Self { hash }, token))
    }

    /// What a visitor is counted by.
    pub fn name(&self) -> &str {
        &self.hash
    }
}

impl Workspace {
    /// The chat window of a tenant. `None`: there is none of that id, it is closed, or its channel is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn widget(&self, tenant: &str, id: &str) -> Result<Option<WidgetView>, Refused> {
        let Ok(tenant) = TenantId::new(tenant) else {
            return Ok(None);
        };
        let id = id.to_owned();
        let found = self
            .store()
            .read(&tenant, move |tx| {
                async move { open(&mut tx.reading(), &id).await }.boxed()
            })
            .await?;
        Ok(found.map(|(widget, channel)| WidgetView {
            store: self.store().clone(),
            tenant,
            widget,
            channel,
            base_url: self.desk().settings.base_url.clone(),
        }))
    }
}

async fn open(
    tx: &mut ReadTx<'_>,
    id: &str,
) -> Result<Option<(Stored<Widget>, Stored<Channel>)>, DomainError> {
    let Some(widget) = record::find::<Widget>(tx, id)
        .await?
        .filter(|widget| widget.fields().active)
    else {
        return Ok(None);
    };
    let channel = record::find::<Channel>(tx, &widget.fields().channel_id).await?;
    Ok(channel
        .filter(|channel| channel.fields().active)
        .map(|channel| (widget, channel)))
}

impl WidgetView {
    /// Whether pages of an origin may open it.
    pub fn allows(&self, origin: &str) -> bool {
        let allowed = &self.widget.fields().allowed_origins;
        allowed
            .iter()
            .any(|known| known.trim_end_matches('/').eq_ignore_ascii_case(origin))
    }

    /// What it looks like.
    pub fn look(&self) -> Value {
        let widget = self.widget.fields();
        json!({
            "name": widget.name,
            "welcome_message": widget.welcome_message,
            "theme": widget.theme,
            "ask_email": widget.ask_email,
        })
    }

    /// Whether a visitor wrote here before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn knows(&self, guest: &Guest) -> Result<bool, Refused> {
        let (channel, hash) = (self.channel.clone(), guest.hash.clone());
        let found = self
            .store
            .read(&self.tenant, move |tx| {
                async move { inbound::of_visitor(&mut tx.reading(), &channel, &hash).await }.boxed()
            })
            .await?;
        Ok(found.is_some())
    }

    /// Takes what a visitor wrote.
    ///
    /// # Errors
    /// When the text or address cannot be, or the channel is closed.
    pub async fn write(
        &self,
        guest: &Guest,
        text: &str,
        email: Option<&str>,
        name: Option<&str>,
    ) -> Result<Value, Refused> {
        let text = clean(text);
        if text.trim().is_empty() || text.chars().count() > MOST_TEXT {
            return Err(Refused::Invalid(format!(
                "text: must have 1 to {MOST_TEXT} characters."
            )));
        }
        let email = match email.map(str::trim).filter(|email| !email.is_empty()) {
            None => None,
            Some(text) => {
                let read = mail::email(text);
                Some(read.ok_or_else(|| Refused::Invalid("email: must be a mail address.".to_owned()))?)
            }
        };
        let arrival = Arrival {
            email,
            name: name.map(line).filter(|name| !name.is_empty()),
            visitor: Some(guest.hash.clone()),
            text,
            ..Arrival::default()
        };
        let (id, base_url) = (self.channel.id.clone(), self.base_url.clone());
        let received = self
            .store
            .write(&self.tenant, move |tx| {
                async move {
                    let found: Option<Stored<Channel>> = record::find(&mut tx.reading(), &id).await?;
                    let channel = found.ok_or(Refused::Gone)?;
                    Ok::<_, Refused>(inbound::receive(tx, &channel, arrival, &base_url).await?)
                }
                .boxed()
            })
            .await?;
        Ok(json!({ "message_id": received.message_id }))
    }

    /// What was said between a visitor and the team, the oldest first. Notes are not for visitors.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn messages(&self, guest: &Guest) -> Result<Value, Refused> {
        let (channel, hash) = (self.channel.clone(), guest.hash.clone());
        let shown = self
            .store
            .read(&self.tenant, move |tx| {
                async move { shown(&mut tx.reading(), &channel, &hash).await }.boxed()
            })
            .await?;
        Ok(json!({ "messages": shown }))
    }
}

async fn shown(
    tx: &mut ReadTx<'_>,
    channel: &Stored<Channel>,
    hash: &str,
) -> Result<Vec<Value>, DomainError> {
    let Some(conversation) = inbound::of_visitor(tx, channel, hash).await? else {
        return Ok(Vec::new());
    };
    let query = RecordQuery {
        sort: Message::of_conversation(&conversation.id),
        limit: MOST_SHOWN,
        ..RecordQuery::default()
    };
    let mut messages = Vec::new();
    for row in tx.records(Message::NAME).list(&query).await?.records {
        let message = Stored::<Message>::of(&row)?;
        let fields = message.fields();
        if fields.kind != MessageKind::Message {
            continue;
        }
        // Whoever answers is called by the first word of their name: a visitor needs no more.
        let author = match (fields.direction, fields.author.kind) {
            (Direction::In, _) => "you",
            (_, AuthorType::Bot) => fields.author.name.as_str(),
            _ => fields.author.name.split_whitespace().next().unwrap_or("Team"),
        };
        messages.push(json!({
            "id": message.id,
            "from": if fields.direction == Direction::In { "visitor" } else { "team" },
            "bot": fields.author.kind == AuthorType::Bot,
            "author": author,
            "text": fields.body,
            "at": fields.at,
        }));
    }
    messages.reverse();
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_visitors_and_nothing_else_is_one() {
        let (guest, token) = Guest::new().unwrap();
        assert_eq!(Guest::of(token.expose_secret()).unwrap().hash, guest.hash);
        for bad in [
            "",
            "vis_",
            "vis_zz",
            &format!("vis_{}", "g".repeat(64)),
            &"a".repeat(68),
        ] {
            assert!(Guest::of(bad).is_none(), "{bad}");
        }
    }
}
