//! `[tool.command]`: a local program as a tool (security.md X1–X3). Only an operator's file can name one.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

/// A call must end before clients and proxies give up on it.
const LONGEST_TIMEOUT_S: u64 = 50;
/// What a result may have (protocol.md L-02), in KiB.
const LARGEST_OUTPUT_KIB: usize = 1024;
const MIB: u64 = 1024 * 1024;

/// The program as it stands in a file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct CommandRow {
    /// The program's absolute path and its fixed arguments. What a caller says comes on stdin alone.
    pub argv: Vec<String>,
    /// The longest it may take, in seconds.
    #[serde(default = "thirty")]
    pub timeout_s: u64,
    /// Variables of the server's environment that the program sees; no others are there.
    #[serde(default)]
    pub env: Vec<String>,
    /// Where it runs; an empty folder of its own that goes when it ends, when absent.
    pub folder: Option<PathBuf>,
    /// Address space of each of its processes, in MiB.
    #[serde(default = "half_a_gibibyte")]
    pub memory_mib: u64,
    /// Processes it may have at once, itself included.
    #[serde(default = "sixteen")]
    pub processes: u64,
    /// The longest answer, in KiB.
    #[serde(default = "quarter_of_a_mebibyte")]
    pub output_kib: usize,
    /// The largest file it may write, in MiB.
    #[serde(default = "sixty_four")]
    pub file_mib: u64,
}

fn thirty() -> u64 {
    30
}

fn half_a_gibibyte() -> u64 {
    512
}

fn sixteen() -> u64 {
    16
}

fn quarter_of_a_mebibyte() -> usize {
    256
}

fn sixty_four() -> u64 {
    64
}

/// A program that is a tool, judged.
#[derive(Clone, Debug)]
pub struct CommandCall {
    /// The program's absolute path and its fixed arguments.
    pub argv: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// Variables of the server's environment that it sees.
    pub env: Vec<String>,
    /// Where it runs; an empty folder of its own when absent.
    pub folder: Option<PathBuf>,
    /// Bytes of address space for each of its processes.
    pub memory_bytes: u64,
    /// Processes it may have at once.
    pub processes: u64,
    /// Most bytes that it may answer.
    pub most_bytes: usize,
    /// Bytes of the largest file it may write.
    pub file_bytes: u64,
}

impl CommandCall {
    /// Judges a row.
    pub(in crate::catalogue) fn new(row: CommandRow) -> Result<Self, String> {
        if !cfg!(target_os = "linux") {
            return Err("[tool.command]: programs are confined with means that only Linux has".to_owned());
        }
        let program = row.argv.first().map_or("", String::as_str);
        if !program.starts_with('/') {
            return Err("argv: begins with the absolute path of a program; no PATH is searched".to_owned());
        }
        if row.argv.iter().any(|word| word.contains('\0')) {
            return Err("argv: a word holds a zero byte".to_owned());
        }
        let within = |what: &str, value: u64, most: u64| {
            if (1..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("{what}: must be 1 to {most}"))
            }
        };
        within("timeout_s", row.timeout_s, LONGEST_TIMEOUT_S)?;
        within("memory_mib", row.memory_mib, 64 * 1024)?;
        within("processes", row.processes, 1024)?;
        within("file_mib", row.file_mib, 64 * 1024)?;
        within("output_kib", row.output_kib as u64, LARGEST_OUTPUT_KIB as u64)?;
        for name in &row.env {
            let good = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.is_empty();
            if !good {
                return Err(format!("env: `{name}` is not the name of a variable"));
            }
            // Our own settings hold secrets, and the linker's would run other code than the program's.
            if name.starts_with("FOOTBRIDGE_") || name.starts_with("LD_") {
                return Err(format!("env: `{name}` is kept from programs"));
            }
        }
        if row.folder.as_ref().is_some_and(|folder| !folder.is_absolute()) {
            return Err("folder: must be an absolute path".to_owned());
        }
        Ok(Self {
            argv: row.argv,
            timeout: Duration::from_secs(row.timeout_s),
            env: row.env,
            folder: row.folder,
            memory_bytes: row.memory_mib * MIB,
            processes: row.processes,
            most_bytes: row.output_kib * 1024,
            file_bytes: row.file_mib * MIB,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn rows_that_would_leave_a_gap_are_refused() {
        let judge = |text: &str| {
            let row: CommandRow = toml::from_str(text).map_err(|e| e.to_string())?;
            CommandCall::new(row)
        };
        assert!(judge("argv = [\"/bin/cat\"]\nenv = [\"LANG\"]").is_ok());
        for (bad, text) in [
            ("argv = []", "absolute path"),
            ("argv = [\"cat\"]", "absolute path"),
            ("argv = [\"/bin/cat\"]\ntimeout_s = 0", "timeout_s"),
            ("argv = [\"/bin/cat\"]\ntimeout_s = 51", "timeout_s"),
            ("argv = [\"/bin/cat\"]\noutput_kib = 1025", "output_kib"),
            ("argv = [\"/bin/cat\"]\nprocesses = 0", "processes"),
            (
                "argv = [\"/bin/cat\"]\nenv = [\"FOOTBRIDGE_SEAL_KEY\"]",
                "kept from programs",
            ),
            (
                "argv = [\"/bin/cat\"]\nenv = [\"LD_PRELOAD\"]",
                "kept from programs",
            ),
            ("argv = [\"/bin/cat\"]\nenv = [\"A=B\"]", "name of a variable"),
            ("argv = [\"/bin/cat\"]\nfolder = \"x\"", "absolute"),
            ("argv = [\"/bin/cat\"]\nshell = true", "unknown field"),
        ] {
            let refused = judge(bad).unwrap_err();
            assert!(refused.contains(text), "{bad}: {refused}");
        }
    }
}
