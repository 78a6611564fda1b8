//! The catalogue file as text that a person will edit and commit.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

use super::{
    ImportError, ImportRequest, document::Document, naming, operation::Operation, schema::shortened, security,
};

/// Writes the file. The order of tools is the document's.
pub(super) fn file(
    document: &Document,
    request: &ImportRequest,
    operations: &[Operation],
    report: &mut Vec<String>,
) -> Result<String, ImportError> {
    let info = |pointer: &str| {
        document
            .root()
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let title = shortened(info("/info/title"), 80);
    let title = if title.is_empty() {
        request.upstream.clone()
    } else {
        title
    };
    let upstream = security::upstream(document, request, report)?;
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!(
        "# {} tools of {title} {}, written by `footbridge-server catalogue import`. Edit it: short texts and few tools make\n\
         # models better. `catalogue check` judges it, `catalogue import --check` tells when the API has changed.",
        operations.len(),
        shortened(info("/info/version"), 40),
    ));
    line("format = 1\n".to_owned());
    line("[edition]".to_owned());
    line(format!("name = {}", quoted(&request.edition)));
    line(format!("title = {}", quoted(&title)));
    line(format!(
        "instructions = {}",
        quoted(&format!("Tools of {title}."))
    ));
    line(format!(
        "key_prefix = {}",
        quoted(&format!("{}_", naming::snake(&request.edition)))
    ));
    line(String::new());
    for (scope, titles) in scopes(operations) {
        line(format!("[scopes.{}]", quoted(&scope)));
        line(format!("title = {}", quoted(&titles)));
    }
    line(String::new());
    line(format!("[upstream.{}]", key(&request.upstream)));
    line(format!("base_url = {}", quoted(&upstream.base_url)));
    if let Some(auth) = upstream.auth {
        line(format!("auth = {auth}"));
    }
    for operation in operations {
        line(format!("\n{}", tool(operation, &request.upstream)));
    }
    Ok(out)
}

fn scopes(operations: &[Operation]) -> BTreeMap<String, String> {
    let named = operations.iter().map(|operation| {
        let words = operation.scope.replace([':', '.', '-', '_'], " ");
        let (resource, verb) = words.rsplit_once(' ').unwrap_or((&words, ""));
        let title = match verb {
            "read" => format!("Read {resource}"),
            "write" => format!("Create and change {resource}"),
            "delete" => format!("Delete {resource}"),
            _ => words.clone(),
        };
        (operation.scope.clone(), title)
    });
    named.collect()
}

fn tool(operation: &Operation, upstream: &str) -> String {
    let mut out = String::new();
    let effect = match operation.method {
        "get" => "read",
        "post" => "create",
        "delete" => "delete",
        _ => "update",
    };
    // Writing to a String cannot fail.
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name} = {value}");
    };
    line("name", quoted(&operation.name));
    line("title", quoted(&operation.title));
    line("description", quoted(&operation.description));
    line("scope", quoted(&operation.scope));
    line("effect", quoted(effect));
    if operation.policy != "auto" {
        line("policy", quoted(&operation.policy));
    }
    if operation.always_human {
        line("always_human", "true".to_owned());
    }
    line("input_schema", literal(&operation.input));
    if let Some(schema) = &operation.output {
        line("output_schema", literal(schema));
    }
    let mut http = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(http, "{name} = {value}");
    };
    line("upstream", quoted(upstream));
    line("method", quoted(&operation.method.to_ascii_uppercase()));
    line("path", quoted(&operation.path));
    let bind = operation
        .bind
        .iter()
        .map(|(name, source)| (name.clone(), (*source).to_owned()))
        .collect();
    for (name, map) in [
        ("query", &operation.query),
        ("headers", &operation.headers),
        ("body", &operation.body),
        ("bind", &bind),
    ] {
        if !map.is_empty() {
            line(name, inline(map));
        }
    }
    if let Some(encoding) = operation.encoding {
        line("encoding", quoted(encoding));
    }
    if let Some(path) = operation
        .preview
        .as_ref()
        .filter(|_| operation.policy.contains("confirm"))
    {
        line(
            "preview",
            format!("{{ current = {} }}", quoted(&format!("GET {path}"))),
        );
    }
    format!("[[tool]]\n{out}[tool.http]\n{http}")
}

fn inline(map: &BTreeMap<String, String>) -> String {
    let members: Vec<String> = map
        .iter()
        .map(|(name, value)| format!("{} = {}", key(name), quoted(value)))
        .collect();
    format!("{{ {} }}", members.join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { quoted(name) }
}

/// JSON between single quotes, where TOML leaves every backslash alone; JSON itself can spell a quote otherwise.
fn literal(value: &Value) -> String {
    format!("'{}'", value.to_string().replace('\'', "\\u0027"))
}
