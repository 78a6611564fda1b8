//! `list_channels`, `create_channel` and `update_channel`. The secret in a channel's inbound address is no answer of a tool:
//! an operator reveals it at the command line.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{Host, Url};

use super::members::OPEN_CONVERSATIONS;
use crate::{
    domain::{
        Apply, DomainError, Handlers, Plan, PlanCall, ToolResult,
        workspace::{
            engine::Desk,
            grammar,
            kinds::{channel::Channel, conversation::Conversation},
            listing::{self, Filter, Filters},
            record::{self, Kind, Stored, Who, fold},
            refs,
            sla::rules,
            write::{self, Carried, object},
        },
    },
    outgoing::is_public,
    store::{Condition, FieldValue, ReadTx, RecordQuery, TenantTx},
};

/// What channels are filtered by.
const FILTERS: Filters = &[("type", "type", Filter::Word), ("active", "active", Filter::Flag)];
/// Conversations that move to another channel in one call.
const MOST_MOVED: u32 = 500;

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    let this = Arc::clone(desk);
    table.read("channels::list", move |tx, call| {
        let desk = Arc::clone(&this);
        Box::pin(async move { listing::list::<Channel>(&desk, tx, call, FILTERS).await })
    });
    let allow_private = desk.settings.allow_private;
    table.planned(
        "channels::create",
        move |tx, call| Box::pin(plan_create(tx, call, allow_private)),
        |tx, apply| Box::pin(create(tx, apply)),
    );
    table.planned(
        "channels::update",
        move |tx, call| Box::pin(plan_update(tx, call, allow_private)),
        |tx, apply| Box::pin(update(tx, apply)),
    );
}

async fn plan_create(tx: &mut ReadTx<'_>, call: PlanCall, allow_private: bool) -> Result<Plan, DomainError> {
    let mut writing = write::create::<Channel>(tx, &call).await?;
    let channel = &mut writing.doc.fields;
    channel.active = true;
    channel.slug = slug(&channel.name)?;
    judge(channel, allow_private)?;
    free(tx, &channel.name, &channel.slug, None).await?;
    let summary = format!("Create {}", channel.label());
    writing.plan(&summary, &())
}

async fn create(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    if let Some(result) = carried.replayed()? {
        return Ok(result);
    }
    let channel = carried.write::<Channel>(tx, &apply, carried.doc()?).await?;
    let mut result = object(Channel::NAME, channel.view()?);
    let inbound = json!({
        "path_hint": "/in/chs_…",
        "reveal_command": format!("footbridge-server channel secret {} --tenant {}", channel.id, tx.tenant()),
    });
    result.insert("inbound".to_owned(), inbound);
    carried.answer(tx, result, [channel.id]).await
}

/// What an update does besides.
#[derive(Debug, Serialize, Deserialize)]
struct Besides {
    /// The channel that open conversations move to.
    move_to: Option<String>,
}

async fn plan_update(tx: &mut ReadTx<'_>, call: PlanCall, allow_private: bool) -> Result<Plan, DomainError> {
    let before = write::named::<Channel>(tx, &call).await?;
    let move_to = match call.arguments.as_map().get("move_to").and_then(Value::as_str) {
        Some(text) => {
            let to = refs::get::<Channel>(tx, text, true).await?;
            if to.id == before.id || !to.fields().active {
                return Err(DomainError::Rule(
                    "move_to: must be another active channel".to_owned(),
                ));
            }
            Some(to)
        }
        None => None,
    };
    let (id, was_active) = (before.id.clone(), before.fields().active);
    let writing = write::update(tx, &call, before).await?;
    let channel = &writing.doc.fields;
    judge(channel, allow_private)?;
    free(tx, &channel.name, &channel.slug, Some(&id)).await?;
    let closes = was_active && !channel.active;
    let open = if closes {
        tx.records(Conversation::NAME)
            .count(&open_in(&id), MOST_MOVED + 1)
            .await?
    } else {
        0
    };
    if open > i64::from(MOST_MOVED) && move_to.is_some() {
        return Err(DomainError::Conflict(format!(
            "the channel has more than {MOST_MOVED} open conversations; resolve some first"
        )));
    }
    if open > 0 && move_to.is_none() {
        return Err(DomainError::Conflict(format!(
            "the channel has {}; name the channel that takes them with move_to",
            grammar::counted(open, "open conversation")
        )));
    }
    let label = writing.reader.text(&channel.label()).to_owned();
    let moved = move_to.filter(|_| open > 0);
    let besides = Besides {
        move_to: moved.as_ref().map(|to| to.id.clone()),
    };
    let plan = writing.plan(&format!("Change {label}"), &besides)?;
    Ok(match moved {
        Some(to) => plan.with_effect(format!(
            "{} to be moved to {}",
            grammar::counted(open, "open conversation"),
            to.fields().label()
        )),
        None => plan,
    })
}

