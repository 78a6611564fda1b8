//! From a file's text and the environment to a [`Config`], or to everything that is wrong with them at once.

use std::fmt;

use serde_json::Value;
use toml::{
    Spanned, Table,
    de::{DeTable, DeValue},
};

use super::{
    Config,
    reference::{kind, schema},
};

/// What the name of every variable of ours begins with.
const PREFIX: &str = "FOOTBRIDGE_";
/// What stands between section and name in a variable. The variables without it are options of the command line.
const BETWEEN: &str = "__";

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file with line and column, or the variable.
    pub place: String,
    /// What is wrong and what is accepted.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", .faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// All that is wrong, in the order of the file; then the environment's.
    pub faults: Vec<Fault>,
}

/// Reads `text`, called `name` in errors; then those of `variables` that are settings, which win.
///
/// # Errors
/// All unknown names and numbers out of range; or else the first value of a wrong type.
pub fn read(
    name: &str,
    text: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let schema = schema();
    let mut judge = Judge {
        name,
        text,
        faults: Vec::new(),
    };
    match DeTable::parse(text) {
        Ok(table) => judge.table(&schema, "", table.get_ref()),
        Err(error) => judge.fault(error.span().map(|span| span.start), error.message().to_owned()),
    }
    let mut table = Table::new();
    if judge.faults.is_empty() {
        // The file by itself first, so that a value of a wrong type is told with its line.
        if let Err(error) = toml::from_str::<Config>(text) {
            judge.fault(error.span().map(|span| span.start), error.message().to_owned());
        } else {
            table = toml::from_str(text).unwrap_or_default();
        }
    }
    let mut faults = judge.faults;
    let mut overridden = Vec::new();
    for (variable, value) in variables {
        let Some(path) = variable
            .strip_prefix(PREFIX)
            .filter(|rest| rest.contains(BETWEEN))
        else {
            continue;
        };
        match set(&mut table, &schema, path, &value) {
            Ok(()) => overridden.push(variable),
            Err(message) => faults.push(Fault {
                place: variable,
                message,
            }),
        }
    }
    if !faults.is_empty() {
        return Err(ConfigError { faults });
    }
    table.try_into().map_err(|error: toml::de::Error| {
        let place = overridden.join(", ");
        let message = error.message().to_owned();
        ConfigError {
            faults: vec![Fault { place, message }],
        }
    })
}

/// Walks a file beside the schema.
struct Judge<'a> {
    name: &'a str,
    text: &'a str,
    faults: Vec<Fault>,
}

impl Judge<'_> {
    fn fault(&mut self, at: Option<usize>, message: String) {
        let place = match at {
            Some(at) => {
                let (line, column) = line_and_column(self.text, at);
                format!("{}, line {line}, column {column}", self.name)
            }
            None => self.name.to_owned(),
        };
        self.faults.push(Fault { place, message });
    }

    fn table(&mut self, schema: &Value, section: &str, table: &DeTable<'_>) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return;
        };
        for (key, value) in table {
            let name: &str = key.get_ref();
            match properties.get(name) {
                Some(property) => self.value(property, &path(section, name), value),
                None => {
                    let message = unknown(schema, section, name);
                    self.fault(Some(key.span().start), message);
                }
            }
        }
    }

    fn value(&mut self, schema: &Value, path: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(schema, path, table),
            DeValue::Array(items) => {
                if let Some(of) = schema.get("items") {
                    for item in items {
                        self.value(of, path, item);
                    }
                }
            }
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
                if let Some(message) = number.ok().and_then(|number| out_of_range(schema, path, number)) {
                    self.fault(Some(value.span().start), message);
                }
            }
            // Whether a value is of the right type, its own reader says.
            _ => {}
        }
    }
}

fn path(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_begins = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_begins..).unwrap_or_default().chars().count();
    (before.matches('\n').count() + 1, column + 1)
}

fn out_of_range(schema: &Value, path: &str, number: i64) -> Option<String> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    // Beyond 2^53 a bound would be inexact; none of ours comes near.
    #[expect(clippy::cast_precision_loss, reason = "compared with small bounds only")]
    let given = number as f64;
    match (bound("minimum"), bound("maximum")) {
        (Some(low), _) if given < low => Some(format!("`{path}` is {number}; it may be {low} at least")),
        (_, Some(high)) if given > high => Some(format!("`{path}` is {number}; it may be {high} at most")),
        _ => None,
    }
}

/// The message about a name that is not there: the nearest one, or all there are.
fn unknown(schema: &Value, section: &str, name: &str) -> String {
    let properties = schema.get("properties").and_then(Value::as_object);
    let known: Vec<&str> = properties
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let what = if section.is_empty() {
        format!("there is no section `[{name}]`")
    } else {
        format!("there is no setting `{name}` under `[{section}]`")
    };
    let nearest = known
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), *known))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match nearest {
        Some((likeness, nearest)) if likeness > 0.8 => format!("{what}; did you mean `{nearest}`?"),
        _ => format!("{what}; there are: {}", known.join(", ")),
    }
}

