//! A flow as a file says it: TOML, or JSON with the same keys. Every fault is named at once, with the place where it is.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::{
    condition::{Condition, Operator, Wants},
    facts::is_path,
    step::{SETTABLE, Step, duration_ms, is_settable, wrong_word},
    template::Template,
    trigger,
};

/// Largest file that is read, in bytes: eight steps with their longest bodies fit.
pub const LARGEST_FILE: usize = 256 * 1024;
/// Most conditions of a flow (catalogue.md §3.5).
const MOST_CONDITIONS: usize = 8;
/// Most steps of a flow (catalogue.md §3.5).
const MOST_STEPS: usize = 8;
/// Most values of `in` and `not_in`.
const MOST_VALUES: usize = 50;
/// Longest name, one line and body, in characters (catalogue.md §1.1).
const LONGEST_NAME: usize = 80;
const LONGEST_LINE: usize = 200;
const LONGEST_BODY: usize = 20_000;
/// Longest address of a webhook, in characters.
const LONGEST_URL: usize = 2_000;

/// A flow: what starts it, what must hold, what is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// What people call it; unique in its tenant.
    pub name: String,
    /// The event.
    pub trigger: String,
    /// All of these must hold.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

/// Everything that is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl Definition {
    /// Reads a file: JSON if it begins like an object, TOML otherwise.
    ///
    /// # Errors
    /// Every fault.
    pub fn read(text: &str) -> Result<Self, Faults> {
        let one = |fault: String| Faults(vec![fault]);
        if text.len() > LARGEST_FILE {
            return Err(one(format!(
                "the file has {} bytes, at most {LARGEST_FILE} are read",
                text.len()
            )));
        }
        let value: Value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|e| one(format!("not JSON: {e}")))?
        } else {
            // The message of TOML shows the line over several lines.
            toml::from_str(text).map_err(|e| one(format!("not TOML: {}", e.to_string().trim_end())))?
        };
        Self::of(&value)
    }

    /// Reads a definition from a value.
    ///
    /// # Errors
    /// Every fault.
    pub fn of(value: &Value) -> Result<Self, Faults> {
        let Some(table) = value.as_object() else {
            return Err(Faults(vec![
                "a flow is an object with name, trigger and steps".into(),
            ]));
        };
        let mut faults = Vec::new();
        let mut top = Table::new(
            table,
            "",
            &["name", "trigger", "conditions", "steps"],
            &mut faults,
        );
        let name = top.line("name", LONGEST_NAME);
        let trigger = top.text("trigger", LONGEST_NAME);
        if !trigger.is_empty() && !trigger::is_trigger(&trigger) {
            let known = trigger::BUILTIN.join(", ");
            top.fault(
                "trigger",
                &format!("`{trigger}` is no event; use one of {known}, custom.<name> or custom.*"),
            );
        }
        let conditions = top.list("conditions", 0, MOST_CONDITIONS);
        let steps = top.list("steps", 1, MOST_STEPS);
        let conditions = conditions.iter().zip(0..).filter_map(|(value, at)| {
            let place = format!("conditions[{at}].");
            read_condition(Table::of(value, &place, &["field", "op", "value"], &mut faults)?)
        });
        let conditions: Vec<_> = conditions.collect();
        let mut read = Vec::new();
        for (value, at) in steps.iter().zip(0..) {
            read.extend(read_step(value, &format!("steps[{at}]."), &mut faults));
        }
        if faults.is_empty() {
            Ok(Self {
                name,
                trigger,
                conditions,
                steps: read,
            })
        } else {
            Err(Faults(faults))
        }
    }

    /// Kinds of records that its conditions, texts and actions look at.
    pub fn records(&self) -> Vec<&str> {
        let conditions = self.conditions.iter().map(|condition| condition.field.as_str());
        let mut paths: Vec<&str> = conditions.collect();
        for step in &self.steps {
            for text in step.templates() {
                if let Ok(template) = Template::parse(text) {
                    paths.extend(template.fields());
                }
            }
            match step {
                Step::UpdateField { field, .. } => paths.push(field),
                Step::CreateTicket { .. } => paths.extend(["contact", "account", "conversation"]),
                Step::Assign { .. } => paths.extend(["ticket", "conversation"]),
                Step::AddLifecycleEvent { .. } => paths.push("account"),
                _ => {}
            }
        }
        let mut records: Vec<&str> = paths.iter().filter_map(|path| path.split('.').next()).collect();
        records.sort_unstable();
        records.dedup();
        records
    }
}

