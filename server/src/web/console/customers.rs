//! Accounts, contacts and leads: each listed by filters in the address, one read whole, and changed in two steps. One page
//! for all three; what differs between them stands in a table.

mod kinds;

use askama::Template;
use axum::{
    Router,
    extract::{Path, RawQuery},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Fields, Frame, PageError, Posted,
    consent::{self, CONFIRM, Outcome, Place, Proposal},
    records::{self, Row},
    render,
    teammate::{Refusal, Team, Teammate},
    text::{self, shown, spaced},
    tickets::{DoneQuery, Ticket, with_version},
};
use kinds::{ACCOUNTS, CONTACTS, Entry, Kind, LEADS, link, part, stage, word};

use crate::{
    vocabulary::Timestamp,
    web::{Query, Web},
};

const MENU: &str = "Customers";
pub(super) fn router() -> Router<Web> {
    let mut router = Router::new();
    for kind in [&ACCOUNTS, &CONTACTS, &LEADS] {
        let one = format!("{}/{{id}}", kind.list.path);
        router = router
            .route(kind.list.path, get(move |by, query| list(kind, by, query)))
            .route(
                &one,
                get(move |by, id, done| open(kind, by, id, done))
                    .post(move |id, posted| act(kind, id, posted)),
            );
    }
    router
}

async fn list(kind: &'static Kind, by: Teammate, RawQuery(query): RawQuery) -> Result<Response, PageError> {
    records::show(
        &by,
        &kind.list,
        query.as_deref(),
        |map: Map<String, Value>, team| (kind.row)(&map, team),
    )
    .await
}

#[derive(Debug, Deserialize)]
struct Note {
    kind: String,
    body: String,
    author: String,
    created_at: Timestamp,
}

struct NoteLine {
    kind: String,
    body: String,
    author: String,
    at: String,
}

/// What the reading tools answer beside the record itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Beside {
    account: Option<Map<String, Value>>,
    contacts: Vec<Map<String, Value>>,
    opportunities: Vec<Map<String, Value>>,
    open_tickets: Value,
    open_conversations: Vec<Map<String, Value>>,
    notes: Vec<Note>,
}

struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
    number: bool,
    options: Vec<(String, String)>,
}

