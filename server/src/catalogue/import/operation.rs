//! One operation of a document as one tool.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    ImportError, ImportRequest,
    document::{Document, Found},
    inputs::Inputs,
    naming,
    schema::{self, Side, convert, flattened, shortened},
    security,
};
use crate::{
    catalogue::{
        http::PathTemplate,
        load::{LONGEST_DESCRIPTION, LONGEST_FIRST_SENTENCE, LONGEST_NAME, RESERVED},
    },
    vocabulary::Scope,
};

/// Bytes of a schema of inputs beyond which a tool costs more than it gives.
const LARGEST_INPUT: usize = 24 * 1024;
/// Bytes of a schema of outputs beyond which it is left out: a model reads results without it.
const LARGEST_OUTPUT: usize = 8 * 1024;

/// A tool in the making.
#[derive(Debug)]
pub(super) struct Operation {
    /// How the report calls it.
    pub(super) place: String,
    pub(super) name: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) scope: String,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) policy: String,
    pub(super) always_human: bool,
    pub(super) input: Value,
    pub(super) output: Option<Value>,
    /// Input → name where the two differ, and where the input would not go by itself.
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: BTreeMap<String, String>,
    pub(super) bind: BTreeMap<String, &'static str>,
    /// How the body is written, where that is not JSON.
    pub(super) encoding: Option<&'static str>,
    /// The path where the record can be read before it is changed.
    pub(super) preview: Option<String>,
}

impl Operation {
    /// Reads an operation; `None` when it cannot or should not be a tool, which the report then says.
    pub(super) fn read(
        document: &Document,
        found: &Found<'_>,
        request: &ImportRequest,
        report: &mut Vec<String>,
    ) -> Result<Option<Self>, ImportError> {
        let place = found.place();
        let said = Said::of(found.operation);
        let mut inputs = Inputs::new(&place, found.path);
        inputs.parameters(document, found, request)?;
        inputs.body(document, found)?;
        report.append(&mut inputs.report);
        let input = inputs.schema();
        if input.to_string().len() > LARGEST_INPUT {
            report.push(format!(
                "{place}: left out: its inputs take more than {} KiB, which a model would pay for on every turn; write this tool by hand",
                LARGEST_INPUT / 1024
            ));
            return Ok(None);
        }
        if let Err(error) = jsonschema::draft202012::new(&input) {
            report.push(format!(
                "{place}: left out: its inputs make no valid JSON Schema: {error}"
            ));
            return Ok(None);
        }
        let path = match template(found.path, &inputs.renamed) {
            Ok(path) => path,
            Err(reason) => {
                report.push(format!("{place}: left out: {reason}"));
                return Ok(None);
            }
        };
        let preview = matches!(found.method, "put" | "patch" | "delete") && found.item.contains_key("get");
        let words = Words::of(found, &said);
        Ok(Some(Self {
            name: name(found, &said)?,
            scope: scope(document, found, &said, report),
            title: words.title,
            description: words.description,
            method: found.method,
            policy: said
                .policy
                .unwrap_or_else(|| if found.method == "get" { "auto" } else { "confirm" }.to_owned()),
            always_human: said.always_human,
            output: output(document, found, &place)?,
            preview: preview.then(|| path.clone()),
            path,
            input,
            query: inputs.query,
            headers: inputs.headers,
            body: inputs.body,
            bind: inputs.bind,
            encoding: inputs.encoding,
            place,
        }))
    }
}

/// `x-footbridge`, which wins over everything else.
#[derive(Default)]
struct Said {
    name: Option<String>,
    title: Option<String>,
    policy: Option<String>,
    scope: Option<String>,
    hide: bool,
    always_human: bool,
}

impl Said {
    fn of(operation: &Map<String, Value>) -> Self {
        let Some(said) = operation.get("x-footbridge") else {
            return Self::default();
        };
        let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
        let flag = |name: &str| said.get(name) == Some(&Value::Bool(true));
        Self {
            name: text("name"),
            title: text("title"),
            policy: text("policy"),
            scope: text("scope"),
            hide: flag("hide"),
            always_human: flag("always_human"),
        }
    }
}

/// Why an operation cannot be a tool.
pub(super) fn why_not(document: &Document, found: &Found<'_>) -> Result<Option<String>, ImportError> {
    let place = &found.place();
    if Said::of(found.operation).hide {
        return Ok(Some("x-footbridge hides it".to_owned()));
    }
    if found.operation.get("deprecated") == Some(&Value::Bool(true)) {
        return Ok(Some("deprecated".to_owned()));
    }
    if let Some(body) = found.operation.get("requestBody") {
        let content = document
            .resolve(body, place)?
            .get("content")
            .and_then(Value::as_object);
        let kinds: Vec<&String> = content.into_iter().flat_map(Map::keys).collect();
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_json(kind) || is_form(kind)) {
            let kinds = kinds.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(", ");
            return Ok(Some(format!(
                "it takes {kinds}, and JSON or a form is what is sent"
            )));
        }
    }
    let streams = success(document, found, place)?
        .and_then(|response| response.get("content"))
        .and_then(Value::as_object)
        .is_some_and(|content| {
            !content.is_empty() && content.keys().all(|kind| kind.starts_with("text/event-stream"))
        });
    Ok(streams.then(|| "it answers with an endless stream of events".to_owned()))
}

fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim();
    media == "application/json" || media.ends_with("+json") || media == "*/*"
}

pub(super) fn is_form(media: &str) -> bool {
    media.split(';').next().unwrap_or_default().trim() == "application/x-www-form-urlencoded"
}

