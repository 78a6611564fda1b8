//! Whether rows of prompts and resources make sense. Messages name the fault; the caller adds file, line and name.

use std::{collections::HashSet, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use footbridge_protocol::param_headers::ParamHeaders;
use serde_json::{Map, Value, json};

use super::{
    MOST_OFFERS, Offers,
    prompt::{Input, Message, Part, Prompt},
    resource::{Address, Body, FileBody, Resource, Stored},
    row::{InputRow, MessageRow, PromptRow, ResourceRow},
    text::{TextTemplate, is_name},
    uri::{UriTemplate, check_uri},
};
use crate::{
    catalogue::{
        arguments::InputSchema,
        file::{PolicyRow, ScopeNeed, TaskRule},
        http::HttpCall,
        load::{ADMINS, LONGEST_NAME, Upstreams, check_prose, in_words, scope_rule},
        scopes::ScopeRules,
        tool::{Driver, ReviewRule, Tool},
    },
    vocabulary::{Effect, ToolName},
};

/// Longest value of an argument or a variable, in characters.
const LONGEST_VALUE: usize = 65_536;
/// Most values that one input suggests.
const MOST_SUGGESTIONS: usize = 1000;
/// Largest text or base64 that a row itself brings, in bytes: what a tool's result may have.
const LARGEST_BODY: usize = 1024 * 1024;

/// What all rows of an edition are judged against.
#[derive(Clone, Copy)]
pub(in crate::catalogue) struct Beside<'a> {
    pub scopes: &'a ScopeRules,
    pub upstreams: &'a Upstreams,
}

/// Puts judged rows together.
pub(in crate::catalogue) fn offers(prompts: Vec<Prompt>, resources: Vec<Resource>) -> Result<Offers, String> {
    for (what, count) in [("prompts", prompts.len()), ("resources", resources.len())] {
        if count > MOST_OFFERS {
            return Err(format!("{count} {what}; at most {MOST_OFFERS} fit on one page"));
        }
    }
    let mut names = HashSet::new();
    for (what, name) in prompts
        .iter()
        .map(|prompt| ("prompt", &prompt.name))
        .chain(resources.iter().map(|resource| ("resource", &resource.name)))
    {
        if !names.insert((what, name)) {
            return Err(format!("two {what}s are called `{name}`"));
        }
    }
    let mut addresses = HashSet::new();
    for resource in &resources {
        let address = resource.address.as_str();
        if !addresses.insert(address) {
            return Err(format!("two resources are read at `{address}`"));
        }
    }
    Ok(Offers {
        prompts: prompts.into_iter().map(Arc::new).collect(),
        resources: resources.into_iter().map(Arc::new).collect(),
    })
}

/// Whether tools say of resources that are there that they change them.
pub(in crate::catalogue) fn check_changes(offers: &Offers, tools: &[Arc<Tool>]) -> Result<(), String> {
    let known = |text: &str| {
        let mut resources = offers.resources().iter();
        resources.any(|resource| resource.address.as_str() == text) || offers.resource(text).is_some()
    };
    for tool in tools {
        let Driver::Http(call) = &tool.driver else {
            continue;
        };
        if let Some(stray) = call.changes.iter().find(|address| !known(address.as_str())) {
            return Err(format!(
                "the tool `{}` changes `{}`, and no resource is read there",
                tool.name,
                stray.as_str()
            ));
        }
    }
    Ok(())
}

/// Judges one prompt.
pub(in crate::catalogue) fn prompt(
    row: PromptRow,
    index: usize,
    beside: Beside<'_>,
) -> Result<Prompt, String> {
    let name = row.name.get_ref().clone();
    let arguments = inputs("argument", row.arguments, false)?;
    let known: Vec<&str> = arguments.iter().map(|input| input.name.as_str()).collect();
    let messages = row.messages.into_iter().map(|row| message(row, &known));
    let messages = messages.collect::<Result<Vec<_>, _>>()?;
    let roles = messages.iter().map(|message| message.role).collect();
    let schema = schema(&arguments);
    let driver = match (messages.is_empty(), row.handler, row.http) {
        (false, None, None) => Driver::Messages(messages.into()),
        (true, Some(handler), None) => Driver::Function(handler),
        (true, None, Some(http)) => Driver::Http(Arc::new(HttpCall::new(http, beside.upstreams, &schema)?)),
        _ => return Err("give one of [[prompt.message]], `handler` and [prompt.http]".to_owned()),
    };
    let row = Guard {
        kind: "prompt",
        name: &name,
        title: row.title,
        description: row.description,
        scope: row.scope,
        index,
    };
    let row = Arc::new(row.tool(schema, driver, beside.scopes)?);
    Ok(Prompt {
        name,
        arguments,
        roles,
        row,
    })
}

