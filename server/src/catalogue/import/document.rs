//! The document: JSON or YAML in, looked at by place.

use serde_json::{Map, Value};

/// The largest document read; the largest public ones have 10 MiB.
const LARGEST: usize = 32 * 1024 * 1024;

/// The methods that become tools, in the order in which a path lists them.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is larger than anything of its kind.
    #[error("{name}: larger than {} MiB", LARGEST / 1024 / 1024)]
    TooLarge {
        /// The file.
        name: String,
    },
    /// It is neither JSON nor YAML.
    #[error("{name}: {message}")]
    Syntax {
        /// The file.
        name: String,
        /// What the parser says.
        message: String,
    },
    /// It is another kind of document.
    #[error("{name}: {message}")]
    Kind {
        /// The file.
        name: String,
        /// What it is, and what to do.
        message: String,
    },
    /// A reference leads nowhere or outside.
    #[error("{name}: {place}: {message}")]
    Reference {
        /// The file.
        name: String,
        /// Where it stands.
        place: String,
        /// What is wrong, and what to do.
        message: String,
    },
}

/// An OpenAPI document.
#[derive(Debug)]
pub struct Document {
    name: String,
    root: Value,
}

/// One operation, where it stands.
pub(super) struct Found<'d> {
    pub(super) method: &'static str,
    pub(super) path: &'d str,
    pub(super) item: &'d Map<String, Value>,
    pub(super) operation: &'d Map<String, Value>,
}

impl Found<'_> {
    pub(super) fn id(&self) -> Option<&str> {
        self.operation.get("operationId").and_then(Value::as_str)
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.operation.get("tags").and_then(Value::as_array);
        tags.into_iter().flatten().filter_map(Value::as_str)
    }

    /// How errors and the report call it.
    pub(super) fn place(&self) -> String {
        format!("{} {}", self.method.to_ascii_uppercase(), self.path)
    }
}

impl Document {
    /// Reads a document; `name` is what errors call it.
    ///
    /// # Errors
    /// When it is not an OpenAPI 3 document.
    pub fn parse(name: &str, text: &str) -> Result<Self, DocumentError> {
        let name = name.to_owned();
        if text.len() > LARGEST {
            return Err(DocumentError::TooLarge { name });
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let syntax = |message: String| DocumentError::Syntax {
            name: name.clone(),
            message,
        };
        let root: Value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|e| syntax(e.to_string()))?
        } else {
            // The parser's own budget bounds anchors that multiply.
            serde_saphyr::from_str(text).map_err(|e| syntax(e.to_string()))?
        };
        let kind = |message: &str| DocumentError::Kind {
            name: name.clone(),
            message: message.to_owned(),
        };
        match root.get("openapi").and_then(Value::as_str) {
            Some(version) if version.starts_with("3.") => Ok(Self { name, root }),
            Some(other) => Err(kind(&format!(
                "OpenAPI {other} is not read; this reads 3.0 and 3.1"
            ))),
            None if root.get("swagger").is_some() => Err(kind(
                "this is Swagger 2.0; convert it to OpenAPI 3 first, most editors do",
            )),
            None => Err(kind("this is no OpenAPI document: it has no `openapi` member")),
        }
    }

    /// The document's root.
    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    /// Every operation, in the document's order.
    pub(super) fn operations(&self) -> impl Iterator<Item = Found<'_>> {
        let paths = self.root.get("paths").and_then(Value::as_object);
        paths.into_iter().flatten().flat_map(|(path, item)| {
            let item = item.as_object();
            METHODS.iter().filter_map(move |method| {
                let item = item?;
                Some(Found {
                    method,
                    path,
                    item,
                    operation: item.get(*method)?.as_object()?,
                })
            })
        })
    }

    /// Follows `$ref` until there is none; `place` is where the value stands.
    ///
    /// # Errors
    /// When a reference leads outside, nowhere, or back to itself.
    pub(super) fn resolve<'d>(
        &'d self,
        mut value: &'d Value,
        place: &str,
    ) -> Result<&'d Value, DocumentError> {
        for _ in 0..32 {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
                return Ok(value);
            };
            value = self.target(reference, place)?;
        }
        Err(self.reference(place, "its `$ref` leads back to itself"))
    }

    /// What a reference names.
    ///
    /// # Errors
    /// When it is not in this document.
    pub(super) fn target(&self, reference: &str, place: &str) -> Result<&Value, DocumentError> {
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(self.reference(
                place,
                &format!("`$ref: {reference}` leads to another document, which is not fetched; bundle the documents into one first"),
            ));
        };
        // A pointer in a URL's fragment may be percent-encoded (RFC 6901 §6).
        let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8_lossy();
        let found = self.root.pointer(&pointer);
        found.ok_or_else(|| self.reference(place, &format!("`$ref: {reference}` leads nowhere")))
    }

    fn reference(&self, place: &str, message: &str) -> DocumentError {
        DocumentError::Reference {
            name: self.name.clone(),
            place: place.to_owned(),
            message: message.to_owned(),
        }
    }
}
