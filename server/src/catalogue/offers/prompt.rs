//! A prompt as the running server holds it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::TextTemplate;
use crate::catalogue::Tool;

/// Texts that somebody picks by name, with arguments filled in.
#[derive(Debug)]
pub struct Prompt {
    /// What it is asked for by.
    pub name: String,
    /// Its arguments, in order.
    pub arguments: Vec<Input>,
    /// Who speaks each message of its row; the user, where a handler makes more of them.
    pub roles: Vec<Role>,
    /// What guards and runs it.
    pub row: Arc<Tool>,
}

/// An argument of a prompt, or a variable of a resource's address.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: String,
    /// Whether it must be given.
    pub required: bool,
    /// Values to suggest.
    pub complete: Vec<String>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person.
    #[default]
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a prompt.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub part: Part,
}

/// What a message holds.
#[derive(Clone, Debug)]
pub enum Part {
    /// Text.
    Text(TextTemplate),
    /// A picture.
    Image {
        /// Base64 of its bytes.
        data: String,
        /// Its media type.
        mime_type: String,
    },
    /// A text resource.
    Resource {
        /// Its URI.
        uri: TextTemplate,
        /// Its media type.
        mime_type: String,
        /// Its text.
        text: TextTemplate,
    },
}
