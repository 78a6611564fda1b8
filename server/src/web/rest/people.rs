//! The people of a tenant: `/v1/users`, `/v1/groups`, `/v1/invitations`, and ways to a new password. Owners and admins change people,
//! auditors read them, members see themselves. Tenants are the operator's, at the command line alone.

use axum::{
    Router,
    extract::{Path, State},
    routing::{delete, get, post, put},
};
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    operate::{
        groups,
        invitations::{self, InvitationView, InviteRequest, Invited},
        new_password::{self, PasswordLink},
        people::{self, NewPerson, PersonChange, PersonView},
    },
    vocabulary::Role,
    web::{Json, RestError, SignedIn, Web},
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/v1/users", get(list).post(add))
        .route("/v1/users/{id}", get(show).patch(change))
        .route("/v1/users/{id}/password-link", post(password_link))
        .route("/v1/groups", get(list_groups))
        .route("/v1/groups/{group}/members/{id}", put(join).delete(leave))
        .route("/v1/me/password", post(password))
        .route("/v1/password", post(follow))
        .route("/v1/invitations", get(list_invitations).post(invite))
        .route("/v1/invitations/accept", post(accept))
        .route("/v1/invitations/{id}", delete(uninvite))
}

async fn list(State(web): State<Web>, signed_in: SignedIn) -> Result<Json<Value>, RestError> {
    let users = people::users(web.store(), &signed_in.actor(), signed_in.tenant()).await?;
    let items: Vec<_> = users.iter().map(PersonView::from).collect();
    Ok(Json(json!({ "items": items })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddBody {
    email: String,
    #[serde(default)]
    name: String,
    role: Role,
    #[serde(default)]
    groups: Vec<String>,
}

async fn add(
    State(web): State<Web>,
    signed_in: SignedIn,
    Json(body): Json<AddBody>,
) -> Result<(StatusCode, Json<PersonView>), RestError> {
    let person = NewPerson {
        email: body.email,
        name: body.name,
        role: body.role,
        groups: body.groups,
    };
    let user = people::add_user(web.store(), &signed_in.actor(), signed_in.tenant(), person).await?;
    Ok((StatusCode::CREATED, Json(PersonView::from(&user))))
}

async fn show(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<PersonView>, RestError> {
    let user = people::find_user(web.store(), &signed_in.actor(), signed_in.tenant(), &id).await?;
    Ok(Json(PersonView::from(&user)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    role: Option<Role>,
    groups: Option<Vec<String>>,
    name: Option<String>,
    active: Option<bool>,
}

async fn change(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Json(body): Json<ChangeBody>,
) -> Result<Json<PersonView>, RestError> {
    let change = PersonChange {
        role: body.role,
        groups: body.groups,
        name: body.name,
        active: body.active,
    };
    let (by, tenant) = (signed_in.actor(), signed_in.tenant());
    let user = people::change_user(web.store(), &by, tenant, &id, change).await?;
    Ok(Json(PersonView::from(&user)))
}

/// The groups of whomever they may see.
async fn list_groups(State(web): State<Web>, signed_in: SignedIn) -> Result<Json<Value>, RestError> {
    let users = people::users(web.store(), &signed_in.actor(), signed_in.tenant()).await?;
    Ok(Json(json!({ "items": groups::of(&users) })))
}

async fn join(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path((group, id)): Path<(String, String)>,
) -> Result<Json<PersonView>, RestError> {
    let (by, tenant) = (signed_in.actor(), signed_in.tenant());
    let user = groups::set_member(web.store(), &by, tenant, &group, &id, true).await?;
    Ok(Json(PersonView::from(&user)))
}

async fn leave(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path((group, id)): Path<(String, String)>,
) -> Result<Json<PersonView>, RestError> {
    let (by, tenant) = (signed_in.actor(), signed_in.tenant());
    let user = groups::set_member(web.store(), &by, tenant, &group, &id, false).await?;
    Ok(Json(PersonView::from(&user)))
}

async fn password_link(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<PasswordLink>), RestError> {
    let link = new_password::make_link(web.store(), &signed_in.actor(), signed_in.tenant(), &id).await?;
    Ok((StatusCode::CREATED, Json(link)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FollowBody {
    token: String,
    password: String,
}

/// For people who lost their password: the token is what they prove.
async fn follow(State(web): State<Web>, Json(body): Json<FollowBody>) -> Result<StatusCode, RestError> {
    new_password::follow(web.store(), &body.token, body.password.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordBody {
    present: String,
    new: String,
}

/// All sessions end, this one too: whoever asks signs in with the new password.
async fn password(
    State(web): State<Web>,
    signed_in: SignedIn,
    Json(body): Json<PasswordBody>,
) -> Result<StatusCode, RestError> {
    let (present, new): (SecretString, SecretString) = (body.present.into(), body.new.into());
    new_password::change_own_password(web.store(), signed_in.tenant(), signed_in.user(), present, new)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_invitations(State(web): State<Web>, signed_in: SignedIn) -> Result<Json<Value>, RestError> {
    let open = invitations::list(web.store(), &signed_in.actor(), signed_in.tenant()).await?;
    Ok(Json(json!({ "items": open })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InviteBody {
    email: String,
    role: Role,
    #[serde(default)]
    groups: Vec<String>,
    expires_in_days: Option<u32>,
}

async fn invite(
    State(web): State<Web>,
    signed_in: SignedIn,
    Json(body): Json<InviteBody>,
) -> Result<(StatusCode, Json<Invited>), RestError> {
    let request = InviteRequest {
        email: body.email,
        role: body.role,
        groups: body.groups,
        expires_in_days: body.expires_in_days,
    };
    let invited = invitations::invite(web.store(), &signed_in.actor(), signed_in.tenant(), request).await?;
    Ok((StatusCode::CREATED, Json(invited)))
}

async fn uninvite(
    State(web): State<Web>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<InvitationView>, RestError> {
    let gone = invitations::revoke(web.store(), &signed_in.actor(), signed_in.tenant(), &id).await?;
    Ok(Json(gone))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptBody {
    token: String,
    #[serde(default)]
    name: String,
    password: String,
}

/// For people whom nobody knows yet: the token is what they prove.
async fn accept(
    State(web): State<Web>,
    Json(body): Json<AcceptBody>,
) -> Result<(StatusCode, Json<Value>), RestError> {
    let password: SecretString = body.password.into();
    let (tenant, user) = invitations::accept(web.store(), &body.token, &body.name, password).await?;
    let reply = json!({ "tenant_id": tenant, "user": PersonView::from(&user) });
    Ok((StatusCode::CREATED, Json(reply)))
}
