//! `list_leads`, `get_lead`, `create_lead`, `update_lead`, `convert_lead`.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    domain::{
        Apply, Call, Change, DomainError, HandlerResult, Outcome, Plan, PlanCall, ToolResult,
        workspace::{
            history,
            kinds::{conversation::Conversation, lead::Lead, note::CrmNote},
            listing::{Filter, Filters},
            record::{self, Document, Kind, Stored, Who},
            refs, related,
            write::{self, Carried, object},
        },
    },
    store::{ReadTx, TenantTx},
};

/// What leads are filtered by.
pub(super) const FILTERS: Filters = &[
    ("status", "status", Filter::Word),
    ("source", "source", Filter::Word),
    ("owner", "owner", Filter::Person),
];

#[derive(Debug, Deserialize)]
struct GetArguments {
    id: String,
    include: Vec<String>,
}

/// One lead with what is asked for besides.
pub(super) async fn get(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments: GetArguments = call.arguments.parse()?;
    let lead: Stored<Lead> = refs::get(&mut tx.reading(), &arguments.id, true).await?;
    let mut out = object(Lead::NAME, lead.view()?);
    for part in &arguments.include {
        let value = match part.as_str() {
            "notes" => related::notes(tx, &lead.id, 25).await?,
            "history" => history::of(tx, &lead, 50).await?.into(),
            _ => {
                // Of whoever wrote before being a contact, and after.
                let contact = lead.fields().converted_to.as_deref();
                let mut found = related::by::<Conversation>(tx, "lead_id", &lead.id, 10).await?;
                if let Some(contact) = contact {
                    found.extend(related::by::<Conversation>(tx, "contact_id", contact, 10).await?);
                }
                related::summaries(&found)?
            }
        };
        out.insert(part.clone(), value);
    }
    Ok(Outcome::structured(&out)?.touching([lead.id]))
}

/// Plans a lead, perhaps with a first note.
pub(super) async fn plan_create(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let note = call.arguments.as_map().get("note").and_then(Value::as_str);
    let note = note.map(str::to_owned);
    let writing = write::create::<Lead>(tx, &call).await?;
    let lead = &writing.doc.fields;
    let company = lead
        .company
        .as_ref()
        .map_or_else(String::new, |company| format!(" ({company})"));
    let summary = format!("Create {}{company}", lead.label());
    let plan = writing.plan(&summary, &note)?;
    Ok(match note {
        Some(note) => plan.with(Change::create(CrmNote::NAME, "body", note)),
        None => plan,
    })
}

/// Adds what was planned.
pub(super) async fn create(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    if let Some(result) = carried.replayed()? {
        return Ok(result);
    }
    let lead = carried.write::<Lead>(tx, &apply, carried.doc()?).await?;
    if let Some(body) = carried.extra.as_str() {
        let who = Who::of(apply.permit.principal());
        let note = CrmNote {
            object_type: Lead::NAME.to_owned(),
            object_id: lead.id.clone(),
            body: body.to_owned(),
            author: who.name.clone(),
            ..CrmNote::default()
        };
        record::insert(tx, Document::new(note), &who).await?;
    }
    let result = object(Lead::NAME, lead.view()?);
    carried.answer(tx, result, [lead.id]).await
}
