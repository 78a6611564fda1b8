//! Tickets: listed by filters in the address, one read whole, and what a person does about it, each time shown before it
//! is done.

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
    history::{self, Change},
    inputs::{self, Entry, Field, Input},
    making::{self, Making},
    records::{self, Cell, Choice, Filter, List, Row},
    render,
    teammate::{Refusal, Team, Teammate},
    text::{self, shown, spaced},
};
use crate::{
    domain::workspace::OwnField,
    vocabulary::Timestamp,
    web::{Query, Web},
};

const MENU: &str = "Tickets";
const STATES: [&str; 5] = ["open", "in_progress", "waiting", "resolved", "closed"];
pub(super) const PRIORITIES: [&str; 4] = ["urgent", "high", "medium", "low"];

static LIST: List = List {
    menu: MENU,
    title: "Tickets",
    intro: "Work for people who asked for it. Closed tickets are listed when they are asked for.",
    path: "/console/tickets",
    tool: "list_tickets",
    filters: &[
        Filter {
            any: "all but closed",
            ..Filter::many("status", "State", &STATES)
        },
        Filter::new("assignee", "Whose", Choice::PersonOrNobody),
        Filter::many("priority", "Priority", &PRIORITIES),
        Filter::new("sla", "Time", Choice::OneOf(&["ok", "due_soon", "breached"])),
        Filter::new("q", "Words", Choice::Words),
    ],
    heads: &["Ticket", "State", "Priority", "Whose", "Opened"],
    empty: "People open tickets here or from a conversation, assistants with create_ticket, and flows with a step.",
    new: Some((MAKING.path, "Open a ticket")),
    siblings: &[],
};

