//! JSON arguments → [`Arguments`], judged by the tool's input schema with every fault in one message.
//!
//! Takes the raw JSON of `params.arguments`; hands on a map that satisfies the schema, trimmed and with
//! defaults filled in. Never sees who is calling.

use std::collections::BTreeMap;

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::{Map, Value, value::RawValue};

/// Faults named in one message: enough to mend a call at once, few enough to read.
const MOST_FAULTS: usize = 10;

/// Arguments that satisfied the schema of the tool they are for.
#[derive(Clone, Debug)]
pub struct Arguments(Map<String, Value>);

/// Everything that is wrong with the arguments, as one sentence per fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .faults.join("; "))]
pub struct ArgumentError {
    /// One entry for each fault, `field: what is accepted`.
    pub faults: Vec<String>,
}

impl ArgumentError {
    /// An error with a single fault.
    pub fn one(fault: impl Into<String>) -> Self {
        Self {
            faults: vec![fault.into()],
        }
    }
}

impl Arguments {
    /// The arguments as the handler's own type.
    ///
    /// # Errors
    /// When schema and type disagree in a way the schema cannot say; the message names the field.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, ArgumentError> {
        typed(Value::Object(self.0))
    }

    /// The arguments as JSON.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// The validated map.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// What a caller sent as a type, or which field of it does not fit.
///
/// # Errors
/// When it does not fit; the message names the field.
pub fn typed<'de, T: DeserializeOwned>(
    given: impl Deserializer<'de, Error = serde_json::Error>,
) -> Result<T, ArgumentError> {
    serde_path_to_error::deserialize(given).map_err(|error| {
        let path = error.path().to_string();
        let said = in_plain_words(&error.inner().to_string());
        // A field that is not known has no path of its own.
        match path.trim_end_matches('?').trim_end_matches('.') {
            "" => ArgumentError::one(said),
            path => ArgumentError::one(format!("{path}: {said}")),
        }
    })
}

/// A library's error without the names of our types: callers know numbers, and not how many bits we keep of them.
fn in_plain_words(error: &str) -> String {
    let Some((given, expected)) = error.rsplit_once(", expected ") else {
        return error.to_owned();
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        other => other,
    };
    format!("{given}, expected {expected}")
}

/// Reads raw arguments; absent ones count as `{}` (protocol.md S-56).
///
/// # Errors
/// When a number is beyond what can be computed with.
pub fn read_arguments(raw: Option<&RawValue>) -> Result<Value, ArgumentError> {
    match raw {
        None => Ok(Value::Object(Map::new())),
        Some(raw) => {
            serde_json::from_str(raw.get()).map_err(|e| ArgumentError::one(format!("arguments: {e}")))
        }
    }
}

/// The compiled input schema of one tool.
#[derive(Debug)]
pub struct InputSchema {
    schema: Value,
    validator: Validator,
    keeps_whitespace: Vec<String>,
    aliases: BTreeMap<String, String>,
}

