//! Finds `x-mcp-header` marks in an input schema and refuses those that break H-05.

use std::collections::HashSet;

use serde_json::{Map, Value};
use thiserror::Error;

use super::KEYWORD;

/// Deepest nesting of schemas that is looked at (L-05).
const MAX_DEPTH: usize = 32;
/// Most objects and arrays of a schema that are looked at. Generated schemas of real tools stay well below.
const MAX_NODES: usize = 20_000;

/// Why a tool's marks are unusable. The server refuses such a tool at start-up, a client drops it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// The mark is not a string.
    #[error("`x-mcp-header` at `{at}` must be a string")]
    NotText {
        /// Where, as a path of keys.
        at: String,
    },
    /// The name is empty or has characters that a header name cannot have.
    #[error("`x-mcp-header` at `{at}` must name a header: letters, digits and !#$%&'*+-.^_`|~ only")]
    NotToken {
        /// Where, as a path of keys.
        at: String,
    },
    /// Two parameters share a name, ignoring case.
    #[error("`x-mcp-header` at `{at}` repeats the name `{name}`")]
    Repeated {
        /// Where, as a path of keys.
        at: String,
        /// The name.
        name: String,
    },
    /// The parameter is no string, integer or boolean.
    #[error("`x-mcp-header` at `{at}` must mark a string, integer or boolean")]
    WrongType {
        /// Where, as a path of keys.
        at: String,
    },
    /// The mark is not on a property that the root reaches through `properties` alone.
    #[error("`x-mcp-header` at `{at}` is out of reach: only `properties` may lead to it")]
    Unreachable {
        /// Where, as a path of keys.
        at: String,
    },
    /// The schema is too deep or too large to be looked through.
    #[error("the input schema nests deeper than 32 or is too large to be searched for `x-mcp-header`")]
    TooLarge,
    /// The schema is not JSON that can be held in memory.
    #[error("the input schema cannot be read")]
    Unreadable,
}

/// Keywords whose value is data, not schema; a key spelled like ours inside them is no mark.
const DATA_KEYWORDS: [&str; 5] = ["const", "default", "enum", "example", "examples"];
/// Keywords whose value maps free names to schemas.
const MAP_KEYWORDS: [&str; 5] = [
    "properties",
    "patternProperties",
    "dependentSchemas",
    "$defs",
    "definitions",
];

/// Names and property paths.
pub(super) fn marks(schema: &Value) -> Result<Vec<(String, Vec<String>)>, Fault> {
    let mut walk = Walk {
        nodes: 0,
        trail: Vec::new(),
        seen: HashSet::new(),
        marks: Vec::new(),
    };
    walk.schema(schema, Reach::Root)?;
    Ok(walk.marks)
}

/// How a schema is reached from the root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Root,
    /// Through `properties` alone.
    Property,
    Other,
}

struct Walk<'s> {
    nodes: usize,
    /// Keys from the root, for messages and, without the `properties`, for paths.
    trail: Vec<&'s str>,
    seen: HashSet<String>,
    marks: Vec<(String, Vec<String>)>,
}

impl<'s> Walk<'s> {
    /// Recursion is bounded by `MAX_DEPTH` schemas, each of which adds at most three frames.
    fn schema(&mut self, value: &'s Value, reach: Reach) -> Result<(), Fault> {
        self.nodes += 1;
        // A property adds two keys to the trail.
        if self.nodes > MAX_NODES || self.trail.len() > 2 * MAX_DEPTH {
            return Err(Fault::TooLarge);
        }
        match value {
            Value::Object(keywords) => self.keywords(keywords, reach),
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.within("[]", item, Reach::Other)),
            _ => Ok(()),
        }
    }

    fn keywords(&mut self, keywords: &'s Map<String, Value>, reach: Reach) -> Result<(), Fault> {
        if let Some(name) = keywords.get(KEYWORD) {
            self.mark(name, keywords.get("type"), reach)?;
        }
        for (keyword, value) in keywords {
            match value {
                _ if keyword == KEYWORD || DATA_KEYWORDS.contains(&keyword.as_str()) => {}
                Value::Object(named) if MAP_KEYWORDS.contains(&keyword.as_str()) => {
                    let reach = match (keyword.as_str(), reach) {
                        ("properties", Reach::Root | Reach::Property) => Reach::Property,
                        _ => Reach::Other,
                    };
                    self.trail.push(keyword);
                    for (name, schema) in named {
                        self.within(name, schema, reach)?;
                    }
                    self.trail.pop();
                }
                Value::Object(_) | Value::Array(_) => self.within(keyword, value, Reach::Other)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn within(&mut self, key: &'s str, value: &'s Value, reach: Reach) -> Result<(), Fault> {
        self.trail.push(key);
        self.schema(value, reach)?;
        self.trail.pop();
        Ok(())
    }

    fn mark(&mut self, name: &Value, kind: Option<&Value>, reach: Reach) -> Result<(), Fault> {
        let at = || self.trail.join("/");
        if reach != Reach::Property {
            return Err(Fault::Unreachable { at: at() });
        }
        let name = name.as_str().ok_or_else(|| Fault::NotText { at: at() })?;
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(Fault::NotToken { at: at() });
        }
        if !kind.is_some_and(is_markable) {
            return Err(Fault::WrongType { at: at() });
        }
        if !self.seen.insert(name.to_ascii_lowercase()) {
            return Err(Fault::Repeated {
                at: at(),
                name: name.to_owned(),
            });
        }
        // The trail alternates between `properties` and a property's name.
        let path = self
            .trail
            .iter()
            .skip(1)
            .step_by(2)
            .map(|&key| key.to_owned())
            .collect();
        self.marks.push((name.to_owned(), path));
        Ok(())
    }
}

/// `"string"`, `"integer"`, `"boolean"`, or one of them beside `"null"`: a null has no header (S-33).
fn is_markable(kind: &Value) -> bool {
    let scalar = |kind: &Value| matches!(kind.as_str(), Some("string" | "integer" | "boolean"));
    match kind {
        Value::Array(kinds) => match kinds.as_slice() {
            [kind] => scalar(kind),
            [kind, null] | [null, kind] if null == "null" => scalar(kind),
            _ => false,
        },
        kind => scalar(kind),
    }
}

/// `tchar` of RFC 9110.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
