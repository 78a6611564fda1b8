//! Diagnostics: one line each, to stderr, never in anyone's way.
//!
//! In come short texts from every module; out go whole lines prefixed with the program's name. Bodies, header values and
//! the key never come here: callers pass causes, hosts, statuses and method names. A host that does not read our stderr
//! must not be able to stop the bridge, so a thread of its own does the writing and lines that find no room are dropped.
//! The thread starts with the first line, because most runs have nothing to say.

use std::fmt;
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

use crate::brand;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    /// Nothing at all.
    Off = 0,
    /// What went wrong and cannot be told to the host on stdout.
    Warn = 1,
    /// Connections, eras, sessions: what support asks for first.
    Info = 2,
    /// One line for each message carried: its kind, method and outcome. Still no bodies.
    Debug = 3,
}

impl Level {
    /// The names accepted by the option, quietest first.
    pub(crate) const NAMES: [(&'static str, Level); 4] = [
        ("off", Level::Off),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
    ];

    /// Finds a level by its name.
    pub(crate) fn find(name: &str) -> Option<Level> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, level)| *level)
    }
}

/// Lines waiting for the writing thread. More than this many unread lines are noise.
const WAITING_LINES: usize = 256;
/// Longest line, in bytes: text quoted from a server is cut long before, this is the last fence.
const LINE_BYTES: usize = 4096;
/// How long the end of the process waits for a slow reader of stderr.
const FLUSH_LIMIT: Duration = Duration::from_millis(200);

enum Job {
    Line(String),
    Flush(SyncSender<()>),
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Warn as u8);
static WRITER: OnceLock<SyncSender<Job>> = OnceLock::new();

/// Sets what is said from now on.
pub(crate) fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Says whether lines of `level` are wanted, for callers whose text is costly to make.
pub(crate) fn wants(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Says what went wrong.
pub(crate) fn warn(text: fmt::Arguments<'_>) {
    say(Level::Warn, text);
}

/// Says what an operator may want to follow.
pub(crate) fn info(text: fmt::Arguments<'_>) {
    say(Level::Info, text);
}

/// Says what happened to one message.
pub(crate) fn debug(text: fmt::Arguments<'_>) {
    say(Level::Debug, text);
}

/// Waits, within reason, until what was said has been written. For the end of the process.
pub(crate) fn flush() {
    let Some(writer) = WRITER.get() else { return };
    let (done, wait) = mpsc::sync_channel(1);
    if writer.try_send(Job::Flush(done)).is_ok() {
        let _ = wait.recv_timeout(FLUSH_LIMIT);
    }
}

fn say(level: Level, text: fmt::Arguments<'_>) {
    if !wants(level) {
        return;
    }
    let _ = WRITER
        .get_or_init(start)
        .try_send(Job::Line(one_line(&format!("{}: {text}", brand::NAME))));
}

fn start() -> SyncSender<Job> {
    let (sender, jobs) = mpsc::sync_channel::<Job>(WAITING_LINES);
    // Without the thread the lines are lost and nothing else: the bridge itself goes on.
    let _ = std::thread::Builder::new()
        .name("stderr".to_owned())
        .spawn(move || {
            let mut stderr = std::io::stderr();
            for job in jobs {
                match job {
                    Job::Line(line) => {
                        let _ = stderr.write_all(line.as_bytes());
                    }
                    Job::Flush(done) => {
                        let _ = done.send(());
                    }
                }
            }
        });
    sender
}

/// Makes `text` one line: control characters become spaces, so that no server can forge a line of ours.
fn one_line(text: &str) -> String {
    let mut line: String = cut(text, LINE_BYTES)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    line.push('\n');
    line
}

/// The first `bytes` bytes of `text`, or a little less so as not to split a character.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_no_control_character_but_its_end() {
        assert_eq!(
            one_line("a\nfootbridge: forged\u{1b}[31m\r"),
            "a footbridge: forged [31m \n"
        );
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }

    #[test]
    fn every_level_is_found_by_its_name() {
        for (name, level) in Level::NAMES {
            assert_eq!(Level::find(name), Some(level));
        }
        assert_eq!(Level::find("trace"), None);
    }
}
