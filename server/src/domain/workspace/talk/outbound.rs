//! Replies on their way out: which way a channel sends, the dispatch for the outbox, and how far it is, written on the
//! message (catalogue.md §3.1).

use secrecy::SecretString;
use serde_json::json;

use crate::{
    domain::{
        DomainError,
        workspace::{
            engine::Desk,
            flow::hook::Hooks,
            kinds::{
                channel::Channel,
                comment::Comment,
                contact::Contact,
                conversation::Conversation,
                message::{AuthorType, Delivery, DeliveryStatus, Format, Message},
                ticket::Ticket,
            },
            markdown::mail_html,
            record::{self, Document, Kind, Stored, Who},
        },
    },
    outbox::{Dispatch, Envelope, Way, dispatch},
    store::{Condition, ReadTx, RecordQuery, TenantTx},
    vocabulary::{TenantId, new_id},
};

/// Earlier mails that a reply names, so that mail programs show one thread.
const MOST_REFERENCES: u32 = 10;
/// The domain of our message ids where the channel has no address. RFC 2606 keeps it from ever being somebody's.
const NO_DOMAIN: &str = "footbridge.invalid";

/// How a reply leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// By mail to this address.
    Mail(String),
    /// To the channel's webhook.
    Webhook(String),
    /// Into the chat window of a site, which asks for it.
    Widget,
}

impl Route {
    /// The adapter's word.
    pub(crate) fn adapter(&self) -> &'static str {
        match self {
            Self::Mail(_) => "smtp",
            Self::Webhook(_) => "webhook",
            Self::Widget => "none",
        }
    }

    /// Where to, for whoever may know it.
    pub(crate) fn address(&self) -> Option<&str> {
        match self {
            Self::Mail(address) => Some(address),
            _ => None,
        }
    }

    /// What happens, for a preview. It names nobody: whoever may not read sees it too.
    pub(crate) fn effect(&self) -> &'static str {
        match self {
            Self::Mail(_) => "a mail is sent",
            Self::Webhook(_) => "it is posted, signed, to the channel's webhook",
            Self::Widget => "it appears in the visitor's chat window",
        }
    }
}

/// Where a reply in a conversation would go.
///
/// # Errors
/// When the channel cannot send, or nobody knows where to.
pub(crate) async fn route(
    tx: &mut ReadTx<'_>,
    channel: &Channel,
    conversation: &Conversation,
) -> Result<Route, DomainError> {
    let address = match &conversation.contact_id {
        Some(id) => record::find::<Contact>(tx, id)
            .await?
            .and_then(|contact| contact.doc.fields.email),
        None => None,
    };
    // Whoever wrote is answered where they wrote from; the contact may have another address by now.
    let address = conversation.email.clone().or(address);
    let cannot = || {
        DomainError::Rule(format!(
            "channel cannot send: \"{}\" is not active or has no way out; an admin can change that with update_channel",
            channel.name
        ))
    };
    if !channel.active {
        return Err(cannot());
    }
    match (channel.delivery.adapter.as_str(), &channel.delivery.target) {
        ("webhook", Some(url)) => Ok(Route::Webhook(url.clone())),
        ("smtp", _) => match address {
            Some(address) => Ok(Route::Mail(address)),
            None if conversation.visitor.is_some() => Ok(Route::Widget),
            None => Err(DomainError::Rule(
                "contact has no address; add an e-mail address with update_contact".to_owned(),
            )),
        },
        _ if conversation.visitor.is_some() => Ok(Route::Widget),
        _ => Err(cannot()),
    }
}

