//! The two logs as people ask for them. What can be asked stands in one table for each log, [`Asked::FILTERS`]: flags of the
//! command line, parameters of REST and fields of the console's forms are all made from it.
//!
//! Owners, admins and auditors see every row of their tenant; anybody else their own calls and changes.

use futures_util::FutureExt;

use super::{Actor, OperateError};
use crate::{
    store::{
        AuditFilter, AuditRecord, AuditStatus, ChangeFilter, ChangeRecord, Kept, Log, LogPage, Store,
        TenantTx,
    },
    vocabulary::{EditionName, InvalidName, KeyId, TenantId, Timestamp, ToolName, UserId},
};

/// One thing that a log can be asked for.
pub struct LogFilter<F> {
    /// Its name: `--tool`, `?tool=`, `<input name="tool">`.
    pub name: &'static str,
    /// What stands for the value in a usage line.
    pub value: &'static str,
    /// What it does, a sentence.
    pub about: &'static str,
    set: fn(&mut F, &str, Timestamp) -> Result<(), String>,
}

/// A log, and what it can be asked for.
pub trait Asked: Kept {
    /// The filters, in the order that help and forms show them in.
    const FILTERS: &'static [LogFilter<Self::Filter>];

    /// The log within a transaction.
    fn log<'t>(tx: &'t mut TenantTx<'_>) -> Log<'t, Self>;

    /// Whose rows are asked for.
    fn whose(filter: &mut Self::Filter) -> &mut Option<UserId>;
}

/// What a text has to be.
fn wrong(error: &InvalidName) -> String {
    error.rule.to_owned()
}

/// A text that is looked for letter for letter.
fn text(value: &str) -> Result<Option<String>, String> {
    if value.len() > 200 {
        return Err("at most 200 bytes".to_owned());
    }
    // No engine keeps it, and PostgreSQL takes none as a parameter.
    if value.contains('\0') {
        return Err("a text without NUL".to_owned());
    }
    Ok(Some(value.to_owned()))
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A moment: RFC 3339, a date, `today`, `-7d` or `-24h` (catalogue.md §2.14).
fn moment(text: &str, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let back = |suffix: char, unit_ms: i64| {
        let count = text
            .strip_prefix('-')?
            .strip_suffix(suffix)?
            .parse::<u32>()
            .ok()?;
        Some(now.plus_millis(-i64::from(count).saturating_mul(unit_ms)))
    };
    let today = || (text == "today").then(|| Timestamp(now.as_millis().div_euclid(DAY_MS) * DAY_MS));
    today()
        .or_else(|| back('d', DAY_MS))
        .or_else(|| back('h', 60 * 60 * 1000))
        .or_else(|| Timestamp::parse(text))
        .map(Some)
        .ok_or_else(|| "a date, an RFC 3339 moment, `today`, `-7d` or `-24h`".to_owned())
}

/// Every outcome a call can have.
pub const STATUSES: [AuditStatus; 17] = [
    AuditStatus::Allow,
    AuditStatus::Preview,
    AuditStatus::Declined,
    AuditStatus::PendingReview,
    AuditStatus::DenyScope,
    AuditStatus::DenyRole,
    AuditStatus::DenyRate,
    AuditStatus::DenyCap,
    AuditStatus::DenyJwtOnly,
    AuditStatus::Blocked,
    AuditStatus::Invalid,
    AuditStatus::Upstream4xx,
    AuditStatus::Upstream5xx,
    AuditStatus::NetworkError,
    AuditStatus::ClientGone,
    AuditStatus::Exception,
    AuditStatus::Intent,
];

fn status(text: &str) -> Result<Option<AuditStatus>, String> {
    let found = STATUSES.into_iter().find(|status| status.as_str() == text);
    found.map(Some).ok_or_else(|| {
        let words: Vec<_> = STATUSES.iter().map(|status| status.as_str()).collect();
        format!("one of {}", words.join(", "))
    })
}

/// A person: an id or an address, which [`page`] looks up.
fn person(text: &str) -> Result<Option<UserId>, String> {
    UserId::new(text).map(Some).map_err(|error| wrong(&error))
}

macro_rules! filters {
    ($kind:ty; $($name:literal $value:literal $about:literal => |$filter:ident, $text:ident, $now:ident| $set:expr;)*) => {
        &[$(LogFilter {
            name: $name,
            value: $value,
            about: $about,
            set: |$filter: &mut $kind, $text, $now| {
                // Most filters do not ask for the time.
                let _ = $now;
                $set;
                Ok(())
            },
        }),*]
    };
}

impl Asked for AuditRecord {
    const FILTERS: &'static [LogFilter<AuditFilter>] = filters! { AuditFilter;
        "tool" "NAME" "Only this tool." =>
            |filter, text, now| filter.tool_name = Some(ToolName::new(text).map_err(|error| wrong(&error))?);
        "status" "WORD" "Only calls that ended so, e.g. allow, deny_scope, invalid." =>
            |filter, text, now| filter.status = status(text)?;
        "key" "ID" "Only this key's calls, by id." =>
            |filter, text, now| filter.api_key_id = Some(KeyId::new(text).map_err(|error| wrong(&error))?);
        "user" "ID" "Only this person's calls, by id or e-mail address." =>
            |filter, text, now| filter.user_id = person(text)?;
        "edition" "NAME" "Only calls through this edition." =>
            |filter, text, now| filter.edition = Some(EditionName::new(text).map_err(|error| wrong(&error))?);
        "error" "TEXT" "Only calls with this in the class of their error." =>
            |filter, value, now| filter.error = text(value)?;
        "client" "TEXT" "Only clients with this in their name." =>
            |filter, value, now| filter.client = text(value)?;
        "ip" "ADDRESS" "Only calls from this address." =>
            |filter, value, now| filter.ip = text(value)?;
        "request" "ID" "Only this request, by the reference that its caller was shown." =>
            |filter, value, now| filter.request_id = text(value)?;
        "trace" "ID" "Only calls of this W3C trace." =>
            |filter, value, now| filter.trace_id = text(value)?;
        "from" "WHEN" "Only from then on: a date, a moment, `today`, `-7d` or `-24h`." =>
            |filter, text, now| filter.from = moment(text, now)?;
        "to" "WHEN" "Only before then." =>
            |filter, text, now| filter.to = moment(text, now)?;
    };

    fn log<'t>(tx: &'t mut TenantTx<'_>) -> Log<'t, Self> {
        tx.audit_log()
    }

    fn whose(filter: &mut AuditFilter) -> &mut Option<UserId> {
        &mut filter.user_id
    }
}

