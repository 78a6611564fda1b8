//! How callers name things: an id, or what people call them (catalogue.md §2.14). What two records answer to is answered
//! with both, to choose from.

use serde_json::{Value, json};

use super::{
    flow::run::Run,
    grammar::plural,
    kinds::{
        account::Account, article::Article, bot::Bot, channel::Channel, comment::Comment, contact::Contact,
        conversation::Conversation, flow::Flow, lead::Lead, member::Member, message::Message, note::CrmNote,
        opportunity::Opportunity, ticket::Ticket, widget::Widget,
    },
    record::{Kind, Stored, fold, phone_digits},
};
use crate::{
    domain::DomainError,
    store::{Condition, FieldValue, ReadTx, Record, RecordQuery, StoreError, User},
    vocabulary::UserId,
};

/// What is known of a kind without knowing its type.
pub(crate) struct KindInfo {
    pub(crate) name: &'static str,
    /// The scope that shows it.
    pub(crate) read: &'static str,
    prefix: &'static str,
    keys: &'static [&'static str],
    /// Title and subtitle of a stored one.
    pub(crate) titles: fn(&Record) -> Result<(String, String), StoreError>,
}

impl KindInfo {
    const fn of<K: Kind>() -> Self {
        Self {
            name: K::NAME,
            read: K::READ,
            prefix: K::PREFIX,
            keys: K::KEYS,
            titles: |record| {
                let stored = Stored::<K>::of(record)?;
                Ok((stored.doc.fields.title(), stored.doc.fields.subtitle()))
            },
        }
    }
}

static KINDS: [KindInfo; 16] = [
    KindInfo::of::<Lead>(),
    KindInfo::of::<Account>(),
    KindInfo::of::<Contact>(),
    KindInfo::of::<Opportunity>(),
    KindInfo::of::<CrmNote>(),
    KindInfo::of::<Conversation>(),
    KindInfo::of::<Message>(),
    KindInfo::of::<Ticket>(),
    KindInfo::of::<Comment>(),
    KindInfo::of::<Article>(),
    KindInfo::of::<Flow>(),
    KindInfo::of::<Run>(),
    KindInfo::of::<Member>(),
    KindInfo::of::<Channel>(),
    KindInfo::of::<Bot>(),
    KindInfo::of::<Widget>(),
];

/// What is known of the kind of that name.
///
/// # Errors
/// When there is none, which is an argument that the schema should have refused.
pub(crate) fn kind(name: &str) -> Result<&'static KindInfo, DomainError> {
    let found = KINDS.iter().find(|info| info.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = KINDS.iter().map(|info| info.name).collect();
        DomainError::argument(format!(
            "`{name}` is no kind of record; there are {}",
            names.join(", ")
        ))
    })
}

/// Most records that one name is shown to mean.
const CANDIDATES: u32 = 5;

/// A record that was named, as sentences call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) title: String,
}

/// The record that `text` names. `shows`: whether the caller may read records of that kind, and so may learn which ones
/// answer to a name.
///
/// # Errors
/// `not_found`, or a conflict with candidates.
pub(crate) async fn record(
    tx: &mut ReadTx<'_>,
    info: &'static KindInfo,
    text: &str,
    shows: bool,
) -> Result<Named, DomainError> {
    let found = row(tx, info, text, shows).await?;
    let (title, _) = (info.titles)(&found)?;
    Ok(Named { id: found.id, title })
}

/// The same with its type.
///
/// # Errors
/// As [`record`].
pub(crate) async fn get<K: Kind>(
    tx: &mut ReadTx<'_>,
    text: &str,
    shows: bool,
) -> Result<Stored<K>, DomainError> {
    let found = row(tx, kind(K::NAME)?, text, shows).await?;
    Ok(Stored::of(&found)?)
}

