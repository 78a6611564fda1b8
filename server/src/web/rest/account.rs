//! Signing in and out as a program, and who that made one: `/v1/login`, `/v1/logout`, `/v1/me`.

use axum::{
    Extension, Router,
    extract::State,
    routing::{get, post},
};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::{
    edge::Visit,
    operate::{sessions, sign_in::Attempt},
    store::SignInKind,
    vocabulary::TenantId,
    web::{Json, RestError, SignedIn, Web},
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/v1/login", post(login))
        .route("/v1/logout", post(logout))
        .route("/v1/me", get(me))
}

/// What a program sends to sign somebody in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    email: String,
    #[serde(deserialize_with = "secret")]
    password: SecretString,
    /// Which tenant, for somebody who belongs to several.
    tenant: Option<TenantId>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    Ok(String::deserialize(deserializer)?.into())
}

async fn login(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Json(login): Json<Login>,
) -> Result<Json<Value>, RestError> {
    let attempt = Attempt {
        email: login.email,
        password: login.password,
        tenant: login.tenant,
        address: visit.address,
    };
    let (tenant, user) = web.password_check().sign_in(attempt).await?;
    let opened = sessions::open(web.store(), &tenant, &user.id, SignInKind::Token, web.lifetime()).await?;
    Ok(Json(json!({
        "token": opened.secret.expose_secret(),
        "expires_at": opened.expires_at,
        "tenant_id": tenant,
        "user": { "id": user.id, "email": user.email, "name": user.name, "role": user.role, "groups": user.groups },
    })))
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
