//! Shaping of an answer by JSON pointers (RFC 6901) in which `*` stands for every item of an array.

use serde_json::{Map, Value, json};

use crate::catalogue::http::HttpCall;

/// The answer as the row wants it, and as MCP wants it: an object.
pub(super) fn apply(call: &HttpCall, value: Value) -> Value {
    let mut value = if call.select.is_empty() {
        value
    } else {
        selected(&value, &call.select)
    };
    for pointer in &call.drop {
        edit(&mut value, &segments(pointer), &mut |parent, name| {
            parent.remove(name);
        });
    }
    for (pointer, new) in &call.rename {
        edit(&mut value, &segments(pointer), &mut |parent, name| {
            if let Some(moved) = parent.remove(name) {
                parent.insert(new.clone(), moved);
            }
        });
    }
    match value {
        Value::Object(_) => value,
        Value::Array(_) => json!({ "items": value }),
        other => json!({ "value": other }),
    }
}

fn segments(pointer: &str) -> Vec<String> {
    let parts = pointer.split('/').skip(1);
    parts
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// Calls `change` on every object that a pointer's last segment is a member of.
fn edit(value: &mut Value, path: &[String], change: &mut dyn FnMut(&mut Map<String, Value>, &str)) {
    match (path, value) {
        ([last], Value::Object(object)) => change(object, last),
        ([first, rest @ ..], Value::Array(items)) if first == "*" => {
            items.iter_mut().for_each(|item| edit(item, rest, change));
        }
        ([first, rest @ ..], Value::Array(items)) => {
            if let Some(item) = first.parse().ok().and_then(|index: usize| items.get_mut(index)) {
                edit(item, rest, change);
            }
        }
        ([first, rest @ ..], Value::Object(object)) if !rest.is_empty() => {
            if let Some(member) = object.get_mut(first) {
                edit(member, rest, change);
            }
        }
        _ => {}
    }
}

/// Only what the pointers lead to, in the places where it stood.
fn selected(value: &Value, pointers: &[String]) -> Value {
    let paths: Vec<Vec<String>> = pointers.iter().map(|p| segments(p)).collect();
    let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
    keep(value, &paths)
}

fn keep(value: &Value, paths: &[&[String]]) -> Value {
    if paths.iter().any(|path| path.is_empty()) {
        return value.clone();
    }
    let below = |name: &str| -> Vec<&[String]> {
        let matching = paths.iter().filter_map(|path| path.split_first());
        matching
            .filter(|(first, _)| *first == name)
            .map(|(_, rest)| rest)
            .collect()
    };
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter_map(|(name, member)| {
                let rest = below(name);
                (!rest.is_empty()).then(|| (name.clone(), keep(member, &rest)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => {
            let rest = below("*");
            if rest.is_empty() {
                return Value::Array(Vec::new());
            }
            items.iter().map(|item| keep(item, &rest)).collect()
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(pointers: &[&str]) -> Vec<String> {
        pointers.iter().map(|p| (*p).to_owned()).collect()
    }

    #[test]
    fn selection_keeps_what_is_named_where_it_stood() {
        let value = json!({"data":[{"id":1,"name":"a","secret":"x"},{"id":2}],"meta":{"next":"n","all":9}});
        assert_eq!(
            selected(&value, &strings(&["/data/*/id", "/meta/next"])),
            json!({"data":[{"id":1},{"id":2}],"meta":{"next":"n"}})
        );
        assert_eq!(selected(&value, &strings(&["/none"])), json!({}));
    }

    #[test]
    fn what_is_dropped_is_gone_from_every_item() {
        let mut value = json!({"users":[{"name":"a","password_hash":"x"},{"name":"b"}],"a/b":1});
        for pointer in ["/users/*/password_hash", "/a~1b", "/absent/x", "/users/7/name"] {
            edit(&mut value, &segments(pointer), &mut |parent, name| {
                parent.remove(name);
            });
        }
        assert_eq!(value, json!({"users":[{"name":"a"},{"name":"b"}]}));
    }
}