async fn row(
    tx: &mut ReadTx<'_>,
    info: &'static KindInfo,
    text: &str,
    shows: bool,
) -> Result<Record, DomainError> {
    named(info.name, text)?;
    let missing = || DomainError::not_found(info.name, text);
    let is_id = text
        .strip_prefix(info.prefix)
        .is_some_and(|rest| rest.starts_with('_'));
    if is_id && let Some(found) = tx.records(info.name).find(text).await? {
        return Ok(found);
    }
    for key in info.keys {
        let Some(value) = key_value(key, text) else {
            continue;
        };
        let query = RecordQuery {
            conditions: vec![Condition::OneOf((*key).to_owned(), vec![value])],
            limit: CANDIDATES,
            ..RecordQuery::default()
        };
        let found = tx.records(info.name).list(&query).await?.records;
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (None, _) => {}
            (Some(one), None) => return Ok(one),
            (Some(one), Some(other)) => {
                let all: Vec<Record> = [one, other].into_iter().chain(found).collect();
                return Err(ambiguous(info, text, &all, shows)?);
            }
        }
    }
    Err(missing())
}

/// Refuses an empty text, which a record without a name would answer to.
fn named(kind: &str, text: &str) -> Result<(), DomainError> {
    if text.is_empty() {
        return Err(DomainError::argument(format!(
            "no {kind} is named: give an id or what it is called, or leave the field out"
        )));
    }
    Ok(())
}

/// The value that a key's index has for what the caller wrote, if it can be one.
fn key_value(key: &str, text: &str) -> Option<FieldValue> {
    match key {
        "number" => {
            let number: i64 = text.strip_prefix('#').unwrap_or(text).parse().ok()?;
            Some(number.into())
        }
        "email" => text.contains('@').then(|| fold(text).into()),
        "phone" => phone_digits(text).map(FieldValue::from),
        _ => Some(fold(text).into()),
    }
}

fn ambiguous(
    info: &'static KindInfo,
    text: &str,
    found: &[Record],
    shows: bool,
) -> Result<DomainError, DomainError> {
    let mut candidates = Vec::new();
    for record in found.iter().filter(|_| shows) {
        let (title, subtitle) = (info.titles)(record)?;
        candidates.push(json!({ "id": record.id, "title": title, "subtitle": subtitle }));
    }
    let count = if found.len() >= CANDIDATES as usize {
        "several".to_owned()
    } else {
        found.len().to_string()
    };
    let message = format!(
        "\"{text}\" matches {count} {}; call again with the id of the one that is meant",
        plural(info.name)
    );
    Ok(DomainError::ConflictWith {
        message,
        details: json!({ "candidates": candidates }),
    })
}

/// The user whom `text` means: `me` (the caller), an id, an e-mail address, or a name. Whether they may be given
/// work is the caller's question: see [`working`].
///
/// # Errors
/// `not_found`, or a conflict with candidates.
pub(crate) async fn user(tx: &mut ReadTx<'_>, me: &UserId, text: &str) -> Result<User, DomainError> {
    named("member", text)?;
    let missing = || DomainError::not_found("member", text);
    if text == "me" {
        return tx.users().find(me).await?.ok_or_else(missing);
    }
    if let Ok(id) = UserId::new(text)
        && let Some(user) = tx.users().find(&id).await?
    {
        return Ok(user);
    }
    if text.contains('@') {
        return tx.users().find_by_email(text).await?.ok_or_else(missing);
    }
    let wanted = fold(text);
    let mut named: Vec<User> = tx.users().list().await?;
    named.retain(|user| fold(&user.name) == wanted);
    if named.len() > 1 {
        let candidates: Vec<Value> = named
            .iter()
            .map(|user| json!({ "id": user.id.as_str(), "title": user.name, "subtitle": user.email }))
            .collect();
        return Err(DomainError::ConflictWith {
            message: format!(
                "\"{text}\" matches {} members; call again with the e-mail address of the one that is meant",
                named.len()
            ),
            details: json!({ "candidates": candidates }),
        });
    }
    named.pop().ok_or_else(missing)
}

/// Refuses to give work to somebody who does not work here any more.
///
/// # Errors
/// A rule, when they are deactivated.
pub(crate) fn working(user: &User) -> Result<(), DomainError> {
    if user.disabled_at.is_some() {
        return Err(DomainError::Rule(format!(
            "{} is deactivated; choose somebody who is active",
            person(user)
        )));
    }
    Ok(())
}

/// How sentences call a user.
pub(crate) fn person(user: &User) -> String {
    if user.name.is_empty() {
        user.email.clone()
    } else {
        format!("{} <{}>", user.name, user.email)
    }
}
