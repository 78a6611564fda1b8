//! What a handler produced, before the edge gives it the shape of a revision.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::DomainError;

/// The end of a call, or a question back.
#[derive(Debug)]
pub enum Outcome {
    /// The work is done.
    Done(ToolResult),
    /// The client must answer something first (protocol.md §1.8).
    InputRequired(InputRequired),
}

/// A finished call's result.
#[derive(Debug, Default)]
pub struct ToolResult {
    /// The object that `outputSchema` describes, already JSON. Its text is repeated as a text block.
    pub structured: Option<Box<RawValue>>,
    /// What a person reads in place of that JSON (catalogue.md §2.20: previews).
    pub prose: Option<String>,
    /// Blocks besides.
    pub content: Vec<Content>,
    /// Whether the tool says of itself that it failed.
    pub is_error: bool,
    /// Records that were touched, for the audit log; at most 20 are kept.
    pub record_ids: Vec<String>,
    /// The review that the call waits for instead of having run. The hall says so, never a handler.
    pub under_review: Option<String>,
}

/// One block of content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Content {
    /// Text for the model.
    Text(String),
    /// A picture.
    Image {
        /// Base64 of its bytes.
        data: String,
        /// Its media type.
        mime_type: String,
    },
    /// A sound.
    Audio {
        /// Base64 of its bytes.
        data: String,
        /// Its media type.
        mime_type: String,
    },
    /// A whole text resource.
    EmbeddedText {
        /// Its URI.
        uri: String,
        /// Its media type.
        mime_type: String,
        /// Its text.
        text: String,
    },
    /// A whole resource that is no text.
    EmbeddedBytes {
        /// Its URI; empty where it is what was asked for by its URI.
        uri: String,
        /// Its media type.
        mime_type: String,
        /// Base64 of its bytes.
        data: String,
    },
    /// A resource to read elsewhere.
    ResourceLink {
        /// Its URI.
        uri: String,
        /// A name for people.
        name: String,
    },
}

/// Questions to the client.
#[derive(Debug, Default)]
pub struct InputRequired {
    /// What is asked, by key; keys are unique.
    pub requests: Vec<(String, InputRequest)>,
    /// What the handler wants to see again with the answers. Sealed before it leaves.
    pub state: Option<Value>,
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub enum InputRequest {
    /// `elicitation/create` with these parameters.
    Elicitation(Value),
    /// `sampling/createMessage` with these parameters.
    Sampling(Value),
    /// `roots/list`.
    Roots,
}

impl InputRequest {
    /// The method of the request.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Elicitation(_) => "elicitation/create",
            Self::Sampling(_) => "sampling/createMessage",
            Self::Roots => "roots/list",
        }
    }

    /// The capability, and the mode below it, that a client must have declared to be asked this.
    pub fn capability(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Elicitation(params) if params.get("mode").and_then(Value::as_str) == Some("url") => {
                ("elicitation", Some("url"))
            }
            Self::Elicitation(_) => ("elicitation", None),
            Self::Sampling(_) => ("sampling", None),
            Self::Roots => ("roots", None),
        }
    }
}

impl ToolResult {
    /// A result whose structured content is `value`.
    ///
    /// # Errors
    /// When the value has no JSON form, which is our fault.
    pub fn structured(value: &impl Serialize) -> Result<Self, DomainError> {
        let structured = serde_json::value::to_raw_value(value).map_err(DomainError::internal)?;
        Ok(Self {
            structured: Some(structured),
            ..Self::default()
        })
    }

    /// The same result, naming the records it touched.
    #[must_use]
    pub fn touching(mut self, ids: impl IntoIterator<Item = String>) -> Self {
        self.record_ids.extend(ids);
        self.record_ids.truncate(20);
        self
    }
}

impl Outcome {
    /// A result whose structured content is `value`.
    ///
    /// # Errors
    /// When the value has no JSON form, which is our fault.
    pub fn structured(value: &impl Serialize) -> Result<Self, DomainError> {
        ToolResult::structured(value).map(Self::Done)
    }

    /// A result of one text block.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Done(ToolResult {
            content: vec![Content::Text(text.into())],
            ..ToolResult::default()
        })
    }

    /// The same outcome, naming the records it touched.
    #[must_use]
    pub fn touching(self, ids: impl IntoIterator<Item = String>) -> Self {
        match self {
            Self::Done(result) => Self::Done(result.touching(ids)),
            asked => asked,
        }
    }
}
