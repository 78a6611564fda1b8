//! What is asked of the workspace, and beside it the plainest query that gives the same rows.

use super::base::{Base, ERA_ROWS, Value};
use super::fill::{MESSAGES_EACH, Town};
use super::template::text_value;
use crate::corpus::Vocabulary;
use crate::wire::with;
use serde_json::{Value as Json, json};

/// Rows of a page.
const PAGE: usize = 50;

/// A figure: a tool with arguments, and a bare query with values.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) tool: &'static str,
    pub(super) arguments: Vec<Json>,
    pub(super) bare: Option<(String, Vec<Vec<Value>>)>,
    /// Whether an answer without rows is a fault of the question.
    pub(super) finds: bool,
}

/// How many different questions are asked of each kind.
const QUESTIONS: usize = 50;

/// The records of one kind by an entry of the index, in the order of a column.
fn by_entry(order: &str, more: &str) -> String {
    format!(
        "SELECT r.doc FROM record_fields AS s JOIN records AS r ON r.tenant_id = s.tenant_id AND r.kind = s.kind AND r.id = s.id
         WHERE s.tenant_id = $1 AND s.kind = $2 AND s.field = $3{more} ORDER BY {order} LIMIT {}",
        PAGE + 1
    )
}

/// What a bare query is asked for some words.
type Question = Box<dyn Fn(&str) -> String>;

struct Asked<'a> {
    town: &'a Town,
    number: i64,
    postgres: bool,
}

impl Asked<'_> {
    fn text(&self, text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    /// A list in the order of a field.
    fn sorted(
        &self,
        name: &'static str,
        tool: &'static str,
        kind: &str,
        field: &str,
        arguments: Json,
    ) -> Figure {
        let values = vec![self.text(&self.town.tenant), self.text(kind), self.text(field)];
        Figure {
            name,
            tool,
            arguments: vec![arguments],
            bare: Some((by_entry("s.value DESC, s.at DESC, s.id DESC", ""), vec![values])),
            finds: true,
        }
    }

    /// A list of those with a value of a field, newest first.
    fn with_value(
        &self,
        name: &'static str,
        tool: &'static str,
        kind: &str,
        (field, value): (&str, &str),
        arguments: Json,
    ) -> Figure {
        let values = vec![
            self.text(&self.town.tenant),
            self.text(kind),
            self.text(field),
            Value::Bytes(text_value(value)),
        ];
        Figure {
            name,
            tool,
            arguments: vec![arguments],
            bare: Some((
                by_entry("s.at DESC, s.id DESC", " AND s.value = $4"),
                vec![values],
            )),
            finds: true,
        }
    }

    /// One record by its id.
    fn one(&self, name: &'static str, tool: &'static str, kind: &str, ids: &[String], more: &Json) -> Figure {
        let some: Vec<&String> = spread(ids);
        let arguments = |id: &&String| with(more, "id", id.as_str());
        let sql = "SELECT doc FROM records WHERE tenant_id = $1 AND kind = $2 AND id = $3";
        let values = |id: &&String| vec![self.text(&self.town.tenant), self.text(kind), self.text(id)];
        Figure {
            name,
            tool,
            arguments: some.iter().map(arguments).collect(),
            bare: Some((sql.to_owned(), some.iter().map(values).collect())),
            finds: false,
        }
    }

    /// Words.
    fn search(
        &self,
        name: &'static str,
        tool: &'static str,
        asked: &[String],
        (field, more): (&str, &Json),
    ) -> Figure {
        let arguments = |text: &String| with(more, field, text.as_str());
        // All rows of the kind that most of the answer is of, in no order: the least that an engine does for the words. SQLite's
        // index knows no kinds.
        let (kind, rows) = match tool {
            "list_conversations" => ("message", self.town.conversations.len() * MESSAGES_EACH),
            "search_knowledge" => ("article", 0),
            _ => ("lead", self.town.leads.len()),
        };
        let (sql, question): (String, Question) = if self.postgres {
            let sql = "SELECT row_id FROM texts WHERE era IS NOT NULL
                AND text_marks(tenant_id, shelf, era, lexemes) @@ CAST(CAST($1 AS TEXT) AS tsquery) LIMIT 25";
            let tenant = self.town.tenant.clone();
            let ask = move |text: &str| {
                let eras = 0..=rows / ERA_ROWS as usize;
                let each =
                    eras.map(|era| quoted(text, ('\'', &format!("{tenant}/{kind}/{era}/")), " & ", ":*"));
                let each: Vec<String> = each.map(|era| format!("({era})")).collect();
                each.join(" | ")
            };
            (sql.to_owned(), Box::new(ask))
        } else {
            let table = format!("fts_records_{}", self.number);
            let sql = format!("SELECT rowid FROM {table} WHERE {table} MATCH $1 LIMIT 25");
            (sql, Box::new(|text| quoted(text, ('"', ""), " AND ", " *")))
        };
        let values = |text: &String| vec![Value::Text(question(text))];
        Figure {
            name,
            tool,
            arguments: asked.iter().map(arguments).collect(),
            bare: Some((sql, asked.iter().map(values).collect())),
            finds: true,
        }
    }
}

