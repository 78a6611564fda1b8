//! The catalogue file as its author writes it (catalogue.md §2.23): TOML text in, typed rows out.
//!
//! A row is only read here; whether it makes sense is judged in `load.rs`, which can name file, line and tool.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{
    command::CommandRow,
    http::{HttpRow, VaultRow},
    offers::{PromptRow, ResourceRow},
};
use crate::vocabulary::{Consent, EditionName, Effect, NameStyle, Role, Scope};

/// One file: an edition's head, tools, or both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogueFile {
    /// The file format; 1 today.
    pub format: u32,
    pub edition: Option<EditionRow>,
    #[serde(default)]
    pub scopes: toml::Table,
    /// REST APIs that tools of the edition call.
    #[serde(default, rename = "upstream")]
    pub upstreams: toml::Table,
    /// Where `vault:` references point.
    pub vault: Option<VaultRow>,
    #[serde(default, rename = "tool")]
    pub tools: Vec<ToolRow>,
    #[serde(default, rename = "prompt")]
    pub prompts: Vec<PromptRow>,
    #[serde(default, rename = "resource")]
    pub resources: Vec<ResourceRow>,
}

/// The head of an edition.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EditionRow {
    pub name: EditionName,
    pub title: String,
    /// Told to clients that ask who we are; short, because it is paid for on every conversation.
    pub instructions: String,
    #[serde(default)]
    pub names: NameStyle,
    pub key_prefix: String,
    /// The path of catalogue.md §1.2 that one edition may own besides `/<edition>/mcp`.
    pub bare_path: Option<String>,
    #[serde(default)]
    pub flat_for_bare_callers: bool,
    /// Served only where the configuration names it.
    #[serde(default)]
    pub on_request: bool,
    /// What every tool that does not only read asks for at least.
    #[serde(default)]
    pub write_policy: Consent,
    /// Three tools that find, describe and call the others, whoever asks.
    #[serde(default)]
    pub discover: bool,
}

/// What is said of one scope.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopeRow {
    pub title: String,
    /// Scopes that holding this one brings along.
    #[serde(default)]
    pub implies: Vec<Scope>,
    /// Never matched by `*` or `*:verb`: it must be granted by its own name.
    #[serde(default)]
    pub explicit: bool,
    /// Roles that may hold it; empty means all.
    #[serde(default)]
    pub roles: Vec<Role>,
}

/// One tool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolRow {
    pub name: Spanned<String>,
    /// For people; the name in words when absent.
    #[serde(default)]
    pub title: String,
    /// For the model; the title when absent.
    #[serde(default)]
    pub description: String,
    pub scope: ScopeNeed,
    pub effect: Effect,
    #[serde(default)]
    pub open_world: bool,
    #[serde(default)]
    pub policy: PolicyRow,
    /// Never confirmed by a token in an argument: a person answers (catalogue.md §2.8).
    #[serde(default)]
    pub always_human: bool,
    /// With policy `review`: the groups that must approve; owners and admins when empty.
    #[serde(default)]
    pub review_groups: Vec<String>,
    /// How many of those groups are enough; all of them when absent.
    pub min_approvals: Option<usize>,
    /// Groups whose members may approve alone, marked as forced.
    #[serde(default)]
    pub force_groups: Vec<String>,
    /// Approval opens the tool to whoever asked for so many seconds, instead of letting one call run.
    pub jit_seconds: Option<u32>,
    /// The group that it is listed with; when absent, the beginning of its first scope: `crm` of `crm:read`.
    pub toolset: Option<String>,
    /// The Rust function behind the tool.
    pub handler: Option<String>,
    /// The REST call behind the tool.
    pub http: Option<HttpRow>,
    /// The local program behind the tool.
    pub command: Option<CommandRow>,
    /// Other spellings of inputs → the input that is meant.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    #[serde(default)]
    pub input: toml::Table,
    /// A whole JSON Schema in place of `input`.
    pub input_schema: Option<String>,
    pub output: Option<toml::Table>,
    /// A whole JSON Schema in place of `output`.
    pub output_schema: Option<String>,
    /// Seconds a call may take; the server's setting when absent.
    pub timeout_seconds: Option<u64>,
    /// Whether a call may go on after its reply, for clients that know how to look at it again.
    #[serde(default)]
    pub task: TaskRule,
    #[serde(default, rename = "example")]
    pub examples: Vec<ExampleRow>,
}

/// Whether calls of a tool go on after their reply (protocol.md §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskRule {
    /// Never: every call ends with its reply.
    #[default]
    Never,
    /// Those that take long, where the client knows tasks.
    Allowed,
    /// All that take long: a client that knows no tasks cannot call it.
    Required,
}

/// One scope, or a set of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ScopeNeed {
    One(Scope),
    All { all: Vec<Scope> },
    Any { any: Vec<Scope> },
}

/// The rule that a row asks for (catalogue.md §2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyRow {
    /// Runs at once.
    #[default]
    Auto,
    /// Shows a preview first and runs on confirmation.
    Confirm,
    /// Waits until others have approved.
    Review,
    /// Owner or admin only.
    Admin,
    /// Owner or admin only, and on confirmation.
    #[serde(rename = "admin+confirm")]
    AdminConfirm,
}

impl PolicyRow {
    /// The consent that the row asks for.
    pub fn consent(self) -> Consent {
        match self {
            Self::Auto | Self::Admin => Consent::Auto,
            Self::Confirm | Self::AdminConfirm => Consent::Confirm,
            Self::Review => Consent::Review,
        }
    }

    /// Whether only owners and admins may call it.
    pub fn wants_admin(self) -> bool {
        matches!(self, Self::Admin | Self::AdminConfirm)
    }
}

/// A call that runs in the whole-catalogue test, and documentation for a reader.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What the example shows.
    pub title: String,
    /// The arguments of the call.
    #[serde(default)]
    pub arguments: toml::Table,
}
pub(super) type ExampleRow = Example;

/// One input field.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ParameterRow {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub required: bool,
    pub description: Option<String>,
    #[serde(rename = "enum")]
    pub choices: Option<Vec<toml::Value>>,
    pub default: Option<toml::Value>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub minimum: Option<i64>,
    pub maximum: Option<i64>,
    pub pattern: Option<String>,
    pub format: Option<String>,
    pub items: Option<Box<ParameterRow>>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    /// Mirrored into `Mcp-Param-<name>` by modern clients (protocol.md S-33).
    pub header: Option<String>,
    /// Whitespace at both ends belongs to the value: bodies of text keep it, names do not.
    #[serde(default)]
    pub keep_whitespace: bool,
}
