//! The catalogue: which editions there are, which tools, what each accepts.
//!
//! TOML text comes in; a [`Catalogue`] of judged, compiled, immutable editions goes out. Nothing here knows
//! who is calling, nor what a tool does when it runs: a row names its handler, the hall binds it.

mod arguments;
mod builtin;
mod command;
mod confirming;
pub mod diff;
pub mod discovery;
mod file;
pub mod http;
pub mod import;
mod lean;
mod list;
mod load;
pub mod offers;
pub mod reference;
mod schema;
mod scopes;
mod tool;

use std::sync::Arc;

pub use arguments::{ArgumentError, Arguments, InputSchema, read_arguments, typed};
pub use builtin::{BUILTIN, NamedText, builtin_for};
pub use command::CommandCall;
pub use confirming::TOKEN_ARGUMENT;
pub use file::{Example, PolicyRow, TaskRule};
pub use list::{ListCache, ListKey, StrictClients};
pub use load::{ADMINS, CatalogueError};
pub use scopes::ScopeRules;
pub use tool::{
    Driver, Edition, ListedNames, MOST_DISCOVERED, MOST_TOOLS, ReviewRule, ScopeRule, Shape, Tool, ToolSet,
    UnknownToolset,
};

use crate::vocabulary::EditionName;

/// Every edition that was loaded.
#[derive(Debug)]
pub struct Catalogue {
    editions: Vec<Arc<Edition>>,
}

impl Catalogue {
    /// Loads files; those of one edition may be several (its head in one, its tools in others), told apart by
    /// the groups they are given in.
    ///
    /// # Errors
    /// The first thing that is wrong, with file, line and tool.
    pub fn load(groups: &[&[NamedText<'_>]]) -> Result<Self, CatalogueError> {
        let editions = groups
            .iter()
            .map(|files| load::edition(files).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        load::check_together(&editions)?;
        Ok(Self { editions })
    }

    /// The editions compiled into this binary.
    ///
    /// # Errors
    /// As [`Catalogue::load`]; a test proves that it does not happen.
    pub fn builtin() -> Result<Self, CatalogueError> {
        Self::load(BUILTIN)
    }

    /// Keeps only the editions named, in their own order.
    ///
    /// # Errors
    /// When a name is not loaded; the message lists those that are.
    pub fn narrowed_to(self, names: &[EditionName]) -> Result<Self, CatalogueError> {
        if let Some(unknown) = names.iter().find(|name| self.edition(name).is_none()) {
            let known = self
                .editions
                .iter()
                .map(|e| e.name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            return Err(CatalogueError::UnknownEdition {
                name: unknown.to_string(),
                known,
            });
        }
        let editions = self
            .editions
            .into_iter()
            .filter(|e| names.contains(&e.name))
            .collect();
        Ok(Self { editions }.settled())
    }

    /// Keeps the editions that are served where nobody names any.
    #[must_use]
    pub fn unless_on_request(mut self) -> Self {
        self.editions.retain(|edition| !edition.on_request);
        self.settled()
    }

    /// Leaves each bare path to the first edition that claims it; a later one is reached at its own path.
    fn settled(mut self) -> Self {
        let mut claimed = Vec::new();
        for edition in &mut self.editions {
            if let Some(path) = edition.bare_path.clone() {
                if !claimed.contains(&path) {
                    claimed.push(path);
                } else if let Some(edition) = Arc::get_mut(edition) {
                    // Nobody else holds an edition of a catalogue that was only just loaded.
                    edition.bare_path = None;
                }
            }
        }
        self
    }

    /// The editions, in load order.
    pub fn editions(&self) -> &[Arc<Edition>] {
        &self.editions
    }

    /// The edition of that name.
    pub fn edition(&self, name: &EditionName) -> Option<&Arc<Edition>> {
        self.editions.iter().find(|edition| edition.name == *name)
    }
}
