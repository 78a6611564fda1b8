//! What a tool's caller gives: the parameters and the body of an operation as one flat object (catalogue.md §2.22).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    ImportError, ImportRequest,
    document::{Document, Found},
    naming,
    operation::{is_form, json_schema},
    schema::{Side, convert, flattened, shortened},
};
use crate::catalogue::{http::WHOLE_BODY, load::TENANT_INPUTS};

/// What the caller gives, gathered from parameters and body.
pub(super) struct Inputs<'p> {
    place: &'p str,
    path: &'p str,
    properties: Map<String, Value>,
    required: Vec<String>,
    /// Hole of the path → input, where the two differ.
    pub(super) renamed: BTreeMap<String, String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: BTreeMap<String, String>,
    pub(super) bind: BTreeMap<String, &'static str>,
    /// How the body is written, where that is not JSON.
    pub(super) encoding: Option<&'static str>,
    pub(super) report: Vec<String>,
}

impl<'p> Inputs<'p> {
    pub(super) fn new(place: &'p str, path: &'p str) -> Self {
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
            encoding: None,
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

    pub(super) fn parameters(
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
    pub(super) fn body(&mut self, document: &Document, found: &Found<'_>) -> Result<(), ImportError> {
        if found.method == "get" {
            return Ok(());
        }
        let Some(body) = found.operation.get("requestBody") else {
            return Ok(());
        };
        let body = document.resolve(body, self.place)?;
        let raw = match json_schema(body.get("content")) {
            Some(raw) => raw,
            None => match form(body.get("content")) {
                Some((raw, encoding)) => {
                    self.encoding = Some(encoding);
                    raw
                }
                None => return Ok(()),
            },
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

    pub(super) fn schema(&self) -> Value {
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
    path.split('/').filter_map(hole)
}

/// The hole of a segment.
pub(super) fn hole(segment: &str) -> Option<&str> {
    segment.split_once('{')?.1.split_once('}').map(|(name, _)| name)
}

/// The schema of a form, and how the catalogue calls the way it is written: what is said of one list holds for all.
fn form(content: Option<&Value>) -> Option<(&Value, &'static str)> {
    let (_, media) = content?.as_object()?.iter().find(|(kind, _)| is_form(kind))?;
    let encodings = media.get("encoding").and_then(Value::as_object);
    let indexed = encodings.is_some_and(|all| {
        all.values()
            .any(|one| one.get("style").and_then(Value::as_str) == Some("deepObject"))
    });
    Some((
        media.get("schema")?,
        if indexed { "form_indexed" } else { "form" },
    ))
}
