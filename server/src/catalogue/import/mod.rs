//! From an OpenAPI 3.0 or 3.1 document to a catalogue file (catalogue.md §2.22).
//!
//! The document's text comes in; an [`Imported`] goes out: TOML to edit and commit, and a report of everything that was
//! decided or left out. Documents are read leniently, for real ones bend the standard; what a tool becomes is judged by
//! the catalogue's own loader afterwards. Nothing is fetched, and no `$ref` leaves the document.

mod choose;
mod document;
mod drift;
mod inputs;
mod naming;
mod operation;
mod schema;
mod security;
mod write;

pub use choose::{Choice, ChoiceError};
pub use document::{Document, DocumentError};
pub use drift::{Drift, drift};
pub use naming::snake;

use operation::Operation;

/// What the operator asks for.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// The name of the edition in the file.
    pub edition: String,
    /// The name of the API in the file.
    pub upstream: String,
    /// Where the API stands, in place of the document's first server.
    pub base_url: Option<String>,
    /// Which operations are wanted.
    pub choice: Choice,
    /// Header parameters that become inputs; all others are dropped.
    pub with_headers: Vec<String>,
    /// Most tools that may come of it.
    pub most: usize,
}

/// The largest number of tools without being asked for more: a phone book of endpoints makes models worse.
pub const USUAL_MOST: usize = 64;

/// A catalogue file in the making.
#[derive(Debug)]
pub struct Imported {
    /// The file.
    pub toml: String,
    /// How many tools it has.
    pub tools: usize,
    /// What a person should know, a line each.
    pub report: Vec<String>,
}

/// Why nothing came of an import.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The document cannot be used.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Operations that would become tools of one name.
    #[error("these names are taken twice; name one of each pair with `x-footbridge: {{ name: … }}` or leave it out with --exclude:\n{}", .0.join("\n"))]
    Names(Vec<String>),
    /// More tools than asked for.
    #[error(
        "{found} operations would become tools, more than {most}. Choose with --include and --exclude (`tag:leads`, `op:listLeads`, `GET /v1/leads*`), or ask for them all with --max {found}"
    )]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many may be.
        most: usize,
    },
    /// Nothing is left.
    #[error("no operation is left to import:\n{}", .0.join("\n"))]
    Nothing(Vec<String>),
    /// Something of the document contradicts the catalogue's rules.
    #[error("{0}")]
    Rule(String),
}

/// Makes a catalogue file of a document.
///
/// # Errors
/// What is wrong, naming the place in the document.
pub fn import(document: &Document, request: &ImportRequest) -> Result<Imported, ImportError> {
    let mut report = Vec::new();
    let mut operations: Vec<Operation> = Vec::new();
    let mut wanted = Vec::new();
    for found in document.operations().filter(|found| request.choice.wants(found)) {
        match operation::why_not(document, &found)? {
            Some(reason) => report.push(format!("{}: left out: {reason}", found.place())),
            None => wanted.push(found),
        }
    }
    // Said before the work is done: a phone book takes a while to read.
    if wanted.len() > request.most {
        return Err(ImportError::TooMany {
            found: wanted.len(),
            most: request.most,
        });
    }
    for found in wanted {
        operations.extend(Operation::read(document, &found, request, &mut report)?);
    }
    if operations.is_empty() {
        return Err(ImportError::Nothing(report));
    }
    let twice = naming::twice(operations.iter().map(|o| (o.name.as_str(), o.place.as_str())));
    if !twice.is_empty() {
        return Err(ImportError::Names(twice));
    }
    let tools = operations.len();
    let toml = write::file(document, request, &operations, &mut report)?;
    Ok(Imported { toml, tools, report })
}

#[cfg(test)]
mod tests;
