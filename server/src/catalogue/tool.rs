//! A tool and an edition as the running server holds them: judged, compiled and prepared as bytes.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, OnceLock},
};

use serde_json::{Map, Value, json};

use super::{
    arguments::InputSchema,
    command::CommandCall,
    confirming,
    file::{Example, PolicyRow, TaskRule},
    http::HttpCall,
    lean,
    offers::{Message, Offers, Stored},
    scopes::ScopeRules,
};
use crate::vocabulary::{Consent, EditionName, Effect, NameStyle, Scope, ToolName, canonical, sha256};

/// Most tools that an edition lists (catalogue.md §2.5): all of them stand on one page.
pub const MOST_TOOLS: usize = 512;
/// Most tools of an edition whose tools are found by searching.
pub const MOST_DISCOVERED: usize = 8192;

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
    /// A local program.
    Command(Arc<CommandCall>),
    /// The messages of a prompt.
    Messages(Arc<[Message]>),
    /// A resource that the catalogue brings.
    Stored(Arc<Stored>),
}

impl Driver {
    /// The name of the Rust function, if it is one.
    pub fn function(&self) -> Option<&str> {
        match self {
            Self::Function(name) => Some(name),
            Self::Http(_) | Self::Command(_) | Self::Messages(_) | Self::Stored(_) => None,
        }
    }
}

/// Who approves a call that others must approve (catalogue.md §2.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewRule {
    /// The groups asked.
    pub groups: Vec<String>,
    /// How many of them are enough.
    pub min_approvals: usize,
    /// Groups whose members may approve alone.
    pub force_groups: Vec<String>,
    /// For how long one approval opens the tool to whoever asked, in seconds; absent, it is good for one call.
    pub jit_seconds: Option<u32>,
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
    /// Whether a person must answer, whoever else could confirm.
    pub always_human: bool,
    /// Who approves, when others must.
    pub review: ReviewRule,
    /// The group that it is listed with.
    pub toolset: String,
    /// What runs when it is called.
    pub driver: Driver,
    /// What it accepts.
    pub input: InputSchema,
    /// What a successful result's `structuredContent` looks like.
    pub output: Option<Value>,
    /// Its own time limit in seconds, when the row gives one.
    pub timeout_seconds: Option<u64>,
    /// Whether its calls go on after their reply.
    pub task: TaskRule,
    /// Calls that must work.
    pub examples: Vec<Example>,
    /// Its place in the edition's order, and its bit in a [`ToolSet`].
    pub index: usize,
    pub(super) param_headers: footbridge_protocol::param_headers::ParamHeaders,
    /// Its digest, worked out at the first call that needs it. Invariant: a tool does not change once it is built.
    pub(super) digest: OnceLock<[u8; 32]>,
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

    /// The consent that the row itself asks for.
    pub fn consent(&self) -> Consent {
        let asked = self.policy.consent();
        if self.always_human {
            asked.max(Consent::Human)
        } else {
            asked
        }
    }

    /// SHA-256 of what the tool is: a confirmation holds for the tool that was previewed (security.md W1).
    pub fn digest(&self) -> [u8; 32] {
        *self.digest.get_or_init(|| {
            let definition = self.definition(Shape::Full, ListedNames::Native, Consent::Auto);
            sha256(&canonical(&definition))
        })
    }

    /// The definition as a list has it: without bounds that say nothing to whoever fills the form in.
    pub fn listed(&self, shape: Shape, names: ListedNames, consent: Consent) -> Value {
        let mut definition = self.definition(shape, names, consent);
        if let Some(input) = definition.get_mut("inputSchema") {
            lean::input(input);
        }
        definition
    }

    /// The whole definition, for a caller from whom the tool wants this consent.
    pub fn definition(&self, shape: Shape, names: ListedNames, consent: Consent) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| {
            out.insert(key.to_owned(), value);
        };
        put("name", json!(self.listed_name(names)));
        if shape == Shape::Full {
            put("title", json!(self.title));
        }
        let (description, input, output) = match consent {
            Consent::Auto => (
                self.description.clone(),
                self.input.as_json().clone(),
                self.output.clone(),
            ),
            _ => (
                confirming::description(&self.description),
                confirming::input(self.input.as_json()),
                Some(confirming::output(self.output.as_ref())),
            ),
        };
        put("description", json!(description));
        put("inputSchema", input);
        if let (Shape::Full, Some(output)) = (shape, output) {
            put("outputSchema", output);
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

/// A set of an edition's tools, one bit each. Invariant: the last word is not zero, so that equal sets are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ToolSet(Vec<u64>);

impl ToolSet {
    /// Adds the tool at `index`.
    pub fn insert(&mut self, index: usize) {
        let place = index / 64;
        if self.0.len() <= place {
            self.0.resize(place + 1, 0);
        }
        if let Some(word) = self.0.get_mut(place) {
            *word |= 1 << (index % 64);
        }
    }

    /// The tools that are in both sets.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut words: Vec<u64> = self
            .0
            .iter()
            .zip(&other.0)
            .map(|(one, other)| one & other)
            .collect();
        while words.last() == Some(&0) {
            words.pop();
        }
        Self(words)
    }

    /// Whether the tool at `index` is in the set.
    pub fn contains(&self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}

/// A group of tools was asked for that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("There is no toolset `{name}`; there are: {known}.")]
pub struct UnknownToolset {
    /// The name asked for.
    pub name: String,
    /// The names there are.
    pub known: String,
}

/// A named group of tools on one endpoint (design.md D1).
#[derive(Debug)]
pub struct Edition {
    /// Different for every edition that this process ever loaded, whatever its name.
    pub serial: u64,
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
    /// Whether it is served only where the configuration names it.
    pub on_request: bool,
    /// Whether bare JSON-RPC callers get results spread flat (catalogue.md §2.20).
    pub flat_for_bare_callers: bool,
    /// The consent that tools which do not only read ask for at least.
    pub write_policy: Consent,
    /// Whether its tools are found by searching, whoever asks.
    pub discover: bool,
    /// What its scopes mean.
    pub scopes: ScopeRules,
    /// Prompts and resources.
    pub offers: Offers,
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

    /// The tools of these groups.
    ///
    /// # Errors
    /// The first name that is no group's, with those there are.
    pub fn toolsets(&self, names: &[String]) -> Result<ToolSet, UnknownToolset> {
        let mut set = ToolSet::default();
        for name in names {
            let mut found = false;
            for tool in self.tools.iter().filter(|tool| tool.toolset == *name) {
                set.insert(tool.index);
                found = true;
            }
            if !found {
                let known: BTreeSet<&str> = self.tools.iter().map(|tool| tool.toolset.as_str()).collect();
                return Err(UnknownToolset {
                    name: name.chars().take(100).collect(),
                    known: known.into_iter().collect::<Vec<_>>().join(", "),
                });
            }
        }
        Ok(set)
    }

    /// The path that it is known by: the bare one, if it owns one.
    pub fn endpoint(&self) -> String {
        self.bare_path.clone().unwrap_or_else(|| self.path())
    }

    /// The consent that a tool asks for in this edition, before tenant and key have a say.
    pub fn consent(&self, tool: &Tool) -> Consent {
        match tool.effect {
            Effect::Read => tool.consent(),
            _ => tool.consent().max(self.write_policy),
        }
    }

    /// The path of its endpoint.
    pub fn path(&self) -> String {
        format!("/{}/mcp", self.name)
    }
}
