//! A tool and an edition as the running server holds them: judged, compiled and prepared as bytes.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    arguments::InputSchema,
    file::{Example, PolicyRow},
    http::HttpCall,
    scopes::ScopeRules,
};
use crate::vocabulary::{EditionName, Effect, NameStyle, Scope, ToolName};

/// Most tools one edition may have (catalogue.md §2.5): one page, one bit each in a [`ToolSet`].
pub const MOST_TOOLS: usize = 512;

/// Which scopes a tool asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeRule {
    /// Every one of them.
    All(Vec<Scope>),
    /// At least one of them.
    Any(Vec<Scope>),
}

impl ScopeRule {
    /// The scopes named, as they stand in the row.
    pub fn scopes(&self) -> &[Scope] {
        match self {
            Self::All(scopes) | Self::Any(scopes) => scopes,
        }
    }
}

/// The revision family that a definition is shaped for (protocol.md S-70).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// 2025-06-18 and later: titles and output schemas.
    Full,
    /// 2025-03-26: neither.
    Reduced,
}

/// What runs when a tool is called (design.md D2).
#[derive(Clone, Debug)]
pub enum Driver {
    /// The Rust function of that name, `nouns::verb`.
    Function(String),
    /// A call to a REST API.
    Http(Arc<HttpCall>),
}

/// One tool.
#[derive(Debug)]
pub struct Tool {
    /// Its canonical name, as audit and scopes write it.
    pub name: ToolName,
    /// A short name for people.
    pub title: String,
    /// What it does, for the model.
    pub description: String,
    /// The scopes it asks for.
    pub scope: ScopeRule,
    /// What it does to the world.
    pub effect: Effect,
    /// Whether it touches outside systems.
    pub open_world: bool,
    /// The rule on its row.
    pub policy: PolicyRow,
    /// What runs when it is called.
    pub driver: Driver,
    /// What it accepts.
    pub input: InputSchema,
    /// What a successful result's `structuredContent` looks like.
    pub output: Option<Value>,
    /// Its own time limit in seconds, when the row gives one.
    pub timeout_seconds: Option<u64>,
    /// Calls that must work.
    pub examples: Vec<Example>,
    /// Its place in the edition's order, and its bit in a [`ToolSet`].
    pub index: usize,
    pub(super) param_headers: footbridge_protocol::param_headers::ParamHeaders,
}

impl Tool {
    /// The parameters mirrored into `Mcp-Param-*` headers.
    pub fn param_headers(&self) -> &footbridge_protocol::param_headers::ParamHeaders {
        &self.param_headers
    }

    /// The kind letters of catalogue.md §2.6.
    pub fn kind(&self) -> &'static str {
        self.effect.kind(self.open_world)
    }

    /// The name in the given style.
    pub fn listed_name(&self, style: ListedNames) -> String {
        match style {
            ListedNames::Native => self.name.as_str().to_owned(),
            ListedNames::Underscored => self.name.to_underscored(),
        }
    }

    /// The definition as `tools/list` publishes it.
    pub fn definition(&self, shape: Shape, names: ListedNames) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| {
            out.insert(key.to_owned(), value);
        };
        put("name", json!(self.listed_name(names)));
        if shape == Shape::Full {
            put("title", json!(self.title));
        }
        put("description", json!(self.description));
        put("inputSchema", self.input.as_json().clone());
        if let (Shape::Full, Some(output)) = (shape, &self.output) {
            put("outputSchema", output.clone());
        }
        put("annotations", self.annotations());
        Value::Object(out)
    }

    /// The hints of catalogue.md §2.6, all of them, derived from the effect and never written by hand.
    fn annotations(&self) -> Value {
        json!({
            "title": self.title,
            "readOnlyHint": self.effect == Effect::Read,
            "destructiveHint": matches!(self.effect, Effect::Delete | Effect::Execute),
            "idempotentHint": matches!(self.effect, Effect::Read | Effect::Update | Effect::Delete),
            "openWorldHint": self.open_world || self.effect == Effect::Execute,
        })
    }
}

/// The spelling that a client gets in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListedNames {
    /// As in the catalogue.
    Native,
    /// Dots replaced by underscores.
    Underscored,
}

/// A set of an edition's tools, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ToolSet([u64; MOST_TOOLS / 64]);

impl ToolSet {
    /// Adds the tool at `index`; an index past [`MOST_TOOLS`] is never loaded.
    pub fn insert(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    /// Whether the tool at `index` is in the set.
    pub fn contains(&self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}

/// A named group of tools on one endpoint (design.md D1).
#[derive(Debug)]
pub struct Edition {
    /// Its name, and the first segment of its endpoint's path.
    pub name: EditionName,
    /// A name for people.
    pub title: String,
    /// What `initialize` and `server/discover` tell a model about it.
    pub instructions: String,
    /// How names are listed.
    pub names: NameStyle,
    /// What its API keys begin with.
    pub key_prefix: String,
    /// The path it owns besides `/<name>/mcp`.
    pub bare_path: Option<String>,
    /// Whether bare JSON-RPC callers get results spread flat (catalogue.md §2.20).
    pub flat_for_bare_callers: bool,
    /// What its scopes mean.
    pub scopes: ScopeRules,
    pub(super) tools: Vec<Arc<Tool>>,
    pub(super) by_name: HashMap<String, usize>,
}

impl Edition {
    /// The tools in listing order.
    pub fn tools(&self) -> &[Arc<Tool>] {
        &self.tools
    }

    /// The tool of that name, in either spelling.
    pub fn find(&self, name: &str) -> Option<&Arc<Tool>> {
        self.by_name.get(name).and_then(|index| self.tools.get(*index))
    }

    /// The path of its endpoint.
    pub fn path(&self) -> String {
        format!("/{}/mcp", self.name)
    }
}
