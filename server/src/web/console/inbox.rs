//! The inbox of a workspace: conversations listed, one read whole, and what a person does about it, each time shown before
//! it is done.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Fields, Frame, PageError, Person, Posted,
    consent::{self, Place, Proposal, Taken},
    render,
    teammate::Teammate,
    text,
    tickets::{DoneQuery, PRIORITIES},
};
use crate::{
    domain::workspace::{ConversationPage, InboxItem, Pile, Refused, Said, Workspace},
    web::{Query, Web},
};

const MENU: &str = "Inbox";

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/inbox", get(list))
        .route("/console/inbox/{id}", get(show).post(act))
}

/// The piles by their word in the address, and what they are called.
const PILES: [(&str, &str, Pile); 4] = [
    ("", "Open", Pile::Open),
    ("mine", "Mine", Pile::Mine),
    ("unassigned", "Unassigned", Pile::Unassigned),
    ("resolved", "Resolved", Pile::Resolved),
];

fn engine(web: &Web) -> Result<&Arc<Workspace>, PageError> {
    web.workspace()
        .ok_or_else(|| PageError::not_found("The workspace edition is not served here."))
}

impl From<Refused> for PageError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(text) | Refused::Rule(text) => Self::refused(
                StatusCode::BAD_REQUEST,
                "That cannot be done",
                text::sentence(&text),
            ),
            Refused::Gone => Self::not_found("There is no such channel."),
            Refused::Store(error) => error.into(),
            Refused::Internal(cause) => Self::internal(&cause),
        }
    }
}

struct Row {
    id: String,
    title: String,
    with: String,
    status: &'static str,
    status_class: &'static str,
    assignee: String,
    unread: bool,
    snippet: String,
    at: String,
    late: &'static str,
}

impl From<InboxItem> for Row {
    fn from(item: InboxItem) -> Self {
        Self {
            id: item.id,
            title: item.title,
            with: item.with,
            status: item.status,
            status_class: match item.status {
                "open" => "warn",
                "resolved" => "good",
                _ => "",
            },
            assignee: item.assignee.unwrap_or_default(),
            unread: item.unread,
            snippet: item.snippet,
            at: text::when(item.at),
            late: match item.sla {
                "due_soon" => "due soon",
                "breached" => "late",
                _ => "",
            },
        }
    }
}

#[derive(Template)]
#[template(path = "console/inbox.html")]
struct InboxPage {
    frame: Frame,
    piles: [(&'static str, &'static str, bool); 4],
    pile: &'static str,
    rows: Vec<Row>,
    next: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    pile: String,
    after: String,
}

async fn list(
    State(web): State<Web>,
    person: Person,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    // A stranger's word in the address shows the first pile.
    let chosen = PILES.into_iter().find(|(word, ..)| *word == query.pile);
    let (word, _, pile) = chosen.unwrap_or(("", "Open", Pile::Open));
    let inbox = engine(&web)?
        .inbox(person.tenant(), person.user(), pile, &query.after)
        .await?;
    let page = InboxPage {
        frame: Frame::new(&person, MENU, None),
        piles: PILES.map(|(name, label, _)| (name, label, name == word)),
        pile: word,
        rows: inbox.items.into_iter().map(Row::from).collect(),
        next: inbox.next.unwrap_or_default(),
    };
    Ok(render(&page)?.into_response())
}

struct Line {
    class: &'static str,
    author: String,
    body: String,
    quoted: String,
    files: Vec<String>,
    at: String,
    delivery: &'static str,
    delivery_class: &'static str,
    error: String,
}

impl From<Said> for Line {
    fn from(said: Said) -> Self {
        let (delivery, error) = said.delivery.unwrap_or(("", None));
        Self {
            class: said.way,
            author: match (said.by_bot, said.way) {
                (true, _) => format!("{} (bot)", said.author),
                (_, "note") => format!("{}, note", said.author),
                _ => said.author,
            },
            body: said.body,
            quoted: said.quoted.unwrap_or_default(),
            files: said
                .files
                .into_iter()
                .map(|(name, bytes)| format!("{name}, {}", size(bytes)))
                .collect(),
            at: text::when(said.at),
            delivery,
            delivery_class: match delivery {
                "failed" => "bad",
                "queued" => "warn",
                _ => "good",
            },
            error: error.unwrap_or_default(),
        }
    }
}

