//! `update_member`: role, name, status, channels, out of office; and who takes over the work of somebody who leaves.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    channel_ids,
    members::{OPEN_CONVERSATIONS, OPEN_TICKETS, open_load, open_of, view},
};
use crate::{
    domain::{
        Apply, Change, DomainError, Handlers, Plan, PlanCall, Reader, Shown, ToolResult,
        workspace::{
            kinds::{channel::Channel, conversation::Conversation, member::Member, ticket::Ticket},
            record::{self, Document, Kind, Stored, Who},
            refs,
        },
    },
    store::{NewChange, ReadTx, RecordQuery, TenantTx, User},
    vocabulary::{Role, Scope, UserId},
};

/// Records that change hands in one call. Whoever has more is helped in two.
const MOST_REASSIGNED: u32 = 500;

pub(super) fn register(table: &mut Handlers) {
    table.planned(
        "members::update",
        |tx, call| Box::pin(plan(tx, call)),
        |tx, apply| Box::pin(update(tx, apply)),
    );
}

/// What becomes of a member. What is absent stays.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Changing {
    user: String,
    name: Option<String>,
    role: Option<Role>,
    active: Option<bool>,
    out_of_office: Option<bool>,
    /// Ids of all the channels that they are in.
    channels: Option<Vec<String>>,
    /// Who takes over.
    reassign_to: Option<String>,
}

async fn plan(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let arguments = call.arguments.as_map();
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let me = call.principal().facts().user.clone();
    let user = refs::user(tx, &me, text("id").unwrap_or_default()).await?;
    let scope = Scope::new(Member::READ).map_err(DomainError::internal)?;
    let reader = call.reader(&scope);
    let member = record::find::<Member>(tx, user.id.as_str()).await?;
    let wanted = Changing {
        user: user.id.to_string(),
        name: text("name").filter(|name| *name != user.name).map(str::to_owned),
        role: text("role")
            .and_then(|word| word.parse().ok())
            .filter(|role| *role != user.role),
        active: text("status")
            .map(|word| word == "active")
            .filter(|active| *active == user.disabled_at.is_some()),
        out_of_office: arguments
            .get("out_of_office")
            .and_then(Value::as_bool)
            .filter(|away| {
                *away
                    != member
                        .as_ref()
                        .is_some_and(|member| member.fields().out_of_office)
            }),
        channels: match arguments.get("channels") {
            Some(names) => Some(channel_ids(tx, names).await?),
            None => None,
        },
        reassign_to: match text("reassign_to") {
            Some(text) => Some(successor(tx, &me, &user, text).await?),
            None => None,
        },
    };
    judge(tx, call.principal().facts().role, &me, &user, &wanted).await?;
    let mut plan = changes(&user, &wanted, &reader);
    if let Some(channels) = &wanted.channels {
        for (channel, joins) in moves(tx, &user.id, channels).await? {
            let (from, to) = if joins {
                ("without", "with")
            } else {
                ("with", "without")
            };
            let change = Change::update(
                Channel::NAME,
                channel.id.as_str(),
                "members",
                Shown::open(from),
                to,
            );
            plan = plan
                .with(change)
                .on(Channel::NAME, channel.id.as_str(), channel.version);
        }
    }
    if plan.changes.is_empty() {
        plan = plan.with_warning("nothing would change");
    }
    if wanted.active == Some(false) {
        plan = plan.with_effect("their keys and sessions open nothing from then on");
        let load = open_load(tx, user.id.as_str()).await?;
        if let Some(to) = wanted.reassign_to.as_ref().filter(|_| load > 0) {
            plan = plan.with_effect(format!("{load} open conversations and tickets go to {to}"));
        }
    } else if wanted.role.is_some() {
        plan = plan.with_effect("their keys keep no right that the new role does not allow");
    }
    plan.carrying(&wanted)
}

/// Who takes over, who must be somebody else, and at work.
async fn successor(tx: &mut ReadTx<'_>, me: &UserId, user: &User, text: &str) -> Result<String, DomainError> {
    let to = refs::user(tx, me, text).await?;
    refs::working(&to)?;
    if to.id == user.id {
        return Err(DomainError::Rule("reassign_to: must be somebody else".to_owned()));
    }
    Ok(to.id.to_string())
}