/// Judges one resource; `file` is the catalogue file that it stands in.
pub(in crate::catalogue) fn resource(
    row: ResourceRow,
    index: usize,
    beside: Beside<'_>,
    file: &Path,
) -> Result<Resource, String> {
    let name = row.name.get_ref().clone();
    let address = match (row.uri, row.uri_template) {
        (Some(uri), None) => {
            check_uri(&uri)?;
            Address::Fixed(uri)
        }
        (None, Some(template)) => Address::Template(UriTemplate::parse(&template)?),
        _ => return Err("give one of `uri` and `uri_template`".to_owned()),
    };
    let names: Vec<&str> = address.names().collect();
    let mut described = inputs("variable", row.variables, true)?;
    if let Some(stray) = described
        .iter()
        .find(|input| !names.contains(&input.name.as_str()))
    {
        return Err(format!("variable `{}` is not in the uri_template", stray.name));
    }
    let variables: Vec<Input> = names
        .iter()
        .map(
            |name| match described.iter().position(|input| input.name == *name) {
                Some(position) => described.swap_remove(position),
                None => Input {
                    name: (*name).to_owned(),
                    title: None,
                    description: String::new(),
                    required: true,
                    complete: Vec::new(),
                },
            },
        )
        .collect();
    let schema = schema(&variables);
    let stored = |body| {
        let mime_type = row.mime_type.clone();
        Driver::Stored(Arc::new(Stored::new(body, mime_type)))
    };
    let driver = match (row.text, row.blob, row.file, row.handler, row.http) {
        (Some(text), None, None, None, None) => {
            check_size("text", &text)?;
            stored(Body::Text(TextTemplate::parse(&text, &names)?))
        }
        (None, Some(blob), None, None, None) => {
            check_size("blob", &blob)?;
            STANDARD
                .decode(&blob)
                .map_err(|e| format!("blob is no base64: {e}"))?;
            stored(Body::Blob(blob))
        }
        (None, None, Some(path), None, None) => stored(Body::File(FileBody {
            folder: file.parent().unwrap_or(Path::new("")).to_owned(),
            path: TextTemplate::parse(&path, &names)?,
        })),
        (None, None, None, Some(handler), None) => Driver::Function(handler),
        (None, None, None, None, Some(http)) => {
            Driver::Http(Arc::new(HttpCall::new(http, beside.upstreams, &schema)?))
        }
        _ => return Err("give one of `text`, `blob`, `file`, `handler` and [resource.http]".to_owned()),
    };
    let guard = Guard {
        kind: "resource",
        name: &name,
        title: row.title,
        description: row.description,
        scope: row.scope,
        index,
    };
    let guard = Arc::new(guard.tool(schema, driver, beside.scopes)?);
    Ok(Resource {
        name,
        address,
        mime_type: row.mime_type,
        variables,
        row: guard,
    })
}

fn check_size(what: &str, text: &str) -> Result<(), String> {
    if text.len() > LARGEST_BODY {
        return Err(format!("{what} has {} bytes; at most {LARGEST_BODY}", text.len()));
    }
    Ok(())
}