impl InputSchema {
    /// Compiles a schema; the error says what is wrong with it.
    ///
    /// # Errors
    /// When the schema's root is not an object type, when it is not valid JSON Schema 2020-12, or when it
    /// refers to another document (never fetched: protocol.md L-04).
    pub fn new(schema: Value, keeps_whitespace: Vec<String>) -> Result<Self, String> {
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err("the input schema's root must be \"type\": \"object\"".to_owned());
        }
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|e| e.to_string())?;
        Ok(Self {
            schema,
            validator,
            keeps_whitespace,
            aliases: BTreeMap::new(),
        })
    }

    /// The same schema, which takes inputs under other spellings, too. They are not published: they are there for
    /// callers that learned an older name.
    ///
    /// # Errors
    /// When a spelling is an input itself, or means none.
    pub fn with_aliases(self, aliases: BTreeMap<String, String>) -> Result<Self, String> {
        let inputs = self.schema.get("properties").and_then(Value::as_object);
        let is_input = |name: &str| inputs.is_some_and(|inputs| inputs.contains_key(name));
        for (alias, meant) in &aliases {
            if is_input(alias) {
                return Err(format!("alias `{alias}` is an input itself"));
            }
            if !is_input(meant) {
                return Err(format!("alias `{alias}`: there is no input `{meant}`"));
            }
        }
        Ok(Self { aliases, ..self })
    }

    /// The schema as published.
    pub fn as_json(&self) -> &Value {
        &self.schema
    }

    /// Judges what [`read_arguments`] read.
    ///
    /// # Errors
    /// Every fault at once, so that one more try can mend them all.
    pub fn check(&self, mut value: Value) -> Result<Arguments, ArgumentError> {
        let Some(map) = value.as_object_mut() else {
            return Err(ArgumentError::one("arguments: must be an object"));
        };
        for (alias, meant) in &self.aliases {
            if !map.contains_key(meant)
                && let Some(value) = map.remove(alias)
            {
                map.insert(meant.clone(), value);
            }
        }
        for (name, field) in map.iter_mut() {
            if !self.keeps_whitespace.contains(name) {
                trim(field);
            }
        }
        // Most arguments are right, and to say that they are is much cheaper than to look for what is wrong.
        let mut faults: Vec<String> = match self.validator.is_valid(&value) {
            true => Vec::new(),
            false => self
                .validator
                .iter_errors(&value)
                .take(MOST_FAULTS)
                .map(|e| describe(&e))
                .collect(),
        };
        find_nul(&value, "", &mut faults);
        self.find_blank(&value, &mut faults);
        if !faults.is_empty() {
            return Err(ArgumentError { faults });
        }
        let Value::Object(mut map) = value else {
            return Err(ArgumentError::one("arguments: must be an object"));
        };
        for (name, value) in &mut map {
            if let Some(schema) = self.property(name) {
                make_whole(value, schema);
            }
        }
        self.fill_defaults(&mut map);
        Ok(Arguments(map))
    }

    /// The schema of an input.
    fn property(&self, name: &str) -> Option<&Value> {
        self.schema.get("properties")?.get(name)
    }

    /// A text that must say something does not do so in blanks, even where blanks belong to it.
    fn find_blank(&self, value: &Value, faults: &mut Vec<String>) {
        for name in &self.keeps_whitespace {
            let least = self.property(name).and_then(|schema| schema.get("minLength"));
            let is_blank = |text: &str| !text.is_empty() && text.trim().is_empty();
            if least.is_some() && value.get(name).and_then(Value::as_str).is_some_and(is_blank) {
                faults.push(format!("{name}: must not be empty"));
            }
        }
    }

    fn fill_defaults(&self, map: &mut Map<String, Value>) {
        let Some(properties) = self.schema.get("properties").and_then(Value::as_object) else {
            return;
        };
        for (name, schema) in properties {
            if let Some(default) = schema.get("default")
                && !map.contains_key(name)
            {
                map.insert(name.clone(), default.clone());
            }
        }
    }
}

fn trim(value: &mut Value) {
    match value {
        Value::String(text) => {
            let trimmed = text.trim();
            if trimmed.len() != text.len() {
                *text = trimmed.to_owned();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(trim),
        _ => {}
    }
}

/// Writes `5.0` as `5` where whole numbers are wanted: JSON Schema takes the two for one, and so do many writers of JSON.
fn make_whole(value: &mut Value, schema: &Value) {
    /// Up to here every whole number has a float of its own, and no other number has the same.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number)
            if number.is_f64() && schema.get("type").is_some_and(|kind| kind == "integer") =>
        {
            let float = number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() < EXACT);
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
            if let Some(float) = float {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| make_whole(item, schema));
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Some(schema) = schema.get("properties").and_then(|all| all.get(name)) {
                    make_whole(field, schema);
                }
            }
        }
        _ => {}
    }
}

