//! `[[prompt]]` and `[[resource]]` as they stand in a file. Whether they make sense is judged elsewhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::prompt::Role;
use crate::catalogue::{file::ScopeNeed, http::HttpRow};

/// One prompt.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct PromptRow {
    /// What it is called by.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// For people; the name in words when absent.
    #[serde(default)]
    pub title: String,
    /// What it is for; the title when absent.
    #[serde(default)]
    pub description: String,
    /// What a key must hold, as for a tool.
    pub scope: ScopeNeed,
    /// Argument → what is said of it, in order.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, InputRow>")]
    pub arguments: toml::Table,
    /// The messages; or give `handler` or `http`.
    #[serde(default, rename = "message")]
    pub messages: Vec<MessageRow>,
    /// The Rust function that makes the messages.
    pub handler: Option<String>,
    /// The REST call whose answer is the message.
    pub http: Option<HttpRow>,
}

/// One message, with `{{argument}}` where an argument's value goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct MessageRow {
    /// Who speaks.
    #[serde(default)]
    pub role: Role,
    /// A text; or give `image` or `resource`.
    pub text: Option<String>,
    /// A picture.
    pub image: Option<ImageRow>,
    /// A text that stands somewhere.
    pub resource: Option<EmbeddedRow>,
}

/// A picture in a message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct ImageRow {
    /// Base64 of its bytes.
    pub data: String,
    /// Its media type.
    pub mime_type: String,
}

/// A text resource inside a message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct EmbeddedRow {
    /// Where it stands.
    pub uri: String,
    /// Its media type.
    #[serde(default = "plain_text")]
    pub mime_type: String,
    /// The text.
    pub text: String,
}

pub(super) fn plain_text() -> String {
    "text/plain".to_owned()
}

/// An argument of a prompt, or a variable of a resource's URI.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct InputRow {
    /// For people.
    pub title: Option<String>,
    /// What it means.
    #[serde(default)]
    pub description: String,
    /// Whether it must be given.
    #[serde(default)]
    pub required: bool,
    /// Values to suggest while somebody types.
    #[serde(default)]
    pub complete: Vec<String>,
}

/// One resource, or a template of resources.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct ResourceRow {
    /// What it is called by.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// For people; the name in words when absent.
    #[serde(default)]
    pub title: String,
    /// What is read there; the title when absent.
    #[serde(default)]
    pub description: String,
    /// What a key must hold, as for a tool.
    pub scope: ScopeNeed,
    /// Its URI, if it has one of its own.
    pub uri: Option<String>,
    /// A URI with `{variable}` for each part that differs.
    pub uri_template: Option<String>,
    /// What is said of the variables.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, InputRow>")]
    pub variables: toml::Table,
    /// Its media type.
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
