//! Calls that wait for a person: `GET /v1/approvals`, `POST /v1/approvals/{code}` with `{"answer": "approve"}` or
//! `"decline"`. Callers answer for their own calls, owners and admins for everybody's.

use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    operate::approvals::{self, Approver},
    web::{Json, RestError, SignedIn, Web},
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/v1/approvals", get(list))
        .route("/v1/approvals/{code}", post(decide))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Approve,
    Decline,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    answer: Answer,
}

fn approver(signed_in: &SignedIn) -> Approver {
    Approver {
        user: signed_in.user().clone(),
        is_admin: signed_in.role().is_admin(),
    }
}

async fn list(State(web): State<Web>, signed_in: SignedIn) -> Result<Json<Value>, RestError> {
    let by = approver(&signed_in);
    let key = web.house().seal_key();
    let waiting = approvals::pending(web.store(), signed_in.tenant(), key, Some(&by)).await?;
    Ok(Json(json!({ "items": waiting })))
}

async fn decide(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(code): Path<String>,
    Json(decision): Json<Decision>,
) -> Result<Json<Value>, RestError> {
    let by = approver(&signed_in);
    let approve = matches!(decision.answer, Answer::Approve);
    let key = web.house().seal_key();
    let decided = approvals::decide(web.store(), signed_in.tenant(), &code, approve, Some(&by), key).await?;
    let status = if approve { "approved" } else { "declined" };
    Ok(Json(json!({ "status": status, "call": decided })))
}
