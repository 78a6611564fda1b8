//! Accounts, contacts, leads and opportunities: each listed by filters in the address, one read whole, made and changed in
//! two steps. One page for all four; what differs between them stands in a table.

mod kinds;

use askama::Template;
use axum::{
    Router,
    extract::{Path, RawQuery},
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Fields, Frame, PageError, Posted,
    consent::{self, Place, Proposal, Taken},
    inputs::{self, Field, Input},
    making,
    records::{self, Row},
    render,
    teammate::{Refusal, Team, Teammate},
    text::{self, shown, spaced},
    tickets::{DoneQuery, Ticket, with_version},
};
use kinds::{ACCOUNTS, CONTACTS, Kind, LEADS, OPPORTUNITIES, amount, link, part, stage, word};

use crate::{
    domain::workspace::OwnField,
    vocabulary::Timestamp,
    web::{Query, Web},
};

const MENU: &str = "Customers";

pub(super) fn router() -> Router<Web> {
    let mut router = Router::new();
    for kind in [&ACCOUNTS, &CONTACTS, &LEADS, &OPPORTUNITIES] {
        let one = format!("{}/{{id}}", kind.list.path);
        router = router
            .route(kind.list.path, get(move |by, query| list(kind, by, query)))
            .route(
                &one,
                get(move |by, id, done| open(kind, by, id, done))
                    .post(move |id, posted| act(kind, id, posted)),
            )
            .merge(making::router(&kind.making));
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
    stage_history: Vec<Move>,
    notes: Vec<Note>,
}

/// A deal's way from one stage to the next.
#[derive(Debug, Deserialize)]
struct Move {
    at: Timestamp,
    by: String,
    from: Option<String>,
    to: Option<String>,
}

impl Move {
    fn row(&self, team: &Team) -> Row {
        let stage = |stage: &Option<String>| spaced(stage.as_deref().unwrap_or_default());
        Row {
            link: String::new(),
            title: match &self.from {
                Some(_) => format!("{} → {}", stage(&self.from), stage(&self.to)),
                None => stage(&self.to),
            },
            sub: format!("{} · {}", text::when(self.at), team.name(Some(&self.by))),
            cells: Vec::new(),
        }
    }
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
    id: String,
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
    may_become: bool,
}

/// A record, and what stands beside it.
async fn find(kind: &Kind, by: &Teammate, id: &str) -> Result<(Map<String, Value>, Beside), Refusal> {
    let mut whole: Map<String, Value> = by.read(kind.get, &json!({ "id": id })).await?;
    let record = match whole.shift_remove(kind.name) {
        Some(Value::Object(record)) => record,
        _ => Map::new(),
    };
    Ok((record, Teammate::parsed(Value::Object(whole))?))
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
    let facts = kind.making.entries.iter().filter_map(|entry| {
        let value = match entry.input {
            Input::Person | Input::PersonOrNobody => team.name(word(&record, entry.name)),
            Input::OneOf(_) => spaced(&part(&record, entry.name)),
            Input::Money => amount(&record, entry.name),
            _ => part(&record, entry.name),
        };
        let elsewhere = matches!(entry.name, "name" | "currency");
        (entry.is_kept() && !elsewhere && !value.is_empty()).then(|| (entry.label.to_owned(), value))
    });
    let mut facts: Vec<_> = facts.collect();
    if let Some(Value::Object(custom)) = record.get("custom") {
        facts.extend(custom.iter().map(|(name, value)| (spaced(name), shown(value))));
    }
    let own = by.own_fields(kind.name).await?;
    let fields = inputs::fields(kind.making.entries, &own, Some(&record), &team);
    let id = part(&record, "id");
    let mut blocks = Vec::new();
    let mut block = |title, rows: Vec<Row>| {
        if !rows.is_empty() {
            blocks.push(Block { title, rows });
        }
    };
    let became = part(&record, "converted_to");
    let became = (!became.is_empty()).then(|| Row {
        link: format!("/console/contacts/{became}"),
        title: part(&record, "name"),
        sub: String::new(),
        cells: Vec::new(),
    });
    block("The contact it became", became.into_iter().collect());
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
        beside
            .opportunities
            .iter()
            .map(|one| (OPPORTUNITIES.row)(one, &team))
            .collect(),
    );
    block(
        "Its way",
        beside.stage_history.iter().map(|one| one.row(&team)).collect(),
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
        fields,
        id,
        version: part(&record, "version"),
        notes: notes.collect(),
        may_act: by.may_act(),
        // As the tool has it.
        may_become: kind.name == "lead" && word(&record, "status") != Some("converted"),
        kind,
        facts,
        blocks,
        note,
        problem,
    })
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
    own: &[OwnField],
    record: &Map<String, Value>,
    fields: &Fields,
) -> Option<Proposal<'static>> {
    let id = part(record, "id");
    match fields.get("act") {
        "note" => Some(Proposal {
            tool: "add_crm_note",
            arguments: json!({
                "object_type": kind.name,
                "object_id": id,
                "body": fields.get("body").replace("\r\n", "\n"),
            }),
            done: "noted",
        }),
        "convert" => {
            let mut arguments = json!({ "id": id, "create_opportunity": fields.is_ticked("deal") });
            let account = fields.get("account");
            if let (Some(map), false) = (arguments.as_object_mut(), account.is_empty()) {
                map.insert("account_id".to_owned(), account.into());
            }
            Some(Proposal {
                tool: "convert_lead",
                arguments,
                done: "converted",
            })
        }
        "delete" => Some(Proposal {
            tool: "delete_crm_record",
            arguments: json!({ "object_type": kind.name, "id": id, "reason": fields.get("reason") }),
            done: "deleted",
        }),
        "change" => {
            let mut arguments = inputs::arguments(kind.making.entries, own, Some(record), fields);
            arguments.insert("id".to_owned(), id.into());
            Some(Proposal {
                tool: kind.update,
                arguments: with_version(Value::Object(arguments), fields),
                done: "changed",
            })
        }
        _ => None,
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
    let own = by.own_fields(kind.name).await?;
    let proposal = proposal(kind, &own, &found.0, &fields);
    match consent::take(
        &by,
        &Place::of(MENU, &path).within(kind.list.path),
        &fields,
        proposal,
    )
    .await?
    {
        Taken::Answer(response) => Ok(response),
        Taken::Again(problem) => {
            let said = (problem, fields.get("body").to_owned());
            let mut page = page(kind, &by, found, "", said).await?;
            page.fields = inputs::again(page.fields, &fields);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
        }
    }
}
