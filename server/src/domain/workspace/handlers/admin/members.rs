//! `list_members` and `invite_member`. Who works here and with which rights is what the tenant's users say; a record of a
//! member adds what the workspace knows besides.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::channel_ids;
use crate::{
    domain::{
        Apply, Call, Change, DomainError, HandlerResult, Handlers, Outcome, Plan, PlanCall, ToolResult,
        workspace::{
            engine::Desk,
            kinds::{
                channel::Channel,
                conversation::Conversation,
                member::{Member, MemberStatus},
                ticket::Ticket,
            },
            once::{self, Once, Seen},
            record::{self, Document, Kind, Stored, Who, fold},
        },
    },
    outbox::{self, InvitationToken, Letter, Recipients},
    store::{
        Condition, FieldValue, Invitation, NewChange, NewInvitation, ReadTx, RecordQuery, TenantTx, User,
    },
    vocabulary::{Role, Timestamp, new_id},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Most open invitations of a tenant, as at the other doors.
const MOST_OPEN: usize = 500;
/// Channels whose members are looked at: more than a tenant has.
const MOST_CHANNELS: u32 = 500;
/// Open records that are counted of a member; whoever has more is busy enough.
const MOST_COUNTED: u32 = 1_000;
/// Statuses of what somebody still has to do.
pub(super) const OPEN_CONVERSATIONS: [&str; 3] = ["open", "assigned", "waiting"];
pub(super) const OPEN_TICKETS: [&str; 3] = ["open", "in_progress", "waiting"];

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    let this = Arc::clone(desk);
    table.read("members::list", move |tx, call| {
        let desk = Arc::clone(&this);
        Box::pin(async move { list(&desk, tx, call).await })
    });
    table.planned(
        "members::invite",
        |tx, call| Box::pin(plan_invite(tx, call)),
        |tx, apply| Box::pin(invite(tx, apply)),
    );
}

/// The conditions of what a person still has to do.
pub(super) fn open_of(user: &str, statuses: &[&str]) -> Vec<Condition> {
    let statuses = statuses.iter().map(|status| FieldValue::from(*status)).collect();
    vec![
        Condition::is("assignee", user),
        Condition::OneOf("status".to_owned(), statuses),
    ]
}

/// Somebody of the team, as answers show them.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    email: String,
    name: String,
    role: &'static str,
    status: MemberStatus,
    channels: Vec<String>,
    out_of_office: bool,
    open_load: i64,
    created_at: Timestamp,
}

fn of_user(user: &User, member: Option<&Member>, channels: Vec<String>, open_load: i64) -> Row {
    Row {
        id: user.id.to_string(),
        email: user.email.clone(),
        name: user.name.clone(),
        role: user.role.as_str(),
        status: match user.disabled_at {
            None => MemberStatus::Active,
            Some(_) => MemberStatus::Deactivated,
        },
        channels,
        out_of_office: member.is_some_and(|member| member.out_of_office),
        open_load,
        created_at: user.created_at,
    }
}

fn of_invitation(invitation: &Invitation, channels: Vec<String>) -> Row {
    Row {
        id: invitation.id.clone(),
        email: invitation.email.clone(),
        name: String::new(),
        role: invitation.role.as_str(),
        status: MemberStatus::Invited,
        channels,
        out_of_office: false,
        open_load: 0,
        created_at: invitation.created_at,
    }
}

/// A member as answers show them.
pub(super) async fn view(tx: &mut TenantTx<'_>, user: &User) -> Result<Value, DomainError> {
    let member = record::find::<Member>(&mut tx.reading(), user.id.as_str()).await?;
    let channels = channels_by_member(&mut tx.reading()).await?;
    let mine = channels.get(user.id.as_str()).cloned().unwrap_or_default();
    let load = open_load(&mut tx.reading(), user.id.as_str()).await?;
    let row = of_user(user, member.as_ref().map(Stored::fields), mine, load);
    serde_json::to_value(row).map_err(DomainError::internal)
}

/// Open conversations and tickets of a person.
pub(super) async fn open_load(tx: &mut ReadTx<'_>, user: &str) -> Result<i64, DomainError> {
    let conversations = open_of(user, &OPEN_CONVERSATIONS);
    let tickets = open_of(user, &OPEN_TICKETS);
    Ok(tx
        .records(Conversation::NAME)
        .count(&conversations, MOST_COUNTED)
        .await?
        + tx.records(Ticket::NAME).count(&tickets, MOST_COUNTED).await?)
}

