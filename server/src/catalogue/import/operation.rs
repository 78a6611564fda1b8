//! One operation of a document as one tool.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    ImportError, ImportRequest,
    document::{Document, Found},
    naming,
    schema::{self, Side, convert, flattened, shortened},
    security,
};
use crate::{
    catalogue::{
        http::{PathTemplate, WHOLE_BODY},
        load::{LONGEST_DESCRIPTION, LONGEST_FIRST_SENTENCE, LONGEST_NAME, RESERVED, TENANT_INPUTS},
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
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_json(kind)) {
            let kinds = kinds.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(", ");
            return Ok(Some(format!("it takes {kinds}, and JSON is what is sent")));
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

fn json_schema(content: Option<&Value>) -> Option<&Value> {
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

/// What the caller gives, gathered from parameters and body.
struct Inputs<'p> {
    place: &'p str,
    path: &'p str,
    properties: Map<String, Value>,
    required: Vec<String>,
    /// Hole of the path → input, where the two differ.
    renamed: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: BTreeMap<String, String>,
    bind: BTreeMap<String, &'static str>,
    report: Vec<String>,
}

impl<'p> Inputs<'p> {
    fn new(place: &'p str, path: &'p str) -> Self {
        Self {
            place,
            path,
            properties: Map::new(),
            required: Vec::new(),
            renamed: BTreeMap::new(),
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            body: BTreeMap::new(),
            bind: BTreeMap::new(),
            report: Vec::new(),
        }
    }

    /// Whether an input would name whom the caller acts for; then it is bound, and the report says so.
    fn binds(&mut self, name: &str) -> bool {
        if !TENANT_INPUTS.contains(&name) {
            return false;
        }
        let source = if name.starts_with("user") {
            "$principal.user"
        } else {
            "$principal.tenant"
        };
        self.bind.insert(name.to_owned(), source);
        self.report.push(format!(
            "{}: `{name}` is bound to {source}, for callers never name whom they act for; look whether that is what it means here",
            self.place
        ));
        true
    }

    fn parameters(
        &mut self,
        document: &Document,
        found: &Found<'_>,
        request: &ImportRequest,
    ) -> Result<(), ImportError> {
        let lists = [found.item.get("parameters"), found.operation.get("parameters")];
        let mut all: BTreeMap<(String, String), &Value> = BTreeMap::new();
        let mut order = Vec::new();
        for parameter in lists.into_iter().flatten().filter_map(Value::as_array).flatten() {
            let parameter = document.resolve(parameter, self.place)?;
            let text = |key: &str| {
                parameter
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let key = (text("in"), text("name"));
            // The operation's own wins over the path's of the same name.
            if all.insert(key.clone(), parameter).is_none() {
                order.push(key);
            }
        }
        for key in order {
            if let Some(parameter) = all.get(&key).copied() {
                self.parameter(document, &key, parameter, request)?;
            }
        }
        // A hole that no parameter describes is still one.
        for hole in holes(self.path) {
            if !all.contains_key(&("path".to_owned(), hole.to_owned())) && !self.binds(hole) {
                self.properties
                    .insert(hole.to_owned(), json!({ "type": "string" }));
                self.required.push(hole.to_owned());
            }
        }
        Ok(())
    }

    fn parameter(
        &mut self,
        document: &Document,
        (location, name): &(String, String),
        parameter: &Value,
        request: &ImportRequest,
    ) -> Result<(), ImportError> {
        match location.as_str() {
            "path" | "query" => {}
            "header"
                if request
                    .with_headers
                    .iter()
                    .any(|wanted| wanted.eq_ignore_ascii_case(name)) => {}
            _ => return Ok(()),
        }
        if self.binds(name) {
            return Ok(());
        }
        let input = naming::input(name);
        match location.as_str() {
            "path" if input != *name => {
                self.renamed.insert(name.clone(), input.clone());
            }
            "header" => {
                self.headers.insert(input.clone(), name.clone());
            }
            "query" if input != *name || !matches!(self.method(), "get" | "delete") => {
                self.query.insert(input.clone(), name.clone());
            }
            _ => {}
        }
        let raw = parameter
            .get("schema")
            .or_else(|| json_schema(parameter.get("content")));
        let mut schema = match raw {
            Some(schema) => convert(document, schema, Side::Input, self.place)?,
            None => json!({ "type": "string" }),
        };
        if let (Some(object), Some(text)) = (
            schema.as_object_mut(),
            parameter.get("description").and_then(Value::as_str),
        ) && !text.trim().is_empty()
        {
            object.insert("description".to_owned(), json!(shortened(text, 160)));
        }
        let required = location == "path" || parameter.get("required") == Some(&Value::Bool(true));
        self.add(&input, schema, required);
        Ok(())
    }

    fn method(&self) -> &str {
        match self.place.split(' ').next() {
            Some("GET") => "get",
            Some("DELETE") => "delete",
            _ => "other",
        }
    }

    fn add(&mut self, input: &str, schema: Value, required: bool) {
        self.properties.insert(input.to_owned(), schema);
        if required {
            self.required.push(input.to_owned());
        }
    }

    /// The members of a JSON body beside the parameters; a body that is no plain object, or whose members clash with
    /// the parameters, is one input.
    fn body(&mut self, document: &Document, found: &Found<'_>) -> Result<(), ImportError> {
        if found.method == "get" {
            return Ok(());
        }
        let Some(body) = found.operation.get("requestBody") else {
            return Ok(());
        };
        let body = document.resolve(body, self.place)?;
        let Some(raw) = json_schema(body.get("content")) else {
            return Ok(());
        };
        let must = body.get("required") == Some(&Value::Bool(true));
        let converted = flattened(convert(document, raw, Side::Input, self.place)?);
        let members = converted.get("properties").and_then(Value::as_object);
        let plain = ["oneOf", "anyOf", "allOf"]
            .iter()
            .all(|word| converted.get(*word).is_none());
        let members = match members {
            Some(members) if plain && !members.is_empty() => members,
            _ => {
                self.body.insert("body".to_owned(), WHOLE_BODY.to_owned());
                self.add("body", converted, must);
                return Ok(());
            }
        };
        let taken = |name: &String| self.properties.contains_key(&naming::input(name));
        if members.keys().any(taken) {
            self.body.insert("body".to_owned(), WHOLE_BODY.to_owned());
            self.add("body", converted.clone(), must);
            return Ok(());
        }
        let wanted = converted.get("required").and_then(Value::as_array);
        let wanted = |name: &str| must && wanted.is_some_and(|all| all.iter().any(|n| n == name));
        for (name, schema) in members {
            if self.binds(name) {
                // A DELETE's values go to the query by themselves, this one does not.
                self.body.insert(name.clone(), name.clone());
                continue;
            }
            let input = naming::input(name);
            if input != *name || found.method == "delete" {
                self.body.insert(input.clone(), name.clone());
            }
            self.add(&input, schema.clone(), wanted(name));
        }
        Ok(())
    }

    fn schema(&self) -> Value {
        let mut schema =
            json!({ "type": "object", "properties": self.properties, "additionalProperties": false });
        if let Some(object) = schema.as_object_mut()
            && !self.required.is_empty()
        {
            object.insert("required".to_owned(), json!(self.required));
        }
        schema
    }
}

fn holes(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// The path with its holes named after the inputs, if the catalogue can fill it.
fn template(path: &str, renamed: &BTreeMap<String, String>) -> Result<String, String> {
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() { "/" } else { path };
    let segments = path.split('/').map(|segment| {
        let hole = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        match hole.and_then(|hole| renamed.get(hole)) {
            Some(input) => format!("{{{input}}}"),
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
    let mut name = source;
    if name.len() > LONGEST_NAME {
        let end = (0..=LONGEST_NAME).rev().find(|end| name.is_char_boundary(*end));
        name.truncate(end.unwrap_or_default());
    }
    if RESERVED.contains(&name.as_str()) {
        return Err(ImportError::Rule(format!(
            "{}: the name `{name}` is reserved: no catalogue may offer it; leave it out with --exclude, or name it with x-footbridge",
            found.place()
        )));
    }
    Ok(name)
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
