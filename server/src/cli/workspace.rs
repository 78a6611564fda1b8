//! `footbridge-server workspace …`: what an operator does for the team of a workspace.

use anyhow::{Result, bail};
use clap::Subcommand;
use footbridge_server::{domain::workspace::Workspace, operate::boot, store::Store};

use super::{At, print};

#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceCommand {
    /// Bring back a deleted lead, contact, account or opportunity, up to 30 days after it was deleted.
    Restore {
        /// lead, contact, account or opportunity.
        kind: String,
        /// Its id.
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// List, add and remove the tenant's own fields of records.
    #[command(subcommand)]
    Field(FieldCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum FieldCommand {
    /// List the own fields.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Declare an own field. As soon as a kind has one, its records take declared fields alone.
    Add {
        /// lead, contact, account or ticket.
        kind: String,
        /// Letters, digits and _; tools know it as `custom.NAME`.
        name: String,
        /// text, number, boolean, date or choice.
        #[arg(value_name = "TYPE")]
        wanted: String,
        /// The words of a choice.
        choices: Vec<String>,
        #[command(flatten)]
        at: At,
    },
    /// Take a declaration back. Records keep the values that they have.
    Remove {
        /// lead, contact, account or ticket.
        kind: String,
        /// Its name.
        name: String,
        #[command(flatten)]
        at: At,
    },
}

async fn open(at: &At) -> Result<(Store, std::sync::Arc<Workspace>)> {
    let store = at.open().await?;
    let seal = boot::seal_key(&store).await?;
    Ok((store.clone(), Workspace::new(store, seal)))
}

impl WorkspaceCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Restore { kind, id, at } => {
                let (store, workspace) = open(&at).await?;
                let restored = workspace.restore(at.tenant(), &kind, &id).await;
                store.close().await;
                if !restored? {
                    bail!("there is no deleted {kind} {id} in {}", at.tenant());
                }
                Ok(print::line(&format!("restored {kind} {id}"))?)
            }
            Self::Field(command) => command.run().await,
        }
    }
}

impl FieldCommand {
    async fn run(self) -> Result<()> {
        match self {
            Self::List { at } => {
                let (store, workspace) = open(&at).await?;
                let fields = workspace.own_fields(at.tenant()).await;
                store.close().await;
                let rows: Vec<_> = fields?
                    .into_iter()
                    .map(|field| [field.kind, field.name, field.wanted.shown()])
                    .collect();
                Ok(print::table(["KIND", "NAME", "TYPE"], &rows)?)
            }
            Self::Add {
                kind,
                name,
                wanted,
                choices,
                at,
            } => {
                let (store, workspace) = open(&at).await?;
                let added = workspace
                    .add_own_field(at.tenant(), &kind, &name, &wanted, choices)
                    .await;
                store.close().await;
                added?;
                Ok(print::line(&format!("{kind} has the field custom.{name} now"))?)
            }
            Self::Remove { kind, name, at } => {
                let (store, workspace) = open(&at).await?;
                let removed = workspace.remove_own_field(at.tenant(), &kind, &name).await;
                store.close().await;
                if !removed? {
                    bail!("{kind} has no field custom.{name} in {}", at.tenant());
                }
                Ok(print::line(&format!(
                    "{kind} has no field custom.{name} any more"
                ))?)
            }
        }
    }
}