fn message(row: MessageRow, known: &[&str]) -> Result<Message, String> {
    let part = match (row.text, row.image, row.resource) {
        (Some(text), None, None) => {
            check_size("text", &text)?;
            Part::Text(TextTemplate::parse(&text, known)?)
        }
        (None, Some(image), None) => {
            check_size("image", &image.data)?;
            STANDARD
                .decode(&image.data)
                .map_err(|e| format!("image: data is no base64: {e}"))?;
            Part::Image {
                data: image.data,
                mime_type: image.mime_type,
            }
        }
        (None, None, Some(resource)) => Part::Resource {
            uri: TextTemplate::parse(&resource.uri, known)?,
            mime_type: resource.mime_type,
            text: TextTemplate::parse(&resource.text, known)?,
        },
        _ => return Err("a message has one of `text`, `image` and `resource`".to_owned()),
    };
    Ok(Message { role: row.role, part })
}

/// Reads what is said of arguments or variables. Those of an address are always there.
fn inputs(what: &str, table: toml::Table, always: bool) -> Result<Vec<Input>, String> {
    let read = table.into_iter().map(|(name, row)| {
        let fault = |message: String| format!("{what} `{name}`: {message}");
        let row: InputRow = row
            .try_into()
            .map_err(|e: toml::de::Error| fault(e.to_string()))?;
        if !is_name(&name) {
            return Err(fault(
                "a name has 1 to 64 letters, digits and underscores".to_owned(),
            ));
        }
        if row.complete.len() > MOST_SUGGESTIONS {
            return Err(fault(format!("complete: at most {MOST_SUGGESTIONS} values")));
        }
        Ok(Input {
            name,
            title: row.title,
            description: row.description,
            required: always || row.required,
            complete: row.complete,
        })
    });
    read.collect()
}

/// What is accepted: strings, as the protocol has it for both.
fn schema(inputs: &[Input]) -> Value {
    let properties: Map<String, Value> = inputs
        .iter()
        .map(|input| {
            let schema = json!({ "type": "string", "maxLength": LONGEST_VALUE });
            (input.name.clone(), schema)
        })
        .collect();
    let required: Vec<&str> = inputs
        .iter()
        .filter(|input| input.required)
        .map(|input| input.name.as_str())
        .collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// The row behind an offer.
struct Guard<'a> {
    kind: &'static str,
    name: &'a str,
    title: String,
    description: String,
    scope: ScopeNeed,
    index: usize,
}

impl Guard<'_> {
    fn tool(self, schema: Value, driver: Driver, scopes: &ScopeRules) -> Result<Tool, String> {
        let own = ToolName::new(self.name).map_err(|e| e.to_string())?;
        // As the call log and a key's list of tools spell it.
        let name = ToolName::new(&format!("{}.{own}", self.kind)).map_err(|e| e.to_string())?;
        if self.name.len() > LONGEST_NAME {
            return Err(format!(
                "the name has {} characters; at most {LONGEST_NAME}",
                self.name.len()
            ));
        }
        let or = |text: String, other: &dyn Fn() -> String| if text.is_empty() { other() } else { text };
        let title = or(self.title, &|| in_words(&own));
        let description = or(self.description, &|| format!("{title}."));
        check_prose(&title, &description)?;
        let open_world = matches!(driver, Driver::Http(_));
        let input = InputSchema::new(schema, kept_whole(&driver))?;
        Ok(Tool {
            name,
            title,
            description,
            scope: scope_rule(self.scope, scopes)?,
            effect: Effect::Read,
            open_world,
            policy: PolicyRow::Auto,
            always_human: false,
            review: ReviewRule {
                groups: vec![ADMINS.to_owned()],
                min_approvals: 1,
                force_groups: Vec::new(),
                jit_seconds: None,
            },
            toolset: self.kind.to_owned(),
            driver,
            input,
            output: None,
            timeout_seconds: None,
            task: TaskRule::Never,
            examples: Vec::new(),
            index: self.index,
            param_headers: ParamHeaders::default(),
            digest: std::sync::OnceLock::new(),
        })
    }
}

/// Whitespace around a value belongs to it wherever the value is put into a text.
fn kept_whole(driver: &Driver) -> Vec<String> {
    let Driver::Messages(messages) = driver else {
        return Vec::new();
    };
    let holes = messages.iter().flat_map(|message| match &message.part {
        Part::Text(text) => vec![text],
        Part::Resource { uri, text, .. } => vec![uri, text],
        Part::Image { .. } => Vec::new(),
    });
    holes.flat_map(TextTemplate::holes).map(str::to_owned).collect()
}