/// A list of what belongs to a record.
struct Block {
    title: &'static str,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "console/customer.html")]
struct CustomerPage {
    frame: Frame,
    kind: &'static Kind,
    path: String,
    title: String,
    facts: Vec<(String, String)>,
    account: Option<Row>,
    fields: Vec<Field>,
    version: String,
    blocks: Vec<Block>,
    notes: Vec<NoteLine>,
    note: String,
    problem: String,
    may_act: bool,
}

/// A record, and what stands beside it.
async fn find(kind: &Kind, by: &Teammate, id: &str) -> Result<(Map<String, Value>, Beside), Refusal> {
    let mut whole: Map<String, Value> = by.read(kind.get, &json!({ "id": id })).await?;
    let record = match whole.shift_remove(kind.name) {
        Some(Value::Object(record)) => record,
        _ => Map::new(),
    };
    let beside = serde_json::from_value(Value::Object(whole)).unwrap_or_default();
    Ok((record, beside))
}

/// Open tickets of a record: of an account the tool gives their number alone.
async fn tickets(kind: &Kind, by: &Teammate, id: &str, open: &Value) -> Result<Vec<Ticket>, Refusal> {
    #[derive(Deserialize)]
    struct Found {
        items: Vec<Ticket>,
    }
    if kind.name == "account" && open.as_i64() != Some(0) {
        let asked = json!({ "account_id": id, "status": ["open", "in_progress", "waiting"], "limit": 10 });
        return Ok(by.read::<Found>("list_tickets", &asked).await?.items);
    }
    Ok(serde_json::from_value(open.clone()).unwrap_or_default())
}

async fn page(
    kind: &'static Kind,
    by: &Teammate,
    (record, beside): (Map<String, Value>, Beside),
    done: &str,
    (problem, note): (String, String),
) -> Result<CustomerPage, PageError> {
    let team = by.team().await?;
    let person = |name: &str| team.name(word(&record, name));
    let facts = kind.entries.iter().filter_map(|(name, label, entry)| {
        let value = match entry {
            Entry::Person => person(name),
            Entry::OneOf(_) => spaced(&part(&record, name)),
            Entry::Text | Entry::Number => part(&record, name),
        };
        (*name != "name" && !value.is_empty()).then(|| ((*label).to_owned(), value))
    });
    let mut facts: Vec<_> = facts.collect();
    if let Some(Value::Array(tags)) = record.get("tags")
        && !tags.is_empty()
    {
        facts.push(("Tags".to_owned(), part(&record, "tags")));
    }
    if let Some(Value::Object(custom)) = record.get("custom") {
        facts.extend(custom.iter().map(|(name, value)| (spaced(name), shown(value))));
    }
    let fields = kind.entries.iter().map(|(name, label, entry)| Field {
        name,
        label,
        value: part(&record, name),
        number: matches!(entry, Entry::Number),
        options: match entry {
            Entry::Text | Entry::Number => Vec::new(),
            Entry::OneOf(words) => words
                .iter()
                .map(|word| ((*word).to_owned(), spaced(word)))
                .collect(),
            Entry::Person => {
                let mut choices = team.choices();
                let owner = part(&record, name);
                // Whoever left, or nobody, stays until somebody else is chosen.
                if !choices.iter().any(|(id, _)| *id == owner) {
                    choices.insert(0, (owner, person(name)));
                }
                choices
            }
        },
    });
    let id = part(&record, "id");
    let mut blocks = Vec::new();
    let mut block = |title, rows: Vec<Row>| {
        if !rows.is_empty() {
            blocks.push(Block { title, rows });
        }
    };
    block(
        "People",
        beside
            .contacts
            .iter()
            .map(|one| (CONTACTS.row)(one, &team))
            .collect(),
    );
    block(
        "Pipeline",
        beside.opportunities.iter().map(|one| deal(one, &team)).collect(),
    );
    let open = tickets(kind, by, &id, &beside.open_tickets).await?;
    block("Open tickets", open.iter().map(|one| one.row(&team)).collect());
    block(
        "Open conversations",
        beside.open_conversations.iter().map(conversation).collect(),
    );
    let notes = beside.notes.into_iter().map(|note| NoteLine {
        author: team.name(Some(&note.author)),
        kind: note.kind,
        body: note.body,
        at: text::when(note.created_at),
    });
    Ok(CustomerPage {
        frame: Frame::new(by, MENU, Some(done)),
        path: format!("{}/{id}", kind.list.path),
        title: part(&record, "name"),
        account: beside.account.as_ref().map(|one| (ACCOUNTS.row)(one, &team)),
        fields: fields.collect(),
        version: part(&record, "version"),
        notes: notes.collect(),
        may_act: by.may_act(),
        kind,
        facts,
        blocks,
        note,
        problem,
    })
}

/// Deals have no page of their own.
fn deal(map: &Map<String, Value>, team: &Team) -> Row {
    let cents = map
        .get("amount_cents")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    Row {
        link: String::new(),
        title: part(map, "name"),
        sub: part(map, "close_date"),
        cells: vec![
            stage(map, "stage"),
            format!("{}.{:02} {}", cents / 100, cents % 100, part(map, "currency")).into(),
            team.name(word(map, "owner")).into(),
        ],
    }
}

fn conversation(map: &Map<String, Value>) -> Row {
    let subject = part(map, "subject");
    Row {
        link: link("inbox", map),
        title: if subject.is_empty() {
            "No subject".to_owned()
        } else {
            subject
        },
        sub: String::new(),
        cells: vec![stage(map, "status")],
    }
}

async fn open(
    kind: &'static Kind,
    by: Teammate,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, PageError> {
    let found = find(kind, &by, &id).await?;
    let page = page(kind, &by, found, &query.done, Default::default()).await?;
    Ok(render(&page)?.into_response())
}

/// What a form asks for: of the fields, those that differ from what is there.
fn proposal(
    kind: &'static Kind,
    record: &Map<String, Value>,
    fields: &Fields,
) -> Result<Proposal<'static>, PageError> {
    let id = part(record, "id");
    match fields.get("act") {
        "note" => Ok(Proposal {
            tool: "add_crm_note",
            arguments: json!({
                "object_type": kind.name,
                "object_id": id,
                "body": fields.get("body").replace("\r\n", "\n"),
            }),
            done: "noted",
        }),
        "change" => {
            let mut arguments = Map::from_iter([("id".to_owned(), Value::from(id))]);
            for (name, _, entry) in kind.entries {
                let given = fields.get(name);
                if given == part(record, name) {
                    continue;
                }
                let value = match (entry, given.parse::<i64>()) {
                    // The tool says what is wrong with what is none.
                    (Entry::Number, Ok(number)) => number.into(),
                    _ => given.into(),
                };
                arguments.insert((*name).to_owned(), value);
            }
            Ok(Proposal {
                tool: kind.update,
                arguments: with_version(Value::Object(arguments), fields),
                done: "changed",
            })
        }
        _ => Err(PageError::not_found("There is no such button.")),
    }
}

async fn act(
    kind: &'static Kind,
    Path(id): Path<String>,
    posted: Posted<Teammate>,
) -> Result<Response, PageError> {
    let Posted { by, fields } = posted;
    let found = find(kind, &by, &id).await?;
    let path = link(kind.list.path.trim_start_matches("/console/"), &found.0);
    let place = Place {
        menu: MENU,
        path: &path,
        back: &path,
    };
    let came = if fields.get("act") == CONFIRM {
        consent::confirm(&by, &place, &fields).await
    } else {
        consent::propose(&by, &place, proposal(kind, &found.0, &fields)?).await
    };
    match came {
        Ok(Outcome::Done(_, done)) => Ok(Redirect::to(&format!("{path}?done={done}")).into_response()),
        Ok(Outcome::Page(page)) => Ok(page),
        Err(failed) => {
            let said = (failed.mendable()?, fields.get("body").to_owned());
            let page = page(kind, &by, found, "", said).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
        }
    }
}
