//! `footbridge-server flow …`: the flows of the workspace edition.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use footbridge_server::{
    domain::workspace::flow::{
        book::FlowRow,
        definition::{Definition, LARGEST_FILE},
    },
    operate::{Actor, flows},
};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{OfTenant, Place, print};

#[derive(Debug, Subcommand)]
pub(crate) enum FlowCommand {
    /// Put in a flow from a TOML or JSON file. A new one is switched off; one that is there keeps its switch.
    Apply {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Switch a flow on.
    Enable {
        /// Its id or name.
        flow: String,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Switch a flow off. Runs that have begun go on.
    Disable {
        /// Its id or name.
        flow: String,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Show what an event would start, step by step, without starting it.
    Test {
        /// JSON file: {"event": "ticket.created", "subject": {"type": "ticket", "id": "tkt_…"}}; `data` and `before` give
        /// records that are not stored.
        event: PathBuf,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// List the flows and how they last ran.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Print what the tenant's webhooks are signed with, for whoever runs a receiver.
    Secret {
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
}

/// Reads a file that is not larger than a flow can be.
fn text_of(file: &Path) -> Result<String> {
    let shown = file.display();
    let size = std::fs::metadata(file)
        .with_context(|| format!("failed to read {shown}"))?
        .len();
    if size > LARGEST_FILE as u64 {
        bail!("{shown} has {size} bytes, at most {LARGEST_FILE} are read");
    }
    std::fs::read_to_string(file).with_context(|| format!("failed to read {shown}"))
}

impl FlowCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Apply { file, tenant, place } => {
                let definition = Definition::read(&text_of(&file)?);
                let definition = definition.map_err(|faults| {
                    anyhow::anyhow!("{} is no flow:\n  {}", file.display(), faults.0.join("\n  "))
                })?;
                let store = place.open().await?;
                let row = flows::apply(&store, &Actor::Operator, &tenant.tenant, definition).await;
                store.close().await;
                let row = row?;
                print::line(&said(&row))?;
                if !row.enabled {
                    print::line(&format!(
                        "switch it on with: footbridge-server flow enable {} --tenant {}",
                        row.id, tenant.tenant
                    ))?;
                }
                Ok(())
            }
            Self::Enable { flow, tenant, place } => switch(&flow, true, &tenant, &place).await,
            Self::Disable { flow, tenant, place } => switch(&flow, false, &tenant, &place).await,
            Self::Test { event, tenant, place } => {
                let event: Value = serde_json::from_str(&text_of(&event)?)
                    .with_context(|| format!("{} is not JSON", event.display()))?;
                let store = place.open().await?;
                let found = flows::rehearse(&store, &tenant.tenant, event).await;
                store.close().await;
                print::json(&found?)
            }
            Self::List { json, tenant, place } => {
                let store = place.open().await?;
                let rows = flows::list(&store, &Actor::Operator, &tenant.tenant).await;
                store.close().await;
                let rows = rows?;
                if json {
                    return print::json(&rows);
                }
                if rows.is_empty() {
                    print::line("no flows; put one in with: footbridge-server flow apply FILE")?;
                }
                for row in &rows {
                    print::line(&said(row))?;
                }
                Ok(())
            }
            Self::Secret { tenant, place } => {
                let store = place.open().await?;
                let secret = flows::webhook_secret(&store, &tenant.tenant).await;
                store.close().await;
                Ok(print::line(secret?.expose_secret())?)
            }
        }
    }
}

async fn switch(flow: &str, enabled: bool, tenant: &OfTenant, place: &Place) -> Result<()> {
    let store = place.open().await?;
    let row = flows::switch(&store, &Actor::Operator, &tenant.tenant, flow, enabled).await;
    store.close().await;
    Ok(print::line(&said(&row?))?)
}

fn said(row: &FlowRow) -> String {
    let switch = if row.enabled { "on" } else { "off" };
    let last = match (row.last_run_at, row.last_status) {
        (Some(at), Some(status)) => format!("{} runs, the last {status} at {at}", row.runs_total),
        _ => "never ran".to_owned(),
    };
    format!(
        "{}  {switch}  {}  {} → {} steps  {last}",
        row.id, row.name, row.trigger, row.steps
    )
}