/// Adds a message that goes out, and hands it to the outbox.
///
/// # Errors
/// When the store fails.
pub(crate) async fn send(
    tx: &mut TenantTx<'_>,
    channel: &Stored<Channel>,
    (id, conversation): (&str, &Conversation),
    mut message: Message,
    route: &Route,
    who: &Who,
) -> Result<Stored<Message>, DomainError> {
    let now = tx.now();
    let message_id = new_id(Message::PREFIX, now);
    message.conversation_id = id.to_owned();
    message.channel_id = channel.id.clone();
    message.delivery = Some(Delivery {
        adapter: route.adapter().to_owned(),
        status: match route {
            Route::Widget => DeliveryStatus::Delivered,
            _ => DeliveryStatus::Queued,
        },
        ..Delivery::default()
    });
    let way = match route {
        Route::Widget => None,
        Route::Mail(to) => {
            let domain = sender_domain(channel.fields());
            let mail_id = format!("{message_id}@{domain}");
            let envelope = Envelope {
                from: sender(channel.fields()),
                to: to.clone(),
                subject: reply_subject(conversation.subject.as_deref()),
                text: message.body.clone(),
                html: (message.format == Format::Markdown).then(|| mail_html(&message.body)),
                message_id: mail_id.clone(),
                answers: earlier(&mut tx.reading(), id).await?,
                automatic: message.author.kind == AuthorType::Bot,
            };
            message.mail_id = Some(mail_id);
            Some(Way::Mail(Box::new(envelope)))
        }
        Route::Webhook(url) => Some(Way::Webhook {
            url: url.clone(),
            event: "message.outbound".to_owned(),
            created_at: now,
            data: json!({
                "message": { "id": message_id, "body": message.body, "format": message.format, "author": message.author,
                    "article_ids": message.article_ids },
                "conversation": { "id": id, "subject": conversation.subject, "channel_id": channel.id },
                "to": { "contact_id": conversation.contact_id, "email": conversation.email, "name": conversation.name,
                    "external_id": conversation.external_id },
            }),
        }),
    };
    let made = add(tx, &message_id, message, who).await?;
    if let Some(way) = way {
        hand_over(tx, Message::NAME, &made.id, way).await?;
    }
    Ok(made)
}

/// Adds a message to its conversation, behind all that is there.
///
/// # Errors
/// When the store fails.
pub(crate) async fn add(
    tx: &mut TenantTx<'_>,
    id: &str,
    mut message: Message,
    who: &Who,
) -> Result<Stored<Message>, DomainError> {
    message.at = tx.now();
    let counter = format!("workspace.messages.{}", message.conversation_id);
    message.number = tx.counters().next(&counter).await?;
    record::insert_as(tx, id, Document::new(message), who).await
}

/// Hands a public comment of a ticket to the outbox, by the ticket's channel. Gives what to write on the comment. `None`:
/// the ticket came from nowhere that one could write to.
///
/// # Errors
/// When the channel cannot send, or nobody knows where to.
pub(crate) async fn comment_route(
    tx: &mut ReadTx<'_>,
    ticket: &Ticket,
) -> Result<(Stored<Channel>, Route), DomainError> {
    let nowhere = || {
        DomainError::Rule("the requester has no address; comment internally, or give the ticket a requester with an e-mail address".to_owned())
    };
    let requester = match &ticket.requester {
        Some(id) => record::find::<Contact>(tx, id)
            .await?
            .and_then(|contact| contact.doc.fields.email),
        None => None,
    };
    let channel = match &ticket.channel_id {
        Some(id) => record::find::<Channel>(tx, id).await?,
        None => first_mail_channel(tx).await?,
    };
    let channel = channel.ok_or_else(nowhere)?;
    let conversation = match &ticket.conversation_id {
        Some(id) => record::find::<Conversation>(tx, id)
            .await?
            .map(|found| found.doc.fields),
        None => None,
    };
    let mut conversation = conversation.unwrap_or_default();
    conversation.email = conversation.email.or(requester);
    if conversation.email.is_none()
        && conversation.visitor.is_none()
        && channel.fields().delivery.adapter != "webhook"
    {
        return Err(nowhere());
    }
    let route = route(tx, channel.fields(), &conversation).await?;
    Ok((channel, route))
}

/// The oldest channel that sends mail: where tickets that came from no conversation are answered.
async fn first_mail_channel(tx: &mut ReadTx<'_>) -> Result<Option<Stored<Channel>>, DomainError> {
    let query = RecordQuery {
        conditions: vec![Condition::is("type", "email"), Condition::is("active", true)],
        descending: false,
        limit: 1,
        ..RecordQuery::default()
    };
    let found = tx.records(Channel::NAME).list(&query).await?.records;
    Ok(found.first().map(Stored::of).transpose()?)
}

/// Sends a comment that was just written, with the delivery that [`comment_delivery`] gave it.
///
/// # Errors
/// When the store fails.
pub(crate) async fn send_comment(
    tx: &mut TenantTx<'_>,
    channel: &Stored<Channel>,
    ticket: &Ticket,
    comment: &Stored<Comment>,
    route: &Route,
) -> Result<(), DomainError> {
    let subject = format!("[#{}] {}", ticket.number, ticket.title);
    let way = match route {
        Route::Widget => return Ok(()),
        Route::Mail(to) => Way::Mail(Box::new(Envelope {
            from: sender(channel.fields()),
            to: to.clone(),
            subject,
            text: comment.fields().body.clone(),
            html: None,
            message_id: format!("{}@{}", comment.id, sender_domain(channel.fields())),
            answers: match &ticket.conversation_id {
                Some(id) => earlier(&mut tx.reading(), id).await?,
                None => Vec::new(),
            },
            automatic: false,
        })),
        Route::Webhook(url) => Way::Webhook {
            url: url.clone(),
            event: "comment.outbound".to_owned(),
            created_at: tx.now(),
            data: json!({ "ticket": { "number": ticket.number, "title": ticket.title },
                "comment": { "id": comment.id, "body": comment.fields().body, "author": comment.fields().author } }),
        },
    };
    hand_over(tx, Comment::NAME, &comment.id, way).await
}

