//! The PostgreSQL cluster that the replicas share: started, killed as a crash would, tampered with.

use crate::process::{Running, say};
use crate::wire::Failure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A start has to wait until the processes of the cluster before are gone.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A cluster in a folder that `initdb` filled; it listens on a socket in that folder alone.
pub(crate) struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    user: Option<String>,
    log: PathBuf,
    running: Option<Running>,
}

impl Cluster {
    /// `folder` holds `data`; `user` is whom to become, since PostgreSQL refuses to run as root.
    pub(crate) fn new(folder: &Path, bin: &Path, user: Option<String>, log: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            bin: bin.to_owned(),
            user,
            log: log.to_owned(),
            running: None,
        }
    }

    /// The store's address for our servers.
    pub(crate) fn url(&self) -> String {
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://footbridge@{socket}/postgres")
    }

    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = match &self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.current_dir(&self.folder);
        command
    }

    /// Starts it, again and again until it takes connections.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + START_PATIENCE;
        loop {
            let mut command = self.command("postgres");
            command.arg("-D").arg(self.folder.join("data"));
            command
                .arg("-k")
                .arg(&self.folder)
                .args(["-c", "listen_addresses="]);
            let mut running = Running::start("PostgreSQL", command, &self.log)?;
            while running.alive().is_ok() {
                if self.sql("SELECT 1").is_ok() {
                    self.running = Some(running);
                    return Ok(());
                }
                if Instant::now() > until {
                    return Err(
                        format!("PostgreSQL takes no connections, see {}", self.log.display()).into(),
                    );
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            if Instant::now() > until {
                return Err(format!("PostgreSQL does not start, see {}", self.log.display()).into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        let file = self.folder.join("data/postmaster.pid");
        let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let postmaster: i32 = text.lines().next().unwrap_or_default().trim().parse()?;
        // "Fast": clients are sent away and everything is written down.
        kill(Pid::from_raw(postmaster), Signal::SIGINT)?;
        let until = Instant::now() + START_PATIENCE;
        while running.alive().is_ok() {
            if Instant::now() > until {
                return Err(format!("PostgreSQL does not end, see {}", self.log.display()).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Kills the postmaster and all its processes with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        let file = self.folder.join("data/postmaster.pid");
        let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let postmaster: i32 = text.lines().next().unwrap_or_default().trim().parse()?;
        let children = children_of(postmaster)?;
        say(
            "replicas",
            &format!("kill -9 of PostgreSQL and its {} processes", children.len()),
        );
        for process in std::iter::once(postmaster).chain(children) {
            // One that ended by itself meanwhile is as dead as it should be.
            let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
        }
        self.running = None;
        Ok(())
    }

    /// Runs one statement as the cluster's superuser and gives what it prints.
    pub(crate) fn sql(&self, statement: &str) -> Result<String, Failure> {
        let mut command = self.command("psql");
        command
            .arg("-h")
            .arg(&self.folder)
            .args(["-U", "footbridge", "-d", "postgres", "-XAtqc", statement]);
        let done = command.output()?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).trim().to_owned().into());
        }
        Ok(String::from_utf8(done.stdout)?.trim().to_owned())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.running.is_some() {
            // The folder goes with the script.
            let _ = self.kill();
        }
    }
}

fn children_of(parent: i32) -> Result<Vec<i32>, Failure> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // One that ended meanwhile has no status any more.
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let its_parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        if its_parent.and_then(|text| text.trim().parse().ok()) == Some(parent) {
            found.push(process);
        }
    }
    Ok(found)
}
