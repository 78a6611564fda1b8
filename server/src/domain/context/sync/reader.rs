//! The blocking side of a pass: a folder and what the index remembers of it in, work for the store out.

use std::{
    cell::RefCell,
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use tokio::sync::mpsc;

use super::super::{
    chunk::chunks,
    document::describe,
    new_uuid,
    scan::{Connector, Filter, Known, Limits, ScanError, Scanned, ScannedFile, Stamp, scan},
    source::uri,
    words::index_text,
};
use crate::store::{EntityMark, NewChunk, NewEntity};

/// One thing that the index must learn.
pub(super) enum Found {
    /// A file to store, in place of what stood under its id.
    Put {
        /// The file, cut.
        entity: Box<NewEntity>,
        /// Whether the index had nothing under its id.
        is_new: bool,
    },
    /// A file whose content is known and whose stamp is new.
    Mark(EntityMark),
    /// A file that could not be used.
    Problem(String),
}

/// What a walk left behind when it came to its end.
pub(super) struct Walked {
    /// Ids of what the index holds and the folder no longer does.
    pub(super) vanished: Vec<String>,
}

/// What a walk needs to know.
pub(super) struct Reader {
    pub(super) source: String,
    pub(super) connector: Connector,
    pub(super) root: PathBuf,
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<String>,
    /// What the index remembers.
    pub(super) marks: Vec<EntityMark>,
    /// Files looked at so far, for whoever watches.
    pub(super) looked_at: Arc<AtomicU64>,
}

/// What the index remembers of the files not met yet.
type Remembered = Rc<RefCell<HashMap<String, (String, Known)>>>;

impl Reader {
    /// Walks the folder. Blocks; `None` when nobody takes what is found any more.
    pub(super) fn walk(self, found: &mpsc::Sender<Found>) -> Result<Option<Walked>, ScanError> {
        let filter = Filter::new(&self.include, &self.exclude)?;
        let remembered: Remembered = Rc::new(RefCell::new(
            self.marks
                .into_iter()
                .map(|mark| (mark.path.clone(), known(mark)))
                .collect(),
        ));
        let asked = Rc::clone(&remembered);
        let known = move |path: &str| asked.borrow().get(path).map(|(_, known)| *known);
        let mut moved = Moved::default();
        let mut scan = scan(&self.root, filter, Limits::default(), SystemTime::now(), known)?;
        for item in scan.by_ref() {
            self.looked_at.fetch_add(1, Ordering::Relaxed);
            let work = match item {
                Scanned::Unchanged { path } => {
                    remembered.borrow_mut().remove(&path);
                    continue;
                }
                Scanned::Touched { path, known } => {
                    let Some((id, before)) = remembered.borrow_mut().remove(&path) else {
                        continue;
                    };
                    // A time that has not settled yet reads the same each time; nothing is learnt from it.
                    if before == known {
                        continue;
                    }
                    Found::Mark(mark(id, path, &known))
                }
                Scanned::Changed(file) => {
                    let before = remembered.borrow_mut().remove(&file.path);
                    let id = before
                        .map(|(id, _)| id)
                        .or_else(|| moved.former_id(&self.root, &remembered, &file.known.sha256));
                    let is_new = id.is_none();
                    let id = id.unwrap_or_else(new_uuid);
                    let entity = Box::new(entity(&self.source, self.connector, id, file));
                    Found::Put { entity, is_new }
                }
                Scanned::Problem { path, problem } => Found::Problem(if path.is_empty() {
                    problem.to_string()
                } else {
                    format!("{path}: {problem}")
                }),
            };
            if found.blocking_send(work).is_err() {
                return Ok(None);
            }
        }
        let unseen = scan.unseen();
        let vanished = remembered
            .borrow()
            .iter()
            .filter(|(path, _)| !unseen.iter().any(|unseen| is_below(path, unseen)))
            .map(|(_, (id, _))| id.clone())
            .collect();
        Ok(Some(Walked { vanished }))
    }
}

/// Whether a path is one that the walk could not look at: that file, or a folder's prefix ending in `/`, or
/// everything.
fn is_below(path: &str, unseen: &str) -> bool {
    path == unseen || unseen.is_empty() || (unseen.ends_with('/') && path.starts_with(unseen))
}

/// Finds out whether a new file is a known one under another name, so that its id outlives the move.
#[derive(Default)]
struct Moved {
    by_digest: Option<HashMap<[u8; 32], Vec<String>>>,
}

impl Moved {
    /// The id of a remembered file of the same content whose path is gone.
    fn former_id(&mut self, root: &Path, remembered: &Remembered, digest: &[u8; 32]) -> Option<String> {
        let by_digest = self.by_digest.get_or_insert_with(|| {
            let mut paths: HashMap<[u8; 32], Vec<String>> = HashMap::new();
            for (path, (_, known)) in remembered.borrow().iter() {
                paths.entry(known.sha256).or_default().push(path.clone());
            }
            paths
        });
        let paths = by_digest.get_mut(digest)?;
        let gone = paths.iter().position(|path| {
            let there = std::fs::symlink_metadata(root.join(path));
            // Any other failure is no proof that it is gone.
            there.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
                && remembered.borrow().contains_key(path)
        })?;
        let path = paths.swap_remove(gone);
        remembered.borrow_mut().remove(&path).map(|(id, _)| id)
    }
}

fn known(mark: EntityMark) -> (String, Known) {
    let known = Known {
        stamp: Stamp {
            size: mark.bytes,
            modified_ns: mark.modified_ns,
        },
        sha256: mark.digest,
    };
    (mark.id, known)
}

fn mark(id: String, path: String, known: &Known) -> EntityMark {
    EntityMark {
        id,
        path,
        bytes: known.stamp.size,
        modified_ns: known.stamp.modified_ns,
        digest: known.sha256,
    }
}

/// Describes, cuts and indexes one file.
fn entity(source: &str, connector: Connector, id: String, file: ScannedFile) -> NewEntity {
    let document = describe(connector, &file.path, file.text_type, &file.text);
    let offset = |characters: usize| u32::try_from(characters).unwrap_or(u32::MAX);
    let chunks = chunks(file.text_type, &file.text)
        .into_iter()
        .map(|chunk| NewChunk {
            kind: chunk.chunk_type.as_str().to_owned(),
            // The middle of a section rarely repeats what it is about.
            words: index_text(&format!("{} {}", chunk.heading, chunk.content)),
            heading: chunk.heading,
            content: chunk.content.to_owned(),
            start: offset(chunk.char_offset_start),
            end: offset(chunk.char_offset_end),
        })
        .collect();
    NewEntity {
        id,
        source: source.to_owned(),
        uri: uri(source, &file.path),
        title_words: index_text(&document.title),
        title: document.title,
        tags: document.tags,
        metadata: document.metadata.into(),
        bytes: file.known.stamp.size,
        modified_ns: file.known.stamp.modified_ns,
        digest: file.known.sha256,
        path: file.path,
        chunks,
    }
}