/// The words of a text, each in quotes behind what goes before it, the last one to go on.
fn quoted(text: &str, (quote, before): (char, &str), and: &str, open: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| format!("{quote}{before}{word}{quote}"))
        .collect();
    format!("{}{open}", words.join(and))
}

/// Some of many, from everywhere.
fn spread<T>(all: &[T]) -> Vec<&T> {
    let step = (all.len() / QUESTIONS).max(1);
    all.iter().step_by(step).take(QUESTIONS).collect()
}

/// Every figure.
pub(super) fn figures(base: &Base, town: &Town, number: i64) -> Vec<Figure> {
    let asked = Asked {
        town,
        number,
        postgres: matches!(base, Base::Postgres(_)),
    };
    let page = |more: Json| with(&more, "limit", PAGE);
    let owner = town.owners.first().cloned().unwrap_or_default();
    let own = |some: Vec<&String>| -> Vec<String> { some.into_iter().cloned().collect() };
    let last_names = own(spread(&town.last_names));
    let first_names = town.first_names.clone();
    let begun: Vec<String> = last_names
        .iter()
        .map(|name| name.chars().take(name.chars().count().min(4)).collect())
        .collect();
    let two: Vec<String> = first_names
        .iter()
        .map(|name| name.chars().take(2).collect())
        .collect();
    let emails = own(spread(&town.emails));
    let numbers: Vec<String> = spread(&(0..town.tickets.len()).collect::<Vec<_>>())
        .into_iter()
        .map(|n| format!("#{}", town.first_number + n))
        .collect();
    let both: Vec<String> = first_names
        .iter()
        .zip(&town.last_names)
        .map(|(first, _)| format!("{first} example"))
        .collect();
    let vocabulary = Vocabulary::new();
    let said: Vec<String> = (0..QUESTIONS)
        .map(|n| vocabulary.rank(50 + n * 20).to_owned())
        .collect();
    let mut all = vec![
        asked.sorted(
            "list_leads, newest",
            "list_leads",
            "lead",
            "created_at",
            page(json!({})),
        ),
        asked.with_value(
            "list_leads of an owner",
            "list_leads",
            "lead",
            ("owner", &owner),
            page(json!({ "owner": owner })),
        ),
        asked.with_value(
            "list_leads in a status",
            "list_leads",
            "lead",
            ("status", "qualified"),
            page(json!({ "status": ["qualified"] })),
        ),
        asked.with_value(
            "list_leads with a tag",
            "list_leads",
            "lead",
            ("tag", "fair"),
            page(json!({ "tag": "fair" })),
        ),
        asked.sorted(
            "list_leads of the last 30 days",
            "list_leads",
            "lead",
            "created_at",
            page(json!({ "from": "-30d" })),
        ),
        asked.sorted(
            "list_leads by value",
            "list_leads",
            "lead",
            "value_cents",
            page(json!({ "sort": "value_cents" })),
        ),
        asked.sorted(
            "list_leads of an owner by value",
            "list_leads",
            "lead",
            "value_cents",
            page(json!({ "owner": owner, "sort": "value_cents" })),
        ),
        asked.search(
            "list_leads, a rare word",
            "list_leads",
            &last_names,
            ("q", &page(json!({}))),
        ),
        asked.search(
            "list_leads, a common word",
            "list_leads",
            &first_names,
            ("q", &page(json!({}))),
        ),
        asked.sorted(
            "list_tickets",
            "list_tickets",
            "ticket",
            "created_at",
            page(json!({})),
        ),
        asked.sorted(
            "list_tickets of mine",
            "list_tickets",
            "ticket",
            "created_at",
            page(json!({ "assignee": "me" })),
        ),
        asked.with_value(
            "list_tickets, urgent",
            "list_tickets",
            "ticket",
            ("priority", "urgent"),
            page(json!({ "priority": ["urgent"] })),
        ),
        asked.with_value(
            "list_tickets, breached",
            "list_tickets",
            "ticket",
            ("sla", "breached"),
            page(json!({ "sla": "breached" })),
        ),
        asked.sorted(
            "list_tickets of mine by due date",
            "list_tickets",
            "ticket",
            "due_at",
            page(json!({ "assignee": "me", "sort": "due_at" })),
        ),
        asked.sorted(
            "list_conversations",
            "list_conversations",
            "conversation",
            "last_message_at",
            page(json!({})),
        ),
        asked.sorted(
            "list_conversations of mine",
            "list_conversations",
            "conversation",
            "last_message_at",
            page(json!({ "assignee": "me" })),
        ),
        asked.sorted(
            "list_conversations, waiting",
            "list_conversations",
            "conversation",
            "last_message_at",
            page(json!({ "status": ["waiting"] })),
        ),
        asked.search(
            "list_conversations, a word said",
            "list_conversations",
            &said,
            ("q", &page(json!({}))),
        ),
        asked.one("get_lead", "get_lead", "lead", &town.leads, &json!({})),
        asked.one("get_ticket", "get_ticket", "ticket", &town.tickets, &json!({})),
        asked.one(
            "get_conversation",
            "get_conversation",
            "conversation",
            &town.conversations,
            &json!({}),
        ),
        asked.search(
            "search_crm, a rare word",
            "search_crm",
            &last_names,
            ("query", &json!({})),
        ),
        asked.search(
            "search_crm, a common word",
            "search_crm",
            &first_names,
            ("query", &json!({})),
        ),
        asked.search(
            "search_crm, a word begun",
            "search_crm",
            &begun,
            ("query", &json!({})),
        ),
        asked.search(
            "search_crm, two letters",
            "search_crm",
            &two,
            ("query", &json!({})),
        ),
        asked.search(
            "search_crm, two common words",
            "search_crm",
            &both,
            ("query", &json!({})),
        ),
        asked.search(
            "search_crm, an address",
            "search_crm",
            &emails,
            ("query", &json!({})),
        ),
        asked.search(
            "search_knowledge, two words",
            "search_knowledge",
            &["refund policy".to_owned(), "reset password".to_owned()],
            ("query", &json!({})),
        ),
        asked.search(
            "search_knowledge, a common word",
            "search_knowledge",
            &first_names,
            ("query", &json!({})),
        ),
    ];
    // By the number that people write.
    let mut by_number = asked.one(
        "get_ticket by #number",
        "get_ticket",
        "ticket",
        &town.tickets,
        &json!({}),
    );
    by_number.arguments = numbers.iter().map(|number| json!({ "id": number })).collect();
    all.push(by_number);
    all
}