static MAKING: Making = Making {
    menu: MENU,
    title: "New ticket",
    path: "/console/tickets/new",
    back: "/console/tickets",
    tool: "create_ticket",
    kind: "ticket",
    entries: &[
        Entry::new("title", "Title", Input::Text).needed(),
        Entry::new("description", "What it is about", Input::Long).when_new(),
        Entry::new("requester", "Asked by", Input::Text)
            .when_new()
            .hint("A contact: their e-mail address, name or id."),
        Entry::new("account_id", "Account", Input::Text)
            .when_new()
            .hint("Its name, domain or id; that of whoever asked, if it is empty."),
        Entry::new("priority", "Priority", Input::OneOf(&PRIORITIES)).at_first("medium"),
        Entry::new("assignee", "Whose", Input::PersonOrNobody).when_new(),
        Entry::new("due_at", "Due", Input::Day),
        Entry::new("tags", "Tags", Input::Words).hint("With commas between them."),
    ],
    always: &[],
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/tickets", get(list))
        .route("/console/tickets/{id}", get(show).post(act))
        .merge(making::router(&MAKING))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Clock {
    state: String,
    due_at: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sla {
    first_response: Clock,
    resolution: Clock,
}

/// A ticket, as the tools answer it.
#[derive(Debug, Deserialize)]
pub(super) struct Ticket {
    pub(super) id: String,
    pub(super) number: i64,
    pub(super) title: String,
    #[serde(default)]
    description: String,
    pub(super) status: String,
    priority: String,
    assignee: Option<String>,
    requester: Option<String>,
    account_id: Option<String>,
    due_at: Option<Timestamp>,
    resolution: Option<String>,
    #[serde(default)]
    sla: Sla,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    custom: Map<String, Value>,
    created_at: Timestamp,
    version: i64,
}

impl Ticket {
    pub(super) fn link(&self) -> String {
        format!("/console/tickets/{}", self.id)
    }

    pub(super) fn class(&self) -> &'static str {
        match self.status.as_str() {
            "open" => "warn",
            "resolved" | "closed" => "good",
            _ => "",
        }
    }

    /// Where the worse of its clocks stands, if that needs a word.
    fn late(&self) -> &'static str {
        let states = [&self.sla.first_response.state, &self.sla.resolution.state];
        if states.iter().any(|state| *state == "breached") {
            "late"
        } else if states.iter().any(|state| *state == "due_soon") {
            "due soon"
        } else {
            ""
        }
    }

    fn priority(&self) -> Cell {
        let class = match self.priority.as_str() {
            "urgent" => "bad",
            "high" => "warn",
            _ => "",
        };
        Cell::state(self.priority.clone(), class)
    }

    /// What of it is in its form.
    fn record(&self) -> Map<String, Value> {
        let fields = json!({
            "title": self.title,
            "priority": self.priority,
            "due_at": self.due_at,
            "tags": self.tags,
            "custom": self.custom,
        });
        match fields {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    pub(super) fn row(&self, team: &Team) -> Row {
        Row {
            link: self.link(),
            title: format!("#{} {}", self.number, self.title),
            sub: self.tags.join(", "),
            cells: vec![
                Cell {
                    also: self.late(),
                    ..Cell::state(spaced(&self.status), self.class())
                },
                self.priority(),
                team.name(self.assignee.as_deref()).into(),
                text::when(self.created_at).into(),
            ],
        }
    }
}

async fn list(by: Teammate, RawQuery(query): RawQuery) -> Result<Response, PageError> {
    records::show(&by, &LIST, query.as_deref(), |ticket: Ticket, team| {
        ticket.row(team)
    })
    .await
}

#[derive(Debug, Deserialize)]
struct Author {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Delivery {
    status: String,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Comment {
    visibility: String,
    body: String,
    author: Author,
    delivery: Option<Delivery>,
    created_at: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Linked {
    id: String,
    subject: Option<String>,
}

/// What `get_ticket` answers.
#[derive(Debug, Deserialize)]
struct Whole {
    ticket: Ticket,
    #[serde(default)]
    comments: Vec<Comment>,
    #[serde(default)]
    history: Vec<Change>,
    conversation: Option<Linked>,
}

#[derive(Debug, Deserialize)]
struct Named {
    id: String,
    name: String,
}

/// Who asked, and for whom they work.
#[derive(Debug, Default, Deserialize)]
struct Asker {
    contact: Option<Named>,
    account: Option<Named>,
}

/// What somebody wrote before it was refused.
#[derive(Default)]
struct Draft {
    problem: String,
    comment: String,
    resolution: String,
}

#[derive(Template)]
#[template(path = "console/ticket.html")]
struct TicketPage {
    frame: Frame,
    ticket: Ticket,
    draft: Draft,
    late: &'static str,
    priority: Cell,
    opened: String,
    due: String,
    whose: String,
    clocks: [(&'static str, String, String); 2],
    comments: Vec<Comment>,
    history: Vec<history::Line>,
    conversation: Option<Linked>,
    asker: Asker,
    own: Vec<(String, String)>,
    fields: Vec<Field>,
    team: Vec<(String, String)>,
    may_act: bool,
}

impl TicketPage {
    fn is_done(&self) -> bool {
        matches!(self.ticket.status.as_str(), "resolved" | "closed")
    }
}

async fn find(by: &Teammate, id: &str) -> Result<Whole, Refusal> {
    by.read("get_ticket", &json!({ "id": id })).await
}

/// Who asked for a ticket; whoever was deleted since is nobody.
async fn asker(by: &Teammate, ticket: &Ticket) -> Result<Asker, PageError> {
    let found = match (&ticket.requester, &ticket.account_id) {
        (Some(contact), _) => by.read("get_contact", &json!({ "id": contact })).await,
        (None, Some(account)) => by.read("get_account", &json!({ "id": account })).await,
        (None, None) => return Ok(Asker::default()),
    };
    found.or_else(|refusal| {
        if refusal.is_missing() {
            Ok(Asker::default())
        } else {
            Err(refusal.into())
        }
    })
}

async fn page(by: &Teammate, whole: Whole, done: &str, draft: Draft) -> Result<TicketPage, PageError> {
    let team = by.team().await?;
    let Whole {
        ticket,
        comments,
        history,
        conversation,
    } = whole;
    let clock = |clock: &Clock| {
        let due = clock.due_at.map(text::when).unwrap_or_default();
        (spaced(&clock.state), due)
    };
    let (first, last) = (clock(&ticket.sla.first_response), clock(&ticket.sla.resolution));
    let own = by.own_fields(MAKING.kind).await?;
    let fields = inputs::fields(MAKING.entries, &own, Some(&ticket.record()), &team);
    Ok(TicketPage {
        frame: Frame::new(by, MENU, Some(done)),
        draft,
        late: ticket.late(),
        priority: ticket.priority(),
        opened: text::when(ticket.created_at),
        due: ticket.due_at.map(text::when).unwrap_or_default(),
        whose: team.name(ticket.assignee.as_deref()),
        clocks: [("First answer", first.0, first.1), ("Solution", last.0, last.1)],
        comments,
        history: history.into_iter().map(|change| change.line(&team)).collect(),
        conversation,
        asker: asker(by, &ticket).await?,
        own: ticket
            .custom
            .iter()
            .map(|(name, value)| (spaced(name), shown(value)))
            .collect(),
        fields,
        team: team.choices(),
        may_act: by.may_act(),
        ticket,
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DoneQuery {
    /// What was just done.
    pub(super) done: String,
}

async fn show(
    by: Teammate,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, PageError> {
    let whole = find(&by, &id).await?;
    let page = page(&by, whole, &query.done, Draft::default()).await?;
    Ok(render(&page)?.into_response())
}

/// What a button of the page asks for.
fn proposal(ticket: &Ticket, own: &[OwnField], fields: &Fields) -> Option<Proposal<'static>> {
    let id = ticket.id.as_str();
    let words = |name: &str| fields.get(name).replace("\r\n", "\n");
    let (tool, arguments, done) = match fields.get("act") {
        "assign" => {
            let arguments = json!({ "id": id, "assignee": fields.get("assignee") });
            ("assign_ticket", arguments, "assigned")
        }
        "change" => {
            let mut arguments = inputs::arguments(MAKING.entries, own, Some(&ticket.record()), fields);
            arguments.insert("id".to_owned(), id.into());
            let status = fields.get("status");
            if status != ticket.status {
                arguments.insert("status".to_owned(), status.into());
            }
            (
                "update_ticket",
                with_version(Value::Object(arguments), fields),
                "changed",
            )
        }
        act @ ("comment" | "answer") => {
            let visibility = if act == "answer" { "public" } else { "internal" };
            let arguments = json!({ "id": id, "body": words("body"), "visibility": visibility });
            ("comment_on_ticket", arguments, "commented")
        }
        outcome @ ("resolved" | "closed") => {
            let mut arguments = json!({ "id": id, "outcome": outcome });
            if let Some(map) = arguments.as_object_mut() {
                map.insert("tell_requester".to_owned(), fields.is_ticked("tell").into());
                let said = words("resolution");
                if !said.is_empty() {
                    map.insert("resolution".to_owned(), said.into());
                }
            }
            ("close_ticket", arguments, "resolved")
        }
        _ => return None,
    };
    Some(Proposal {
        tool,
        arguments,
        done,
    })
}

/// The version that the form was made of: who changed it meanwhile is not overruled.
pub(super) fn with_version(mut arguments: Value, fields: &Fields) -> Value {
    if let (Some(map), Ok(version)) = (arguments.as_object_mut(), fields.get("version").parse::<i64>()) {
        map.insert("if_version".to_owned(), version.into());
    }
    arguments
}

async fn act(Path(id): Path<String>, posted: Posted<Teammate>) -> Result<Response, PageError> {
    let Posted { by, fields } = posted;
    // Whether it is there at all, before anything is said of it.
    let whole = find(&by, &id).await?;
    let path = whole.ticket.link();
    let own = by.own_fields(MAKING.kind).await?;
    let proposal = proposal(&whole.ticket, &own, &fields);
    match consent::take(&by, &Place::of(MENU, &path), &fields, proposal).await? {
        Taken::Answer(response) => Ok(response),
        Taken::Again(problem) => {
            let draft = Draft {
                problem,
                comment: fields.get("body").to_owned(),
                resolution: fields.get("resolution").to_owned(),
            };
            let mut page = page(&by, find(&by, &id).await?, "", draft).await?;
            page.fields = inputs::again(page.fields, &fields);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
        }
    }
}