/// Names of channels by the ids of their members.
async fn channels_by_member(tx: &mut ReadTx<'_>) -> Result<HashMap<String, Vec<String>>, DomainError> {
    let query = RecordQuery {
        descending: false,
        limit: MOST_CHANNELS,
        ..RecordQuery::default()
    };
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for record in tx.records(Channel::NAME).list(&query).await?.records {
        let channel = Stored::<Channel>::of(&record)?;
        for member in &channel.fields().members {
            found
                .entry(member.clone())
                .or_default()
                .push(channel.fields().name.clone());
        }
    }
    Ok(found)
}

/// Where a page of members ended.
#[derive(Serialize, Deserialize)]
struct Cursor {
    after: (String, String),
    asked: Value,
}

async fn list(desk: &Desk, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments = call.arguments.as_map();
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let binding = format!("list_members/{}", tx.tenant());
    let asked = json!([text("role"), text("status"), text("q")]);
    let after = match text("cursor") {
        None => None,
        Some(sealed) => {
            let cursor: Option<Cursor> = desk.seal.open_text(&binding, sealed).ok();
            let cursor = cursor.filter(|cursor| cursor.asked == asked);
            Some(
                cursor
                    .ok_or_else(|| {
                        DomainError::argument("cursor does not belong to this query; begin again without one")
                    })?
                    .after,
            )
        }
    };
    let channels = channels_by_member(&mut tx.reading()).await?;
    let mine = |id: &str| channels.get(id).cloned().unwrap_or_default();
    let mut rows = Vec::new();
    for user in tx.users().list().await? {
        rows.push(of_user(&user, None, mine(user.id.as_str()), 0));
    }
    for invitation in tx.invitations().list_open().await? {
        rows.push(of_invitation(&invitation, Vec::new()));
    }
    let wanted = text("q").map(fold);
    rows.retain(|row| {
        text("role").is_none_or(|role| row.role == role)
            && text("status").is_none_or(|status| row.status.as_str() == status)
            && wanted
                .as_ref()
                .is_none_or(|q| fold(&row.name).contains(q) || fold(&row.email).contains(q))
    });
    // By address, which everybody has; ids tell apart whoever was invited twice.
    let key = |row: &Row| (fold(&row.email), row.id.clone());
    rows.sort_by_key(key);
    if let Some(after) = after {
        rows.retain(|row| key(row) > after);
    }
    let limit = arguments.get("limit").and_then(Value::as_u64).unwrap_or(25);
    let limit = usize::try_from(limit).unwrap_or(25);
    let more = rows.len() > limit;
    rows.truncate(limit);
    for row in &mut rows {
        if row.status != MemberStatus::Invited {
            row.open_load = open_load(&mut tx.reading(), &row.id).await?;
            let member = record::find::<Member>(&mut tx.reading(), &row.id).await?;
            row.out_of_office = member.is_some_and(|member| member.fields().out_of_office);
        }
    }
    let next_cursor = match rows.last().filter(|_| more) {
        None => None,
        Some(last) => {
            let cursor = Cursor {
                after: key(last),
                asked,
            };
            Some(
                desk.seal
                    .seal_text(&binding, &cursor)
                    .map_err(DomainError::internal)?,
            )
        }
    };
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    Ok(Outcome::structured(&json!({ "items": rows, "next_cursor": next_cursor }))?.touching(ids))
}

/// Somebody on their way to be invited.
#[derive(Debug, Serialize, Deserialize)]
struct Inviting {
    email: String,
    name: String,
    role: Role,
    channels: Vec<String>,
    days: i64,
    once: Option<Once>,
    replay: Option<Value>,
}

