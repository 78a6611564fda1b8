//! Turns the operating system's file events into "this source changed", once per burst.
//!
//! An editor's save is three or four events and a `git checkout` thousands; a sync looks at the whole folder
//! anyway. So events only say *when* to look: [`Debounce`] waits until a source has been quiet for half a
//! second, but never longer than five. Events can be lost (network drives, full queues): the sync every 15
//! minutes is what guarantees, this is what makes it quick.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::blocks::TextType;

/// How long a source must be quiet. An editor writes its temporary file, renames and sets times within this.
const QUIET: Duration = Duration::from_millis(500);
/// How long a source that is never quiet waits, so that a running export does not starve search.
const LONGEST: Duration = Duration::from_secs(5);

/// Which sources have changed and when it is time to say so.
#[derive(Debug)]
pub struct Debounce<S> {
    quiet: Duration,
    longest: Duration,
    changed: BTreeMap<S, Burst>,
}

#[derive(Debug, Clone, Copy)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl<S: Ord + Clone> Debounce<S> {
    /// Waits for `quiet` without events, and for `longest` at most.
    #[must_use]
    pub fn new(quiet: Duration, longest: Duration) -> Self {
        Self {
            quiet,
            longest,
            changed: BTreeMap::new(),
        }
    }

    /// Notes an event of `source`.
    pub fn note(&mut self, source: S, now: Instant) {
        self.changed
            .entry(source)
            .and_modify(|burst| burst.last = now)
            .or_insert(Burst {
                first: now,
                last: now,
            });
    }

    /// When to call [`Self::take_due`] next; `None` while nothing has changed.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.changed.values().map(|burst| self.due_at(burst)).min()
    }

    /// Takes the sources whose time has come.
    pub fn take_due(&mut self, now: Instant) -> Vec<S> {
        let due: Vec<S> = self
            .changed
            .iter()
            .filter(|(_, burst)| self.due_at(burst) <= now)
            .map(|(source, _)| source.clone())
            .collect();
        due.iter().for_each(|source| {
            self.changed.remove(source);
        });
        due
    }

    fn due_at(&self, burst: &Burst) -> Instant {
        (burst.last + self.quiet).min(burst.first + self.longest)
    }
}

/// Watches folders for as long as it lives.
#[derive(Debug)]
pub struct SourceWatch {
    // Dropping it ends the events, which ends the task.
    _watcher: RecommendedWatcher,
    /// Sources that are not watched, and why: for `sync_status`. They are still synced by the clock.
    pub unwatched: Vec<(String, String)>,
}

impl SourceWatch {
    /// Watches `sources` (name and root). The names of changed ones arrive in the receiver, which ends when
    /// the watch is dropped. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system has no file events at all.
    pub fn start(sources: &[(String, PathBuf)]) -> notify::Result<(Self, mpsc::Receiver<String>)> {
        // Canonical, because events carry real paths where a root is given through a link.
        let roots: Vec<(String, PathBuf)> = sources
            .iter()
            .map(|(name, root)| (name.clone(), root.canonicalize().unwrap_or_else(|_| root.clone())))
            .collect();
        // A full queue loses nothing: what is in it already makes the same sources due.
        let (note, noted) = mpsc::channel(1024);
        let watched = roots.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for name in sources_of(&watched, &event) {
                let _ = note.try_send(name);
            }
        })?;
        let mut unwatched = Vec::new();
        for (name, root) in roots {
            if let Err(error) = watcher.watch(&root, RecursiveMode::Recursive) {
                unwatched.push((name, error.to_string()));
            }
        }
        let (tell, changed) = mpsc::channel(16);
        tokio::spawn(forward(noted, tell, Debounce::new(QUIET, LONGEST)));
        Ok((
            Self {
                _watcher: watcher,
                unwatched,
            },
            changed,
        ))
    }
}