impl Asked for ChangeRecord {
    const FILTERS: &'static [LogFilter<ChangeFilter>] = filters! { ChangeFilter;
        "action" "NAME" "Only this action, e.g. key.revoke." =>
            |filter, value, now| filter.action = text(value)?;
        "user" "ID" "Only changes by this person, by id or e-mail address." =>
            |filter, text, now| filter.user_id = person(text)?;
        "kind" "NAME" "Only records of this kind, e.g. key." =>
            |filter, value, now| filter.object_kind = text(value)?;
        "object" "ID" "Only this record." =>
            |filter, value, now| filter.object_id = text(value)?;
        "from" "WHEN" "Only from then on: a date, a moment, `today`, `-7d` or `-24h`." =>
            |filter, text, now| filter.from = moment(text, now)?;
        "to" "WHEN" "Only before then." =>
            |filter, text, now| filter.to = moment(text, now)?;
    };

    fn log<'t>(tx: &'t mut TenantTx<'_>) -> Log<'t, Self> {
        tx.change_log()
    }

    fn whose(filter: &mut ChangeFilter) -> &mut Option<UserId> {
        &mut filter.user_id
    }
}

/// Reads what is asked. Forms send empty fields, which ask nothing.
///
/// # Errors
/// Every name that is not in the table, every one that is there twice, and every value that cannot be right.
pub fn filter<'p, R>(
    pairs: impl IntoIterator<Item = (&'p str, &'p str)>,
    now: Timestamp,
) -> Result<R::Filter, OperateError>
where
    R: Asked<Filter: Default>,
{
    let mut filter = R::Filter::default();
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    for (name, value) in pairs {
        let Some(known) = R::FILTERS.iter().find(|known| known.name == name) else {
            let names: Vec<_> = R::FILTERS.iter().map(|known| known.name).collect();
            let name: String = name.chars().take(80).collect();
            faults.push(format!(
                "{name}: not a filter of this log, which has {}",
                names.join(", ")
            ));
            continue;
        };
        if value.is_empty() {
            continue;
        }
        if seen.contains(&known.name) {
            faults.push(format!("{}: give it once", known.name));
            continue;
        }
        seen.push(known.name);
        if let Err(rule) = (known.set)(&mut filter, value.trim(), now) {
            faults.push(format!("{}: must be {rule}", known.name));
        }
    }
    if faults.is_empty() {
        Ok(filter)
    } else {
        Err(OperateError::Invalid(faults.join("; ")))
    }
}

