//! `[[prompt]]` and `[[resource]]` as they stand in a file. Whether they make sense is judged elsewhere.

use serde::Deserialize;
use toml::Spanned;

use super::prompt::Role;
use crate::catalogue::{file::ScopeNeed, http::HttpRow};

/// One prompt.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct PromptRow {
    pub name: Spanned<String>,
    /// For people; the name in words when absent.
    #[serde(default)]
    pub title: String,
    /// What it is for; the title when absent.
    #[serde(default)]
    pub description: String,
    pub scope: ScopeNeed,
    /// Argument → what is said of it, in order.
    #[serde(default)]
    pub arguments: toml::Table,
    #[serde(default, rename = "message")]
    pub messages: Vec<MessageRow>,
    /// The Rust function that makes the messages.
    pub handler: Option<String>,
    /// The REST call whose answer is the message.
    pub http: Option<HttpRow>,
}

/// One message, with `{{argument}}` where an argument's value goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct MessageRow {
    #[serde(default)]
    pub role: Role,
    pub text: Option<String>,
    pub image: Option<ImageRow>,
    pub resource: Option<EmbeddedRow>,
}

/// A picture in a message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct ImageRow {
    /// Base64 of its bytes.
    pub data: String,
    pub mime_type: String,
}

/// A text resource inside a message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct EmbeddedRow {
    pub uri: String,
    #[serde(default = "plain_text")]
    pub mime_type: String,
    pub text: String,
}

pub(super) fn plain_text() -> String {
    "text/plain".to_owned()
}

/// An argument of a prompt, or a variable of a resource's URI.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct InputRow {
    pub title: Option<String>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub required: bool,
    /// Values to suggest while somebody types.
    #[serde(default)]
    pub complete: Vec<String>,
}

/// One resource, or a template of resources.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct ResourceRow {
    pub name: Spanned<String>,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub description: String,
    pub scope: ScopeNeed,
    pub uri: Option<String>,
    /// A URI with `{variable}` for each part that differs.
    pub uri_template: Option<String>,
    /// What is said of the variables.
    #[serde(default)]
    pub variables: toml::Table,
    pub mime_type: Option<String>,
    /// The text itself, with `{{variable}}` where a variable's value goes.
    pub text: Option<String>,
    /// Base64 of the bytes.
    pub blob: Option<String>,
    /// A file beside the catalogue file.
    pub file: Option<String>,
    /// The Rust function that reads it.
    pub handler: Option<String>,
    /// The REST call that reads it.
    pub http: Option<HttpRow>,
}
