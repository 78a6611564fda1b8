//! What one tool sends, judged: every argument has a place, and every hole has an argument.

use std::{collections::BTreeMap, sync::Arc};

use http::{HeaderName, Method, StatusCode};
use serde_json::{Map, Value};

use super::{
    path::PathTemplate,
    row::{Encoding, FaultCode, HttpRow, Paging},
    upstream::{Upstream, header_name},
};
use crate::catalogue::{offers::Address, schema::to_json};

/// The input that continues a list, and the member of the answer that says where.
const CURSOR: &str = "cursor";

/// The idempotency key's input, where a tool has one.
const IDEMPOTENCY_KEY: &str = "idempotency_key";

/// In `body`, the place of an argument that is the body.
pub(in crate::catalogue) const WHOLE_BODY: &str = "*";

/// Where an argument goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A query parameter of that name.
    Query(String),
    /// A header.
    Header(HeaderName),
    /// A member of the body.
    Body(String),
    /// The whole body.
    WholeBody,
}

/// A value that the caller cannot set.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// Always the same.
    Fixed(Value),
    /// The caller's tenant.
    Tenant,
    /// The caller's id.
    User,
    /// The caller's e-mail address.
    Email,
    /// The caller's role.
    Role,
}

/// Where a record stands before a change.
#[derive(Clone, Debug)]
pub struct Preview {
    /// What is read with GET; its holes are among the tool's arguments.
    pub path: PathTemplate,
}

/// A tool's call to a REST API.
#[derive(Clone, Debug)]
pub struct HttpCall {
    /// The API.
    pub upstream: Arc<Upstream>,
    /// The method.
    pub method: Method,
    /// The path below the API's base.
    pub path: PathTemplate,
    /// Where each argument and bound value goes that the path does not take.
    pub places: BTreeMap<String, Place>,
    /// Values that the caller cannot set.
    pub bound: Vec<(String, Bound)>,
    /// How long lists go on.
    pub paging: Option<Paging>,
    /// Pointers to what alone is kept.
    pub select: Vec<String>,
    /// Pointers to what is taken out.
    pub drop: Vec<String>,
    /// Pointer and new name.
    pub rename: Vec<(String, String)>,
    /// What a status means here.
    pub errors: BTreeMap<u16, FaultCode>,
    /// How the body is written.
    pub encoding: Encoding,
    /// How to show what would change.
    pub preview: Option<Preview>,
    /// Where else the outcome is read: whoever subscribed there hears of it. Holes are required inputs.
    pub changes: Vec<Address>,
    /// The header that makes a repeated call harmless.
    pub idempotency_header: Option<HeaderName>,
    /// Whether calls that may safely be repeated are.
    pub retry: bool,
}

impl HttpCall {
    /// Judges a row against the tool's input schema.
    pub(in crate::catalogue) fn new(
        row: HttpRow,
        upstreams: &BTreeMap<String, Arc<Upstream>>,
        input: &Value,
    ) -> Result<Self, String> {
        let upstream = upstreams.get(&row.upstream).ok_or_else(|| {
            let known = upstreams.keys().cloned().collect::<Vec<_>>().join(", ");
            format!("upstream `{}` is not described; there are: {known}", row.upstream)
        })?;
        let method = method(&row.method)?;
        let path = PathTemplate::parse(&row.path)?;
        let empty = Map::new();
        let inputs = input
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let bound = row
            .bind
            .clone()
            .into_iter()
            .map(bound)
            .collect::<Result<Vec<_>, _>>()?;
        if let Some((name, _)) = bound.iter().find(|(name, _)| inputs.contains_key(name)) {
            return Err(format!("`{name}` is bound, so it cannot be an input too"));
        }
        let known = |name: &str| inputs.contains_key(name) || bound.iter().any(|(bound, _)| bound == name);
        let names = inputs.keys().chain(bound.iter().map(|(name, _)| name));
        let places = places(&row, &method, &path, names)?;
        for name in [&row.query, &row.headers, &row.body]
            .into_iter()
            .flat_map(BTreeMap::keys)
        {
            if !known(name) {
                return Err(format!("`{name}` is neither an input nor bound"));
            }
        }
        let required = input.get("required").and_then(Value::as_array);
        let is_required = |hole: &str| required.is_some_and(|all| all.iter().any(|name| name == hole));
        let holes_of = |template: &PathTemplate| {
            template.holes().try_for_each(|hole| {
                if is_required(hole) || bound.iter().any(|(name, _)| name == hole) {
                    Ok(())
                } else {
                    Err(format!(
                        "the path's `{{{hole}}}` is neither a required input nor bound"
                    ))
                }
            })
        };
        holes_of(&path)?;
        let preview = row.preview.map(|p| preview(&p.current)).transpose()?;
        preview.as_ref().map_or(Ok(()), |p| holes_of(&p.path))?;
        let changes = row.changes.iter().map(|text| changed(text, &is_required));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        if row.paging.is_some() && !inputs.contains_key(CURSOR) {
            return Err("a tool with `paging` has an input `cursor` of type string".to_owned());
        }
        let pointers = row.select.iter().chain(&row.drop).chain(row.rename.keys());
        pointers
            .chain(row.paging.iter().filter_map(pointer_of))
            .try_for_each(pointer)?;
        if let Some((_, new)) = row
            .rename
            .iter()
            .find(|(_, new)| new.is_empty() || new.contains('/'))
        {
            return Err(format!("rename: `{new}` is not the name of a member"));
        }
        Ok(Self {
            upstream: Arc::clone(upstream),
            method,
            path,
            places,
            bound,
            paging: row.paging,
            select: row.select,
            drop: row.drop,
            rename: row.rename.into_iter().collect(),
            errors: row.errors.into_iter().map(status).collect::<Result<_, _>>()?,
            encoding: row.encoding,
            preview,
            changes,
            idempotency_header: row.idempotency_header.as_deref().map(header_name).transpose()?,
            retry: row.retry,
        })
    }
}

