//! The product's command lines, all of them, here and nowhere else.
//!
//! A benchmark that guesses a changed flag measures an error message; when a flag changes, this is the file to follow it.

use crate::host::Recipe;
use crate::process::pinned;
use crate::wire::{Failure, Target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The edition whose tools are called.
const EDITION: &str = "context";

/// Every scope of that edition, so that the longest list is the one that is measured.
const SCOPES: &str = "search,get,memory.read,memory.write,ingest,sync,agent.register,agent.self,agent.read,\
task.create,task.claim,task.execute,task.manage,task.read,artifact.write,artifact.read,event.write,event.read,\
cost.write,cost.read,workflow.create,workflow.manage,workflow.read";

/// High enough that no benchmark meets it, so that the limiter counts but never refuses.
const RATE_PER_MINUTE: &str = "100000000";

/// The reading tool under measurement: a real read with its durable audit.
pub(crate) const READ_TOOL: &str = "memory_get";
/// The writing tool under measurement: a durable commit.
pub(crate) const WRITE_TOOL: &str = "memory_put";

/// A server binary and the data directory it works on.
#[derive(Clone)]
pub(crate) struct Server {
    /// The binary.
    pub(crate) program: PathBuf,
    /// Data directory.
    pub(crate) data: PathBuf,
}

impl Server {
    /// The command that serves on a port of the loopback.
    pub(crate) fn serve(&self, core: Option<usize>, port: u16) -> Command {
        let mut command = pinned(core, &self.program);
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(&self.data);
        // A log line per call would be measured too; warnings stay.
        command.env("RUST_LOG", "warn");
        command
    }

    /// The MCP endpoint of a server on `port`.
    pub(crate) fn target(port: u16, key: &str) -> Result<Target, Failure> {
        Target::parse(
            &format!("http://127.0.0.1:{port}/{EDITION}/mcp"),
            Some(key.to_owned()),
        )
    }

    /// Mints a key that may do everything, as often as it likes.
    pub(crate) fn mint(&self) -> Result<String, Failure> {
        let said = self.admin(&[
            "key",
            "mint",
            "--edition",
            EDITION,
            "--scopes",
            SCOPES,
            "--rate-per-minute",
            RATE_PER_MINUTE,
            "--json",
        ])?;
        let minted: serde_json::Value = serde_json::from_str(said.trim())
            .map_err(|e| format!("`key mint --json` did not print JSON ({e}): {said}"))?;
        let key = minted.get("key").and_then(serde_json::Value::as_str);
        key.map(str::to_owned)
            .ok_or_else(|| format!("`key mint --json` printed no `key`: {said}").into())
    }

    /// Adds a folder of Markdown files as a source.
    pub(crate) fn add_source(&self, name: &str, folder: &Path) -> Result<(), Failure> {
        let folder = folder.display().to_string();
        self.admin(&[
            "source",
            "add",
            "--name",
            name,
            "--kind",
            "local_files",
            "--path",
            &folder,
        ])?;
        Ok(())
    }

    fn admin(&self, arguments: &[&str]) -> Result<String, Failure> {
        let done = Command::new(&self.program)
            .args(arguments)
            .arg("--data")
            .arg(&self.data)
            .output()
            .map_err(|e| format!("cannot start {}: {e}", self.program.display()))?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            return Err(format!(
                "`footbridge-server {}` failed: {}",
                arguments.join(" "),
                said.trim()
            )
            .into());
        }
        Ok(String::from_utf8(done.stdout)?)
    }
}

/// How the bridge is started, by its environment as clients do it.
pub(crate) fn bridge(program: &Path) -> Recipe {
    Recipe {
        program: program.display().to_string(),
        arguments: Vec::new(),
        variables: vec![
            ("FOOTBRIDGE_URL".to_owned(), "{url}".to_owned()),
            (
                "FOOTBRIDGE_KEY".to_owned(),
                "fbk_benchmark_of_the_bridge".to_owned(),
            ),
            ("FOOTBRIDGE_CA_FILE".to_owned(), "{ca}".to_owned()),
        ],
    }
}