async fn forward(
    mut noted: mpsc::Receiver<String>,
    tell: mpsc::Sender<String>,
    mut debounce: Debounce<String>,
) {
    loop {
        let wake = async {
            match debounce.deadline() {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            source = noted.recv() => match source {
                Some(source) => debounce.note(source, Instant::now()),
                None => return,
            },
            () = wake => for source in debounce.take_due(Instant::now()) {
                if tell.send(source).await.is_err() {
                    return;
                }
            },
        }
    }
}

/// The sources an event may have changed: all of them when events were lost.
fn sources_of(roots: &[(String, PathBuf)], event: &notify::Result<notify::Event>) -> Vec<String> {
    let all = || roots.iter().map(|(name, _)| name.clone()).collect();
    let Ok(event) = event else { return all() };
    if event.need_rescan() {
        return all();
    }
    // Reading a file is no change; our own scans would answer themselves.
    if matches!(event.kind, EventKind::Access(_)) {
        return Vec::new();
    }
    let touches = |root: &Path| {
        event
            .paths
            .iter()
            .any(|path| path.strip_prefix(root).is_ok_and(matters))
    };
    roots
        .iter()
        .filter(|(_, root)| touches(root))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Whether a path below a root can hold or be something the scanner reads.
fn matters(below: &Path) -> bool {
    let hidden = below
        .components()
        .any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
    // Without an extension it is most likely a folder, which may have been moved with all its notes.
    let readable = below.extension().is_none()
        || below
            .to_str()
            .is_some_and(|path| TextType::of_path(&path.replace('\\', "/")).is_some());
    !hidden && readable
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, Flag, ModifyKind};

    use super::*;

    #[test]
    fn a_burst_is_told_once_when_it_is_over() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut debounce = Debounce::new(Duration::from_millis(500), Duration::from_secs(5));
        assert_eq!(debounce.deadline(), None);
        debounce.note("a", at(0));
        debounce.note("a", at(400));
        debounce.note("b", at(450));
        assert_eq!(debounce.deadline(), Some(at(900)));
        assert!(debounce.take_due(at(899)).is_empty());
        assert_eq!(debounce.take_due(at(900)), ["a"]);
        assert_eq!(debounce.take_due(at(5000)), ["b"]);
        assert_eq!(debounce.deadline(), None);
    }

    #[test]
    fn an_endless_burst_is_told_after_the_longest_wait() {
        let start = Instant::now();
        let mut debounce = Debounce::new(Duration::from_millis(500), Duration::from_secs(5));
        let mut told = 0;
        for ms in (0..20_000).step_by(100) {
            let now = start + Duration::from_millis(ms);
            debounce.note("a", now);
            told += debounce.take_due(now).len();
        }
        assert_eq!(told, 3, "about every five seconds");
    }

    #[test]
    fn which_events_matter() {
        let roots = [
            ("one".to_owned(), PathBuf::from("/one")),
            ("two".to_owned(), PathBuf::from("/two")),
        ];
        let changed = |kind, paths: &[&str]| {
            let mut event = notify::Event::new(kind);
            event.paths = paths.iter().map(PathBuf::from).collect();
            sources_of(&roots, &Ok(event)).join(" ")
        };
        let modify = EventKind::Modify(ModifyKind::Any);
        assert_eq!(changed(modify, &["/one/a.md"]), "one");
        assert_eq!(
            changed(EventKind::Create(CreateKind::Folder), &["/two/folder"]),
            "two"
        );
        assert_eq!(
            changed(modify, &["/one/a.md", "/two/b.md"]),
            "one two",
            "a move between sources"
        );
        assert_eq!(changed(modify, &["/one/.obsidian/workspace.json"]), "");
        assert_eq!(changed(modify, &["/one/picture.png"]), "");
        assert_eq!(changed(modify, &["/other/a.md"]), "");
        assert_eq!(changed(EventKind::Access(AccessKind::Any), &["/one/a.md"]), "");
        let lost = notify::Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(sources_of(&roots, &Ok(lost)), ["one", "two"]);
        assert_eq!(
            sources_of(&roots, &Err(notify::Error::generic("x"))),
            ["one", "two"]
        );
    }

    #[tokio::test]
    async fn a_real_save_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let sources = [
            ("notes".to_owned(), folder.path().to_owned()),
            ("gone".to_owned(), folder.path().join("none")),
        ];
        let (watch, mut changed) = SourceWatch::start(&sources).unwrap();
        assert_eq!(watch.unwatched.len(), 1);
        assert_eq!(watch.unwatched[0].0, "gone");
        std::fs::write(folder.path().join("a.md"), "text").unwrap();
        let heard = tokio::time::timeout(Duration::from_secs(20), changed.recv())
            .await
            .unwrap();
        assert_eq!(heard.as_deref(), Some("notes"));
        drop(watch);
        let ended = tokio::time::timeout(Duration::from_secs(20), async {
            while changed.recv().await.is_some() {}
        })
        .await;
        assert!(ended.is_ok(), "the receiver ends with the watch");
    }
}