/// NUL is valid JSON and poison to databases and C libraries alike (catalogue.md §1.1).
fn find_nul(value: &Value, path: &str, faults: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains('\0') => {
            faults.push(format!("{}: must not contain the NUL character", name_of(path)));
        }
        Value::Array(items) => items.iter().for_each(|item| find_nul(item, path, faults)),
        Value::Object(map) => {
            for (key, item) in map {
                if path.is_empty() {
                    find_nul(item, key, faults);
                } else {
                    find_nul(item, path, faults);
                }
            }
        }
        _ => {}
    }
}

fn name_of(path: &str) -> &str {
    if path.is_empty() { "arguments" } else { path }
}

/// One fault in words a model can act on: the field, then what is accepted.
fn describe(error: &ValidationError<'_>) -> String {
    let path = error
        .instance_path()
        .as_str()
        .trim_start_matches('/')
        .replace('/', ".");
    let field = name_of(&path);
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            if path.is_empty() {
                format!("{name}: is required")
            } else {
                format!("{path}.{name}: is required")
            }
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let names = unexpected
                .iter()
                .map(|n| format!("`{}`", cut(n)))
                .collect::<Vec<_>>()
                .join(", ");
            format!("{field}: unknown field {names}")
        }
        ValidationErrorKind::Enum { options } => {
            let options = options
                .as_array()
                .map(|all| all.iter().map(plain).collect::<Vec<_>>().join(", "));
            format!("{field}: must be one of {}", options.unwrap_or_default())
        }
        ValidationErrorKind::Type { .. } => format!("{field}: {}", type_message(error)),
        ValidationErrorKind::MinLength { limit: 1 } => format!("{field}: must not be empty"),
        ValidationErrorKind::MinLength { limit } => format!("{field}: must have at least {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("{field}: must have at most {limit} characters"),
        ValidationErrorKind::Minimum { limit } => format!("{field}: must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("{field}: must be at most {limit}"),
        ValidationErrorKind::MinItems { limit } => format!("{field}: must have at least {limit} items"),
        ValidationErrorKind::MaxItems { limit } => format!("{field}: must have at most {limit} items"),
        ValidationErrorKind::Pattern { pattern } => format!("{field}: must match {pattern}"),
        ValidationErrorKind::Format { format } => format!("{field}: must be a valid {format}"),
        _ => format!("{field}: {}", cut(&error.to_string())),
    }
}

