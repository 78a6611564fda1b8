//! `footbridge-server audit`

use std::{marker::PhantomData, time::Duration};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use footbridge_server::{
    operate::{
        Actor, OperateError,
        logs::{self, Asked, From},
    },
    store::{AuditHead, AuditRecord, ChangeRecord, LogEntry, Store, StoreError},
    vocabulary::{TenantId, ToolName, UserId},
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
    read: Read<AuditRecord>,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Read the log of changes: who changed which record.
    Changes(Read<ChangeRecord>),
    /// Write calls to stdout for an auditor, oldest first, one JSON object a line, exactly as stored and hashed.
    Export(Export<AuditRecord>),
    /// The same for the log of changes.
    ExportChanges(Export<ChangeRecord>),
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
struct Read<R: Shown> {
    /// Go on with new rows as they come.
    #[arg(long)]
    follow: bool,
    /// Rows to show.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    filters: Filters<R>,
    /// One JSON object a row, exactly as stored and hashed.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Export<R: Shown> {
    /// Begin after the row of this number: where an export before this one ended.
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: i64,
    #[command(flatten)]
    filters: Filters<R>,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

/// The flags that a log's table of filters makes.
struct Filters<R> {
    given: Vec<(&'static str, String)>,
    of: PhantomData<R>,
}

impl<R> std::fmt::Debug for Filters<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Filters").field(&self.given).finish()
    }
}

impl<R: Asked> Args for Filters<R> {
    fn augment_args(command: clap::Command) -> clap::Command {
        R::FILTERS.iter().fold(command, |command, filter| {
            command.arg(
                clap::Arg::new(filter.name)
                    .long(filter.name)
                    .value_name(filter.value)
                    .help(filter.about.trim_end_matches('.'))
                    .allow_hyphen_values(true),
            )
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<R: Asked> clap::FromArgMatches for Filters<R> {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let given = R::FILTERS.iter().filter_map(|filter| {
            let value = matches.get_one::<String>(filter.name)?;
            Some((filter.name, value.clone()))
        });
        Ok(Self {
            given: given.collect(),
            of: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<R: Asked<Filter: Default>> Filters<R> {
    fn read(&self, store: &Store) -> Result<R::Filter, OperateError> {
        let pairs = self.given.iter().map(|(name, value)| (*name, value.as_str()));
        logs::filter::<R>(pairs, store.clock().now())
    }
}

/// A log whose rows have a line for people.
trait Shown: Asked<Filter: Default + Clone> {
    fn line(&self) -> String;
}

impl Shown for AuditRecord {
    fn line(&self) -> String {
        let text = |part: &Option<std::borrow::Cow<'static, str>>| part.as_deref().unwrap_or("-").to_owned();
        format!(
            "{}  {:<12} {:<18} {:<14} {:>5} ms  {}  {}",
            self.ts,
            self.status.as_str(),
            self.tool_name.as_ref().map_or("-", ToolName::as_str),
            text(&self.key_prefix),
            self.latency_ms.unwrap_or(0),
            text(&self.client_name),
            text(&self.error_class),
        )
    }
}

impl Shown for ChangeRecord {
    fn line(&self) -> String {
        let by = self.actor.user_id.as_ref().map_or("-", UserId::as_str);
        format!(
            "{}  {:<18} {:<10} {}  by {by}",
            self.ts, self.action, self.object_kind, self.object_id
        )
    }
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
            Some(AuditCommand::Changes(read)) => read.run().await,
            Some(AuditCommand::Export(export)) => export.run().await,
            Some(AuditCommand::ExportChanges(export)) => export.run().await,
            None => self.read.run().await,
        }
    }
}

impl<R: Shown> Read<R> {
    async fn run(self) -> Result<()> {
        let store = self.place.open().await?;
        let (tenant, wanted) = (&self.tenant.tenant, self.filters.read(&store)?);
        let page =
            |from, limit| logs::page::<R>(&store, &Actor::Operator, tenant, wanted.clone(), from, limit);
        // However long the log is, the newest that fit are shown.
        let (mut rows, mut before) = (Vec::new(), None);
        let newest = head::<R>(&store, tenant).await?;
        loop {
            let wanted = self
                .limit
                .saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            let found = page(From::Newest(before), wanted.min(PAGE)).await?;
            rows.extend(found.rows);
            before = Some(found.go_on);
            if !found.more || rows.len() >= self.limit as usize {
                break;
            }
        }
        for row in rows.iter().rev() {
            show(row, self.json)?;
        }
        if self.follow {
            // Until Ctrl-C.
            let mut last = newest;
            loop {
                let found = page(From::After(last), PAGE).await?;
                for row in &found.rows {
                    show(row, self.json)?;
                }
                last = found.go_on;
                if !found.more {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
        store.close().await;
        Ok(())
    }
}

impl<R: Shown> Export<R> {
    async fn run(self) -> Result<()> {
        let store = self.place.open().await?;
        let wanted = self.filters.read(&store)?;
        let mut after = self.after;
        loop {
            let (from, tenant) = (From::After(after), &self.tenant.tenant);
            let page = logs::page::<R>(&store, &Actor::Operator, tenant, wanted.clone(), from, PAGE).await?;
            for row in &page.rows {
                show_stored(row)?;
            }
            after = page.go_on;
            if !page.more {
                break;
            }
        }
        store.close().await;
        Ok(())
    }
}

/// The number of a log's last row.
async fn head<R: Asked>(store: &Store, tenant: &TenantId) -> Result<i64, StoreError> {
    let head = store.read(tenant, |tx| async move { R::log(tx).head().await }.boxed());
    Ok(head.await?.seq)
}

fn show<R: Shown>(row: &LogEntry<R>, json: bool) -> Result<()> {
    if json {
        return show_stored(row);
    }
    print::line(&row.record.line())?;
    Ok(())
}

/// A row of either log exactly as it was hashed.
fn show_stored<R>(row: &LogEntry<R>) -> Result<()> {
    let body: &RawValue = serde_json::from_str(&row.body)?;
    print::json_line(&serde_json::json!({ "seq": row.seq, "hash": row.hash, "row": body }))
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