/// A size as people say it.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KB", bytes / 1024),
        _ => format!("{} MB", bytes / 1_048_576),
    }
}

/// What somebody wrote before it was refused.
#[derive(Default)]
struct Draft {
    problem: String,
    body: String,
    reason: String,
}

#[derive(Template)]
#[template(path = "console/conversation.html")]
struct ConversationView {
    frame: Frame,
    draft: Draft,
    row: Row,
    channel: String,
    email: String,
    /// Number and title.
    ticket: Option<(i64, String)>,
    lines: Vec<Line>,
    more: bool,
    team: Vec<(String, String)>,
    may_act: bool,
}

async fn view(
    by: &Teammate,
    page: ConversationPage,
    done: &str,
    draft: Draft,
) -> Result<ConversationView, PageError> {
    Ok(ConversationView {
        frame: Frame::new(by, MENU, Some(done)),
        draft,
        channel: page.channel,
        email: page.email.unwrap_or_default(),
        ticket: page.ticket,
        lines: page.messages.into_iter().map(Line::from).collect(),
        more: page.more,
        team: by.team().await?.choices(),
        may_act: by.may_act(),
        row: page.item.into(),
    })
}

async fn find(web: &Web, person: &Person, id: &str) -> Result<ConversationPage, PageError> {
    let found = engine(web)?.conversation(person.tenant(), id).await?;
    found.ok_or_else(|| PageError::not_found("There is no such conversation."))
}

async fn show(
    State(web): State<Web>,
    by: Teammate,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, PageError> {
    let page = find(&web, &by, &id).await?;
    let view = view(&by, page, &query.done, Draft::default()).await?;
    Ok(render(&view)?.into_response())
}

/// What a button of the page asks for.
fn proposal(id: &str, fields: &Fields) -> Option<Proposal<'static>> {
    let words = |name: &str| fields.get(name).replace("\r\n", "\n");
    let reply = |then: &str| {
        let arguments = json!({ "id": id, "body": words("body"), "then": then });
        ("reply_to_conversation", arguments, "sent")
    };
    let assign = |assignee: &str| {
        let arguments = json!({ "id": id, "assignee": assignee });
        ("assign_conversation", arguments, "assigned")
    };
    let (tool, arguments, done): (_, Value, _) = match fields.get("act") {
        "reply" => reply("waiting"),
        "reply-and-resolve" => reply("resolve"),
        "note" => {
            let arguments = json!({ "id": id, "body": words("body") });
            ("add_conversation_note", arguments, "noted")
        }
        "take" => assign("me"),
        "assign" => assign(fields.get("assignee")),
        "close" => ("close_conversation", json!({ "id": id }), "resolved"),
        "escalate" => {
            let arguments = json!({
                "id": id,
                "reason": words("reason"),
                "priority": fields.get("priority"),
                "tell_customer": fields.is_ticked("tell"),
            });
            ("escalate_conversation", arguments, "escalated")
        }
        _ => return None,
    };
    Some(Proposal {
        tool,
        arguments,
        done,
    })
}

async fn act(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted<Teammate>,
) -> Result<Response, PageError> {
    let Posted { by, fields } = posted;
    // Whether it is there at all, before anything is said of it.
    let id = find(&web, &by, &id).await?.item.id;
    let path = format!("/console/inbox/{id}");
    let proposal = proposal(&id, &fields);
    match consent::take(&by, &Place::of(MENU, &path), &fields, proposal).await? {
        Taken::Answer(response) => Ok(response),
        Taken::Again(problem) => {
            let draft = Draft {
                problem,
                body: fields.get("body").to_owned(),
                reason: fields.get("reason").to_owned(),
            };
            let view = view(&by, find(&web, &by, &id).await?, "", draft).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&view)?).into_response())
        }
    }
}