/// Which way to read a log, and from which number on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Newest first, before a number when one is given.
    Newest(Option<i64>),
    /// Oldest first, after a number; 0 from the beginning.
    After(i64),
}

/// Reads a page of a log.
///
/// # Errors
/// When the actor is shut out, nobody has the address asked for, or the store fails.
pub async fn page<R>(
    store: &Store,
    by: &Actor,
    tenant: &TenantId,
    mut filter: R::Filter,
    from: From,
    limit: u32,
) -> Result<LogPage<R>, OperateError>
where
    R: Asked,
{
    let by = by.clone();
    store
        .read(tenant, move |tx| {
            async move {
                let standing = by.standing(tx).await?;
                let asked = R::whose(&mut filter).clone();
                let asked = match asked.filter(|user| user.as_str().contains('@')) {
                    None => R::whose(&mut filter).clone(),
                    Some(address) => Some(find(tx, address.as_str()).await?),
                };
                let own = standing.user().filter(|_| !standing.sees_everybody());
                *R::whose(&mut filter) = own.map(|user| user.id.clone()).or(asked);
                let mut log = R::log(tx);
                Ok(match from {
                    From::Newest(before) => log.list(&filter, before, limit).await?,
                    From::After(after) => log.follow(&filter, after, limit).await?,
                })
            }
            .boxed()
        })
        .await
}

async fn find(tx: &mut TenantTx<'_>, address: &str) -> Result<UserId, OperateError> {
    let found = tx.users().find_by_email(address).await?;
    found.map(|user| user.id).ok_or_else(|| {
        OperateError::NotFound(format!(
            "Nobody here has the address {address}; name the person by id."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(pairs: &[(&str, &str)]) -> Result<AuditFilter, String> {
        let now = Timestamp::parse("2026-11-20T16:15:00Z").unwrap();
        filter::<AuditRecord>(pairs.iter().copied(), now).map_err(|error| error.to_string())
    }

    #[test]
    fn every_filter_takes_a_value_and_asks_for_something() {
        for (name, value) in [
            ("tool", "search"),
            ("status", "deny_scope"),
            ("key", "key_1"),
            ("user", "usr_1"),
            ("edition", "context"),
            ("error", "'; DROP TABLE audit_log; --"),
            ("client", "100%"),
            ("ip", "127.0.0.1"),
            ("request", "req_1"),
            ("trace", "4bf92f"),
            ("from", "-7d"),
            ("to", "today"),
        ] {
            assert_eq!(
                AuditRecord::tests(&calls(&[(name, value)]).unwrap()).len(),
                1,
                "{name}"
            );
            assert!(
                AuditRecord::tests(&calls(&[(name, "")]).unwrap()).is_empty(),
                "{name}"
            );
        }
        assert_eq!(AuditRecord::FILTERS.len(), 12);
    }

    #[test]
    fn moments_are_dates_and_words() {
        let from = |text| calls(&[("from", text)]).map(|filter| filter.from.unwrap().to_string());
        for (text, expected) in [
            ("today", "2026-11-20T00:00:00.000Z"),
            ("-7d", "2026-11-13T16:15:00.000Z"),
            ("-24h", "2026-11-19T16:15:00.000Z"),
            ("2026-11-01", "2026-11-01T00:00:00.000Z"),
            ("2026-11-01T10:00:00Z", "2026-11-01T10:00:00.000Z"),
        ] {
            assert_eq!(from(text).as_deref(), Ok(expected), "{text}");
        }
        for bad in ["tomorrow", "-d", "7d", "--7d", "-7x", "-99999999999d"] {
            assert!(from(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let said = calls(&[
            ("tool", "' OR 1=1 --"),
            ("status", "everything"),
            ("colour", "red"),
            ("ip", "1"),
            ("ip", "2"),
            ("error", "a\0b"),
        ])
        .unwrap_err();
        for part in [
            "tool: must be 1-128 of",
            "status: must be one of allow, preview",
            "colour: not a filter of this log, which has tool, status, key, user",
            "ip: give it once",
            "error: must be a text without NUL",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }

    #[test]
    fn every_status_can_be_asked_for() {
        for status in STATUSES {
            assert_eq!(
                calls(&[("status", status.as_str())]).unwrap().status,
                Some(status)
            );
        }
    }
}
