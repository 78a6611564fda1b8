//! Redactions: filling them in what is sent, matching them in what is received.

use serde_json::{Map, Value};

use super::{Bindings, Fault, different};

/// Replaces each `[name]` in a header's value.
pub(super) fn fill_text(text: &str, bindings: &Bindings) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once(']').filter(|(name, _)| is_name(name)) {
            Some((name, after)) => {
                match bound(name, bindings)? {
                    Value::String(text) => out.push_str(text),
                    value => out.push_str(&value.to_string()),
                }
                rest = after;
            }
            None => {
                out.push('[');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Replaces each `"[name]"` in a body, which need not be JSON.
pub(super) fn fill_json_text(text: &str, bindings: &Bindings) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\"[") {
        out.push_str(before);
        match after.split_once("]\"").filter(|(name, _)| is_name(name)) {
            Some((name, after)) => {
                out.push_str(&bound(name, bindings)?.to_string());
                rest = after;
            }
            None => {
                out.push_str("\"[");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Matches a value against a pattern. `at` is the path so far.
pub(super) fn check(pattern: &Value, found: &Value, at: &str, bindings: &mut Bindings) -> Result<(), Fault> {
    match (pattern, found) {
        (Value::Object(members), Value::Object(found)) => check_members(members, found, at, bindings),
        (Value::Array(patterns), Value::Array(values)) if patterns.len() == values.len() => patterns
            .iter()
            .zip(values)
            .enumerate()
            .try_for_each(|(index, (pattern, value))| {
                check(pattern, value, &format!("{at}[{index}]"), bindings)
            }),
        _ => match redaction(pattern) {
            Some("any") => Ok(()),
            Some("text") if found.as_str().is_some_and(|text| !text.is_empty()) => Ok(()),
            Some("text") => Err(different(at, &"a text", found)),
            Some(name) => match bindings.get(name) {
                Some(bound) if bound == found => Ok(()),
                Some(bound) => Err(different(at, bound, found)),
                None => {
                    bindings.bind(name, found.clone());
                    Ok(())
                }
            },
            None if pattern == found => Ok(()),
            None => Err(different(at, pattern, found)),
        },
    }
}

fn check_members(
    members: &Map<String, Value>,
    found: &Map<String, Value>,
    at: &str,
    bindings: &mut Bindings,
) -> Result<(), Fault> {
    for (key, pattern) in members {
        let at = format!("{at}.{key}");
        match (found.get(key), redaction(pattern)) {
            (None, Some("absent")) => {}
            (Some(value), Some("absent")) => return Err(different(&at, &"no such member", value)),
            (Some(value), _) => check(pattern, value, &at, bindings)?,
            (None, _) => return Err(different(&at, pattern, &"no such member")),
        }
    }
    Ok(())
}

/// A value that matches the pattern.
pub(super) fn example(pattern: &Value, bindings: &Bindings) -> Value {
    match pattern {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| redaction(value) != Some("absent"))
            .map(|(key, value)| (key.clone(), example(value, bindings)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| example(item, bindings)).collect(),
        value => match redaction(value) {
            Some(name) => bindings.get(name).cloned().unwrap_or_else(|| name.into()),
            None => value.clone(),
        },
    }
}

fn bound<'b>(name: &str, bindings: &'b Bindings) -> Result<&'b Value, Fault> {
    bindings.get(name).ok_or_else(|| Fault::Unbound {
        name: name.to_owned(),
    })
}

/// The name in a string that is nothing but `[name]`.
fn redaction(value: &Value) -> Option<&str> {
    value
        .as_str()?
        .strip_prefix('[')?
        .strip_suffix(']')
        .filter(|name| is_name(name))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}
