//! Calls that others must approve: `GET /v1/reviews`, `GET /v1/reviews/{id}`, and `PATCH /v1/reviews/{id}` with
//! `{"answer": "approve", "force": false, "time_window": {"start_time": "22:00", "end_time": "23:00"}}`,
//! `{"answer": "reject", "reason": "…"}` or `{"answer": "revoke"}`.

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    operate::reviews::{self, Answer, TimeWindow},
    web::{Json, RestError, SignedIn, Web},
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/v1/reviews", get(list))
        .route("/v1/reviews/{id}", get(show).patch(answer))
}

#[derive(Debug, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase", deny_unknown_fields)]
enum Given {
    Approve {
        #[serde(default)]
        force: bool,
        #[serde(default)]
        time_window: Option<TimeWindow>,
    },
    Reject {
        #[serde(default)]
        reason: Option<String>,
    },
    Revoke {},
}

async fn list(State(web): State<Web>, signed_in: SignedIn) -> Result<Json<Value>, RestError> {
    let all = reviews::list(web.store(), signed_in.tenant(), &signed_in.actor()).await?;
    Ok(Json(json!({ "items": all })))
}

async fn show(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<Value>, RestError> {
    let by = signed_in.actor();
    let key = web.house().seal_key();
    let shown = reviews::show(web.store(), signed_in.tenant(), &id, &by, key).await?;
    Ok(Json(json!(shown)))
}

async fn answer(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Json(given): Json<Given>,
) -> Result<Json<Value>, RestError> {
    let answer = match given {
        Given::Approve { force, time_window } => Answer::Approve {
            force,
            window: time_window,
        },
        Given::Reject { reason } => Answer::Reject { reason },
        Given::Revoke {} => Answer::Revoke,
    };
    let review = reviews::answer(web.store(), signed_in.tenant(), &id, signed_in.user(), answer).await?;
    Ok(Json(json!(review)))
}
