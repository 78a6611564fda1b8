//! The catalogue file as its author writes it (catalogue.md §2.23): TOML text in, typed rows out.
//!
//! A row is only read here; whether it makes sense is judged in `load.rs`, which can name file, line and tool.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{
    command::CommandRow,
    http::{HttpRow, UpstreamRow, VaultRow},
    offers::{PromptRow, ResourceRow},
};
use crate::vocabulary::{Consent, EditionName, Effect, NameStyle, Role, Scope};

/// One file: an edition's head, tools, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogueFile {
    /// The file format; 1 today.
    pub format: u32,
    /// The edition that the tools belong to. Files of one folder may share one.
    pub edition: Option<EditionRow>,
    /// Scope → what is said of it.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, ScopeRow>")]
    pub scopes: toml::Table,
    /// REST APIs that tools of the edition call.
    #[serde(default, rename = "upstream")]
    #[schemars(with = "BTreeMap<String, UpstreamRow>")]
    pub upstreams: toml::Table,
    /// Where `vault:` references point.
    pub vault: Option<VaultRow>,
    /// The tools.
    #[serde(default, rename = "tool")]
    pub tools: Vec<ToolRow>,
    /// The prompts.
    #[serde(default, rename = "prompt")]
    pub prompts: Vec<PromptRow>,
    /// The resources.
    #[serde(default, rename = "resource")]
    pub resources: Vec<ResourceRow>,
}

/// The head of an edition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditionRow {
    /// Part of its address, `/<name>/mcp`: lowercase letters, digits and hyphens.
    #[schemars(with = "String")]
    pub name: EditionName,
    /// For people.
    pub title: String,
    /// Told to clients that ask who we are; short, because it is paid for on every conversation.
    pub instructions: String,
    /// How tools are listed: `native`: as they are written; `underscore`: with underscores for dots; `auto`: by what the client can read.
    #[serde(default)]
    pub names: NameStyle,
    /// What its keys begin with, so that people and scanners know one when they see it.
    pub key_prefix: String,
    /// A short path of its own besides `/<edition>/mcp`, such as `/mcp` (catalogue.md §1.2). No two editions share one.
    pub bare_path: Option<String>,
    /// Clients that do not speak MCP get errors as the HTTP status alone, with a flat body.
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
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopeRow {
    /// For people who choose scopes for a key.
    pub title: String,
    /// Scopes that holding this one brings along.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub implies: Vec<Scope>,
    /// Never matched by `*` or `*:verb`: it must be granted by its own name.
    #[serde(default)]
    pub explicit: bool,
    /// Roles that may hold it; empty means all.
    #[serde(default)]
    pub roles: Vec<Role>,
}

/// One tool.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolRow {
    /// What it is called by: words of lowercase letters, digits and underscores, with dots between groups.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// For people; the name in words when absent.
    #[serde(default)]
    pub title: String,
    /// For the model; the title when absent.
    #[serde(default)]
    pub description: String,
    /// What a key must hold: one scope, `{ all = […] }` or `{ any = […] }`.
    pub scope: ScopeNeed,
    /// What it does to the world; every hint for clients follows from it.
    pub effect: Effect,
    /// Whether it reaches systems beyond the one that keeps its records.
    #[serde(default)]
    pub open_world: bool,
    /// What must happen before it runs. The edition, the tenant and the key can only ask for more.
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
    /// Input → what it accepts.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, ParameterRow>")]
    pub input: toml::Table,
    /// A whole JSON Schema in place of `input`.
    pub input_schema: Option<String>,
    /// The JSON Schema of the answer.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub output: Option<toml::Table>,
    /// A whole JSON Schema in place of `output`.
    pub output_schema: Option<String>,
    /// Seconds a call may take; the server's setting when absent.
    pub timeout_seconds: Option<u64>,
    /// Whether a call may go on after its reply, for clients that know how to look at it again.
    #[serde(default)]
    pub task: TaskRule,
    /// Calls that work: tests run them, and readers learn from them.
    #[serde(default, rename = "example")]
    pub examples: Vec<ExampleRow>,
}

/// Whether calls of a tool go on after their reply (protocol.md §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ScopeNeed {
    One(#[schemars(with = "String")] Scope),
    All {
        #[schemars(with = "Vec<String>")]
        all: Vec<Scope>,
    },
    Any {
        #[schemars(with = "Vec<String>")]
        any: Vec<Scope>,
    },
}

/// The rule that a row asks for (catalogue.md §2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What the example shows.
    pub title: String,
    /// The arguments of the call.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub arguments: toml::Table,
}
pub(super) type ExampleRow = Example;

/// One input field.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParameterRow {
    /// `string`, `integer`, `number`, `boolean`, `array` or `object`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether a call must bring it.
    #[serde(default)]
    pub required: bool,
    /// For the model: what it means, with its unit.
    pub description: Option<String>,
    /// The values it may have.
    #[serde(rename = "enum")]
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    pub choices: Option<Vec<toml::Value>>,
    /// What holds when a call does not bring it.
    #[schemars(with = "Option<serde_json::Value>")]
    pub default: Option<toml::Value>,
    /// Fewest characters.
    pub min_length: Option<u64>,
    /// Most characters.
    pub max_length: Option<u64>,
    /// The smallest number.
    pub minimum: Option<i64>,
    /// The largest number.
    pub maximum: Option<i64>,
    /// A regular expression that the text matches.
    pub pattern: Option<String>,
    /// A format of JSON Schema, such as `date-time`, `email` or `uri`.
    pub format: Option<String>,
    /// What the items of an array accept.
    pub items: Option<Box<ParameterRow>>,
    /// What an object holds, each as an input of its own. Then nothing else may be in it.
    #[schemars(with = "Option<std::collections::BTreeMap<String, ParameterRow>>")]
    pub properties: Option<toml::Table>,
    /// Fewest items.
    pub min_items: Option<u64>,
    /// Most items.
    pub max_items: Option<u64>,
    /// Mirrored into `Mcp-Param-<name>` by modern clients (protocol.md S-33).
    pub header: Option<String>,
    /// Whitespace at both ends belongs to the value: bodies of text keep it, names do not.
    #[serde(default)]
    pub keep_whitespace: bool,
}
