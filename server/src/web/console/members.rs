//! The people of a tenant: listed, invited, given roles and groups, shut out and let in again.

use askama::Template;
use axum::{
    Extension, Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::{AdminPerson, Frame, PageError, Person, Posted, ReaderPerson, page::status_of, render, text};
use crate::{
    edge::Visit,
    operate::{
        OperateError,
        groups::{self, GroupView},
        invitations::{self, InviteRequest},
        new_password,
        people::{self, PersonChange},
    },
    store::User,
    vocabulary::Role,
    web::{Query, Web},
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/members", get(list))
        .route("/console/members/invite", post(invite))
        .route("/console/members/uninvite", post(uninvite))
        .route("/console/members/{id}", get(show).post(change))
        .route("/console/members/{id}/active", post(set_active))
        .route("/console/members/{id}/password-link", post(password_link))
}

struct PersonRow {
    id: String,
    name: String,
    email: String,
    role: &'static str,
    groups: Vec<String>,
    groups_text: String,
    since: String,
    active: bool,
}

impl From<User> for PersonRow {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            name: text::name_or(&user.name, &user.email),
            email: user.email,
            role: user.role.as_str(),
            groups_text: user.groups.join("\n"),
            groups: user.groups,
            since: text::day(user.created_at),
            active: user.disabled_at.is_none(),
        }
    }
}

struct OpenRow {
    id: String,
    email: String,
    role: &'static str,
    until: String,
}

#[derive(Template)]
#[template(path = "console/members.html")]
struct MembersPage {
    frame: Frame,
    problem: String,
    may_manage: bool,
    people: Vec<PersonRow>,
    /// The one whose members alone are shown; empty: everybody.
    group: String,
    groups: Vec<GroupRow>,
    invitations: Vec<OpenRow>,
    roles: [(&'static str, &'static str); 4],
}

struct GroupRow {
    name: String,
    members: usize,
    link: String,
}

