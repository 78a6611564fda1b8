//! The inbox of a workspace: conversations listed, one read whole, and answered, noted on, taken, left and resolved.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::StatusCode;
use serde::Deserialize;

use super::{Frame, PageError, Person, Posted, render, text};
use crate::{
    domain::workspace::{Act, ConversationPage, InboxItem, Pile, Refused, Said, Workspace},
    vocabulary::Role,
    web::{Query, Web},
};

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
        frame: Frame::new(&person, "Inbox", None),
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

#[derive(Template)]
#[template(path = "console/conversation.html")]
struct ConversationView {
    frame: Frame,
    problem: String,
    /// What they wrote before it was refused.
    draft: String,
    row: Row,
    channel: String,
    email: String,
    /// Number and title.
    ticket: Option<(i64, String)>,
    lines: Vec<Line>,
    more: bool,
    may_act: bool,
}

impl ConversationView {
    fn new(
        person: &Person,
        page: ConversationPage,
        done: Option<&str>,
        problem: String,
        draft: String,
    ) -> Self {
        Self {
            frame: Frame::new(person, "Inbox", done),
            problem,
            draft,
            channel: page.channel,
            email: page.email.unwrap_or_default(),
            ticket: page.ticket,
            lines: page.messages.into_iter().map(Line::from).collect(),
            more: page.more,
            may_act: person.role() != Role::Auditor,
            row: page.item.into(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DoneQuery {
    done: String,
}

async fn find(web: &Web, person: &Person, id: &str) -> Result<ConversationPage, PageError> {
    let found = engine(web)?.conversation(person.tenant(), id).await?;
    found.ok_or_else(|| PageError::not_found("There is no such conversation."))
}

async fn show(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, PageError> {
    let page = find(&web, &person, &id).await?;
    let view = ConversationView::new(&person, page, Some(&query.done), String::new(), String::new());
    Ok(render(&view)?.into_response())
}

async fn act(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted<Person>,
) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let body = fields.get("body").replace("\r\n", "\n");
    let (act, done) = match fields.get("act") {
        "reply" => (
            Act::Reply {
                body: body.clone(),
                resolve: false,
            },
            "sent",
        ),
        "reply-and-resolve" => (
            Act::Reply {
                body: body.clone(),
                resolve: true,
            },
            "sent",
        ),
        "note" => (Act::Note(body.clone()), "noted"),
        "take" => (Act::Take, "taken"),
        "release" => (Act::Release, "released"),
        "close" => (Act::Close, "resolved"),
        _ => return Err(PageError::not_found("There is no such button.")),
    };
    // Whether it is there at all, before anything is said of it.
    find(&web, &person, &id).await?;
    match engine(&web)?.act(person.tenant(), person.user(), &id, act).await {
        Ok(()) => Ok(Redirect::to(&format!("/console/inbox/{id}?done={done}")).into_response()),
        Err(Refused::Invalid(problem) | Refused::Rule(problem)) => {
            let page = find(&web, &person, &id).await?;
            let view = ConversationView::new(&person, page, None, text::sentence(&problem), body);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&view)?).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
