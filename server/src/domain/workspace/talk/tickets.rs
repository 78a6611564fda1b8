//! Opens a ticket: its number, its clocks, its first timer. Every way to a new ticket leads through here.

use crate::{
    domain::{
        DomainError,
        workspace::{
            kinds::{
                conversation::Conversation,
                ticket::{Ticket, TicketStatus},
            },
            record::{self, Document, Kind, Stored, Who},
            sla::{
                rules,
                timers::{self, Timed},
            },
        },
    },
    store::TenantTx,
};

/// The counter of a tenant's tickets.
const NUMBERS: &str = "workspace.ticket";

/// Opens it.
///
/// # Errors
/// When a rule says no, or the store fails.
pub(crate) async fn open(
    tx: &mut TenantTx<'_>,
    mut doc: Document<Ticket>,
    who: &Who,
) -> Result<Stored<Ticket>, DomainError> {
    let now = tx.now();
    doc.fields.settle(None, now)?;
    doc.fields.number = tx.counters().next(NUMBERS).await?;
    let rules = rules::of(&mut tx.reading(), doc.fields.channel_id.as_deref()).await?;
    doc.fields.set_clocks(rules.start(doc.fields.priority, now));
    let made = record::insert(tx, doc, who).await?;
    timers::schedule(tx, &made.id, made.fields()).await?;
    Ok(made)
}

/// Lets the conversation that a ticket came from know of it, unless it has another one.
///
/// # Errors
/// When the store fails.
pub(crate) async fn link(
    tx: &mut TenantTx<'_>,
    ticket: &Stored<Ticket>,
    who: &Who,
) -> Result<(), DomainError> {
    let Some(id) = &ticket.fields().conversation_id else {
        return Ok(());
    };
    let found = record::find::<Conversation>(&mut tx.reading(), id).await?;
    if let Some(found) = found.filter(|found| found.fields().ticket_id.is_none()) {
        let mut doc = found.doc;
        doc.fields.ticket_id = Some(ticket.id.clone());
        record::update(tx, id, &doc, Some(found.version), who).await?;
    }
    Ok(())
}

/// Writes a change of a ticket, whose clocks follow its status and priority.
///
/// # Errors
/// When it is not at `if_version` any more, or the store fails.
pub(crate) async fn save(
    tx: &mut TenantTx<'_>,
    id: &str,
    mut doc: Document<Ticket>,
    if_version: Option<u32>,
    who: &Who,
) -> Result<Stored<Ticket>, DomainError> {
    let before: Stored<Ticket> = record::get(&mut tx.reading(), id).await?;
    if let Some(mut sla) = before.fields().clocks().cloned() {
        let rules = rules::of(&mut tx.reading(), doc.fields.channel_id.as_deref()).await?;
        let now = tx.now();
        if before.fields().priority != doc.fields.priority {
            rules.retarget(&mut sla, doc.fields.priority, now);
        }
        match (before.fields().status, doc.fields.status) {
            (from, to) if from == to => {}
            (from, to) if from.is_done() && !to.is_done() => sla.reopened(now, &rules.calendar),
            (from, to) if to.is_done() && !from.is_done() => sla.resolved(now, &rules.calendar),
            (_, TicketStatus::Waiting) => sla.waits(now, &rules.calendar),
            (TicketStatus::Waiting, _) => sla.goes_on(now, &rules.calendar),
            _ => {}
        }
        doc.fields.set_clocks(sla);
    }
    let written = record::update(tx, id, &doc, if_version, who).await?;
    let written = written.ok_or_else(|| DomainError::not_found(Ticket::NAME, id))?;
    timers::schedule(tx, id, written.fields()).await?;
    Ok(written)
}

/// Somebody outside got an answer about a ticket: the clock of its first response stops.
///
/// # Errors
/// When the store fails.
pub(crate) async fn answered(tx: &mut TenantTx<'_>, id: &str, who: &Who) -> Result<(), DomainError> {
    let Some(found) = record::find::<Ticket>(&mut tx.reading(), id).await? else {
        return Ok(());
    };
    let rules = rules::of(&mut tx.reading(), found.fields().channel_id.as_deref()).await?;
    let Some(mut sla) = found.fields().clocks().cloned() else {
        return Ok(());
    };
    sla.answered(tx.now(), &rules.calendar);
    if found.fields().clocks() == Some(&sla) {
        return Ok(());
    }
    let mut doc = found.doc;
    doc.fields.set_clocks(sla);
    record::update(tx, id, &doc, Some(found.version), who).await?;
    timers::schedule(tx, id, &doc.fields).await
}