async fn update(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    let besides: Besides = serde_json::from_value(carried.extra.clone()).map_err(DomainError::internal)?;
    if let (Some(to), Some(from)) = (besides.move_to, &carried.id) {
        let who = Who::of(apply.permit.principal());
        let query = RecordQuery {
            conditions: open_in(from),
            limit: MOST_MOVED,
            ..RecordQuery::default()
        };
        for record in tx.records(Conversation::NAME).list(&query).await?.records {
            let stored = Stored::<Conversation>::of(&record)?;
            let mut doc = stored.doc.clone();
            doc.fields.channel_id.clone_from(&to);
            record::update(tx, &stored.id, &doc, Some(stored.version), &who).await?;
        }
    }
    write::carry_out::<Channel>(tx, apply).await
}

fn open_in(channel: &str) -> Vec<Condition> {
    let statuses = OPEN_CONVERSATIONS.map(FieldValue::from).to_vec();
    vec![
        Condition::is("channel_id", channel),
        Condition::OneOf("status".to_owned(), statuses),
    ]
}

/// A channel's word in addresses, of its name: `Key Accounts` becomes `key-accounts`.
fn slug(name: &str) -> Result<String, DomainError> {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            c if c.is_ascii_alphanumeric() => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_end_matches('-').to_owned();
    if slug.is_empty() {
        return Err(DomainError::argument(
            "name: must have a letter of a-z or a digit",
        ));
    }
    Ok(slug)
}

/// Refuses a name that another channel has.
async fn free(tx: &mut ReadTx<'_>, name: &str, slug: &str, but: Option<&str>) -> Result<(), DomainError> {
    for (field, value) in [("name", name), ("slug", slug)] {
        let value = FieldValue::from(fold(value));
        let other = tx.records(Channel::NAME).find_unique(field, &value).await?;
        if other.is_some_and(|other| Some(other.id.as_str()) != but) {
            return Err(DomainError::Conflict(format!(
                "a channel is called \"{name}\" already; choose another name"
            )));
        }
    }
    Ok(())
}

/// Judges what no schema can: when time counts, what is promised, and where replies go.
fn judge(channel: &Channel, allow_private: bool) -> Result<(), DomainError> {
    rules::judge(channel)?;
    let target = channel.delivery.target.as_deref().unwrap_or_default();
    match channel.delivery.adapter.as_str() {
        "webhook" => judge_webhook(target, allow_private),
        "smtp" if target.parse::<lettre::Address>().is_err() => Err(DomainError::argument(
            "delivery.target: must be the address that mails of this channel are from",
        )),
        "" | "none" | "smtp" => Ok(()),
        other => Err(DomainError::argument(format!(
            "delivery.adapter: `{other}` is none; use webhook, smtp or none"
        ))),
    }
}

/// The address itself is judged here; what its name resolves to is judged with each call.
fn judge_webhook(target: &str, allow_private: bool) -> Result<(), DomainError> {
    let url =
        Url::parse(target).map_err(|_| DomainError::argument("delivery.target: must be an https address"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(DomainError::argument(
            "delivery.target: must not carry a user name or password",
        ));
    }
    let private = match url.host() {
        Some(Host::Ipv4(address)) => !is_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => !is_public(IpAddr::V6(address)),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let local = ["localhost", "local", "internal", "home.arpa"];
            local
                .iter()
                .any(|end| name == *end || name.ends_with(&format!(".{end}")))
        }
        None => return Err(DomainError::argument("delivery.target: names no host")),
    };
    if allow_private {
        return Ok(());
    }
    if private {
        return Err(DomainError::Rule(
            "delivery.target: a webhook must not be at a private address; the operator can allow it"
                .to_owned(),
        ));
    }
    if url.scheme() != "https" {
        return Err(DomainError::argument("delivery.target: must be an https address"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words_for_addresses() {
        for (name, expected) in [
            ("Key Accounts", "key-accounts"),
            ("  Süd & Nord!", "s-d-nord"),
            ("24/7", "24-7"),
        ] {
            assert_eq!(slug(name).unwrap(), expected);
        }
        assert!(slug("—").is_err());
    }

    #[test]
    fn webhooks_of_channels_are_public_and_encrypted() {
        for good in ["https://hooks.example/x", "https://93.184.216.34/x"] {
            assert!(judge_webhook(good, false).is_ok(), "{good}");
        }
        for (bad, said) in [
            ("https://127.0.0.1/x", "private"),
            ("https://10.1.2.3/x", "private"),
            ("https://[::1]/x", "private"),
            ("https://[::ffff:169.254.169.254]/x", "private"),
            ("https://localhost:8080/x", "private"),
            ("https://db.internal./x", "private"),
            ("http://hooks.example/x", "https"),
            ("https://a:b@hooks.example/x", "password"),
            ("hooks.example", "https"),
        ] {
            let refused = judge_webhook(bad, false).unwrap_err().to_string();
            assert!(refused.contains(said), "{bad}: {refused}");
        }
        assert!(judge_webhook("http://127.0.0.1:1/x", true).is_ok());
    }
}
