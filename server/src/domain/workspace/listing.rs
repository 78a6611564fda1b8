//! Lists of one kind: what callers filter and sort by becomes a query over declared fields, and a page with a sealed cursor
//! comes back (catalogue.md §2.14).

mod text;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    engine::Desk,
    record::{Kind, Stored, fold},
    refs,
};
use crate::{
    access::Principal,
    domain::{Call, DomainError, HandlerResult, Outcome},
    store::{Condition, FieldValue, RecordCursor, RecordQuery, TenantTx},
    vocabulary::{Timestamp, canonical, hexadecimal, sha256},
};
pub(crate) use text::question;

/// What an argument of a list asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Filter {
    /// One of these words; an array or a single one.
    Word,
    /// The same, compared without regard to case.
    Text,
    /// Yes or no.
    Flag,
    /// A user: `me`, `unassigned`, an id, an address or a name.
    Person,
    /// A record of this kind, by id or by what people call it.
    Record(&'static str),
    /// A number, at most so much.
    AtMost,
    /// A number, at least so much.
    AtLeast,
    /// A date, before this one.
    Before,
}

/// An argument, the indexed field it is about, and how.
pub(crate) type Filters = &'static [(&'static str, &'static str, Filter)];

/// Rows that can be reached by paging (catalogue.md §2.11).
const REACHABLE: u32 = 10_000;
/// Where a page ended, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Cursor {
    at: RecordCursor,
    seen: u32,
}

/// A page of records, not shown yet.
pub(crate) struct Page<K> {
    pub(crate) items: Vec<Stored<K>>,
    /// What all of the list meet, however many pages it has.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) next_cursor: Option<String>,
}

impl<K: Kind> Page<K> {
    /// As a list shows it.
    ///
    /// # Errors
    /// When a record has no JSON form, which is our fault.
    pub(crate) fn view(&self) -> Result<Map<String, Value>, DomainError> {
        let items = self
            .items
            .iter()
            .map(Stored::summary)
            .collect::<Result<Vec<_>, _>>()?;
        let mut out = Map::new();
        out.insert("items".to_owned(), items.into());
        out.insert("next_cursor".to_owned(), json!(self.next_cursor));
        Ok(out)
    }

    /// The page as an answer.
    ///
    /// # Errors
    /// As [`Page::view`].
    pub(crate) fn answer(&self) -> HandlerResult {
        let ids = self.items.iter().map(|item| item.id.clone());
        Ok(Outcome::structured(&self.view()?)?.touching(ids.take(20)))
    }
}

/// A whole list tool: filters by the arguments that `filters` names, and by `from`, `to`, `tag`, `q` of every list.
///
/// # Errors
/// What of the arguments cannot be.
pub(crate) async fn list<K: Kind>(
    desk: &Desk,
    tx: &mut TenantTx<'_>,
    call: Call,
    filters: Filters,
) -> HandlerResult {
    page::<K>(desk, tx, &call, filters).await?.answer()
}

