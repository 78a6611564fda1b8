//! A resource as the running server holds it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::Arc,
};

use super::{
    prompt::Input,
    text::TextTemplate,
    uri::{UriTemplate, Variables, check_uri},
};
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

impl Address {
    /// Reads a URI, or a template where there is a hole.
    ///
    /// # Errors
    /// When it is neither.
    pub(in crate::catalogue) fn parse(text: &str) -> Result<Self, String> {
        if text.contains('{') {
            return UriTemplate::parse(text).map(Self::Template);
        }
        check_uri(text)?;
        Ok(Self::Fixed(text.to_owned()))
    }

    /// As its row spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Fixed(uri) => uri,
            Self::Template(template) => template.as_str(),
        }
    }

    /// The names of its holes, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let template = match self {
            Self::Fixed(_) => None,
            Self::Template(template) => Some(template),
        };
        template.into_iter().flat_map(UriTemplate::names)
    }

    /// The one spelling of the URI with these values, as changes of the resource name it.
    pub fn fill(&self, values: &Variables) -> String {
        match self {
            Self::Fixed(uri) => uri.clone(),
            Self::Template(template) => template.fill(values),
        }
    }
}

/// A resource that the catalogue itself brings.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What is read.
    pub body: Body,
    /// Its media type.
    pub mime_type: Option<String>,
    /// Tells two of them apart, within one process.
    pub digest: u64,
}

impl Stored {
    pub(super) fn new(body: Body, mime_type: Option<String>) -> Self {
        let mut hasher = DefaultHasher::new();
        (&body, &mime_type).hash(&mut hasher);
        Self {
            digest: hasher.finish(),
            body,
            mime_type,
        }
    }
}

/// What is read.
#[derive(Clone, Debug, Hash)]
pub enum Body {
    /// A text.
    Text(TextTemplate),
    /// Bytes, as base64.
    Blob(String),
    /// A file, read anew each time.
    File(FileBody),
}

/// A file beside the catalogue file.
#[derive(Clone, Debug, Hash)]
pub struct FileBody {
    /// The folder that the file may not leave.
    pub folder: PathBuf,
    /// The path below it; a hole takes one name, never a path.
    pub path: TextTemplate,
}
