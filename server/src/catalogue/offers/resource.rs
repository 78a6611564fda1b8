//! A resource as the running server holds it.

use std::{path::PathBuf, sync::Arc};

use super::{prompt::Input, text::TextTemplate, uri::UriTemplate};
use crate::catalogue::Tool;

/// Something to read by its URI, or a template of such things.
#[derive(Debug)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// Where it is read.
    pub address: Address,
    /// Its media type, when the row says one.
    pub mime_type: Option<String>,
    /// The variables of its address, in order.
    pub variables: Vec<Input>,
    /// What guards and runs it.
    pub row: Arc<Tool>,
}

/// Where a resource is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// At one URI.
    Fixed(String),
    /// At every URI of a template.
    Template(UriTemplate),
}

/// A resource that the catalogue itself brings.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What is read.
    pub body: Body,
    /// Its media type.
    pub mime_type: Option<String>,
}

/// What is read.
#[derive(Clone, Debug)]
pub enum Body {
    /// A text.
    Text(TextTemplate),
    /// Bytes, as base64.
    Blob(String),
    /// A file, read anew each time.
    File(FileBody),
}

/// A file beside the catalogue file.
#[derive(Clone, Debug)]
pub struct FileBody {
    /// The folder that the file may not leave.
    pub folder: PathBuf,
    /// The path below it; a hole takes one name, never a path.
    pub path: TextTemplate,
}