/// The page that a call asks for.
///
/// # Errors
/// As [`list`].
pub(crate) async fn page<K: Kind>(
    desk: &Desk,
    tx: &mut TenantTx<'_>,
    call: &Call,
    filters: Filters,
) -> Result<Page<K>, DomainError> {
    let map = call.arguments.as_map();
    let principal = call.permit.principal();
    let conditions = conditions(tx, principal, map, filters, call.now).await?;
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let sort = text("sort").unwrap_or("created_at");
    let sort = K::SORTS
        .iter()
        .find(|(name, _)| *name == sort)
        .map_or(sort, |(_, field)| field);
    let limit = map.get("limit").and_then(Value::as_u64).unwrap_or(25);
    let binding = binding(principal, call.permit.tool().name.as_str(), map);
    let cursor = text("cursor")
        .map(|sealed| desk.seal.open_text::<Cursor>(&binding, sealed))
        .transpose()
        .map_err(|_| {
            DomainError::argument("cursor does not belong to this query; begin again without one")
        })?;
    let seen = cursor.as_ref().map_or(0, |cursor| cursor.seen);
    let query = RecordQuery {
        conditions,
        sort: sort.to_owned(),
        descending: text("order").unwrap_or("desc") == "desc",
        after: cursor.map(|cursor| cursor.at),
        limit: u32::try_from(limit).unwrap_or(25),
        apart: K::APART
            .iter()
            .filter(|(_, by)| *by == sort)
            .map(|(field, _)| (*field).to_owned())
            .collect(),
    };
    if seen + query.limit > REACHABLE {
        return Err(DomainError::argument(format!(
            "cursor: at most {REACHABLE} rows can be reached; narrow the filters"
        )));
    }
    let found = match text("q") {
        None => tx.records(K::NAME).list(&query).await?,
        Some(q) => text::matching::<K>(tx, q, &query).await?,
    };
    let items = found
        .records
        .iter()
        .map(Stored::of)
        .collect::<Result<Vec<_>, _>>()?;
    let next_cursor = match found.next {
        None => None,
        Some(at) => {
            let cursor = Cursor {
                at,
                seen: seen + query.limit,
            };
            Some(
                desk.seal
                    .seal_text(&binding, &cursor)
                    .map_err(DomainError::internal)?,
            )
        }
    };
    Ok(Page {
        items,
        conditions: query.conditions,
        next_cursor,
    })
}

/// A page of a ranked list, which is made anew for each page: its rows from a place on, and the cursor of the next place.
///
/// # Errors
/// When the cursor belongs to another list.
pub(crate) fn ranked<T>(
    desk: &Desk,
    call: &Call,
    ranked: Vec<T>,
) -> Result<(Vec<T>, Option<String>), DomainError> {
    let map = call.arguments.as_map();
    let binding = binding(call.permit.principal(), call.permit.tool().name.as_str(), map);
    let limit = map.get("limit").and_then(Value::as_u64).unwrap_or(25);
    let limit = usize::try_from(limit).unwrap_or(25);
    let from = match map.get("cursor").and_then(Value::as_str) {
        None => 0,
        Some(sealed) => desk.seal.open_text::<usize>(&binding, sealed).map_err(|_| {
            DomainError::argument("cursor does not belong to this query; begin again without one")
        })?,
    };
    let more = ranked.len() > from.saturating_add(limit);
    let page = ranked.into_iter().skip(from).take(limit).collect();
    let next = more
        .then(|| desk.seal.seal_text(&binding, &(from + limit)))
        .transpose()
        .map_err(DomainError::internal)?;
    Ok((page, next))
}

/// What a cursor is bound to: the tenant, the tool, and all that is asked for besides the page.
fn binding(principal: &Principal, tool: &str, map: &Map<String, Value>) -> String {
    let asked: Map<String, Value> = map
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "cursor" | "limit"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let digest = sha256(&canonical(&json!([principal.tenant().as_str(), tool, asked])));
    format!("list/{}", hexadecimal(&digest))
}

