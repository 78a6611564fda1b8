//! The server's end of a running program: starts the runner, feeds it, reads it, and ends it.

use std::{io, path::Path, process::ExitStatus, process::Stdio, time::Duration};

use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

use super::order::{NOT_STARTED, Order, RUN, STOPPED, TOO_MANY_PROCESSES};
use crate::{catalogue::CommandCall, domain::DomainError};

/// How much of what a program complains is kept for the operator, in bytes.
const COMPLAINT_BYTES: usize = 4096;
/// How much of what a program tells the caller in its own words is passed on, in characters.
const SAID_CHARACTERS: usize = 500;
/// How long the pipes of a program that has ended are listened to.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long a runner may take to end what it runs: it asks, waits two seconds and kills.
const ENDS_WITHIN: Duration = Duration::from_secs(4);

/// A program under way.
pub(super) struct Started {
    child: Child,
    stdin: Option<ChildStdin>,
    line: Vec<u8>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    most_bytes: usize,
    /// Goes when the program is gone.
    _folder: Option<TempDir>,
}

/// How it ended.
pub(super) struct Ended {
    status: ExitStatus,
    out: Vec<u8>,
    complaint: Vec<u8>,
}

impl Started {
    pub(super) fn new(runner: &Path, call: &CommandCall, arguments: &Map<String, Value>) -> io::Result<Self> {
        let own = match &call.folder {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("footbridge-command-").tempdir()?),
        };
        let folder = call.folder.as_deref().or(own.as_ref().map(TempDir::path));
        let order = Order {
            argv: call.argv.clone(),
            // Time on the processor is never more than time on the clock, for one process.
            cpu_seconds: call.timeout.as_secs() + 1,
            memory_bytes: call.memory_bytes,
            processes: call.processes,
            file_bytes: call.file_bytes,
        };
        let seen = call
            .env
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = Command::new(runner);
        command
            .arg(RUN)
            .arg(serde_json::to_string(&order)?)
            .env_clear()
            .envs(seen)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn()?;
        let missing = || io::Error::other("the runner has no pipes");
        let mut line = serde_json::to_vec(arguments)?;
        line.push(b'\n');
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().ok_or_else(missing)?,
            stderr: child.stderr.take().ok_or_else(missing)?,
            child,
            line,
            most_bytes: call.most_bytes,
            _folder: own,
        })
    }

    /// Waits for the end: of the program, or of what it may say.
    pub(super) async fn ended(&mut self) -> io::Result<Ended> {
        let Self {
            child,
            stdin,
            line,
            stdout,
            stderr,
            most_bytes,
            ..
        } = self;
        let (mut out, mut complaint) = (Vec::new(), Vec::new());
        let most = *most_bytes;
        let status = {
            // One line, and the pipe stays open: its end tells the runner to stop. A program that reads nothing is no
            // failure.
            let fed = async {
                if let Some(stdin) = stdin {
                    let _ = stdin.write_all(line).await;
                    let _ = stdin.flush().await;
                }
            };
            let beside = async { tokio::join!(fed, drain(stderr, &mut complaint)) };
            tokio::pin!(beside);
            let ended = async {
                let read = stdout.take(most as u64 + 1).read_to_end(&mut out).await?;
                // Who says too much is not waited for.
                if read > most {
                    return Ok::<_, io::Error>(None);
                }
                child.wait().await.map(Some)
            };
            tokio::pin!(ended);
            tokio::select! {
                status = &mut ended => {
                    let status = status?;
                    if status.is_some() {
                        // Its pipes end with it; what it complained of last is still in there.
                        let _ = tokio::time::timeout(LAST_WORDS, &mut beside).await;
                    }
                    status
                }
                _ = &mut beside => ended.await?,
            }
        };
        Ok(Ended {
            status: status.unwrap_or_default(),
            out,
            complaint,
        })
    }

    /// Ends whatever is left.
    pub(super) async fn stop(mut self) {
        self.stdin.take();
        if tokio::time::timeout(ENDS_WITHIN, self.child.wait())
            .await
            .is_err()
        {
            // A runner that does not end was stopped itself; what it ran dies with it.
            let _ = self.child.kill().await;
        }
    }
}

async fn drain(from: &mut (impl AsyncRead + Unpin), kept: &mut Vec<u8>) {
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        let room = COMPLAINT_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(chunk.get(..read.min(room)).unwrap_or_default());
    }
}

impl Ended {
    /// What the program answered: a JSON object, or its own words about why there is none.
    pub(super) fn answer(self, most_bytes: usize) -> Result<Value, DomainError> {
        if self.out.len() > most_bytes {
            return Err(DomainError::Rule(format!(
                "the program behind this tool answered more than {} KiB; ask for less",
                most_bytes / 1024
            )));
        }
        let read: Result<Value, _> = serde_json::from_slice(&self.out);
        if self.status.success() {
            return match read {
                Ok(value @ Value::Object(_)) => Ok(value),
                _ => Err(self.broken("it ended well, and its answer is no JSON object")),
            };
        }
        let said = read
            .ok()
            .and_then(|value| Some(value.get("error")?.as_str()?.to_owned()));
        if let Some(said) = said {
            let shown = said.chars().filter(|c| !c.is_control()).take(SAID_CHARACTERS);
            return Err(DomainError::Rule(shown.collect()));
        }
        let code = self.status.code().and_then(|code| u8::try_from(code).ok());
        Err(self.broken(match code {
            Some(TOO_MANY_PROCESSES) => "it had more processes than it may have",
            Some(STOPPED) => "it was told to stop",
            Some(NOT_STARTED) => "it could not be started",
            _ => "it failed",
        }))
    }

    /// A failure that the operator reads about; the caller gets a reference.
    fn broken(&self, what: &str) -> DomainError {
        let complaint = String::from_utf8_lossy(&self.complaint);
        DomainError::internal(io::Error::other(format!(
            "a program failed: {what} ({}): {}",
            self.status,
            complaint.trim()
        )))
    }
}
