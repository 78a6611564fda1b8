//! The product's command lines, all of them, here and nowhere else.
//!
//! A benchmark that guesses a changed flag measures an error message; when a flag changes, this is the file to follow it.

use crate::host::Recipe;
use crate::process::pinned;
use crate::wire::{Failure, Target};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The edition whose tools are called.
pub(crate) const EDITION: &str = "context";

/// Everything the edition has, so that the longest list is the one that is measured.
const SCOPES: &str = "*";

/// High enough that no benchmark meets it, so that the limiter counts but never refuses. What a key may read in an hour
/// grows with it.
const RATE_PER_MINUTE: &str = "100000000";

/// The settings every run here needs: one key makes all the calls and one machine opens all the connections, which the
/// defaults would refuse. `[edge]` comes last: a run may add to it.
const SETTINGS: &str = "\
[limits]
running_per_key = 100000
[edge]
connections = 20000
";

/// Where the edition takes access tokens.
pub(crate) const TOKEN_PATH: &str = "/mcp/oauth";

/// The reading tool under measurement: a real read with its durable audit.
pub(crate) const READ_TOOL: &str = "memory_get";
/// The writing tool under measurement: a durable commit.
pub(crate) const WRITE_TOOL: &str = "memory_put";
/// The tool whose effect lies outside the store: a file.
pub(crate) const FILE_TOOL: &str = "inbox_put";

/// A server binary, the data directory it works on, and its settings.
#[derive(Clone)]
pub(crate) struct Server {
    /// The binary.
    program: PathBuf,
    /// Data directory.
    data: PathBuf,
    /// Another store than the embedded one.
    store: Option<String>,
    /// Configuration file.
    config: PathBuf,
}

/// A key that was minted.
#[derive(Clone, Deserialize)]
pub(crate) struct Key {
    /// Its id, which the audit log names.
    pub(crate) id: String,
    /// What a client sends.
    #[serde(rename = "key")]
    pub(crate) secret: String,
}

/// The end of the audit log as `audit verify` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Number of the last row.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) hash: String,
}

/// How long the server waits for a client.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// For the end of a request's head, or for a first byte.
    pub(crate) head: Duration,
    /// For the end of its body.
    pub(crate) body: Duration,
    /// For a next request.
    pub(crate) idle: Duration,
}

impl Patience {
    /// The lines of `[edge]` that say so.
    pub(crate) fn settings(self) -> String {
        format!(
            "head_timeout_ms = {}\nbody_timeout_ms = {}\nidle_timeout_ms = {}\n",
            self.head.as_millis(),
            self.body.as_millis(),
            self.idle.as_millis()
        )
    }
}

impl Server {
    /// A server over the existing folder `data`; `edge` is TOML, further lines of the section of that name.
    pub(crate) fn new(
        program: &Path,
        data: &Path,
        store: Option<String>,
        edge: &str,
    ) -> Result<Self, Failure> {
        let config = data.join("load.toml");
        std::fs::write(&config, format!("{SETTINGS}{edge}"))?;
        Ok(Self {
            program: program.to_owned(),
            data: data.to_owned(),
            store,
            config,
        })
    }

    /// The same with the workspace edition and any number of runs of flows.
    pub(crate) fn for_workspace(program: &Path, data: &Path, store: Option<String>) -> Result<Self, Failure> {
        let extra = "[server]\neditions = [\"workspace\"]\n[workspace]\nflow_runs_per_hour = 1000000000\n";
        Self::new(program, data, store, extra)
    }

    /// Fills the workspace with the demo.
    pub(crate) fn fill_demo(&self) -> Result<(), Failure> {
        self.admin(&["demo", "workspace"])?;
        Ok(())
    }

    /// Puts a flow in from a file and switches it on.
    pub(crate) fn add_flow(&self, file: &Path, name: &str) -> Result<(), Failure> {
        self.admin(&["flow", "apply", &file.display().to_string()])?;
        self.admin(&["flow", "enable", name])?;
        Ok(())
    }

    /// The command that serves on a port of the loopback.
    pub(crate) fn serve(&self, core: Option<usize>, port: u16) -> Command {
        let mut command = pinned(core, &self.program);
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
        self.place(&mut command);
        // A log line per call would be measured too; warnings stay.
        command.env("FOOTBRIDGE_LOG", "warn");
        command
    }

    /// Data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Where `FILE_TOOL` leaves its files, in a folder for each key.
    pub(crate) fn inbox(&self) -> PathBuf {
        self.data.join("inbox")
    }

