//! `footbridge-server source …`

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use footbridge_server::{
    domain::context::{
        Context,
        scan::Connector,
        source::{SourceConfig, SyncState},
        sync::{OnProgress, SourceReport, SyncMode, SyncProgress, Synced},
    },
    operate::{
        OperateError,
        sources::{self, NewSource, SourceRow},
    },
    store::Store,
    vocabulary::TenantId,
};
use parking_lot::Mutex;
use serde_json::json;

use super::{OfTenant, Place, print};

/// How often a progress line is written where it cannot be redrawn: a log of a long run stays short.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub(super) enum SourceCommand {
    /// Add a folder of notes and read it into the index.
    Add(Box<Add>),
    /// List the folders and what the index holds of them.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Read what changed in one folder, or in all, into the index.
    Sync {
        /// The source's name [default: all].
        name: Option<String>,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Forget a folder. Its files stay.
    Remove {
        /// The source's name.
        name: String,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// A name for it, as tools will know it.
    name: String,
    /// The folder.
    folder: PathBuf,
    /// local_files, obsidian or inbox [default: obsidian for a vault, else local_files].
    #[arg(long, value_parser = connector)]
    kind: Option<Connector>,
    /// Read only files that match, e.g. '**/*.md'; may be repeated.
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Leave out what matches, e.g. 'drafts/**'; may be repeated.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Only remember the folder; a running server reads it soon.
    #[arg(long)]
    no_sync: bool,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

fn connector(word: &str) -> Result<Connector, String> {
    Connector::parse(word)
        .ok_or_else(|| format!("one of {}", Connector::ALL.map(Connector::as_str).join(", ")))
}

impl SourceCommand {
    pub(super) async fn run(self) -> Result<()> {
        match self {
            Self::Add(command) => command.run().await,
            Self::List { json, tenant, place } => {
                let store = place.open().await?;
                let rows = sources::list(&store, &tenant.tenant).await?;
                store.close().await;
                list(&rows, json)
            }
            Self::Sync { name, tenant, place } => {
                let store = place.open().await?;
                let context = Context::new(store.clone(), &place.folder()?);
                let result = sync(&context, &tenant.tenant, name.as_deref()).await;
                store.close().await;
                result
            }
            Self::Remove { name, tenant, place } => {
                let store = place.open().await?;
                let context = Context::new(store.clone(), &place.folder()?);
                let removed = sources::remove(&context, &store, &tenant.tenant, &name).await?;
                store.close().await;
                Ok(print::line(&format!(
                    "removed {name}: {removed} files left the index, none left the disk"
                ))?)
            }
        }
    }
}

impl Add {
    async fn run(self) -> Result<()> {
        let store = self.place.open().await?;
        let folder = self.place.folder()?;
        let result = self.add(&store, &folder).await;
        store.close().await;
        result
    }

    async fn add(self, store: &Store, data: &std::path::Path) -> Result<()> {
        let new = NewSource {
            name: self.name,
            connector: self.kind,
            include: self.include,
            exclude: self.exclude,
        };
        let tenant = self.tenant.tenant;
        let spec = sources::add(store, &tenant, &self.folder, new).await?;
        let place = spec.config.folder.as_deref().unwrap_or_default();
        print::line(&format!(
            "added {} ({}): {place}",
            spec.name,
            spec.connector.as_str()
        ))?;
        if self.no_sync {
            return Ok(());
        }
        sync(&Context::new(store.clone(), data), &tenant, Some(&spec.name)).await
    }
}

/// Synchronises, with a line that tells how far it is.
async fn sync(context: &Context, tenant: &TenantId, source: Option<&str>) -> Result<()> {
    let line = ProgressLine::new();
    let on_progress: OnProgress = {
        let line = Arc::clone(&line);
        Arc::new(move |progress: &SyncProgress| line.show(progress))
    };
    let done = context
        .sync_source(tenant, source, SyncMode::Wait, on_progress)
        .await;
    line.clear();
    let report = match done.map_err(OperateError::from)? {
        Synced::Done(report) => report,
        // Only who does not wait for the lock is sent away.
        Synced::Skipped => {
            bail!("another synchronisation is under way; run the command again when it has ended")
        }
    };
    let mut broken = Vec::new();
    for report in &report.connectors {
        print::line(&summary(report))?;
        for error in &report.errors {
            print::line(&format!("  {error}"))?;
        }
    }
    // A folder that could not be read as a whole is a failure of the command; a single file is not.
    for spec in context.sources(tenant).await? {
        let synced = report.connectors.iter().any(|report| report.source == spec.name);
        if synced && spec.state.state == SyncState::Error {
            broken.push(spec.name);
        }
    }
    print::line(&format!(
        "took {:.1} s",
        Duration::from_millis(report.duration_ms).as_secs_f64()
    ))?;
    if !broken.is_empty() {
        bail!("failed to read {}: see above", broken.join(", "));
    }
    Ok(())
}

fn summary(report: &SourceReport) -> String {
    let SourceReport {
        source,
        added,
        updated,
        removed,
        errors,
    } = report;
    let problems = if errors.is_empty() {
        String::new()
    } else {
        ", with problems:".to_owned()
    };
    format!("{source}: {added} added, {updated} updated, {removed} removed{problems}")
}

fn list(rows: &[SourceRow], json: bool) -> Result<()> {
    if json {
        return print::json(&rows.iter().map(as_json).collect::<Vec<_>>());
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let state = &row.spec.state;
            [
                row.spec.name.clone(),
                row.spec.connector.as_str().to_owned(),
                row.entities.to_string(),
                row.chunks.to_string(),
                state
                    .last_sync
                    .map_or_else(|| "never".to_owned(), |at| at.to_string()),
                word(state.state),
                row.spec
                    .config
                    .folder
                    .clone()
                    .unwrap_or_else(|| "(in the data folder)".to_owned()),
            ]
        })
        .collect();
    Ok(print::table(
        ["NAME", "KIND", "FILES", "CHUNKS", "LAST SYNC", "STATE", "FOLDER"],
        &rows,
    )?)
}

fn word(state: SyncState) -> String {
    serde_json::to_value(state)
        .ok()
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn as_json(row: &SourceRow) -> serde_json::Value {
    let SourceConfig {
        folder,
        include,
        exclude,
    } = &row.spec.config;
    json!({
        "name": row.spec.name,
        "kind": row.spec.connector.as_str(),
        "folder": folder,
        "include": include,
        "exclude": exclude,
        "entities": row.entities,
        "chunks": row.chunks,
        "state": row.spec.state.state,
        "last_sync": row.spec.state.last_sync,
        "errors": row.spec.state.errors,
    })
}

/// One line on stderr: redrawn in a terminal, written now and then elsewhere.
struct ProgressLine {
    began: Instant,
    redraws: bool,
    last: Mutex<Option<Instant>>,
}

impl ProgressLine {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            redraws: std::io::stderr().is_terminal(),
            last: Mutex::new(None),
        })
    }

    fn show(&self, progress: &SyncProgress) {
        let mut last = self.last.lock();
        let since = last.map_or_else(|| self.began.elapsed(), |at| at.elapsed());
        if !self.redraws && since < LINE_EVERY {
            return;
        }
        *last = Some(Instant::now());
        let text = self.text(progress);
        let mut err = std::io::stderr().lock();
        // Who cannot be told is not there to be told.
        let _ = if self.redraws {
            write!(err, "\r\x1b[2K{text}").and_then(|()| err.flush())
        } else {
            writeln!(err, "{text}")
        };
    }

    fn text(&self, progress: &SyncProgress) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        if progress.waiting {
            return format!("waiting for another synchronisation to end, {seconds:.0} s");
        }
        let files = progress.files;
        // Known files are all files, except the first time.
        let of = if progress.known > files {
            format!(" of {}", progress.known)
        } else {
            String::new()
        };
        #[allow(clippy::cast_precision_loss)]
        let rate = files as f64 / seconds.max(0.001);
        format!(
            "{}: {files}{of} files, {rate:.0} a second, {seconds:.0} s",
            progress.report.source
        )
    }

    fn clear(&self) {
        if self.redraws && self.last.lock().is_some() {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[2K");
        }
    }
}
