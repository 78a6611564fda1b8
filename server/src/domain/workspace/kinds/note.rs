//! A note, call, meeting, mail or task on a record of the CRM.

use serde::{Deserialize, Serialize};

use super::words::words;
use crate::{
    domain::workspace::record::{Index, Kind},
    vocabulary::Timestamp,
};

words! {
    /// What a note tells of.
    NoteKind { Note = "note", Call = "call", Meeting = "meeting", Email = "email", Task = "task" }
}

/// A note.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CrmNote {
    /// `lead`, `contact`, `account` or `opportunity`.
    pub(crate) object_type: String,
    pub(crate) object_id: String,
    pub(crate) kind: NoteKind,
    pub(crate) body: String,
    pub(crate) due_at: Option<Timestamp>,
    /// A user's id.
    pub(crate) author: String,
}

impl Kind for CrmNote {
    const NAME: &'static str = "crm_note";
    const PREFIX: &'static str = "not";
    const READ: &'static str = "crm:read";

    fn title(&self) -> String {
        let end = self
            .body
            .char_indices()
            .nth(60)
            .map_or(self.body.len(), |(end, _)| end);
        self.body.get(..end).unwrap_or_default().to_owned()
    }

    fn index(&self, index: &mut Index) {
        index.word("object_id", &self.object_id);
    }

    fn words(&self) -> Option<(String, String)> {
        Some((String::new(), self.body.clone()))
    }
}