/// An object of a definition, and where faults in it are written down.
struct Table<'v, 'f> {
    table: &'v Map<String, Value>,
    place: &'v str,
    faults: &'f mut Vec<String>,
}

impl<'v, 'f> Table<'v, 'f> {
    fn new(
        table: &'v Map<String, Value>,
        place: &'v str,
        known: &[&str],
        faults: &'f mut Vec<String>,
    ) -> Self {
        for name in table.keys().filter(|name| !known.contains(&name.as_str())) {
            let name: String = name.chars().take(40).collect();
            faults.push(format!(
                "{place}{name}: not known here; there are {}",
                known.join(", ")
            ));
        }
        Self { table, place, faults }
    }

    fn of(value: &'v Value, place: &'v str, known: &[&str], faults: &'f mut Vec<String>) -> Option<Self> {
        match value.as_object() {
            Some(table) => Some(Self::new(table, place, known, faults)),
            None => {
                faults.push(format!("{}: must be an object", place.trim_end_matches('.')));
                None
            }
        }
    }

    fn fault(&mut self, name: &str, what: &str) {
        self.faults.push(format!("{}{name}: {what}", self.place));
    }

    /// A text that must be there, of at most `longest` characters; empty when it is not in order.
    fn text(&mut self, name: &str, longest: usize) -> String {
        match self.table.get(name) {
            Some(Value::String(text)) if text.trim().is_empty() => self.fault(name, "must not be empty"),
            Some(Value::String(text)) if text.chars().count() > longest => {
                self.fault(name, &format!("must have at most {longest} characters"));
            }
            Some(Value::String(text)) => return text.trim().to_owned(),
            Some(_) => self.fault(name, "must be a text"),
            None => self.fault(name, "is missing"),
        }
        String::new()
    }

    fn line(&mut self, name: &str, longest: usize) -> String {
        let text = self.text(name, longest);
        if text.chars().any(char::is_control) {
            self.fault(name, "must be one line");
        }
        text
    }

    fn template(&mut self, name: &str, longest: usize) -> String {
        let text = self.text(name, longest);
        if let Err(what) = Template::parse(&text) {
            self.fault(name, &what);
        }
        text
    }

    fn optional_template(&mut self, name: &str, longest: usize) -> String {
        if self.table.contains_key(name) {
            self.template(name, longest)
        } else {
            String::new()
        }
    }

    fn list(&mut self, name: &str, fewest: usize, most: usize) -> &'v [Value] {
        match self.table.get(name) {
            Some(Value::Array(items)) if (fewest..=most).contains(&items.len()) => return items,
            Some(Value::Array(items)) => {
                self.fault(
                    name,
                    &format!("has {} entries, {fewest} to {most} are accepted", items.len()),
                );
            }
            Some(_) => self.fault(name, "must be a list"),
            None if fewest > 0 => self.fault(name, "is missing"),
            None => {}
        }
        &[]
    }
}