/// The rules of catalogue.md §3.3.
async fn judge(
    tx: &mut ReadTx<'_>,
    mine: Role,
    me: &UserId,
    user: &User,
    wanted: &Changing,
) -> Result<(), DomainError> {
    let rule = |text: &str| Err(DomainError::Rule(text.to_owned()));
    if wanted.role.is_some() && user.id == *me {
        return rule("you cannot change your own role");
    }
    if !mine.commands(user.role) || wanted.role.is_some_and(|role| !mine.commands(role)) {
        return rule("only an owner makes, changes or deactivates an owner");
    }
    let stays = wanted.role.unwrap_or(user.role) == Role::Owner && wanted.active != Some(false);
    if user.role == Role::Owner && user.disabled_at.is_none() && !stays {
        let users = tx.users().list().await?;
        let owners = users
            .iter()
            .filter(|user| user.role == Role::Owner && user.disabled_at.is_none());
        if owners.count() == 1 {
            return rule("the last owner cannot be demoted or deactivated");
        }
    }
    if wanted.active == Some(false) && wanted.reassign_to.is_none() {
        let load = open_load(tx, user.id.as_str()).await?;
        if load > 0 {
            return Err(DomainError::Rule(format!(
                "{} has {load} open conversations and tickets; name who takes them with reassign_to",
                refs::person(user)
            )));
        }
    }
    Ok(())
}

fn changes(user: &User, wanted: &Changing, reader: &Reader) -> Plan {
    let mut plan = Plan::new(format!("Change member {}", reader.text(&refs::person(user))));
    let status = |active: bool| if active { "active" } else { "deactivated" };
    let fields = [
        wanted
            .name
            .as_ref()
            .map(|name| ("name", json!(user.name), json!(name))),
        wanted.role.map(|role| ("role", json!(user.role), json!(role))),
        wanted
            .active
            .map(|active| ("status", json!(status(!active)), json!(status(active)))),
        wanted
            .out_of_office
            .map(|away| ("out_of_office", json!(!away), json!(away))),
    ];
    for (field, from, to) in fields.into_iter().flatten() {
        plan = plan.with(Change::update(
            Member::NAME,
            user.id.as_str(),
            field,
            reader.show(from),
            to,
        ));
    }
    plan
}

/// The channels that a person joins (`true`) and leaves, to be in exactly these.
async fn moves(
    tx: &mut ReadTx<'_>,
    user: &UserId,
    wanted: &[String],
) -> Result<Vec<(Stored<Channel>, bool)>, DomainError> {
    let query = RecordQuery {
        descending: false,
        limit: MOST_REASSIGNED,
        ..RecordQuery::default()
    };
    let mut moves = Vec::new();
    for record in tx.records(Channel::NAME).list(&query).await?.records {
        let channel = Stored::<Channel>::of(&record)?;
        let is_in = channel
            .fields()
            .members
            .iter()
            .any(|member| member == user.as_str());
        let shall = wanted.contains(&channel.id);
        if is_in != shall {
            moves.push((channel, shall));
        }
    }
    Ok(moves)
}

