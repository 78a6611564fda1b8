//! `footbridge-server audit`

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use footbridge_server::{
    store::{AuditEntry, AuditFilter, AuditHead, AuditStatus, ChangeEntry, ChangeFilter, Store, StoreError},
    vocabulary::{KeyId, TenantId, ToolName, UserId},
};
use futures_util::FutureExt;
use serde_json::value::RawValue;

use super::{OfTenant, Place, print};

/// How often a follower looks for new rows.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Rows read at once.
const PAGE: u32 = 200;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    #[command(flatten)]
    read: Read,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Read the log of changes: who changed which record.
    Changes(Changes),
    /// Check that no row was changed, removed or cut off.
    Verify {
        /// A head kept elsewhere, as `audit verify` printed it: <number>:<hash>.
        #[arg(long, value_name = "N:HASH")]
        head: Option<String>,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
struct Changes {
    /// Rows to show.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Only this action, e.g. key.revoke.
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    /// One JSON object a row, exactly as stored and hashed.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Read {
    /// Go on with new rows as they come.
    #[arg(long)]
    follow: bool,
    /// Rows to show.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Only this key's calls, by id.
    #[arg(long, value_name = "ID")]
    key: Option<KeyId>,
    /// Only this tool.
    #[arg(long, value_name = "NAME")]
    tool: Option<ToolName>,
    /// Only calls that ended so, e.g. allow, deny_scope, invalid.
    #[arg(long, value_parser = status)]
    status: Option<AuditStatus>,
    /// One JSON object a row, exactly as stored and hashed.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

fn status(text: &str) -> Result<AuditStatus, String> {
    serde_json::from_value(text.into()).map_err(|_| "not a status of the call log".to_owned())
}

impl Audit {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            Some(AuditCommand::Verify { head, tenant, place }) => {
                let store = place.open().await?;
                let result = verify(&store, &tenant.tenant, head.as_deref()).await;
                store.close().await;
                result
            }
            Some(AuditCommand::Changes(changes)) => changes.run().await,
            None => self.read.run().await,
        }
    }
}

impl Changes {
    async fn run(self) -> Result<()> {
        let store = self.place.open().await?;
        let limit = self.limit;
        let filter = ChangeFilter {
            action: self.action,
            ..ChangeFilter::default()
        };
        let mut rows: Vec<ChangeEntry> = store
            .read(&self.tenant.tenant, move |tx| {
                async move { tx.change_log().list(&filter, None, limit).await }.boxed()
            })
            .await?;
        store.close().await;
        rows.reverse();
        for row in &rows {
            if self.json {
                show_stored(row.seq, &row.hash, &row.body)?;
                continue;
            }
            let record = &row.record;
            let by = record.actor.user_id.as_ref().map_or("-", UserId::as_str);
            print::line(&format!(
                "{}  {:<18} {:<10} {}  by {by}",
                record.ts, record.action, record.object_kind, record.object_id
            ))?;
        }
        Ok(())
    }
}

impl Read {
    async fn run(self) -> Result<()> {
        let store = self.place.open().await?;
        let filter = AuditFilter {
            api_key_id: self.key,
            tool_name: self.tool,
            status: self.status,
            ..AuditFilter::default()
        };
        let (tenant, wanted) = (self.tenant.tenant, filter.clone());
        let limit = self.limit;
        let mut rows: Vec<AuditEntry> = store
            .read(&tenant, move |tx| {
                async move { tx.audit_log().list(&wanted, None, limit).await }.boxed()
            })
            .await?;
        rows.reverse();
        let mut last = rows.last().map_or(0, |row| row.seq);
        for row in &rows {
            show(row, self.json)?;
        }
        if !self.follow {
            store.close().await;
            return Ok(());
        }
        // Until Ctrl-C.
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let wanted = filter.clone();
            let rows = store
                .read(&tenant, move |tx| {
                    async move { tx.audit_log().follow(&wanted, last, PAGE).await }.boxed()
                })
                .await?;
            for row in &rows {
                show(row, self.json)?;
                last = last.max(row.seq);
            }
        }
    }
}

fn show(row: &AuditEntry, json: bool) -> Result<()> {
    if json {
        return show_stored(row.seq, &row.hash, &row.body);
    }
    let record = &row.record;
    let text = |part: &Option<std::borrow::Cow<'static, str>>| part.as_deref().unwrap_or("-").to_owned();
    print::line(&format!(
        "{}  {:<12} {:<18} {:<14} {:>5} ms  {}  {}",
        record.ts,
        record.status.as_str(),
        record.tool_name.as_ref().map_or("-", ToolName::as_str),
        text(&record.key_prefix),
        record.latency_ms.unwrap_or(0),
        text(&record.client_name),
        text(&record.error_class),
    ))?;
    Ok(())
}

/// A row of either log exactly as it was hashed.
fn show_stored(seq: i64, hash: &str, body: &str) -> Result<()> {
    let body: Box<RawValue> = serde_json::from_str(body)?;
    print::json_line(&serde_json::json!({ "seq": seq, "hash": hash, "row": body }))
}

/// Checks both logs of a tenant. `head` is the call log's, as an earlier check printed it.
async fn verify(store: &Store, tenant: &TenantId, head: Option<&str>) -> Result<()> {
    let kept = match head {
        None => None,
        Some(text) => {
            let Some((seq, hash)) = text
                .split_once(':')
                .and_then(|(n, h)| Some((n.parse().ok()?, h.to_owned())))
            else {
                bail!("a head looks like 42:9f86d0…, as `audit verify` prints it")
            };
            Some(AuditHead { seq, hash })
        }
    };
    let (calls, changes) = store
        .read(tenant, move |tx| {
            async move {
                let changes = tx.change_log().verify(None).await?;
                Ok::<_, StoreError>((tx.audit_log().verify(kept.as_ref()).await?, changes))
            }
            .boxed()
        })
        .await?;
    for (log, verdict) in [("call log", &calls), ("change log", &changes)] {
        if let Some(fault) = &verdict.fault {
            bail!(
                "the {log} of tenant `{tenant}` is not whole: row {}: {}",
                fault.seq,
                fault.what
            );
        }
    }
    print::line(&format!(
        "Change log: {} rows, whole, up to {}:{}",
        changes.rows, changes.head.seq, changes.head.hash
    ))?;
    print::line(&format!(
        "{} rows, whole. Keep this head somewhere else: {}:{}",
        calls.rows, calls.head.seq, calls.head.hash
    ))?;
    Ok(())
}