    /// The MCP endpoint of a server on `port`.
    pub(crate) fn target(port: u16, key: &str) -> Result<Target, Failure> {
        Target::parse(
            &format!("http://127.0.0.1:{port}/{EDITION}/mcp"),
            Some(key.to_owned()),
        )
    }

    /// Mints a key that may do everything, as often as it likes.
    pub(crate) fn mint(&self) -> Result<Key, Failure> {
        self.mint_with(&[])
    }

    /// The same with further options.
    pub(crate) fn mint_with(&self, options: &[&str]) -> Result<Key, Failure> {
        self.mint_for(EDITION, options)
    }

    /// The same for another edition.
    pub(crate) fn mint_for(&self, edition: &str, options: &[&str]) -> Result<Key, Failure> {
        let mut words = vec![
            "key",
            "mint",
            "--edition",
            edition,
            "--scopes",
            SCOPES,
            "--rate-per-minute",
            RATE_PER_MINUTE,
            "--json",
        ];
        words.extend(options);
        let said = self.admin(&words)?;
        serde_json::from_str(said.trim())
            .map_err(|e| format!("`key mint --json` printed no key and id ({e}): {said}").into())
    }

    /// Has the edition take access tokens of a provider.
    pub(crate) fn take_tokens_of(&self, issuer: &str) -> Result<(), Failure> {
        self.admin(&[
            "admin",
            "mcp",
            "auth",
            "enable",
            "--edition",
            EDITION,
            "--issuer",
            issuer,
        ])?;
        Ok(())
    }

    /// Adds a folder of Markdown files as a source.
    pub(crate) fn add_source(&self, name: &str, folder: &Path) -> Result<(), Failure> {
        // Nothing is read yet: reading it is what is measured.
        self.admin(&["source", "add", name, &folder.display().to_string(), "--no-sync"])?;
        Ok(())
    }

    /// The last `limit` rows of the audit log, oldest first, a JSON object a line.
    pub(crate) fn audit(&self, limit: u64) -> Result<String, Failure> {
        self.admin(&["audit", "--json", "--limit", &limit.to_string()])
    }

    /// Reads the whole audit log, compares it with a head kept from before, and hands back the present one.
    pub(crate) fn verify(&self, kept: Option<&Head>) -> Result<Head, Failure> {
        let kept = kept.map(|head| format!("{}:{}", head.seq, head.hash));
        let mut words = vec!["audit", "verify"];
        words.extend(kept.iter().flat_map(|head| ["--head", head]));
        let said = self.admin(&words)?;
        head(&said).ok_or_else(|| format!("`audit verify` printed no head: {said}").into())
    }

    /// Revokes a key.
    pub(crate) fn revoke(&self, id: &str) -> Result<(), Failure> {
        self.admin(&["key", "revoke", id])?;
        Ok(())
    }

    /// Has every server on this store read its catalogue again.
    pub(crate) fn reload_catalogue(&self) -> Result<(), Failure> {
        self.admin(&["catalogue", "reload"])?;
        Ok(())
    }

    /// The options that say where the data are and how the server behaves.
    fn place(&self, command: &mut Command) {
        command.arg("--data").arg(&self.data);
        if let Some(store) = &self.store {
            command.arg("--store").arg(store);
        }
        command.arg("--config").arg(&self.config);
    }

    /// Runs a command of the operator; a word on stderr is a failure as a bad exit is.
    fn admin(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("FOOTBRIDGE_LOG", "warn");
        self.place(&mut command);
        let done = command
            .output()
            .map_err(|e| format!("cannot start {}: {e}", self.program.display()))?;
        let complaint = String::from_utf8_lossy(&done.stderr);
        if !done.status.success() || !complaint.trim().is_empty() {
            return Err(format!(
                "`footbridge-server {}` ended with {}: {}",
                arguments.join(" "),
                done.status,
                complaint.trim()
            )
            .into());
        }
        Ok(String::from_utf8(done.stdout)?)
    }
}

/// The head at the end of `audit verify`'s line: `… elsewhere: 42:9f86d0…`.
fn head(said: &str) -> Option<Head> {
    let word = said.split_whitespace().last()?;
    let (seq, hash) = word.split_once(':')?;
    Some(Head {
        seq: seq.parse().ok()?,
        hash: hash.to_owned(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_the_last_word_that_verify_prints() {
        let said = "3 rows, whole. Keep this head somewhere else: 3:9f86d0\n";
        let expected = Head {
            seq: 3,
            hash: "9f86d0".to_owned(),
        };
        assert_eq!(head(said), Some(expected));
        assert_eq!(head("the log is empty"), None);
    }
}