impl From<GroupView> for GroupRow {
    fn from(group: GroupView) -> Self {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("group", &group.name)
            .finish();
        Self {
            link: format!("/console/members?{query}"),
            name: group.name,
            members: group.members,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    done: String,
    group: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DoneQuery {
    done: String,
}

async fn list(
    State(web): State<Web>,
    person: ReaderPerson,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let page = members_page(&web, &person, &query, String::new()).await?;
    Ok(render(&page)?.into_response())
}

async fn members_page(
    web: &Web,
    person: &Person,
    query: &ListQuery,
    problem: String,
) -> Result<MembersPage, PageError> {
    let actor = person.actor();
    let mut people = people::users(web.store(), &actor, person.tenant()).await?;
    let groups = groups::of(&people);
    if !query.group.is_empty() {
        people.retain(|user| user.groups.contains(&query.group));
    }
    let open = invitations::list(web.store(), &actor, person.tenant()).await?;
    Ok(MembersPage {
        frame: Frame::new(person, "Members", Some(&query.done)),
        problem,
        may_manage: person.role().is_admin(),
        group: query.group.clone(),
        groups: groups.into_iter().map(GroupRow::from).collect(),
        people: people.into_iter().map(PersonRow::from).collect(),
        invitations: open
            .into_iter()
            .map(|open| OpenRow {
                id: open.id,
                email: open.email,
                role: open.role.as_str(),
                until: text::when(open.expires_at),
            })
            .collect(),
        roles: text::ROLES,
    })
}

/// The page again, with what is wrong; or the error's own page where it is not about what was typed.
async fn again(web: &Web, person: &Person, error: OperateError) -> Result<Response, PageError> {
    if !error.is_for_the_caller() || matches!(error, OperateError::Forbidden(_)) {
        return Err(error.into());
    }
    let problem = text::sentence(&error.to_string());
    let page = members_page(web, person, &ListQuery::default(), problem).await?;
    Ok((status_of(&error), render(&page)?).into_response())
}

fn no_role() -> OperateError {
    OperateError::Invalid("role: owner, admin, auditor or member".to_owned())
}

#[derive(Template)]
#[template(path = "console/link.html")]
struct LinkPage {
    frame: Frame,
    title: String,
    until: String,
    link: String,
    token: String,
    back: String,
}

async fn invite(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    posted: Posted<AdminPerson>,
) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let invited = match text::role(fields.get("role")) {
        Some(role) => {
            let request = InviteRequest {
                email: fields.get("email").to_owned(),
                role,
                groups: text::groups(fields.get("groups")),
                expires_in_days: None,
            };
            invitations::invite(web.store(), &person.actor(), person.tenant(), request).await
        }
        None => Err(no_role()),
    };
    match invited {
        Ok(invited) => {
            let page = LinkPage {
                frame: Frame::new(&person, "Members", None),
                title: format!("Invitation for {}", invited.invitation.email),
                until: text::when(invited.invitation.expires_at),
                // What stands behind `#` is never sent to a server, so it is in no log.
                link: format!("{}/console/invitation#{}", visit.site.base, invited.token),
                token: invited.token,
                back: "/console/members".to_owned(),
            };
            Ok(render(&page)?.into_response())
        }
        Err(error) => again(&web, &person, error).await,
    }
}

async fn uninvite(State(web): State<Web>, posted: Posted<AdminPerson>) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    match invitations::revoke(web.store(), &person.actor(), person.tenant(), fields.get("id")).await {
        Ok(_) => Ok(Redirect::to("/console/members?done=uninvited").into_response()),
        Err(error) => again(&web, &person, error).await,
    }
}

#[derive(Template)]
#[template(path = "console/member.html")]
struct MemberPage {
    frame: Frame,
    problem: String,
    person: PersonRow,
    /// Whether whoever looks may make them a link to a new password.
    may_link: bool,
    roles: [(&'static str, &'static str); 4],
}

async fn show(
    State(web): State<Web>,
    person: AdminPerson,
    Path(id): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, PageError> {
    let page = member_page(&web, &person, &id, Some(&query.done), String::new()).await?;
    Ok(render(&page)?.into_response())
}

async fn member_page(
    web: &Web,
    person: &Person,
    id: &str,
    done: Option<&str>,
    problem: String,
) -> Result<MemberPage, PageError> {
    let user = people::find_user(web.store(), &person.actor(), person.tenant(), id).await?;
    Ok(MemberPage {
        frame: Frame::new(person, "Members", done),
        problem,
        may_link: user.id != *person.user()
            && user.disabled_at.is_none()
            && (user.role != Role::Owner || person.role() == Role::Owner),
        person: user.into(),
        roles: text::ROLES,
    })
}

async fn change(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted<AdminPerson>,
) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let wish = match text::role(fields.get("role")) {
        Some(role) => Ok(PersonChange {
            role: Some(role),
            groups: Some(text::groups(fields.get("groups"))),
            name: Some(fields.get("name").to_owned()),
            active: None,
        }),
        None => Err(no_role()),
    };
    carry_out(&web, &person, &id, wish, "changed").await
}

async fn set_active(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted<AdminPerson>,
) -> Result<Response, PageError> {
    let Posted { by: person, fields } = posted;
    let active = fields.get("active") == "yes";
    let wish = PersonChange {
        active: Some(active),
        ..PersonChange::default()
    };
    let done = if active { "enabled" } else { "disabled" };
    carry_out(&web, &person, &id, Ok(wish), done).await
}

async fn password_link(
    State(web): State<Web>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    posted: Posted<AdminPerson>,
) -> Result<Response, PageError> {
    let person = posted.by;
    let made = new_password::make_link(web.store(), &person.actor(), person.tenant(), &id).await;
    let made = match made {
        Ok(made) => made,
        Err(error) => return member_again(&web, &person, &id, error).await,
    };
    let page = LinkPage {
        frame: Frame::new(&person, "Members", None),
        title: format!("A new password for {}", made.email),
        until: text::when(made.expires_at),
        link: format!("{}/console/password#{}", visit.site.base, made.token),
        token: made.token,
        back: format!("/console/members/{id}"),
    };
    Ok(render(&page)?.into_response())
}

/// The person's page again, with what is wrong; or the error's own page.
async fn member_again(
    web: &Web,
    person: &Person,
    id: &str,
    error: OperateError,
) -> Result<Response, PageError> {
    if !error.is_for_the_caller() || matches!(error, OperateError::Forbidden(_)) {
        return Err(error.into());
    }
    let page = member_page(web, person, id, None, text::sentence(&error.to_string())).await?;
    Ok((status_of(&error), render(&page)?).into_response())
}

async fn carry_out(
    web: &Web,
    person: &Person,
    id: &str,
    wish: Result<PersonChange, OperateError>,
    done: &str,
) -> Result<Response, PageError> {
    let changed = match wish {
        Ok(wish) => people::change_user(web.store(), &person.actor(), person.tenant(), id, wish).await,
        Err(error) => Err(error),
    };
    match changed {
        Ok(user) => Ok(Redirect::to(&format!("/console/members/{}?done={done}", user.id)).into_response()),
        Err(error) => member_again(web, person, id, error).await,
    }
}
