//! Signing in and out as a program, and who that made one: `/v1/login`, `/v1/logout`, `/v1/me`.

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    operate::sessions,
    web::{Json, RestError, SignedIn, Web},
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/v1/logout", post(logout))
        .route("/v1/me", get(me))
}

async fn logout(State(web): State<Web>, signed_in: SignedIn) -> Result<StatusCode, RestError> {
    sessions::end(web.store(), signed_in.session()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn me(signed_in: SignedIn) -> Json<Value> {
    let session = signed_in.session();
    Json(json!({
        "tenant_id": session.tenant,
        "user": {
            "id": session.user,
            "email": session.email,
            "name": session.name,
            "role": session.role,
            "groups": session.groups,
        },
        "expires_at": session.expires_at,
    }))
}
