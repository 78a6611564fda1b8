//! What a flow does, one step after the other.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{facts::Facts, template::Template};

/// Longest pause of a flow (catalogue.md §3.5).
pub const LONGEST_WAIT_MS: i64 = 30 * DAY_MS;
const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The fields that flows may set, by record. What has rules of its own (a lead that is converted, a deal that is won) is left
/// to people and tools; `custom.<name>` and `tags` (which adds one) can be set on all of them.
pub const SETTABLE: &[(&str, &[&str])] = &[
    (
        "lead",
        &["status", "owner", "company", "title", "phone", "value_cents"],
    ),
    ("contact", &["owner", "title", "phone"]),
    (
        "account",
        &["owner", "industry", "lifecycle_stage", "health_score"],
    ),
    ("opportunity", &["owner", "probability", "close_date"]),
    ("ticket", &["status", "priority", "due_at", "title"]),
    ("conversation", &["subject"]),
];

/// The words that a field may become, where it is one of a few.
const WORDS: &[(&str, &[&str])] = &[
    ("lead.status", &["new", "working", "qualified", "disqualified"]),
    (
        "account.lifecycle_stage",
        &["prospect", "active", "at_risk", "churned"],
    ),
    ("ticket.status", &["open", "in_progress", "waiting"]),
    ("ticket.priority", &["low", "medium", "high", "urgent"]),
];

/// A step. Texts are templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Step {
    /// Sends a mail.
    SendEmail {
        /// The address.
        to: String,
        /// One line.
        subject: String,
        /// Plain text.
        body: String,
    },
    /// Sets one field of a record of the event.
    UpdateField {
        /// Its path, e.g. `ticket.priority`.
        field: String,
        /// What it becomes.
        value: Value,
    },
    /// Opens a ticket.
    CreateTicket {
        /// One line.
        title: String,
        /// What it is about.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        description: String,
        /// `low`, `medium`, `high` or `urgent`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<String>,
        /// A member.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assignee: Option<String>,
    },
    /// Gives the event's ticket or conversation to somebody.
    Assign {
        /// A member, `unassigned`, or for a conversation `auto`: whom its channel's rule chooses.
        assignee: String,
    },
    /// Adds a note that only the team sees.
    AddInternalNote {
        /// The note.
        body: String,
    },
    /// Writes down on the account that something happened with it.
    AddLifecycleEvent {
        /// What, e.g. `churn_risk`.
        event: String,
        /// More about it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        body: String,
    },
    /// Posts the event, signed.
    Webhook {
        /// Where to.
        url: String,
    },
    /// Pauses.
    Wait {
        /// How long: `90s`, `30m`, `2h` or `3d`.
        duration: String,
    },
}

impl Step {
    /// The word in files.
    pub fn action(&self) -> &'static str {
        match self {
            Self::SendEmail { .. } => "send_email",
            Self::UpdateField { .. } => "update_field",
            Self::CreateTicket { .. } => "create_ticket",
            Self::Assign { .. } => "assign",
            Self::AddInternalNote { .. } => "add_internal_note",
            Self::AddLifecycleEvent { .. } => "add_lifecycle_event",
            Self::Webhook { .. } => "webhook",
            Self::Wait { .. } => "wait",
        }
    }

    /// The same step with its templates filled.
    pub fn filled(&self, facts: &Facts) -> Self {
        let fill = |text: &String| filled(text, facts);
        match self {
            Self::SendEmail { to, subject, body } => Self::SendEmail {
                to: fill(to),
                subject: fill(subject),
                body: fill(body),
            },
            Self::UpdateField { field, value } => Self::UpdateField {
                field: field.clone(),
                value: match value {
                    Value::String(text) => Value::String(fill(text)),
                    other => other.clone(),
                },
            },
            Self::CreateTicket {
                title,
                description,
                priority,
                assignee,
            } => Self::CreateTicket {
                title: fill(title),
                description: fill(description),
                priority: priority.clone(),
                assignee: assignee.as_ref().map(fill),
            },
            Self::Assign { assignee } => Self::Assign {
                assignee: fill(assignee),
            },
            Self::AddInternalNote { body } => Self::AddInternalNote { body: fill(body) },
            Self::AddLifecycleEvent { event, body } => Self::AddLifecycleEvent {
                event: fill(event),
                body: fill(body),
            },
            Self::Webhook { url } => Self::Webhook { url: url.clone() },
            Self::Wait { duration } => Self::Wait {
                duration: duration.clone(),
            },
        }
    }

    /// The texts that are templates.
    pub fn templates(&self) -> Vec<&str> {
        match self {
            Self::SendEmail { to, subject, body } => vec![to, subject, body],
            Self::UpdateField { value, .. } => value.as_str().into_iter().collect(),
            Self::CreateTicket {
                title,
                description,
                assignee,
                ..
            } => [Some(title), Some(description), assignee.as_ref()]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect(),
            Self::Assign { assignee } => vec![assignee],
            Self::AddInternalNote { body } => vec![body],
            Self::AddLifecycleEvent { event, body } => vec![event, body],
            Self::Webhook { .. } | Self::Wait { .. } => Vec::new(),
        }
    }

    /// What of a filled step is kept in the run log: words and numbers that say what was done. Texts are kept by their length
    /// and addresses without the part that may hold a token, because a log is read by more people than a record.
    pub fn redacted(&self) -> Value {
        let size = |text: &str| format!("({} characters)", text.chars().count());
        let fields: Vec<(&str, Value)> = match self {
            Self::SendEmail { to, subject, body } => {
                vec![
                    ("to", masked(to).into()),
                    ("subject", size(subject).into()),
                    ("body", size(body).into()),
                ]
            }
            Self::UpdateField { field, value } => {
                let value = match value {
                    Value::String(text) if field.contains(".custom.") => size(text).into(),
                    other => other.clone(),
                };
                vec![("field", field.as_str().into()), ("value", value)]
            }
            Self::CreateTicket {
                title,
                description,
                priority,
                assignee,
            } => vec![
                ("title", size(title).into()),
                ("description", size(description).into()),
                ("priority", json!(priority)),
                ("assignee", json!(assignee)),
            ],
            Self::Assign { assignee } => vec![("assignee", assignee.as_str().into())],
            Self::AddInternalNote { body } => vec![("body", size(body).into())],
            Self::AddLifecycleEvent { event, body } => {
                vec![("event", event.as_str().into()), ("body", size(body).into())]
            }
            Self::Webhook { url } => vec![("host", host(url).into())],
            Self::Wait { duration } => vec![("duration", duration.as_str().into())],
        };
        let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
        Value::Object(
            fields
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Map<_, _>>(),
        )
    }
}

