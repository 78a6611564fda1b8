//! From arguments to a request: every value goes to the place that the row fixed, encoded for that place.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, header::IF_MATCH};
use serde_json::{Map, Value};
use url::Url;

use super::DomainError;
use crate::{
    access::PrincipalFacts,
    catalogue::http::{Bound, Encoding, HttpCall, Paging, PathTemplate, Place},
    vocabulary::{Timestamp, new_id},
};

/// A request, still without its credential.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Body>,
}

/// A body and what it is.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) media: &'static str,
    pub(super) bytes: Vec<u8>,
}

impl Prepared {
    /// Lets the change happen only to the record as it was shown (RFC 9110 §13.1.1).
    ///
    /// # Errors
    /// When the tag is no header's value, which it was when it arrived.
    pub(super) fn only_if(&mut self, etag: &str) -> Result<(), DomainError> {
        let value = HeaderValue::from_str(etag).map_err(DomainError::internal)?;
        self.headers.insert(IF_MATCH, value);
        Ok(())
    }
}

/// Fills a row's holes.
///
/// # Errors
/// When a value does not fit its place; the message names the argument.
pub(super) fn prepare(
    call: &HttpCall,
    arguments: &Map<String, Value>,
    principal: &PrincipalFacts,
    now: Timestamp,
) -> Result<Prepared, DomainError> {
    let values = with_bound(call, arguments, principal);
    let mut url = address(call, &call.path, &values)?;
    let mut headers = HeaderMap::new();
    let mut body = call
        .places
        .values()
        .any(|place| matches!(place, Place::Body(_)))
        .then(|| Value::Object(Map::new()));
    for (name, place) in &call.places {
        let Some(value) = values.get(name) else { continue };
        match place {
            Place::Query(parameter) => push_query(&mut url, parameter, value),
            Place::Header(header) => {
                if let Some(text) = text_of(value) {
                    headers.insert(header.clone(), header_value(name, &text)?);
                }
            }
            Place::Body(member) => {
                if let Some(Value::Object(body)) = &mut body {
                    body.insert(member.clone(), value.clone());
                }
            }
            Place::WholeBody => body = Some(value.clone()),
        }
    }
    if let Some(paging) = &call.paging {
        ask_for_size(paging, &mut url);
    }
    if let Some(header) = &call.idempotency_header
        && !headers.contains_key(header)
    {
        // One key for all tries of this call, so that a repeated try does nothing twice.
        headers.insert(header.clone(), fresh_key(now)?);
    }
    Ok(Prepared {
        url,
        headers,
        body: body.map(|body| written(&body, call.encoding)),
    })
}

fn written(body: &Value, encoding: Encoding) -> Body {
    if encoding == Encoding::Json {
        return Body {
            media: "application/json",
            bytes: body.to_string().into_bytes(),
        };
    }
    let indexed = encoding == Encoding::FormIndexed;
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    match body {
        Value::Object(members) => {
            for (name, value) in members {
                push_field(&mut form, name, value, indexed);
            }
        }
        other => push_field(&mut form, "value", other, true),
    }
    Body {
        media: "application/x-www-form-urlencoded",
        bytes: form.finish().into_bytes(),
    }
}

/// Adds a value under its name: members and, where they are indexed or no plain values, items in brackets behind it.
fn push_field(
    form: &mut url::form_urlencoded::Serializer<'_, String>,
    name: &str,
    value: &Value,
    indexed: bool,
) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                push_field(form, &format!("{name}[{member}]"), value, indexed);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                match !indexed && !item.is_object() && !item.is_array() {
                    true => push_field(form, name, item, indexed),
                    false => push_field(form, &format!("{name}[{at}]"), item, indexed),
                }
            }
        }
        other => {
            if let Some(text) = text_of(other) {
                form.append_pair(name, &text);
            }
        }
    }
}

/// An address below the API's base.
pub(super) fn address(
    call: &HttpCall,
    path: &PathTemplate,
    values: &Map<String, Value>,
) -> Result<Url, DomainError> {
    let path = path
        .fill(|name| values.get(name).and_then(text_of))
        .map_err(|(name, fault)| DomainError::argument(format!("{name}: {fault}")))?;
    let mut url = call.upstream.base.clone();
    let whole = format!("{}{path}", url.path().trim_end_matches('/'));
    url.set_path(&whole);
    Ok(url)
}

/// The caller's arguments and what the caller cannot set.
pub(super) fn with_bound(
    call: &HttpCall,
    arguments: &Map<String, Value>,
    principal: &PrincipalFacts,
) -> Map<String, Value> {
    let mut values = arguments.clone();
    for (name, bound) in &call.bound {
        let value = match bound {
            Bound::Fixed(value) => value.clone(),
            Bound::Tenant => Value::from(principal.tenant.as_str()),
            Bound::User => Value::from(principal.user.as_str()),
            Bound::Email => Value::from(principal.email.as_str()),
            Bound::Role => Value::from(principal.role.as_str()),
        };
        values.insert(name.clone(), value);
    }
    values
}

/// A value as text; `None` for null, which is left out.
fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

fn push_query(url: &mut Url, parameter: &str, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| push_query(url, parameter, item)),
        other => {
            if let Some(text) = text_of(other) {
                url.query_pairs_mut().append_pair(parameter, &text);
            }
        }
    }
}

fn ask_for_size(paging: &Paging, url: &mut Url) {
    if let Paging::Page { size, size_param, .. } | Paging::Offset { size, size_param, .. } = paging
        && let Some(parameter) = size_param
        // An argument may have asked for another size; the API then decides.
        && !url.query_pairs().any(|(name, _)| name == parameter.as_str())
    {
        url.query_pairs_mut().append_pair(parameter, &size.to_string());
    }
}

fn header_value(name: &str, text: &str) -> Result<HeaderValue, DomainError> {
    let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    match HeaderValue::from_str(text) {
        Ok(value) if printable => Ok(value),
        _ => Err(DomainError::argument(format!("{name}: must be printable ASCII"))),
    }
}

fn fresh_key(now: Timestamp) -> Result<HeaderValue, DomainError> {
    HeaderValue::from_str(&new_id("idem", now)).map_err(DomainError::internal)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_is_written_as_its_api_reads_it() {
        let body = json!({ "a": 1, "b": ["x", "y&z"], "c": { "d": true, "e": [{ "f": "g" }] }, "n": null });
        let text = |encoding| String::from_utf8(written(&body, encoding).bytes).unwrap();
        assert_eq!(
            text(Encoding::Form),
            "a=1&b=x&b=y%26z&c%5Bd%5D=true&c%5Be%5D%5B0%5D%5Bf%5D=g"
        );
        assert_eq!(
            text(Encoding::FormIndexed),
            "a=1&b%5B0%5D=x&b%5B1%5D=y%26z&c%5Bd%5D=true&c%5Be%5D%5B0%5D%5Bf%5D=g"
        );
        assert_eq!(text(Encoding::Json), body.to_string());
    }
}
