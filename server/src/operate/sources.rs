//! Adding, listing and removing folders of notes. Only an operator names a folder of the machine; tools know
//! sources by name.

use std::path::Path;

use futures_util::FutureExt;

use super::{OperateError, Standing, note, tenants::prepare_tenant};
use crate::{
    domain::context::{
        Context,
        scan::{Connector, Filter, Limits, ScanError, scan},
        source::{INBOX_NAME, SourceConfig, SourceSpec, is_source_name},
        sync::SyncError,
    },
    store::{SourceCount, Store, StoreError},
    vocabulary::TenantId,
};

/// A folder to be added.
#[derive(Clone, Debug)]
pub struct NewSource {
    /// The name that people and tools will know it by.
    pub name: String,
    /// What reads it; absent: a vault if it has the mark of one, else plain files.
    pub connector: Option<Connector>,
    /// Globs of files to read; none means all of a readable type.
    pub include: Vec<String>,
    /// Globs to leave out.
    pub exclude: Vec<String>,
}

/// A source and how much of it is in the index.
#[derive(Clone, Debug)]
pub struct SourceRow {
    /// The source.
    pub spec: SourceSpec,
    /// Files in the index.
    pub entities: i64,
    /// Their chunks.
    pub chunks: i64,
}

/// Adds a folder as a source of a tenant. Its files come into the index with the next synchronisation.
///
/// # Errors
/// When the folder is missing, is none or cannot be read, the name is taken or not one, a glob cannot be read,
/// or the tenant has an inbox already. Every text names the way out.
pub async fn add(
    store: &Store,
    tenant: &TenantId,
    folder: &Path,
    new: NewSource,
) -> Result<SourceSpec, OperateError> {
    check_name(&new)?;
    let (folder, connector) = {
        let (folder, new) = (folder.to_owned(), new.clone());
        tokio::task::spawn_blocking(move || check_folder(&folder, &new))
            .await
            .map_err(|_| StoreError::Work("panicked"))??
    };
    let config = SourceConfig {
        folder: Some(folder),
        include: new.include,
        exclude: new.exclude,
    };
    let config = serde_json::to_value(config).map_err(|error| OperateError::Rule(error.to_string()))?;
    let (tenant, name) = (tenant.clone(), new.name);
    let row =
        store
            .system_write(move |tx| {
                async move {
                prepare_tenant(tx, &tenant).await?;
                let mut tx = tx.within(&tenant);
                let known = tx.notes().sources().await?;
                if known.iter().any(|source| source.id == name) {
                    return Err(OperateError::Rule(format!(
                        "there is a source `{name}` already; choose another name, or remove it first with \
                         `footbridge-server source remove {name}`"
                    )));
                }
                let inbox = known.iter().find(|source| source.kind == Connector::Inbox.as_str());
                if let (Connector::Inbox, Some(inbox)) = (connector, inbox) {
                    return Err(OperateError::Rule(format!(
                        "the tenant has an inbox already, the source `{0}`; remove it first with \
                         `footbridge-server source remove {0}`, its files stay",
                        inbox.id
                    )));
                }
                let row = tx.notes().put_source(&name, connector.as_str(), &config).await?;
                note(&mut tx, &Standing::Operator, "source.add", &name, None, None);
                Ok(row)
            }
            .boxed()
            })
            .await?;
    SourceSpec::of(row).ok_or_else(|| OperateError::Store(StoreError::Work("stored a source it cannot read")))
}

fn check_name(new: &NewSource) -> Result<(), OperateError> {
    if !is_source_name(&new.name) {
        return Err(OperateError::Rule(format!(
            "`{}` cannot name a source; use 1-64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
            new.name
        )));
    }
    if new.name == INBOX_NAME && new.connector != Some(Connector::Inbox) {
        return Err(OperateError::Rule(format!(
            "the name `{INBOX_NAME}` is kept for the folder that assistants write to; choose another name, or add \
             this folder as the inbox with `--kind inbox`"
        )));
    }
    Ok(())
}

/// The folder's absolute path, and its connector.
fn check_folder(folder: &Path, new: &NewSource) -> Result<(String, Connector), OperateError> {
    let shown = folder.display();
    let filter = Filter::new(&new.include, &new.exclude).map_err(|error| match error {
        ScanError::Glob { glob, source } => OperateError::Rule(format!(
            "the glob `{glob}` cannot be read: {source}; write for example `**/*.md`"
        )),
        other => OperateError::Rule(other.to_string()),
    })?;
    // Opened and listed as a synchronisation will do it, by whoever runs this command.
    let limits = Limits::default();
    scan(folder, filter, limits, std::time::SystemTime::now(), |_| None).map_err(|error| {
        OperateError::Rule(match error {
            ScanError::Missing { .. } => format!(
                "there is no folder {shown}; create it, or name another: footbridge-server source add {} FOLDER",
                new.name
            ),
            ScanError::NotAFolder { .. } => format!("{shown} is a file; name the folder that it is in"),
            ScanError::Unreadable { source, .. } => format!(
                "the folder {shown} cannot be read ({}); let this user read it, for example with \
                 `chmod u+rx {shown}`",
                source.kind()
            ),
            ScanError::Glob { .. } => error.to_string(),
        })
    })?;
    let absolute = folder
        .canonicalize()
        .map_err(|error| OperateError::Rule(format!("the folder {shown} cannot be found: {error}")))?;
    let connector = new.connector.unwrap_or_else(|| {
        if absolute.join(".obsidian").is_dir() {
            Connector::Obsidian
        } else {
            Connector::LocalFiles
        }
    });
    let absolute = absolute
        .into_os_string()
        .into_string()
        .map_err(|_| OperateError::Rule(format!("the name of {shown} is not UTF-8; rename the folder")))?;
    Ok((absolute, connector))
}

/// The sources of a tenant, by name.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(store: &Store, tenant: &TenantId) -> Result<Vec<SourceRow>, OperateError> {
    store
        .read(tenant, |tx| {
            async move {
                let rows = tx.notes().sources().await?;
                let counts = tx.notes().source_counts().await?;
                let count = |name: &str, part: fn(&SourceCount) -> i64| {
                    counts.iter().find(|count| count.id == name).map_or(0, part)
                };
                Ok(rows
                    .into_iter()
                    .filter_map(SourceSpec::of)
                    .map(|spec| SourceRow {
                        entities: count(&spec.name, |count| count.entities),
                        chunks: count(&spec.name, |count| count.chunks),
                        spec,
                    })
                    .collect())
            }
            .boxed()
        })
        .await
}

/// Removes a source and what the index holds of it; its files stay. Gives how many left the index.
///
/// # Errors
/// When there is none of that name, or the store fails.
pub async fn remove(
    context: &Context,
    store: &Store,
    tenant: &TenantId,
    name: &str,
) -> Result<u64, OperateError> {
    let wanted = name.to_owned();
    store
        .write(tenant, move |tx| {
            async move {
                if !tx.notes().remove_source(&wanted).await? {
                    return Err(no_source(&wanted));
                }
                note(tx, &Standing::Operator, "source.remove", &wanted, None, None);
                Ok(())
            }
            .boxed()
        })
        .await?;
    Ok(context.bury_orphans(tenant).await?)
}

/// A failed synchronisation, said to an operator.
impl From<SyncError> for OperateError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::NoSource(name) => no_source(&name),
            SyncError::Stopped => Self::Rule(error.to_string()),
            SyncError::Store(error) => Self::Store(error),
        }
    }
}

fn no_source(name: &str) -> OperateError {
    OperateError::NotFound(format!(
        "there is no source `{name}` in this tenant; see `footbridge-server source list`"
    ))
}
