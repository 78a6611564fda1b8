//! The conditions and steps of a definition.

use serde_json::Value;
use url::Url;

use super::{
    super::{
        condition::{Condition, Operator, Wants},
        facts::is_path,
        step::{SETTABLE, Step, duration_ms, is_settable, wrong_word},
    },
    LONGEST_NAME, Table,
};
use crate::vocabulary::Timestamp;

/// Most values of `in` and `not_in`.
const MOST_VALUES: usize = 50;
/// Longest line and body, in characters (catalogue.md §1.1).
const LONGEST_LINE: usize = 200;
const LONGEST_BODY: usize = 20_000;
/// Longest address of a webhook, in characters.
const LONGEST_URL: usize = 2_000;

/// A condition, if it can be made out.
pub(super) fn read_condition(mut table: Table<'_, '_>) -> Option<Condition> {
    let field = table.text("field", LONGEST_LINE);
    if !field.is_empty() && !is_path(&field) {
        table.fault("field", "must be like ticket.priority");
    }
    let word = table.text("op", LONGEST_NAME);
    let op = Operator::parse(&word);
    let Some(op) = op else {
        if !word.is_empty() {
            let known = Operator::ALL.map(Operator::as_str).join(", ");
            table.fault("op", &format!("`{word}` is no operator; use one of {known}"));
        }
        return None;
    };
    let value = table.table.get("value").cloned();
    if let Some(what) = wrong_value(op, value.as_ref()) {
        table.fault("value", &what);
    }
    Some(Condition { field, op, value })
}

fn wrong_value(op: Operator, value: Option<&Value>) -> Option<String> {
    let is_one = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let word = op.as_str();
    match (op.wants(), value) {
        (Wants::Nothing, None) => None,
        (Wants::Nothing, Some(_)) => Some(format!("`{word}` takes no value")),
        (_, None) => Some(format!("is missing; `{word}` compares with it")),
        (Wants::One, Some(value)) if is_one(value) => None,
        (Wants::One, Some(_)) => Some("must be a text, a number, or true or false".into()),
        (Wants::Text, Some(Value::String(_))) => None,
        (Wants::Text, Some(_)) => Some("must be a text".into()),
        (Wants::Ordered, Some(Value::Number(_))) => None,
        (Wants::Ordered, Some(Value::String(text))) if Timestamp::parse(text).is_some() => None,
        (Wants::Ordered, Some(_)) => Some("must be a number, a date or an RFC 3339 moment".into()),
        (Wants::Many, Some(Value::Array(items)))
            if (1..=MOST_VALUES).contains(&items.len()) && items.iter().all(is_one) =>
        {
            None
        }
        (Wants::Many, Some(_)) => Some(format!(
            "must be a list of 1 to {MOST_VALUES} texts, numbers, or true and false"
        )),
    }
}

/// The keys of a step beside `action`.
fn keys_of(action: &str) -> Option<&'static [&'static str]> {
    Some(match action {
        "send_email" => &["action", "to", "subject", "body"],
        "update_field" => &["action", "field", "value"],
        "create_ticket" => &["action", "title", "description", "priority", "assignee"],
        "assign" => &["action", "assignee"],
        "add_internal_note" => &["action", "body"],
        "add_lifecycle_event" => &["action", "event", "body"],
        "webhook" => &["action", "url"],
        "wait" => &["action", "duration"],
        _ => return None,
    })
}

/// Every action, for messages.
pub(super) const ACTIONS: &str =
    "send_email, update_field, create_ticket, assign, add_internal_note, add_lifecycle_event, webhook, wait";