/// A text that was judged when its flow was read.
fn filled(text: &str, facts: &Facts) -> String {
    Template::parse(text).map_or_else(|_| text.to_owned(), |template| template.fill(facts))
}

/// An address without the name before its `@`.
fn masked(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_, domain)) => format!("…@{domain}"),
        None => "…".to_owned(),
    }
}

fn host(url: &str) -> String {
    let host = url::Url::parse(url).ok();
    let host = host.as_ref().and_then(|url| url.host_str());
    host.unwrap_or("?").to_owned()
}

/// Milliseconds of `90s`, `30m`, `2h` or `3d`, from a second up to 30 days.
pub fn duration_ms(text: &str) -> Option<i64> {
    let unit = match text.as_bytes().last()? {
        b's' => SECOND_MS,
        b'm' => MINUTE_MS,
        b'h' => HOUR_MS,
        b'd' => DAY_MS,
        _ => return None,
    };
    let number = text.get(..text.len() - 1)?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis = number.parse::<i64>().ok()?.checked_mul(unit)?;
    (SECOND_MS..=LONGEST_WAIT_MS).contains(&millis).then_some(millis)
}

/// Whether flows may set the field at a path.
pub fn is_settable(path: &str) -> bool {
    let Some((record, field)) = path.split_once('.') else {
        return false;
    };
    let Some((_, fields)) = SETTABLE.iter().find(|(kind, _)| *kind == record) else {
        return false;
    };
    let custom = field.strip_prefix("custom.");
    field == "tags"
        || fields.contains(&field)
        || custom.is_some_and(|name| !name.is_empty() && !name.contains('.'))
}

/// What a field must become instead of `value`; `None`: the value is accepted as far as its path tells.
pub fn wrong_word(path: &str, value: &Value) -> Option<String> {
    let (_, words) = WORDS.iter().find(|(field, _)| *field == path)?;
    let right = value.as_str().is_some_and(|word| words.contains(&word));
    (!right).then(|| format!("must be one of {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_an_end() {
        assert_eq!(duration_ms("90s"), Some(90_000));
        assert_eq!(duration_ms("2h"), Some(7_200_000));
        assert_eq!(duration_ms("30d"), Some(LONGEST_WAIT_MS));
        for bad in [
            "",
            "s",
            "0s",
            "31d",
            "1.5h",
            "-1h",
            "+1h",
            "2 h",
            "99999999999999999999d",
            "5",
            "5ä",
        ] {
            assert_eq!(duration_ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_has_rules_of_its_own_is_not_set_by_flows() {
        for good in ["ticket.priority", "lead.tags", "account.custom.tier"] {
            assert!(is_settable(good), "{good}");
        }
        for bad in [
            "opportunity.stage",
            "ticket.number",
            "member.role",
            "ticket",
            "ticket.custom.a.b",
            "ticket.custom.",
        ] {
            assert!(!is_settable(bad), "{bad}");
        }
    }

    #[test]
    fn the_log_keeps_no_texts_names_or_tokens() {
        let facts: Facts = serde_json::from_value(json!({
            "after": { "contact": { "email": "ada@example.com", "name": "Ada" } }, "before": {},
        }))
        .unwrap();
        let mail = Step::SendEmail {
            to: "{{contact.email}}".into(),
            subject: "Hello {{contact.name}}".into(),
            body: "Secret".into(),
        };
        let kept = mail.filled(&facts).redacted();
        assert_eq!(
            kept,
            json!({ "to": "…@example.com", "subject": "(9 characters)", "body": "(6 characters)" })
        );
        let hook = Step::Webhook {
            url: "https://hooks.example/T0/secret?token=x".into(),
        };
        assert_eq!(hook.redacted(), json!({ "host": "hooks.example" }));
    }
}