async fn plan_invite(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let arguments = call.arguments.as_map();
    let text = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let (email, name) = (text("email").trim().to_owned(), text("name").trim().to_owned());
    let role = if text("role") == "admin" {
        Role::Admin
    } else {
        Role::Member
    };
    if !call.principal().facts().role.commands(role) {
        return Err(DomainError::Rule(
            "you cannot invite somebody with a role above your own".to_owned(),
        ));
    }
    if email.parse::<lettre::Address>().is_err() {
        return Err(DomainError::argument("email: must be an e-mail address"));
    }
    let channels = match arguments.get("channels") {
        Some(names) => channel_ids(tx, names).await?,
        None => Vec::new(),
    };
    let tool = call.grant.tool().name.as_str();
    let (once, replay) = match once::look(tx, call.principal(), tool, arguments, call.now).await? {
        Seen::NoKey => (None, None),
        Seen::New(once) => (Some(once), None),
        Seen::Before(result) => (None, Some(result)),
    };
    if replay.is_none() && tx.users().find_by_email(&email).await?.is_some() {
        return Err(DomainError::Conflict(format!(
            "{email} is a member already; change them with update_member"
        )));
    }
    let days = arguments
        .get("expires_in_days")
        .and_then(Value::as_i64)
        .unwrap_or(7);
    let mut plan = Plan::new(format!("Invite {email} as {}", role.as_str()))
        .with(Change::create(Member::NAME, "email", email.as_str()))
        .with(Change::create(Member::NAME, "role", role.as_str()));
    if !name.is_empty() {
        plan = plan.with(Change::create(Member::NAME, "name", name.as_str()));
    }
    if !channels.is_empty() {
        plan = plan.with(Change::create(Member::NAME, "channels", json!(channels)));
    }
    plan.with_effect(format!(
        "a mail with a link that is good for {days} days is sent to {email}"
    ))
    .carrying(&Inviting {
        email,
        name,
        role,
        channels,
        days,
        once,
        replay,
    })
}

async fn invite(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let wanted: Inviting = apply.plan.payload()?;
    if let Some(result) = wanted.replay {
        return once::replayed(result);
    }
    let facts = apply.permit.principal().facts();
    tx.users().lock().await?;
    if tx.invitations().list_open().await?.len() >= MOST_OPEN {
        return Err(DomainError::Rule(format!(
            "{MOST_OPEN} invitations are open; take some back first"
        )));
    }
    // Nobody is ever shown this one: the mail brings another.
    let token = InvitationToken::new().map_err(DomainError::internal)?;
    let new = NewInvitation {
        id: new_id("inv", tx.now()),
        hash: token.hash(),
        email: wanted.email.clone(),
        role: wanted.role,
        groups: Vec::new(),
        invited_by: Some(facts.user.clone()),
        expires_at: tx.now().plus_millis(wanted.days * DAY_MS),
    };
    let made = tx.invitations().insert(&new).await?;
    let who = Who::of(apply.permit.principal());
    let mut change = NewChange::new(who.actor(), "invitation.make", "invitation", &made.id);
    change.after = Some(json!({ "email": made.email, "role": made.role, "expires_at": made.expires_at }));
    tx.log_change(change);
    await_member(tx, &made, &wanted, &who).await?;
    let letter = Letter {
        subject: format!("You are invited to {}", tx.tenant()),
        text: format!(
            "{}you are invited to work in {}. Follow this link, which is good for {} days, and choose a password:",
            if wanted.name.is_empty() {
                String::new()
            } else {
                format!("{}, ", wanted.name)
            },
            tx.tenant(),
            wanted.days,
        ),
        path: "/console/members".to_owned(),
    };
    let to = Recipients::Invited {
        invitation: made.id.clone(),
        address: made.email.clone(),
    };
    let data = json!({ "invitation": made.id, "role": made.role });
    let event = outbox::Event::new("member.invited", tx.now(), data, letter, to);
    let delivery = json!({ "id": event.id, "adapter": "smtp", "status": "queued" });
    outbox::announce(tx, event).await?;
    let mut row = of_invitation(&made, wanted.channels);
    row.name = wanted.name;
    let result = json!({ "member": row, "delivery": delivery });
    once::answer(tx, wanted.once.as_ref(), result, [made.id]).await
}

/// Remembers what the workspace will know of somebody who has not come yet, under their address.
async fn await_member(
    tx: &mut TenantTx<'_>,
    invitation: &Invitation,
    wanted: &Inviting,
    who: &Who,
) -> Result<(), DomainError> {
    let member = Member {
        email: wanted.email.clone(),
        name: wanted.name.clone(),
        role: wanted.role.as_str().to_owned(),
        status: MemberStatus::Invited,
        channels: wanted.channels.clone(),
        ..Member::default()
    };
    let address = FieldValue::from(fold(&wanted.email));
    let known = tx.records(Member::NAME).find_unique("email", &address).await?;
    match known.as_ref().map(Stored::<Member>::of).transpose()? {
        Some(known) => {
            record::update(tx, &known.id, &Document::new(member), None, who).await?;
        }
        None => {
            record::insert_as(tx, &invitation.id, Document::new(member), who).await?;
        }
    }
    Ok(())
}
