//! `add_crm_note` and `delete_crm_record`, for leads, contacts, accounts and opportunities alike.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    domain::{
        Apply, Change, DomainError, Plan, PlanCall, ToolResult,
        workspace::{
            grammar,
            kinds::{
                account::Account, contact::Contact, lead::Lead, note::CrmNote, opportunity::Opportunity,
            },
            record::{self, Document, Kind, Stored, Who},
            refs::{self, Named},
            restore::KEPT_MS,
            write::{self, Carried, object},
        },
    },
    store::{Condition, FieldValue, ReadTx, TenantTx},
};

/// Plans a note on a record.
pub(super) async fn plan_note(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let text = |name: &str| {
        let value = call.arguments.as_map().get(name);
        value
            .and_then(|value| value.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let kind = text("object_type");
    let reader = write::reader::<CrmNote>(&call)?;
    let named = refs::record(tx, refs::kind(&kind)?, &text("object_id"), reader.shows()).await?;
    let (id, author) = (named.id.clone(), call.principal().facts().user.to_string());
    let writing = write::create_with::<CrmNote>(tx, &call, |doc| {
        doc.fields.object_id = id;
        doc.fields.author = author;
    })
    .await?;
    let summary = format!(
        "Add {} to the {kind} \"{}\"",
        grammar::a(writing.doc.fields.kind.as_str()),
        reader.text(&named.title)
    );
    writing.plan(&summary, &())
}

/// Adds the note.
pub(super) async fn add_note(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    if let Some(result) = carried.replayed()? {
        return Ok(result);
    }
    let note = carried.write::<CrmNote>(tx, &apply, carried.doc()?).await?;
    let ids = [note.id.clone(), note.fields().object_id.clone()];
    carried.answer(tx, object("note", note.view()?), ids).await
}

#[derive(Debug, Deserialize)]
struct DeleteArguments {
    object_type: String,
    id: String,
    reason: Option<String>,
}

/// A record on its way out.
#[derive(Debug, Serialize, Deserialize)]
struct Deletion {
    object_type: String,
    id: String,
    reason: Option<String>,
}

/// Plans to delete a record that nothing hangs on.
pub(super) async fn plan_delete(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let reader = write::reader::<Lead>(&call)?;
    let arguments: DeleteArguments = call.arguments.parse()?;
    let kind = arguments.object_type.as_str();
    let (named, version) = match kind {
        Account::NAME => of::<Account>(tx, &arguments.id, reader.shows()).await?,
        Contact::NAME => of::<Contact>(tx, &arguments.id, reader.shows()).await?,
        Opportunity::NAME => of::<Opportunity>(tx, &arguments.id, reader.shows()).await?,
        _ => of::<Lead>(tx, &arguments.id, reader.shows()).await?,
    };
    held(tx, kind, &named.id).await?;
    let title = reader.text(&named.title);
    let plan = Plan::new(format!("Delete the {kind} \"{title}\""))
        .with(Change::delete(kind.to_owned(), named.id.as_str()))
        .with_effect("an operator can bring it back for 30 days");
    let name = refs::kind(kind)?.name;
    plan.on(name, named.id.as_str(), version).carrying(&Deletion {
        object_type: arguments.object_type,
        id: named.id,
        reason: arguments.reason,
    })
}

async fn of<K: Kind>(tx: &mut ReadTx<'_>, text: &str, shows: bool) -> Result<(Named, u32), DomainError> {
    let found: Stored<K> = refs::get(tx, text, shows).await?;
    let title = found.fields().title();
    Ok((Named { id: found.id, title }, found.version))
}

/// Refuses while other records belong to it.
async fn held(tx: &mut ReadTx<'_>, kind: &str, id: &str) -> Result<(), DomainError> {
    let is_open = |field: &str, words: &[&str]| {
        let words = words.iter().map(|word| FieldValue::from(*word)).collect();
        vec![
            Condition::is(field, id),
            Condition::OneOf("status".to_owned(), words),
        ]
    };
    let deals = |field: &str| {
        let open = ["qualification", "proposal", "negotiation"].map(FieldValue::from);
        vec![
            Condition::is(field, id),
            Condition::OneOf("stage".to_owned(), open.into()),
        ]
    };
    let tickets = ["open", "in_progress", "waiting"];
    let what: Vec<(&str, &str, Vec<Condition>)> = match kind {
        Account::NAME => vec![
            ("contact", "contact", vec![Condition::is("account_id", id)]),
            ("opportunity", "open opportunity", deals("account_id")),
            ("ticket", "open ticket", is_open("account_id", &tickets)),
        ],
        Contact::NAME => vec![
            ("opportunity", "open opportunity", deals("contact_id")),
            ("ticket", "open ticket", is_open("requester", &tickets)),
            (
                "conversation",
                "open conversation",
                is_open("contact_id", &["open", "assigned", "waiting"]),
            ),
        ],
        _ => Vec::new(),
    };
    let mut said = Vec::new();
    for (kind, words, conditions) in what {
        match tx.records(kind).count(&conditions, 1_000).await? {
            0 => {}
            many => said.push(grammar::counted(many, words)),
        }
    }
    let all = match said.pop() {
        None => return Ok(()),
        Some(last) if said.is_empty() => last,
        Some(last) => format!("{} and {last}", said.join(", ")),
    };
    Err(DomainError::Conflict(format!(
        "{kind} has {all}; end, move or delete these first"
    )))
}

/// Deletes it; its notes stay with it, the reason among them.
pub(super) async fn delete(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let Deletion {
        object_type,
        id,
        reason,
    } = apply.plan.payload()?;
    let who = Who::of(apply.permit.principal());
    if let Some(reason) = reason {
        let note = CrmNote {
            object_type: object_type.clone(),
            object_id: id.clone(),
            body: format!("Deleted: {reason}"),
            author: who.name.clone(),
            ..CrmNote::default()
        };
        record::insert(tx, Document::new(note), &who).await?;
    }
    let version = apply.plan.version_of(refs::kind(&object_type)?.name, &id);
    let deleted = match object_type.as_str() {
        Account::NAME => record::delete::<Account>(tx, &id, version, &who).await?,
        Contact::NAME => record::delete::<Contact>(tx, &id, version, &who).await?,
        Opportunity::NAME => record::delete::<Opportunity>(tx, &id, version, &who).await?,
        _ => record::delete::<Lead>(tx, &id, version, &who).await?,
    };
    if !deleted {
        return Err(DomainError::not_found(refs::kind(&object_type)?.name, id));
    }
    let until = tx.now().plus_millis(KEPT_MS);
    let result = json!({
        "deleted": true, "object_type": object_type, "id": id, "restorable_until": until,
    });
    Ok(ToolResult::structured(&result)?.touching([id]))
}