fn read_condition(mut table: Table<'_, '_>) -> Option<Condition> {
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
        (Wants::Ordered, Some(Value::String(text)))
            if crate::vocabulary::Timestamp::parse(text).is_some() =>
        {
            None
        }
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
const ACTIONS: &str =
    "send_email, update_field, create_ticket, assign, add_internal_note, add_lifecycle_event, webhook, wait";

fn read_step(value: &Value, place: &str, faults: &mut Vec<String>) -> Option<Step> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const URGENT: &str = r#"
        name = "Urgent ticket to on-call"
        trigger = "ticket.created"
        conditions = [ { field = "ticket.priority", op = "eq", value = "urgent" } ]
        [[steps]]
        action = "webhook"
        url = "https://hooks.example/oncall"
        [[steps]]
        action = "add_internal_note"
        body = "Paged on-call for #{{ticket.number}}"
    "#;

    #[test]
    fn the_example_is_read_from_toml_and_from_json() {
        let flow = Definition::read(URGENT).unwrap();
        assert_eq!((flow.conditions.len(), flow.steps.len()), (1, 2));
        assert_eq!(flow.records(), ["ticket"]);
        let json = serde_json::to_string(&flow).unwrap();
        assert_eq!(Definition::read(&json).unwrap(), flow);
        assert_eq!(serde_json::from_str::<Definition>(&json).unwrap(), flow);
    }

    #[test]
    fn every_action_is_read() {
        let steps = r#"{"name":"All","trigger":"custom.*","steps":[
            {"action":"send_email","to":"{{contact.email}}","subject":"Hi","body":"Text"},
            {"action":"update_field","field":"ticket.priority","value":"high"},
            {"action":"create_ticket","title":"T","description":"D","priority":"low","assignee":"ada@example.com"},
            {"action":"assign","assignee":"unassigned"},
            {"action":"add_internal_note","body":"N"},
            {"action":"add_lifecycle_event","event":"churn_risk"},
            {"action":"webhook","url":"https://hooks.example/x"},
            {"action":"wait","duration":"2h"}]}"#;
        let flow = Definition::read(steps).unwrap();
        let actions: Vec<_> = flow.steps.iter().map(Step::action).collect();
        assert_eq!(actions.join(", "), ACTIONS);
        assert_eq!(flow.records(), ["account", "contact", "conversation", "ticket"]);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let text = r#"
            name = ""
            trigger = "ticket.created.twice"
            colour = "red"
            conditions = [
                { field = "priority", op = "eq", value = "urgent" },
                { field = "ticket.priority", op = "equals", value = 1 },
                { field = "ticket.status", op = "changed", value = "open" },
                { field = "ticket.number", op = "gt", value = "many" },
                { field = "ticket.tags", op = "in", value = [] },
            ]
            [[steps]]
            action = "page"
            [[steps]]
            action = "webhook"
            url = "https://{{ticket.title}}/x"
            [[steps]]
            action = "wait"
            duration = "31d"
            [[steps]]
            action = "update_field"
            field = "opportunity.stage"
            [[steps]]
            action = "add_internal_note"
            body = "{{ticket}}"
            loud = true
        "#;
        let Faults(faults) = Definition::read(text).unwrap_err();
        let expected = [
            "colour: not known here",
            "name: must not be empty",
            "trigger: `ticket.created.twice` is no event",
            "conditions[0].field: must be like",
            "conditions[1].op: `equals` is no operator",
            "conditions[2].value: `changed` takes no value",
            "conditions[3].value: must be a number, a date",
            "conditions[4].value: must be a list of 1 to 50",
            "steps[0].action: `page` is no action",
            "steps[1].url: must be fixed",
            "steps[2].duration: must be like",
            "steps[3].field: flows set lead.{status",
            "steps[3].value: is missing",
            "steps[4].loud: not known here",
            "steps[4].body: `{{ticket}}` names no field",
        ];
        for wanted in expected {
            assert!(
                faults.iter().any(|fault| fault.starts_with(wanted)),
                "{wanted}: {faults:#?}"
            );
        }
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    }

    #[test]
    fn what_is_no_flow_is_said_so() {
        for (text, said) in [
            ("[]", "not TOML"),
            ("{", "not JSON"),
            ("name = ", "not TOML"),
            ("{}", "name: is missing"),
            (
                r#"{"name":"A","trigger":"lead.created","steps":[]}"#,
                "steps: has 0 entries, 1 to 8",
            ),
            (
                r#"{"name":"A","trigger":"lead.created","steps":[1]}"#,
                "steps[0].action: is missing",
            ),
            (
                r#"{"name":"A","trigger":"lead.created","conditions":3,"steps":[{"action":"wait","duration":"1s"}]}"#,
                "conditions: must be a list",
            ),
            (
                r#"{"name":"A","trigger":"lead.created","steps":[{"action":"update_field","field":"lead.status","value":"converted"}]}"#,
                "steps[0].value: must be one of new, working, qualified, disqualified",
            ),
            (
                r#"{"name":"A","trigger":"lead.created","steps":[{"action":"webhook","url":"ftp://x/y"}]}"#,
                "steps[0].url: must be an https",
            ),
            (
                r#"{"name":"A","trigger":"lead.created","steps":[{"action":"webhook","url":"https://a:b@x/y"}]}"#,
                "steps[0].url: must not carry",
            ),
        ] {
            let fault = Definition::read(text).unwrap_err().to_string();
            assert!(fault.contains(said), "{text}: {fault}");
        }
        assert!(Definition::read(&"#".repeat(LARGEST_FILE + 1)).is_err());
    }
}