/// A step, if its action is known; the rest of it may be wrong.
pub(super) fn read_step(value: &Value, place: &str, faults: &mut Vec<String>) -> Option<Step> {
    let action = value.get("action").and_then(Value::as_str).unwrap_or_default();
    let Some(known) = keys_of(action) else {
        faults.push(match value.get("action") {
            Some(Value::String(word)) => {
                let word: String = word.chars().take(40).collect();
                format!("{place}action: `{word}` is no action; use one of {ACTIONS}")
            }
            _ => format!("{place}action: is missing; use one of {ACTIONS}"),
        });
        return None;
    };
    let mut table = Table::of(value, place, known, faults)?;
    Some(match action {
        "send_email" => Step::SendEmail {
            to: table.template("to", LONGEST_LINE),
            subject: table.template("subject", LONGEST_LINE),
            body: table.template("body", LONGEST_BODY),
        },
        "update_field" => read_update(&mut table),
        "create_ticket" => Step::CreateTicket {
            title: table.template("title", LONGEST_LINE),
            description: table.optional_template("description", LONGEST_BODY),
            priority: read_priority(&mut table),
            assignee: Some(table.optional_template("assignee", LONGEST_LINE)).filter(|who| !who.is_empty()),
        },
        "assign" => Step::Assign {
            assignee: table.template("assignee", LONGEST_LINE),
        },
        "add_internal_note" => Step::AddInternalNote {
            body: table.template("body", LONGEST_BODY),
        },
        "add_lifecycle_event" => Step::AddLifecycleEvent {
            event: table.template("event", LONGEST_NAME),
            body: table.optional_template("body", LONGEST_BODY),
        },
        "webhook" => Step::Webhook {
            url: read_url(&mut table),
        },
        _ => {
            let duration = table.text("duration", LONGEST_NAME);
            if !duration.is_empty() && duration_ms(&duration).is_none() {
                table.fault("duration", "must be like 90s, 30m, 2h or 3d, and at most 30d");
            }
            Step::Wait { duration }
        }
    })
}

fn read_update(table: &mut Table<'_, '_>) -> Step {
    let field = table.text("field", LONGEST_LINE);
    if !field.is_empty() && !is_settable(&field) {
        let known: Vec<String> = SETTABLE
            .iter()
            .map(|(record, fields)| format!("{record}.{{{}}}", fields.join(",")))
            .collect();
        table.fault(
            "field",
            &format!(
                "flows set {}, and tags and custom.<name> of each",
                known.join(", ")
            ),
        );
    }
    let value = match table.table.get("value") {
        Some(Value::String(_)) => {
            let text = Value::String(table.template("value", LONGEST_BODY));
            let is_fixed = text.as_str().is_some_and(|text| !text.contains("{{"));
            if let Some(what) = wrong_word(&field, &text).filter(|_| is_fixed) {
                table.fault("value", &what);
            }
            text
        }
        Some(value) if value.is_number() || value.is_boolean() => value.clone(),
        Some(_) => {
            table.fault("value", "must be a text, a number, or true or false");
            Value::Null
        }
        None => {
            table.fault("value", "is missing");
            Value::Null
        }
    };
    Step::UpdateField { field, value }
}

fn read_priority(table: &mut Table<'_, '_>) -> Option<String> {
    if !table.table.contains_key("priority") {
        return None;
    }
    let word = table.text("priority", LONGEST_NAME);
    if !word.is_empty() && !["low", "medium", "high", "urgent"].contains(&word.as_str()) {
        table.fault("priority", "must be one of low, medium, high, urgent");
    }
    Some(word)
}

/// No template stands in an address: what an event says must not choose whom the server calls (security.md rule 9).
fn read_url(table: &mut Table<'_, '_>) -> String {
    let text = table.text("url", LONGEST_URL);
    if text.contains("{{") {
        table.fault("url", "must be fixed; the event itself is what is posted");
    } else if !text.is_empty() {
        match Url::parse(&text) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                table.fault("url", "must not carry a user name or password");
            }
            Ok(url) if matches!(url.scheme(), "https" | "http") && url.host().is_some() => {}
            Ok(_) | Err(_) => table.fault("url", "must be an https address"),
        }
    }
    text
}
