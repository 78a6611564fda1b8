//! Calls that wait for a person: those that their own caller or an admin approves, and those that others must review.

use askama::Template;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::{Frame, PageError, Person, Posted, render, text};
use crate::{
    operate::{
        OperateError,
        approvals::{self, Approver, Waiting},
        reviews::{self, Answer, Review, ReviewStatus, ReviewType, TimeWindow},
        rules,
    },
    web::{Query, Web},
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/reviews", get(page))
        .route("/console/reviews/call", post(answer_call))
        .route("/console/reviews/review", post(answer_review))
}

/// A call that this person may answer for.
#[derive(Debug)]
struct CallRow {
    code: String,
    tool: String,
    edition: String,
    user: String,
    preview: String,
    until: String,
    /// Whether the address named it.
    named: bool,
}

impl CallRow {
    fn new(call: Waiting, named: &str) -> Self {
        let preview = call.preview.map(|preview| preview.prose());
        Self {
            named: call.code == named,
            code: call.code,
            tool: call.tool.to_string(),
            edition: call.edition.to_string(),
            user: call.user.to_string(),
            preview: preview.unwrap_or_else(|| {
                "What it would do cannot be shown: the server's sealing key was changed.".to_owned()
            }),
            until: text::when(call.expires_at),
        }
    }
}

/// A call that groups review.
#[derive(Debug)]
struct ReviewRow {
    id: String,
    tool: String,
    requester: String,
    summary: String,
    groups: Vec<(String, bool)>,
    status: &'static str,
    status_class: &'static str,
    open: bool,
    /// It opened its tool for a while, and still does.
    revocable: bool,
    /// This person may not approve it.
    own: bool,
    /// The groups whose members may approve it alone.
    force: String,
    /// What it is good for beyond its one call, and what was unusual about it.
    remarks: Vec<String>,
    reason: String,
    until: String,
}

impl ReviewRow {
    fn new(review: Review, person: &Person, own_calls: bool) -> Self {
        let status = review.status;
        let own = review.requester == *person.user();
        let mut remarks = Vec::new();
        if let Some(seconds) = review.access_duration_seconds {
            remarks.push(format!(
                "opens {} for {} minutes",
                review.tool,
                seconds.div_ceil(60)
            ));
        }
        if let Some(window) = review.time_window {
            remarks.push(format!("runs from {window}"));
        }
        if review.forced {
            remarks.push("approved by one group alone".to_owned());
        }
        if review.self_approved {
            remarks.push("approved by its own caller".to_owned());
        }
        Self {
            own: own && !(own_calls && person.role().is_admin()),
            force: review.force_groups.join(", "),
            revocable: status == ReviewStatus::Approved && review.kind == ReviewType::Jit,
            remarks,
            id: review.id,
            tool: review.tool.to_string(),
            requester: review.requester.to_string(),
            summary: review.summary,
            groups: review
                .groups
                .into_iter()
                .map(|vote| (vote.group, vote.approved))
                .collect(),
            status: status.as_str(),
            status_class: match status {
                ReviewStatus::Approved | ReviewStatus::Executed => "good",
                ReviewStatus::Pending | ReviewStatus::Processing => "warn",
                ReviewStatus::Rejected | ReviewStatus::Revoked | ReviewStatus::Expired => "bad",
            },
            open: status == ReviewStatus::Pending,
            reason: review.rejection_reason.unwrap_or_default(),
            until: text::when(review.expires_at),
        }
    }
}

#[derive(Template)]
#[template(path = "console/reviews.html")]
struct ReviewsPage {
    frame: Frame,
    calls: Vec<CallRow>,
    reviews: Vec<ReviewRow>,
    problem: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    done: String,
    code: String,
}

fn approver(person: &Person) -> Approver {
    Approver {
        user: person.user().clone(),
        is_admin: person.role().is_admin(),
    }
}

async fn page(
    State(web): State<Web>,
    person: Person,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    show(&web, &person, &asked, String::new()).await
}

async fn show(web: &Web, person: &Person, asked: &Asked, problem: String) -> Result<Response, PageError> {
    let by = approver(person);
    let key = web.house().seal_key();
    let calls = approvals::pending(web.store(), person.tenant(), key, Some(&by)).await?;
    let reviews = reviews::list(web.store(), person.tenant(), &person.actor()).await?;
    let own_calls = rules::show(web.store(), person.tenant())
        .await?
        .admin_self_approval;
    let page = ReviewsPage {
        frame: Frame::new(person, "Reviews", Some(&asked.done)),
        calls: calls
            .into_iter()
            .map(|call| CallRow::new(call, &asked.code))
            .collect(),
        reviews: reviews
            .into_iter()
            .map(|review| ReviewRow::new(review, person, own_calls))
            .collect(),
        problem,
    };
    Ok(render(&page)?.into_response())
}

/// After an answer: the list, with what was done or why it was not.
async fn after<T>(
    web: &Web,
    person: &Person,
    answered: Result<T, OperateError>,
    done: &str,
) -> Result<Response, PageError> {
    match answered {
        Ok(_) => Ok(Redirect::to(&format!("/console/reviews?done={done}")).into_response()),
        Err(error) if error.is_for_the_caller() => {
            let problem = text::sentence(&error.to_string());
            show(web, person, &Asked::default(), problem).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn answer_call(State(web): State<Web>, posted: Posted<Person>) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let approve = fields.get("answer") == "approve";
    let key = web.house().seal_key();
    let by = approver(&person);
    let code = fields.get("code");
    let answered = approvals::decide(web.store(), person.tenant(), code, approve, Some(&by), key).await;
    after(
        &web,
        &person,
        answered,
        if approve { "approved" } else { "declined" },
    )
    .await
}

async fn answer_review(State(web): State<Web>, posted: Posted<Person>) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let word = fields.get("answer");
    let (answer, done) = match word {
        "approve" | "force" => {
            let window = match (fields.get("from"), fields.get("until")) {
                ("", "") => Ok(None),
                (from, until) => TimeWindow::new(from, until).map(Some),
            };
            match window {
                Ok(window) => {
                    let force = word == "force";
                    (Answer::Approve { force, window }, "approved")
                }
                Err(fault) => return show(&web, &person, &Asked::default(), text::sentence(&fault)).await,
            }
        }
        "revoke" => (Answer::Revoke, "closed"),
        _ => {
            let reason = fields.get("reason");
            let reason = (!reason.is_empty()).then(|| reason.to_owned());
            (Answer::Reject { reason }, "declined")
        }
    };
    let id = fields.get("id");
    let answered = reviews::answer(web.store(), person.tenant(), id, person.user(), answer).await;
    after(&web, &person, answered, done).await
}