/// The answer that an operation documents for success.
fn success<'d>(
    document: &'d Document,
    found: &Found<'d>,
    place: &str,
) -> Result<Option<&'d Value>, ImportError> {
    let responses = found.operation.get("responses").and_then(Value::as_object);
    let good = responses.and_then(|all| {
        let mut good = all.iter().filter(|(status, _)| status.starts_with('2'));
        good.next().map(|(_, response)| response)
    });
    match good {
        Some(response) => Ok(Some(document.resolve(response, place)?)),
        None => Ok(None),
    }
}

pub(super) fn json_schema(content: Option<&Value>) -> Option<&Value> {
    let content = content?.as_object()?;
    let (_, media) = content.iter().find(|(kind, _)| is_json(kind))?;
    media.get("schema")
}

fn output(document: &Document, found: &Found<'_>, place: &str) -> Result<Option<Value>, ImportError> {
    let Some(schema) = success(document, found, place)?.and_then(|r| json_schema(r.get("content"))) else {
        return Ok(None);
    };
    let converted = convert(document, schema, Side::Output, place)?;
    let converted = flattened(converted);
    let is = |kind: &str| match converted.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(types)) => types.iter().any(|t| t == kind),
        _ => false,
    };
    let object = if is("array") {
        json!({ "type": "object", "properties": { "items": converted } })
    } else if is("object") {
        let mut object = converted;
        if let Some(object) = object.as_object_mut() {
            object.insert("type".to_owned(), json!("object"));
        }
        object
    } else {
        return Ok(None);
    };
    let fits = object.to_string().len() <= LARGEST_OUTPUT && jsonschema::draft202012::new(&object).is_ok();
    Ok(fits.then_some(object))
}

/// The path with its holes named after the inputs, if the catalogue can fill it.
fn template(path: &str, renamed: &BTreeMap<String, String>) -> Result<String, String> {
    // Some documents tell operations of one path apart by a fragment, which no request carries.
    let path = path.split('#').next().unwrap_or_default().trim_end_matches('/');
    let path = if path.is_empty() { "/" } else { path };
    let segments = path.split('/').map(|segment| {
        let hole = super::inputs::hole(segment);
        match hole.and_then(|hole| Some((hole, renamed.get(hole)?))) {
            Some((hole, input)) => segment.replace(&format!("{{{hole}}}"), &format!("{{{input}}}")),
            None => segment.to_owned(),
        }
    });
    let path = segments.collect::<Vec<_>>().join("/");
    PathTemplate::parse(&path).map(|_| path)
}

fn name(found: &Found<'_>, said: &Said) -> Result<String, ImportError> {
    let source = said.name.clone().unwrap_or_else(|| match found.id() {
        Some(id) => naming::snake(id),
        None => naming::snake(&found.place()),
    });
    let name = fitting(source);
    if RESERVED.contains(&name.as_str()) {
        return Err(ImportError::Rule(format!(
            "{}: the name `{name}` is reserved: no catalogue may offer it; leave it out with --exclude, or name it with x-footbridge",
            found.place()
        )));
    }
    Ok(name)
}

/// A name that is too long, without its middle: many long names differ at their ends.
fn fitting(name: String) -> String {
    const END: usize = 24;
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let letters: Vec<char> = name.chars().filter(char::is_ascii).collect();
    let (begin, _) = letters.split_at(letters.len().min(LONGEST_NAME - END - 1));
    let (_, end) = letters.split_at(letters.len().saturating_sub(END));
    let (begin, end): (String, String) = (begin.iter().collect(), end.iter().collect());
    format!("{}_{}", begin.trim_end_matches('_'), end.trim_start_matches('_'))
}

fn scope(document: &Document, found: &Found<'_>, said: &Said, report: &mut Vec<String>) -> String {
    if let Some(scope) = &said.scope {
        return scope.clone();
    }
    if let Some(named) = security::scopes(document, found).first() {
        if Scope::new(named).is_ok() {
            return named.clone();
        }
        report.push(format!(
            "{}: the document's scope `{named}` is none here; one was made of its tag",
            found.place()
        ));
    }
    let fixed = |segment: &&str| !segment.is_empty() && !segment.starts_with('{') && !is_version(segment);
    let resource = found
        .tags()
        .next()
        .or_else(|| found.path.split('/').find(fixed))
        .unwrap_or("api");
    let verb = match found.method {
        "get" => "read",
        "delete" => "delete",
        _ => "write",
    };
    format!("{}:{verb}", naming::slug(resource))
}

fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// What a model and a person read.
struct Words {
    title: String,
    description: String,
}

impl Words {
    fn of(found: &Found<'_>, said: &Said) -> Self {
        let text = |key: &str| {
            let text = found
                .operation
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default();
            shortened(text, usize::MAX)
        };
        let (summary, long) = (text("summary"), text("description"));
        let first = long.split_inclusive(". ").next().unwrap_or_default().trim();
        let title = [
            &said.title.clone().unwrap_or_default(),
            &summary,
            first,
            &found.place(),
        ]
        .into_iter()
        .find(|candidate| !candidate.is_empty())
        .map(|title| shortened(title, 80))
        .unwrap_or_default();
        let mut description = if long.is_empty() { summary } else { long };
        if description.is_empty() {
            description.clone_from(&title);
        }
        let opening = description
            .split_inclusive(". ")
            .next()
            .unwrap_or_default()
            .trim_end()
            .chars()
            .count();
        if opening > LONGEST_FIRST_SENTENCE {
            // A long first sentence gives way to the title, which is short.
            description = format!(
                "{}. {description}",
                shortened(&title, LONGEST_FIRST_SENTENCE - 2).trim_end_matches('.')
            );
        }
        Self {
            title,
            description: schema::shortened(&description, LONGEST_DESCRIPTION),
        }
    }
}
