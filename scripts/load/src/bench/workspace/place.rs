//! Where a workspace is: a file of SQLite's, or a database in a private PostgreSQL of this run.

use super::base::Base;
use super::fill::{Size, Town};
use crate::bench::{Engine, Settings, progress};
use crate::ours;
use crate::replicas::cluster::Cluster;
use crate::wire::Failure;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;

/// In the data directory of a place that is kept.
const KEPT: &str = "filled.json";

/// A data directory, its server's command lines, and the database itself.
pub(in crate::bench) struct Place {
    /// What it is on.
    pub(in crate::bench) engine: Engine,
    /// The server on it.
    pub(in crate::bench) product: ours::Server,
    data: PathBuf,
    /// Whether it outlives the run.
    keep: bool,
    private: Option<Private>,
}

/// A cluster and its folder, which goes with it unless it is kept.
struct Private {
    folder: PathBuf,
    keep: bool,
    /// Ends with the place, before its folder does.
    cluster: Option<Cluster>,
}

impl Drop for Private {
    fn drop(&mut self) {
        if self.keep {
            // In order, so that the next run finds it as it is now.
            if let Some(Err(e)) = self.cluster.as_mut().map(Cluster::stop) {
                progress(&format!("workspace: PostgreSQL: {e}"));
            }
        }
        drop(self.cluster.take());
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// What a kept place is filled with.
#[derive(Serialize, Deserialize)]
struct Kept {
    size: Size,
    town: Town,
}

impl Place {
    /// An empty one for `name`; where filled ones are kept, as it was left. `Err` with the reason where the engine is not installed.
    pub(in crate::bench) fn of(settings: &Settings, engine: Engine, name: &str) -> Result<Self, Failure> {
        let keep = settings.keep && name == "workspace";
        let store = match engine {
            Engine::Sqlite => String::new(),
            Engine::Postgres => "-postgres".to_owned(),
        };
        let data = format!("data-{name}{store}");
        let data = if keep && settings.work.join(&data).join(KEPT).is_file() {
            settings.work.join(&data)
        } else {
            settings.folder(&data)?
        };
        let (private, url) = match engine {
            Engine::Sqlite => (None, None),
            Engine::Postgres => {
                let kept = keep && data.join(KEPT).is_file();
                let (private, url) = cluster(&settings.log(&format!("{name}-postgres")), keep, kept)?;
                (Some(private), Some(url))
            }
        };
        Ok(Self {
            engine,
            product: ours::Server::for_workspace(&settings.server, &data, url)?,
            data,
            keep,
            private,
        })
    }

    /// What it is filled with since an earlier run; `None`: nothing, and it is empty.
    pub(super) fn kept(&self, size: Size) -> Result<Option<Town>, Failure> {
        let file = self.data.join(KEPT);
        if !file.is_file() {
            return Ok(None);
        }
        let kept: Kept = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        if kept.size != size {
            return Err(format!(
                "{} holds a workspace of another size: remove it",
                self.data.display()
            )
            .into());
        }
        Ok(Some(kept.town))
    }

    /// Remembers what it was filled with, if it is kept.
    pub(super) fn note_kept(&self, size: Size, town: Town) -> Result<Town, Failure> {
        let kept = Kept { size, town };
        if self.keep {
            std::fs::write(self.data.join(KEPT), serde_json::to_string(&kept)?)?;
        }
        Ok(kept.town)
    }

    /// The database itself.
    pub(super) fn base(&self) -> Result<Base, Failure> {
        Ok(match &self.private {
            None => {
                let raw = rusqlite::Connection::open(self.data.join("footbridge.db"))?;
                raw.busy_timeout(std::time::Duration::from_secs(60))?;
                raw.execute_batch(
                    "PRAGMA cache_size = -262144; PRAGMA temp_store = MEMORY; PRAGMA synchronous = NORMAL",
                )?;
                Base::Sqlite(raw)
            }
            Some(private) => {
                let text = format!("host={} user=footbridge dbname=bench", private.folder.display());
                let mut client = postgres::Client::connect(&text, postgres::NoTls)?;
                // As the server has its connections.
                client.batch_execute(
                    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off;
                     SET max_parallel_workers_per_gather = 0",
                )?;
                Base::Postgres(client)
            }
        })
    }

    /// Removes what it was, unless it is kept.
    pub(in crate::bench) fn remove(self) -> Result<(), Failure> {
        drop(self.private);
        if !self.keep {
            std::fs::remove_dir_all(&self.data)?;
        }
        Ok(())
    }
}

/// A private cluster, and the address of its database: a new one, or the one that was kept.
fn cluster(log: &Path, keep: bool, kept: bool) -> Result<(Private, String), Failure> {
    let bin = programs().ok_or("initdb and postgres were not found (Debian: apt install postgresql)")?;
    // The way to a socket must be short, and the engine's own user must be allowed to go it.
    let folder = std::env::temp_dir().join(if keep {
        "footbridge-bench-kept".to_owned()
    } else {
        format!("footbridge-bench-{}", std::process::id())
    });
    if !kept {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
    }
    let mut private = Private {
        folder: folder.clone(),
        keep: kept,
        cluster: None,
    };
    // PostgreSQL refuses to run as root; its package brings a user for it.
    let user = nix::unistd::Uid::effective()
        .is_root()
        .then(|| "postgres".to_owned());
    if !kept {
        let mut init = match &user {
            Some(user) => {
                said(Command::new("chown").arg(user).arg(&folder))?;
                let mut init = Command::new("runuser");
                init.args(["-u", user, "--"]).arg(bin.join("initdb"));
                init
            }
            None => Command::new(bin.join("initdb")),
        };
        init.args([
            "-U",
            "footbridge",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "-D",
        ]);
        said(init.arg(folder.join("data")).current_dir(&folder))?;
    }
    let mut cluster = Cluster::new(&folder, &bin, user, log);
    cluster.start()?;
    if !kept {
        // The server is no superuser: row-level security is for it.
        cluster.sql("CREATE ROLE app LOGIN")?;
        cluster.sql("CREATE DATABASE bench OWNER app")?;
    }
    private.cluster = Some(cluster);
    private.keep = keep;
    let socket = folder.display().to_string().replace('/', "%2F");
    Ok((private, format!("postgres://app@{socket}/bench")))
}

fn said(command: &mut Command) -> Result<(), Failure> {
    let done = command.output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(format!("{}: {}", command.get_program().display(), said.trim()).into())
}

fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    folders.extend(installed.filter_map(|entry| Some(entry.ok()?.path().join("bin"))));
    let has = |folder: &Path, program: &str| folder.join(program).is_file();
    folders
        .into_iter()
        .find(|folder| has(folder, "initdb") && has(folder, "postgres") && has(folder, "psql"))
}