fn type_message(error: &ValidationError<'_>) -> String {
    let wanted = match error.kind() {
        ValidationErrorKind::Type { kind } => match kind {
            jsonschema::error::TypeKind::Single(one) => one.to_string(),
            jsonschema::error::TypeKind::Multiple(many) => many
                .iter()
                .map(|t| t.to_string())
                .collect::<Vec<_>>()
                .join(" or "),
        },
        _ => String::new(),
    };
    let article = if wanted.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("must be {article} {wanted}")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A caller's own text goes back to it in small pieces only.
fn cut(text: &str) -> String {
    text.chars().take(200).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> InputSchema {
        InputSchema::new(
            json!({"type":"object","additionalProperties":false,"required":["query","priority"],"properties":{
                "query":{"type":"string","minLength":1,"maxLength":5},
                "priority":{"type":"string","enum":["low","high"]},
                "limit":{"type":"integer","minimum":1,"maximum":10,"default":4},
                "body":{"type":"string","minLength":1}}}),
            vec!["body".to_owned()],
        )
        .unwrap()
    }

    fn check(arguments: &str) -> Result<Arguments, ArgumentError> {
        schema().check(serde_json::from_str(arguments).unwrap())
    }

    #[test]
    fn every_fault_is_in_one_message() {
        let error = check(r#"{"priority":"mid","limit":99,"colour":1}"#)
            .unwrap_err()
            .to_string();
        for part in [
            "query: is required",
            "priority: must be one of low, high",
            "limit: must be at most 10",
            "unknown field `colour`",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn strings_are_trimmed_and_defaults_filled() {
        let arguments = check(r#"{"query":"  ab ","priority":"low","body":" x "}"#).unwrap();
        assert_eq!(arguments.as_map()["query"], "ab");
        assert_eq!(arguments.as_map()["limit"], 4);
        assert_eq!(arguments.as_map()["body"], " x ");
    }

    #[test]
    fn blank_wrong_typed_and_poisoned_values_are_refused() {
        assert_eq!(
            check(r#"{"query":"  ","priority":"low"}"#)
                .unwrap_err()
                .to_string(),
            "query: must not be empty"
        );
        assert_eq!(
            check(r#"{"query":"a","priority":"low","limit":"2"}"#)
                .unwrap_err()
                .to_string(),
            "limit: must be an integer"
        );
        assert!(
            check(r#"{"query":"a\u0000","priority":"low"}"#)
                .unwrap_err()
                .to_string()
                .contains("NUL")
        );
        assert_eq!(
            schema()
                .check(read_arguments(None).unwrap())
                .unwrap_err()
                .faults
                .len(),
            2
        );
        assert!(check("[1]").is_err());
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats_and_kept_texts_say_something() {
        let limit = |text: &str| {
            check(&format!(r#"{{"query":"a","priority":"low","limit":{text}}}"#))
                .map(|arguments| arguments.as_map()["limit"].clone())
        };
        assert_eq!(limit("2.0").unwrap(), json!(2));
        assert_eq!(limit("20e-1").unwrap(), json!(2));
        assert_eq!(limit("2.5").unwrap_err().to_string(), "limit: must be an integer");
        assert_eq!(
            check(r#"{"query":"a","priority":"low","body":" \n "}"#)
                .unwrap_err()
                .to_string(),
            "body: must not be empty"
        );
    }

    #[test]
    fn what_a_type_does_not_take_is_named() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Deal {
            #[expect(dead_code, reason = "read for its errors")]
            amount: i64,
        }
        #[derive(Debug, serde::Deserialize)]
        struct Wanted {
            #[expect(dead_code, reason = "read for its errors")]
            deals: Vec<Deal>,
        }
        for (given, said) in [
            (
                json!({ "deals": [{ "amount": 1 }, { "amount": "x" }] }),
                "deals[1].amount: invalid type: string \"x\", expected a whole number",
            ),
            (json!({ "deals": [{ "price": 1 }] }), "deals[0]"),
            (json!({}), "missing field `deals`"),
        ] {
            let error = typed::<Wanted>(given).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn other_documents_are_never_fetched() {
        let schema = json!({"type":"object","properties":{"a":{"$ref":"https://example.com/s.json"}}});
        assert!(InputSchema::new(schema, vec![]).is_err());
    }

    #[test]
    fn an_older_name_of_an_input_is_taken_and_not_published() {
        let aliased = |pairs: &[(&str, &str)]| {
            let aliases = pairs
                .iter()
                .map(|(alias, meant)| ((*alias).to_owned(), (*meant).to_owned()));
            schema().with_aliases(aliases.collect())
        };
        let schema = aliased(&[("q", "query"), ("text", "query")]).unwrap();
        let read = |value: Value| {
            schema
                .check(value)
                .map(|arguments| arguments.as_map()["query"].clone())
        };
        assert_eq!(read(json!({ "q": " ab ", "priority": "low" })).unwrap(), "ab");
        assert_eq!(read(json!({ "text": "cd", "priority": "low" })).unwrap(), "cd");
        assert_eq!(read(json!({ "query": "ef", "priority": "low" })).unwrap(), "ef");
        // Both at once: the published name is meant, and the other is as unknown as it looks.
        let both = read(json!({ "query": "ef", "q": "ab", "priority": "low" })).unwrap_err();
        assert!(both.to_string().contains("unknown field `q`"), "{both}");
        // What is wrong with its value is said of the name that is published.
        let long = read(json!({ "q": "abcdef", "priority": "low" })).unwrap_err();
        assert!(long.to_string().starts_with("query: "), "{long}");
        assert!(!schema.as_json().to_string().contains("\"q\""));
        assert!(
            aliased(&[("limit", "query")])
                .unwrap_err()
                .contains("is an input itself")
        );
        assert!(
            aliased(&[("q", "nothing")])
                .unwrap_err()
                .contains("no input `nothing`")
        );
    }
}