fn method(text: &str) -> Result<Method, String> {
    match text {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        _ => Err(format!(
            "method `{text}` is not one of GET, HEAD, POST, PUT, PATCH, DELETE"
        )),
    }
}

/// Where everything goes: as its author says, else in the path, else in the query of a call without a body.
fn places<'n>(
    row: &HttpRow,
    method: &Method,
    path: &PathTemplate,
    names: impl Iterator<Item = &'n String>,
) -> Result<BTreeMap<String, Place>, String> {
    let paged_by = row.paging.as_ref().map(|paging| match paging {
        Paging::Cursor { param, .. }
        | Paging::Page { param, .. }
        | Paging::Offset { param, .. }
        | Paging::Link { param } => param,
    });
    let mut places = BTreeMap::new();
    for name in names {
        let said = [
            row.query.contains_key(name),
            row.headers.contains_key(name),
            row.body.contains_key(name),
        ];
        let in_path = path.holes().any(|hole| hole == name);
        if said.iter().filter(|said| **said).count() + usize::from(in_path) > 1 {
            return Err(format!("`{name}` is given two places"));
        }
        let place = if let Some(to) = row.query.get(name) {
            Place::Query(to.clone())
        } else if let Some(to) = row.headers.get(name) {
            Place::Header(header_name(to)?)
        } else if let Some(to) = row.body.get(name) {
            if to == WHOLE_BODY {
                Place::WholeBody
            } else {
                Place::Body(to.clone())
            }
        } else if in_path {
            continue;
        } else if let Some(header) = row
            .idempotency_header
            .as_ref()
            .filter(|_| name == IDEMPOTENCY_KEY)
        {
            Place::Header(header_name(header)?)
        } else if let Some(param) = paged_by.filter(|_| name == CURSOR) {
            Place::Query(param.clone())
        } else if matches!(*method, Method::GET | Method::HEAD | Method::DELETE) {
            Place::Query(name.clone())
        } else {
            Place::Body(name.clone())
        };
        if matches!(place, Place::Body(_) | Place::WholeBody) && matches!(*method, Method::GET | Method::HEAD)
        {
            return Err(format!("`{name}`: a {method} has no body"));
        }
        places.insert(name.clone(), place);
    }
    let in_body = places
        .values()
        .filter(|p| matches!(p, Place::Body(_) | Place::WholeBody))
        .count();
    if in_body > 1 && places.values().any(|place| *place == Place::WholeBody) {
        return Err(format!(
            "an argument that is the whole body (`{WHOLE_BODY}`) leaves no room for others in it"
        ));
    }
    Ok(places)
}

fn bound((name, value): (String, toml::Value)) -> Result<(String, Bound), String> {
    let bound = match value.as_str().filter(|text| text.starts_with('$')) {
        None => Bound::Fixed(to_json(value)),
        Some("$principal.tenant") => Bound::Tenant,
        Some("$principal.user") => Bound::User,
        Some("$principal.email") => Bound::Email,
        Some("$principal.role") => Bound::Role,
        Some(other) => {
            return Err(format!(
                "bind `{name}`: `{other}` is not one of $principal.tenant, $principal.user, $principal.email, $principal.role"
            ));
        }
    };
    Ok((name, bound))
}

fn preview(text: &str) -> Result<Preview, String> {
    let path = text
        .strip_prefix("GET ")
        .ok_or_else(|| format!("preview: `{text}` must be `GET /path`"))?;
    Ok(Preview {
        path: PathTemplate::parse(path)?,
    })
}

/// A resource that a call changes.
fn changed(text: &str, is_required: &impl Fn(&str) -> bool) -> Result<Address, String> {
    let address = Address::parse(text).map_err(|fault| format!("changes: {fault}"))?;
    if let Some(hole) = address.names().find(|hole| !is_required(hole)) {
        return Err(format!("changes: `{{{hole}}}` is no required input"));
    }
    Ok(address)
}

fn pointer_of(paging: &Paging) -> Option<&String> {
    match paging {
        Paging::Cursor { next, .. } => Some(next),
        Paging::Page { items, .. } | Paging::Offset { items, .. } => Some(items).filter(|p| !p.is_empty()),
        Paging::Link { .. } => None,
    }
}

fn pointer(text: &String) -> Result<(), String> {
    if text.starts_with('/') {
        Ok(())
    } else {
        Err(format!(
            "`{text}` is not a JSON pointer (RFC 6901); write `/{text}`"
        ))
    }
}

fn status((text, code): (String, FaultCode)) -> Result<(u16, FaultCode), String> {
    let status = text
        .parse()
        .ok()
        .and_then(|number: u16| StatusCode::from_u16(number).ok());
    match status {
        Some(status) if status.is_client_error() || status.is_server_error() => Ok((status.as_u16(), code)),
        _ => Err(format!("errors: `{text}` is not a status of an error")),
    }
}
