//! `inbox_put`: a note from an assistant becomes a file in the tenant's inbox.

use std::{path::PathBuf, sync::Arc};

use cap_std::{ambient_authority, fs::Dir};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::memories::check_metadata;
use crate::{
    access::Principal,
    domain::{
        Apply, Change, DomainError, Plan, PlanCall, TenantStore, ToolResult,
        context::{
            Context,
            inbox::{self, InboxError, Note},
            scan::Connector,
            source::{INBOX_NAME, SourceConfig, SourceSpec},
            sync::SyncMode,
        },
    },
    store::StoreError,
};

#[derive(Debug, Serialize, Deserialize)]
struct PutArguments {
    content: String,
    title: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    metadata: Map<String, Value>,
    filename: Option<String>,
    extension: String,
    sync_immediately: bool,
}

#[derive(Debug, Serialize)]
struct PutAnswer {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<String>,
}

/// Plans to write a note.
pub(super) fn plan_put(call: PlanCall) -> Result<Plan, DomainError> {
    let arguments: PutArguments = call.arguments.parse()?;
    check_metadata(&arguments.metadata)?;
    let named = arguments.title.as_deref().or(arguments.filename.as_deref());
    let mut plan = Plan::new(match named {
        Some(name) => format!("Write the note {name:?} into the inbox"),
        None => "Write a note into the inbox".to_owned(),
    });
    for (field, value) in [("title", &arguments.title), ("filename", &arguments.filename)] {
        if let Some(value) = value {
            plan = plan.with(Change::create("note", field, value.as_str()));
        }
    }
    plan = plan.with(Change::create("note", "content", arguments.content.as_str()));
    if !arguments.tags.is_empty() {
        plan = plan.with(Change::create("note", "tags", arguments.tags.as_slice()));
    }
    if !arguments.metadata.is_empty() {
        plan = plan.with(Change::create("note", "metadata", arguments.metadata.clone()));
    }
    if arguments.sync_immediately {
        plan = plan.with_effect("the inbox is synchronised at once");
    }
    plan.carrying(&arguments)
}

/// Writes a note; with `sync_immediately` it is in the index before the answer.
pub(super) async fn put(
    context: Arc<Context>,
    store: TenantStore,
    apply: Apply,
) -> Result<ToolResult, DomainError> {
    let agent = agent(apply.permit.principal());
    let arguments: PutArguments = apply.plan.payload()?;
    let source = inbox_of(&store).await?;
    let root = source.root(&context.folder, store.tenant());
    let (now, sync) = (apply.now, arguments.sync_immediately);
    let path = tokio::task::spawn_blocking(move || write(&root, &agent, &arguments, now))
        .await
        .map_err(DomainError::internal)??;
    let mut entity_id = None;
    if sync {
        let nobody = Arc::new(|_: &_| {});
        context
            .sync_source(store.tenant(), Some(&source.name), SyncMode::Now, nobody)
            .await?;
        let (name, place) = (source.name, path.clone());
        let entity = store
            .read(move |tx| Box::pin(async move { tx.notes().find_entity_at(&name, &place).await }))
            .await?;
        entity_id = entity.map(|entity| entity.id);
    }
    let touched = entity_id.clone();
    Ok(ToolResult::structured(&PutAnswer { path, entity_id })?.touching(touched))
}

/// The tenant's inbox: the source of that kind, made at the first note.
async fn inbox_of(store: &TenantStore) -> Result<SourceSpec, DomainError> {
    let find = |rows: Vec<crate::store::Source>| {
        rows.into_iter()
            .filter_map(SourceSpec::of)
            .find(|source| source.connector == Connector::Inbox)
    };
    let rows = store
        .read(|tx| Box::pin(async move { tx.notes().sources().await }))
        .await?;
    if let Some(inbox) = find(rows) {
        return Ok(inbox);
    }
    let made = store
        .write(|tx| {
            Box::pin(async move {
                let config = serde_json::to_value(SourceConfig::default())
                    .map_err(|_| StoreError::Work("wrote a configuration that has no JSON form"))?;
                tx.notes()
                    .put_source(INBOX_NAME, Connector::Inbox.as_str(), &config)
                    .await
            })
        })
        .await?;
    find(vec![made])
        .ok_or_else(|| DomainError::Conflict("the inbox was changed meanwhile; try again".to_owned()))
}

fn write(
    root: &PathBuf,
    agent: &str,
    arguments: &PutArguments,
    now: crate::vocabulary::Timestamp,
) -> Result<String, DomainError> {
    std::fs::create_dir_all(root).map_err(DomainError::internal)?;
    let dir = Dir::open_ambient_dir(root, ambient_authority()).map_err(DomainError::internal)?;
    let note = Note {
        agent,
        content: &arguments.content,
        title: arguments.title.as_deref(),
        tags: &arguments.tags,
        metadata: &arguments.metadata,
        filename: arguments.filename.as_deref(),
        extension: &arguments.extension,
    };
    inbox::put(&dir, &note, now).map_err(|error| match error {
        InboxError::Extension(_) | InboxError::FrontMatter(_) => DomainError::argument(error.to_string()),
        InboxError::Crowded => DomainError::Conflict(error.to_string()),
        InboxError::Disk(_) => DomainError::internal(error),
    })
}

/// Who writes, as a folder's name: the part of the owner's address before the `@`.
fn agent(principal: &Principal) -> String {
    let email = &principal.facts().email;
    email.split('@').next().unwrap_or(email).to_owned()
}