async fn update(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let wanted: Changing = apply.plan.payload()?;
    let facts = apply.permit.principal().facts();
    let (mine, me) = (facts.role, facts.user.clone());
    let who = Who::of(apply.permit.principal());
    tx.users().lock().await?;
    let id = UserId::new(&wanted.user).map_err(DomainError::internal)?;
    let found = tx.users().find(&id).await?;
    let user = found.ok_or_else(|| DomainError::not_found("member", wanted.user.as_str()))?;
    // Under the lock: of two owners who shut each other out, the second finds themselves shut out.
    judge(&mut tx.reading(), mine, &me, &user, &wanted).await?;
    let narrowed = wanted.active == Some(false) || wanted.role.is_some_and(|role| !role.commands(user.role));
    let keys_narrowed = if narrowed {
        tx.keys().count_live(&id).await?
    } else {
        0
    };
    change_user(tx, &user, &wanted, &who).await?;
    if let Some(away) = wanted.out_of_office {
        set_away(tx, &user, away, &who).await?;
    }
    if let Some(channels) = &wanted.channels {
        for (channel, joins) in moves(&mut tx.reading(), &id, channels).await? {
            let mut doc = channel.doc.clone();
            if joins {
                doc.fields.members.push(id.to_string());
            } else {
                doc.fields.members.retain(|member| member != id.as_str());
            }
            record::update(tx, &channel.id, &doc, Some(channel.version), &who).await?;
        }
    }
    let (mut conversations, mut tickets) = (0, 0);
    if let Some(to) = &wanted.reassign_to {
        conversations =
            reassign::<Conversation>(tx, &id, to, &OPEN_CONVERSATIONS, &who, |conversation, to| {
                conversation.assignee = Some(to);
            })
            .await?;
        tickets = reassign::<Ticket>(tx, &id, to, &OPEN_TICKETS, &who, |ticket, to| {
            ticket.assignee = Some(to);
        })
        .await?;
    }
    let user = tx.users().find(&id).await?.unwrap_or(user);
    let result = json!({
        "member": view(tx, &user).await?,
        "reassigned": { "conversations": conversations, "tickets": tickets },
        "keys_narrowed": keys_narrowed,
    });
    Ok(ToolResult::structured(&result)?.touching([wanted.user]))
}

/// Changes the user themselves; every change is a line of the change log, as at the other doors.
async fn change_user(
    tx: &mut TenantTx<'_>,
    user: &User,
    wanted: &Changing,
    who: &Who,
) -> Result<(), DomainError> {
    let mut lines = Vec::new();
    if let Some(role) = wanted.role {
        tx.users().set_role(&user.id, role).await?;
        lines.push(("user.role", json!({ "role": user.role }), json!({ "role": role })));
    }
    if let Some(name) = &wanted.name {
        tx.users().set_name(&user.id, name).await?;
        lines.push(("user.name", json!({ "name": user.name }), json!({ "name": name })));
    }
    match wanted.active {
        Some(false) => {
            tx.users().disable(&user.id).await?;
            lines.push((
                "user.disable",
                json!({ "active": true }),
                json!({ "active": false }),
            ));
        }
        Some(true) => {
            tx.users().enable(&user.id).await?;
            lines.push((
                "user.enable",
                json!({ "active": false }),
                json!({ "active": true }),
            ));
        }
        None => {}
    }
    for (action, before, after) in lines {
        let mut change = NewChange::new(who.actor(), action, "user", user.id.as_str());
        (change.before, change.after) = (Some(before), Some(after));
        tx.log_change(change);
    }
    Ok(())
}

async fn set_away(tx: &mut TenantTx<'_>, user: &User, away: bool, who: &Who) -> Result<(), DomainError> {
    let known = record::find::<Member>(&mut tx.reading(), user.id.as_str()).await?;
    match known {
        Some(known) => {
            let mut doc = known.doc.clone();
            doc.fields.out_of_office = away;
            record::update(tx, &known.id, &doc, Some(known.version), who).await?;
        }
        None => {
            let member = Member {
                email: user.email.clone(),
                name: user.name.clone(),
                role: user.role.as_str().to_owned(),
                out_of_office: away,
                ..Member::default()
            };
            record::insert_as(tx, user.id.as_str(), Document::new(member), who).await?;
        }
    }
    Ok(())
}

/// Gives what somebody has open to somebody else; gives how many records that were.
async fn reassign<K: Kind>(
    tx: &mut TenantTx<'_>,
    from: &UserId,
    to: &str,
    statuses: &[&str],
    who: &Who,
    set: fn(&mut K, String),
) -> Result<usize, DomainError> {
    let query = RecordQuery {
        conditions: open_of(from.as_str(), statuses),
        limit: MOST_REASSIGNED,
        ..RecordQuery::default()
    };
    let found = tx.records(K::NAME).list(&query).await?.records;
    for record in &found {
        let stored = Stored::<K>::of(record)?;
        let mut doc = stored.doc.clone();
        set(&mut doc.fields, to.to_owned());
        doc.fields.settle(Some(stored.fields()), tx.now())?;
        record::update(tx, &stored.id, &doc, Some(stored.version), who).await?;
    }
    Ok(found.len())
}
