//! A change in two pages: what it would do, and the yes. Between them stands the same plan and the same token as between
//! the two calls of an assistant, so what is carried out is what was shown, once, or nothing.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Fields, Frame, PageError, render,
    teammate::Teammate,
    text::{self, shown},
};

/// The button of the second page.
const CONFIRM: &str = "confirm";

/// What a form asks for, and where it stands.
pub(super) struct Proposal<'p> {
    /// The tool that does it.
    pub(super) tool: &'p str,
    /// Its arguments.
    pub(super) arguments: Value,
    /// The word for what will have been done then.
    pub(super) done: &'p str,
}

/// What came of a form.
pub(super) enum Taken {
    /// What the browser gets: the plan, or the way to the page of what was done.
    Answer(Response),
    /// The form is to be shown again, with this beside it.
    Again(String),
}

enum Outcome {
    /// It is done: the tool's result, and the word for what was done.
    Done(Value, &'static str),
    /// A page to show first.
    Page(Response),
}

/// The answer of a tool that confirms (catalogue.md §2.8).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answered {
    status: String,
    result: Value,
    reason: String,
    preview: Preview,
    confirmation_token: String,
    approve: Approve,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Preview {
    summary: String,
    changes: Vec<Map<String, Value>>,
    effects: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Approve {
    url: Option<String>,
}

struct Line {
    what: String,
    from: String,
    to: String,
}

impl Line {
    fn of(change: &Map<String, Value>) -> Self {
        let part = |name: &str| change.get(name).map(shown).unwrap_or_default();
        let field = part("field").replace(['_', '.'], " ");
        Self {
            what: if field.is_empty() {
                format!("{} {}", part("op"), part("object"))
            } else {
                format!("{} {field}", part("object"))
            },
            from: part("from"),
            to: part("to"),
        }
    }
}

#[derive(Template)]
#[template(path = "console/proposal.html")]
struct ProposalPage<'p> {
    frame: Frame,
    /// Where the yes goes, and where the way back leads.
    path: &'p str,
    back: &'p str,
    reason: &'static str,
    summary: String,
    lines: Vec<Line>,
    effects: Vec<String>,
    warnings: Vec<String>,
    tool: &'p str,
    token: String,
    done: &'p str,
    /// It waits for somebody else; there is no button then.
    waits: bool,
    approve: String,
}

fn reason(word: &str) -> &'static str {
    match word {
        "" => "",
        "changed_since_preview" => {
            "It was changed by somebody else meanwhile. This is what would happen now."
        }
        "token_used" => "This was done already. It would be done once more.",
        "token_expired" => "That took too long: look again at what would happen.",
        _ => "Look again at what would happen.",
    }
}

/// The page from which something is done.
pub(super) struct Place<'p> {
    /// Its place in the menu.
    pub(super) menu: &'static str,
    /// Where its forms go.
    pub(super) path: &'p str,
    /// Where somebody goes who changes their mind.
    pub(super) back: &'p str,
    /// Where somebody goes who has deleted the page's record.
    pub(super) list: &'p str,
    /// What the form makes, as the tool's result names it. It has a page of its own under `back`.
    pub(super) makes: Option<&'static str>,
}

impl<'p> Place<'p> {
    /// The page of a record, which shows what was done to it.
    pub(super) fn of(menu: &'static str, path: &'p str) -> Self {
        Self {
            menu,
            path,
            back: path,
            list: path,
            makes: None,
        }
    }

    /// The same for a record that may be deleted from its page, which is gone then.
    pub(super) fn within(self, list: &'p str) -> Self {
        Self { list, ..self }
    }

    /// Where what was done is seen.
    fn after(&self, result: &Value) -> String {
        if result.get("deleted") == Some(&Value::Bool(true)) {
            return self.list.to_owned();
        }
        let made = self.makes.and_then(|kind| result.get(kind)?.get("id")?.as_str());
        match made {
            Some(id) => format!("{}/{id}", self.back),
            None => self.path.to_owned(),
        }
    }
}

/// Takes a form: the yes of the second page, or else what a button of the first one proposes. `None`: it has no such button.
///
/// # Errors
/// When other words in the form would not help.
pub(super) async fn take(
    by: &Teammate,
    place: &Place<'_>,
    fields: &Fields,
    proposal: Option<Proposal<'_>>,
) -> Result<Taken, PageError> {
    let answer = if fields.get("act") == CONFIRM {
        let token = json!({ "confirmation_token": fields.get("token") });
        let answer = by.call(fields.get("tool"), &token).await;
        answer.map(|answer| outcome(by, place, fields.get("tool"), fields.get("done"), answer))
    } else {
        let asked = proposal.ok_or_else(|| PageError::not_found("There is no such button."))?;
        let answer = by.call(asked.tool, &asked.arguments).await;
        answer.map(|answer| outcome(by, place, asked.tool, asked.done, answer))
    };
    Ok(match answer {
        Err(refusal) => Taken::Again(refusal.mendable()?),
        Ok(outcome) => Taken::Answer(match outcome? {
            Outcome::Page(page) => page,
            Outcome::Done(result, done) => {
                Redirect::to(&format!("{}?done={done}", place.after(&result))).into_response()
            }
        }),
    })
}

fn outcome(
    by: &Teammate,
    place: &Place<'_>,
    tool: &str,
    done: &str,
    answer: Value,
) -> Result<Outcome, PageError> {
    let answered: Answered = serde_json::from_value(answer).map_err(|error| PageError::internal(&error))?;
    let done = text::done_word(done);
    if answered.status == "done" {
        return Ok(Outcome::Done(answered.result, done));
    }
    let preview = answered.preview;
    let page = ProposalPage {
        frame: Frame::new(by, place.menu, None),
        path: place.path,
        back: place.back,
        reason: reason(&answered.reason),
        summary: text::visible(&preview.summary),
        lines: preview.changes.iter().map(Line::of).collect(),
        effects: preview
            .effects
            .iter()
            .map(|effect| text::visible(effect))
            .collect(),
        warnings: preview
            .warnings
            .iter()
            .map(|warning| text::visible(warning))
            .collect(),
        tool,
        token: answered.confirmation_token,
        done,
        waits: answered.status != "confirmation_required",
        approve: answered.approve.url.unwrap_or_default(),
    };
    // Nothing has changed: what is shown is an answer to a question, and not the end of what was begun.
    let status = if answered.reason.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::CONFLICT
    };
    Ok(Outcome::Page((status, render(&page)?).into_response()))
}
