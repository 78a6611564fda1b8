//! The help desk: tools of every kind that can be confirmed, over real records, and letters that leave the store.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use footbridge_server::{
    domain::{
        Apply, Change, DomainError, Handlers, Outcome, Plan, PlanCall, Reader, TenantStore, ToolResult,
    },
    store::{Condition, Draft, Field, ReadTx, Record, TenantTx},
    vocabulary::{Scope, Timestamp, new_id},
};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const TICKET: &str = "ticket";

/// What left the store: one entry for each letter. A test that holds the lock holds the letters up.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) letters: Mutex<Vec<String>>,
    /// Letters that were begun.
    pub(crate) begun: AtomicU32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ticket {
    title: String,
    status: String,
    priority: String,
}

#[derive(Debug, Deserialize)]
struct Open {
    title: String,
    priority: String,
}

#[derive(Debug, Deserialize)]
struct One {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Rename {
    id: String,
    title: String,
}

#[derive(Debug, Deserialize)]
struct Letter {
    id: String,
    text: String,
}

/// What is written, and where.
#[derive(Debug, Serialize, Deserialize)]
struct Write {
    id: Option<String>,
    ticket: Ticket,
}

/// Adds this file's handlers.
pub(crate) fn register(handlers: &mut Handlers, desk: &Arc<Desk>) {
    handlers.read("desk::get", |tx, call| {
        async move {
            let One { id } = call.arguments.parse()?;
            let found = tx.records(TICKET).find(&id).await?;
            let record = found.ok_or_else(|| DomainError::not_found(TICKET, id))?;
            Outcome::structured(&json!({ "ticket": view(&record)? }))
        }
        .boxed()
    });
    handlers.planned(
        "desk::open",
        |tx, call| plan_open(tx, call).boxed(),
        |tx, apply| write(tx, apply).boxed(),
    );
    handlers.planned(
        "desk::close",
        |tx, call| async move { change(tx, call, "status", "closed").await }.boxed(),
        |tx, apply| write(tx, apply).boxed(),
    );
    handlers.planned(
        "desk::escalate",
        |tx, call| async move { change(tx, call, "priority", "urgent").await }.boxed(),
        |tx, apply| write(tx, apply).boxed(),
    );
    handlers.planned(
        "desk::rename",
        |tx, call| plan_rename(tx, call).boxed(),
        |tx, apply| write(tx, apply).boxed(),
    );
    handlers.planned(
        "desk::delete",
        |tx, call| plan_delete(tx, call).boxed(),
        |tx, apply| delete(tx, apply).boxed(),
    );
    let desk = Arc::clone(desk);
    handlers.planned_task(
        "desk::send",
        |tx, call| plan_letter(tx, call).boxed(),
        move |store, apply| send(Arc::clone(&desk), store, apply).boxed(),
    );
}

fn reader(call: &PlanCall) -> Result<Reader, DomainError> {
    Ok(call.reader(&Scope::new("desk:read").map_err(DomainError::internal)?))
}

async fn plan_open(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let Open { title, priority } = call.arguments.parse()?;
    let same = tx
        .records(TICKET)
        .count(&[Condition::is("title", title.as_str())], 1)
        .await?;
    let ticket = Ticket {
        title,
        status: "open".to_owned(),
        priority,
    };
    let mut plan = Plan::new(format!("Open ticket {:?}", ticket.title))
        .with(Change::create(TICKET, "title", ticket.title.as_str()))
        .with(Change::create(TICKET, "priority", ticket.priority.as_str()));
    if same > 0 {
        plan = plan.with_warning("there is a ticket of this title already");
    }
    plan.carrying(&Write { id: None, ticket })
}

async fn find(tx: &mut ReadTx<'_>, id: &str) -> Result<(Record, Ticket), DomainError> {
    let found = tx.records(TICKET).find(id).await?;
    let record = found.ok_or_else(|| DomainError::not_found(TICKET, id))?;
    let ticket = record.parse()?;
    Ok((record, ticket))
}

/// One field of one ticket gets one value.
async fn change(
    tx: &mut ReadTx<'_>,
    call: PlanCall,
    field: &'static str,
    to: &'static str,
) -> Result<Plan, DomainError> {
    let reader = reader(&call)?;
    let One { id } = call.arguments.parse()?;
    let (record, mut ticket) = find(tx, &id).await?;
    let old = match field {
        "status" => std::mem::replace(&mut ticket.status, to.to_owned()),
        _ => std::mem::replace(&mut ticket.priority, to.to_owned()),
    };
    if old == to {
        return Err(DomainError::Rule(format!("the ticket's {field} is {to} already")));
    }
    Plan::new(format!(
        "Set {field} of ticket {:?} to {to}",
        reader.text(&ticket.title)
    ))
    .with(Change::update(TICKET, id.as_str(), field, reader.show(old), to))
    .on(TICKET, id.as_str(), record.version)
    .carrying(&Write { id: Some(id), ticket })
}

async fn plan_rename(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let reader = reader(&call)?;
    let Rename { id, title } = call.arguments.parse()?;
    let (record, mut ticket) = find(tx, &id).await?;
    let old = std::mem::replace(&mut ticket.title, title);
    let from = reader.show(old);
    Plan::new(format!("Rename ticket {id}"))
        .with(Change::update(
            TICKET,
            id.as_str(),
            "title",
            from,
            ticket.title.as_str(),
        ))
        .on(TICKET, id.as_str(), record.version)
        .carrying(&Write { id: Some(id), ticket })
}

async fn write(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let Write { id, ticket } = apply.plan.payload()?;
    let actor = apply.permit.principal().facts().user.to_string();
    let draft = Draft::of(&ticket)?
        .with(Field::new("title", ticket.title.as_str()))
        .with(Field::new("status", ticket.status.as_str()));
    let written = match id {
        None => {
            let id = new_id("tkt", tx.now());
            Some(tx.records(TICKET).insert(&id, &draft, &actor).await?)
        }
        Some(id) => {
            let version = apply.plan.version_of(TICKET, &id);
            tx.records(TICKET).update(&id, &draft, version, &actor).await?
        }
    };
    let record = written.ok_or_else(|| DomainError::not_found(TICKET, "that was there"))?;
    Ok(ToolResult::structured(&json!({ "ticket": view(&record)? }))?.touching([record.id]))
}

async fn plan_delete(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let reader = reader(&call)?;
    let One { id } = call.arguments.parse()?;
    let (record, ticket) = find(tx, &id).await?;
    Ok(
        Plan::new(format!("Delete ticket {:?}", reader.text(&ticket.title)))
            .with(Change::delete(TICKET, id.as_str()))
            .on(TICKET, id, record.version),
    )
}

async fn delete(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let id = apply.plan.changes.first().and_then(|change| change.id.clone());
    let id = id.ok_or_else(|| DomainError::Rule("a plan to delete names what it deletes".to_owned()))?;
    let actor = apply.permit.principal().facts().user.to_string();
    let version = apply.plan.version_of(TICKET, &id);
    if !tx.records(TICKET).delete(&id, version, &actor).await? {
        return Err(DomainError::not_found(TICKET, id));
    }
    Ok(ToolResult::structured(&json!({ "deleted": id }))?.touching([id]))
}

async fn plan_letter(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let Letter { id, text } = call.arguments.parse()?;
    let (record, _) = find(tx, &id).await?;
    Plan::new(format!("Send a letter about ticket {id}"))
        .with(Change::create("letter", "text", text.as_str()))
        .with_effect("a letter leaves the building")
        .on(TICKET, id, record.version)
        .carrying(&text)
}

async fn send(desk: Arc<Desk>, store: TenantStore, apply: Apply) -> Result<ToolResult, DomainError> {
    let text: String = apply.plan.payload()?;
    if text == "refuse" {
        return Err(DomainError::Rule("the postman will not take it".to_owned()));
    }
    desk.begun.fetch_add(1, Ordering::SeqCst);
    let mut letters = desk.letters.lock().await;
    letters.push(format!("{}: {text}", store.tenant()));
    let sent = letters.len();
    ToolResult::structured(&json!({ "sent": sent }))
}

fn view(record: &Record) -> Result<Value, DomainError> {
    let Ticket {
        title,
        status,
        priority,
    } = record.parse()?;
    let updated_at: Timestamp = record.updated_at;
    Ok(json!({
        "id": record.id, "version": record.version, "title": title, "status": status, "priority": priority,
        "updated_at": updated_at,
    }))
}