/// Puts a variable's value into the table, as the type that the schema asks for.
fn set(table: &mut Table, schema: &Value, variable: &str, text: &str) -> Result<(), String> {
    let names: Vec<String> = variable.split(BETWEEN).map(str::to_lowercase).collect();
    let Some((last, sections)) = names.split_last() else {
        return Ok(());
    };
    let (mut schema, mut table, mut section) = (schema, table, String::new());
    let step =
        |schema: &'_ Value, name: &str| schema.get("properties").and_then(|all| all.get(name)).cloned();
    let mut owned;
    for name in sections {
        owned = step(schema, name).ok_or_else(|| unknown(schema, &section, name))?;
        schema = &owned;
        section = path(&section, name);
        let inner = table
            .entry(name)
            .or_insert_with(|| toml::Value::Table(Table::new()));
        table = inner
            .as_table_mut()
            .ok_or_else(|| format!("`{section}` is no section"))?;
    }
    let property = step(schema, last).ok_or_else(|| unknown(schema, &section, last))?;
    let path = path(&section, last);
    let value = match kind(&property) {
        "string" => toml::Value::String(text.to_owned()),
        "array" if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect())
        }
        kind => {
            let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok();
            let value = parsed.and_then(|mut table| table.remove("value"));
            value.ok_or_else(|| format!("`{path}` must be of type {kind}"))?
        }
    };
    if let Some(message) = value
        .as_integer()
        .and_then(|number| out_of_range(&property, &path, number))
    {
        return Err(message);
    }
    table.insert(last.clone(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        match read("f.toml", text, variables) {
            Ok(_) => Vec::new(),
            Err(error) => error.faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_place() {
        let text = "[server]\nlisten = \"127.0.0.1:1\"\nlissten = 1\n\n[edge]\ndrain_ms = 99999999\nbody_bytes = 0\n[egde]\n";
        assert_eq!(
            faults(text, &[]),
            [
                "f.toml, line 3, column 1: there is no setting `lissten` under `[server]`; did you mean `listen`?",
                "f.toml, line 6, column 12: `edge.drain_ms` is 99999999; it may be 3600000 at most",
                "f.toml, line 7, column 14: `edge.body_bytes` is 0; it may be 1024 at least",
                "f.toml, line 8, column 2: there is no section `[egde]`; did you mean `edge`?",
            ]
        );
    }

    #[test]
    fn faults_of_form_and_type_have_their_place_too() {
        let form = faults("[server\n", &[]).join("\n");
        assert!(form.starts_with("f.toml, line 1, column "), "{form}");
        let kind = faults("[edge]\nbody_bytes = \"many\"\n", &[]).join("\n");
        assert!(
            kind.starts_with("f.toml, line 2, column 14: ") && kind.contains("string"),
            "{kind}"
        );
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let variables = [
            ("FOOTBRIDGE_EDGE__DRAIN_MS", "7"),
            ("FOOTBRIDGE_EDGE__PUBLIC_NAMES", "a.example.com, b.example.com"),
            ("FOOTBRIDGE_LOG__JSON", "true"),
            ("FOOTBRIDGE_SERVER__LISTEN", "127.0.0.1:9"),
            ("FOOTBRIDGE_KEY", "not a setting"),
            ("HOME", "/root"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = read("f.toml", "[edge]\ndrain_ms = 5\nbody_bytes = 2048\n", variables).unwrap();
        assert_eq!((config.edge.drain_ms, config.edge.body_bytes), (7, 2048));
        assert_eq!(config.edge.public_names, ["a.example.com", "b.example.com"]);
        assert!(config.log.json);
        assert_eq!(config.server.listen.port(), 9);
    }

    #[test]
    fn a_variable_that_is_no_setting_is_refused_by_name() {
        assert_eq!(
            faults(
                "",
                &[
                    ("FOOTBRIDGE_EDGE__DRAIN", "7"),
                    ("FOOTBRIDGE_EDGE__DRAIN_MS", "soon")
                ]
            ),
            [
                "FOOTBRIDGE_EDGE__DRAIN: there is no setting `drain` under `[edge]`; did you mean `drain_ms`?",
                "FOOTBRIDGE_EDGE__DRAIN_MS: `edge.drain_ms` must be of type integer",
            ]
        );
        let kind = faults("", &[("FOOTBRIDGE_SERVER__LISTEN", "here")]).join("\n");
        assert!(kind.starts_with("FOOTBRIDGE_SERVER__LISTEN: "), "{kind}");
    }
}