async fn conditions(
    tx: &mut TenantTx<'_>,
    principal: &Principal,
    map: &Map<String, Value>,
    filters: Filters,
    now: Timestamp,
) -> Result<Vec<Condition>, DomainError> {
    let mut conditions = Vec::new();
    for (argument, field, filter) in filters {
        let Some(value) = map.get(*argument) else { continue };
        let one = value.as_str().unwrap_or_default();
        let is = |value: FieldValue| Condition::OneOf((*field).to_owned(), vec![value]);
        conditions.push(match filter {
            Filter::Word | Filter::Text => {
                let values = value
                    .as_array()
                    .map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
                let values = values.iter().filter_map(Value::as_str);
                let values = values.map(|word| match filter {
                    Filter::Text => fold(word).into(),
                    _ => FieldValue::from(word),
                });
                Condition::OneOf((*field).to_owned(), values.collect())
            }
            Filter::Flag => is(value.as_bool().unwrap_or_default().into()),
            Filter::Person if one == "unassigned" => is("".into()),
            Filter::Person => {
                let user = refs::user(&mut tx.reading(), &principal.facts().user, one).await?;
                is(user.id.as_str().into())
            }
            Filter::Record(kind) => {
                let named = refs::record(&mut tx.reading(), refs::kind(kind)?, one, true).await?;
                is(named.id.into())
            }
            // Records without the number stand at -1.
            Filter::AtMost => {
                let most = value.as_i64().unwrap_or(i64::MAX);
                Condition::Between(
                    (*field).to_owned(),
                    Some(0.into()),
                    Some(most.saturating_add(1).into()),
                )
            }
            Filter::AtLeast => {
                let least = value.as_i64().unwrap_or_default();
                Condition::Between((*field).to_owned(), Some(least.into()), None)
            }
            // Records without a date have none, which sorts before every one.
            Filter::Before => Condition::Between(
                (*field).to_owned(),
                Some("0".into()),
                Some(date(argument, one)?.into()),
            ),
        });
    }
    if let Some(tag) = map.get("tag").and_then(Value::as_str) {
        conditions.push(Condition::is("tag", fold(tag)));
    }
    let moment = |name: &str| {
        let text = map.get(name).and_then(Value::as_str);
        text.map(|text| when(name, text, now)).transpose()
    };
    let (from, to) = (moment("from")?, moment("to")?);
    if from.is_some() || to.is_some() {
        let range = (from.map(FieldValue::from), to.map(FieldValue::from));
        conditions.push(Condition::Between("created_at".to_owned(), range.0, range.1));
    }
    Ok(conditions)
}

/// A moment as callers write it: RFC 3339, a date, `today`, `-7d` or `-24h`.
///
/// # Errors
/// When it is none of these; the message names the argument.
pub(crate) fn when(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, DomainError> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let relative = || -> Option<Timestamp> {
        if text == "today" {
            return Some(Timestamp(now.as_millis().div_euclid(DAY_MS) * DAY_MS));
        }
        let back = text.strip_prefix('-')?;
        let (number, unit) = back.split_at_checked(back.len().checked_sub(1)?)?;
        let number: i64 = number
            .parse()
            .ok()
            .filter(|number| (0..=36_500).contains(number))?;
        let unit = match unit {
            "d" => DAY_MS,
            "h" => DAY_MS / 24,
            _ => return None,
        };
        Some(now.plus_millis(-number * unit))
    };
    Timestamp::parse(text).or_else(relative).ok_or_else(|| {
        DomainError::argument(format!(
            "{name}: must be a moment in RFC 3339, a date, today, -7d or -24h"
        ))
    })
}

/// A date as callers write it.
///
/// # Errors
/// When it is none; the message names the argument.
pub(crate) fn date(name: &str, text: &str) -> Result<String, DomainError> {
    let moment = Timestamp::parse(text).map(|moment| moment.to_string());
    let date = moment.and_then(|moment| moment.get(..10).map(str::to_owned));
    date.ok_or_else(|| DomainError::argument(format!("{name}: must be a date, such as 2026-11-30")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now = Timestamp::parse("2026-11-28T12:00:00Z").unwrap();
        let read = |text: &str| when("from", text, now).map(|moment| moment.to_string());
        for (text, moment) in [
            ("today", "2026-11-28T00:00:00.000Z"),
            ("-7d", "2026-11-21T12:00:00.000Z"),
            ("-24h", "2026-11-27T12:00:00.000Z"),
            ("2026-01-02", "2026-01-02T00:00:00.000Z"),
            ("2026-01-02T03:04:05+01:00", "2026-01-02T02:04:05.000Z"),
        ] {
            assert_eq!(read(text).unwrap(), moment, "{text}");
        }
        for text in [
            "",
            "-",
            "-d",
            "-7w",
            "--7d",
            "yesterday",
            "-99999999999999999999d",
            "-7ä",
        ] {
            let refused = read(text).unwrap_err().to_string();
            assert!(refused.starts_with("from: must be a moment"), "{text}: {refused}");
        }
        assert_eq!(date("close_date", "2026-11-30T10:00:00Z").unwrap(), "2026-11-30");
        assert!(date("close_date", "soon").is_err());
    }
}
