//! Where a workspace is: a file of SQLite's, or a database in a private PostgreSQL of this run.

use super::base::Base;
use crate::bench::Settings;
use crate::ours;
use crate::replicas::cluster::Cluster;
use crate::wire::Failure;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A data directory, its server's command lines, and the database itself.
pub(in crate::bench) struct Place {
    /// The engine's name.
    pub(in crate::bench) engine: &'static str,
    /// The server on it.
    pub(in crate::bench) product: ours::Server,
    data: PathBuf,
    private: Option<Private>,
}

/// A cluster and its folder, which goes with it.
struct Private {
    folder: PathBuf,
    /// Ends with the place, before its folder does.
    cluster: Option<Cluster>,
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.cluster.take());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Place {
    /// A file under the work folder.
    pub(in crate::bench) fn sqlite(settings: &Settings, name: &str) -> Result<Self, Failure> {
        let data = settings.folder(&format!("data-{name}"))?;
        Ok(Self {
            engine: "SQLite",
            product: ours::Server::for_workspace(&settings.server, &data, None)?,
            data,
            private: None,
        })
    }

    /// A cluster in a temporary folder; `Err` with the reason where PostgreSQL is not installed.
    pub(in crate::bench) fn postgres(settings: &Settings, name: &str) -> Result<Self, Failure> {
        let bin = programs().ok_or("initdb and postgres were not found (Debian: apt install postgresql)")?;
        let data = settings.folder(&format!("data-{name}-postgres"))?;
        let folder = std::env::temp_dir().join(format!("footbridge-bench-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        let mut private = Private {
            folder: folder.clone(),
            cluster: None,
        };
        // PostgreSQL refuses to run as root; its package brings a user for it.
        let user = nix::unistd::Uid::effective()
            .is_root()
            .then(|| "postgres".to_owned());
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
        let mut cluster = Cluster::new(&folder, &bin, user, &settings.log(&format!("{name}-postgres")));
        cluster.start()?;
        // The server is no superuser: row-level security is for it.
        cluster.sql("CREATE ROLE app LOGIN")?;
        cluster.sql("CREATE DATABASE bench OWNER app")?;
        private.cluster = Some(cluster);
        let socket = folder.display().to_string().replace('/', "%2F");
        let url = format!("postgres://app@{socket}/bench");
        Ok(Self {
            engine: "PostgreSQL",
            product: ours::Server::for_workspace(&settings.server, &data, Some(url))?,
            data,
            private: Some(private),
        })
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
                Base::Postgres(postgres::Client::connect(&text, postgres::NoTls)?)
            }
        })
    }

    /// Removes what it was.
    pub(in crate::bench) fn remove(self) -> Result<(), Failure> {
        drop(self.private);
        std::fs::remove_dir_all(&self.data)?;
        Ok(())
    }
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