/// What a message says of its delivery before the first attempt.
pub(crate) fn comment_delivery(route: &Route) -> Delivery {
    Delivery {
        adapter: route.adapter().to_owned(),
        status: if *route == Route::Widget {
            DeliveryStatus::Delivered
        } else {
            DeliveryStatus::Queued
        },
        ..Delivery::default()
    }
}

async fn hand_over(tx: &mut TenantTx<'_>, kind: &str, id: &str, way: Way) -> Result<(), DomainError> {
    let message = Dispatch {
        id: id.to_owned(),
        about: (kind.to_owned(), id.to_owned()),
        way,
    };
    Ok(dispatch(tx, message).await?)
}

/// The channel's own address, if it has one.
fn sender(channel: &Channel) -> Option<String> {
    let address = channel
        .delivery
        .target
        .as_ref()
        .filter(|target| target.contains('@'))?;
    let address = address.trim();
    if address.contains('<') {
        return Some(address.to_owned());
    }
    // A name as a quoted string: what stands in it ends no header and no address.
    let name: String = channel
        .name
        .chars()
        .filter(|c| !c.is_control() && !"\"\\".contains(*c))
        .collect();
    Some(format!("\"{name}\" <{address}>"))
}

fn sender_domain(channel: &Channel) -> String {
    let address = channel.delivery.target.as_deref().unwrap_or_default();
    let domain = address
        .rsplit_once('@')
        .map_or("", |(_, domain)| domain.trim().trim_end_matches('>'));
    let plain = |domain: &&str| {
        !domain.is_empty()
            && domain
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
    };
    Some(domain).filter(plain).unwrap_or(NO_DOMAIN).to_owned()
}

fn reply_subject(subject: Option<&str>) -> String {
    let subject = subject.unwrap_or_default().trim();
    let begins = subject
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("re:"));
    if begins {
        subject.to_owned()
    } else {
        format!("Re: {subject}").trim().to_owned()
    }
}

/// Ids of the mails of a conversation so far, the oldest first.
async fn earlier(tx: &mut ReadTx<'_>, conversation: &str) -> Result<Vec<String>, DomainError> {
    let query = RecordQuery {
        sort: Message::of_conversation(conversation),
        limit: MOST_REFERENCES,
        ..RecordQuery::default()
    };
    let mut ids = Vec::new();
    for row in tx.records(Message::NAME).list(&query).await?.records {
        let message = Stored::<Message>::of(&row)?;
        ids.extend(message.doc.fields.mail_id.filter(|id| id.contains('@')));
    }
    ids.reverse();
    Ok(ids)
}

/// What webhooks of a tenant are signed with: the same on every replica, and told to that tenant's administrators alone.
pub(crate) fn signing_secret(desk: &Desk, tenant: &TenantId) -> SecretString {
    Hooks::secret(&desk.seal, tenant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_senders_are_what_a_mail_program_expects() {
        assert_eq!(reply_subject(Some("Printer")), "Re: Printer");
        assert_eq!(reply_subject(Some("RE: Printer")), "RE: Printer");
        assert_eq!(reply_subject(Some("é")), "Re: é");
        assert_eq!(reply_subject(None), "Re:");
        let mut channel = Channel {
            name: "Sup\"port\r\nBcc: x".to_owned(),
            ..Channel::default()
        };
        assert_eq!(
            (sender(&channel), sender_domain(&channel).as_str()),
            (None, NO_DOMAIN)
        );
        channel.delivery.target = Some("help@acme.example".to_owned());
        assert_eq!(
            sender(&channel).as_deref(),
            Some("\"SupportBcc: x\" <help@acme.example>")
        );
        assert_eq!(sender_domain(&channel), "acme.example");
        channel.delivery.target = Some("Help <help@acme.example>".to_owned());
        assert_eq!(sender_domain(&channel), "acme.example");
    }
}
