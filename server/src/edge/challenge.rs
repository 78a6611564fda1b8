//! `WWW-Authenticate`: what a client is told to come back with (protocol.md §2.3, RFC 6750 §3, RFC 9728 §5.1).

use crate::{
    access::{Credential, Principal, oauth::Resource},
    vocabulary::Scope,
};

/// One text for every fault of a token (protocol.md A-14).
const INVALID: &str = "The access token is not valid here: it has expired, or was made for something else";
const INSUFFICIENT: &str = "This call needs more scopes";

/// The challenge of a 401.
///
/// Without a resource it names no metadata: several clients would start OAuth and then never send the key they were
/// given (clients.md §0).
pub(super) fn unauthorized(resource: Option<&Resource>, presented: bool) -> String {
    let mut parts = Vec::new();
    if let Some(resource) = resource {
        parts.push(parameter("resource_metadata", &resource.metadata_url()));
        if !resource.scopes().is_empty() {
            parts.push(parameter("scope", &joined(resource.scopes())));
        }
    }
    if presented {
        parts.push(parameter("error", "invalid_token"));
        if resource.is_some() {
            parts.push(parameter("error_description", INVALID));
        }
    }
    bearer(&parts)
}

/// A caller whose missing scopes a new token may bring.
#[derive(Clone, Copy)]
pub(super) struct Stepping<'a> {
    resource: Option<&'a Resource>,
    granted: &'a [Scope],
    reachable: Option<&'a [Scope]>,
}

impl<'a> Stepping<'a> {
    /// `None` for whoever comes with another credential than an access token.
    pub(super) fn of(principal: &'a Principal, resource: Option<&'a Resource>) -> Option<Self> {
        let facts = principal.facts();
        let Credential::Token { reachable } = &facts.credential else {
            return None;
        };
        Some(Self {
            resource,
            granted: &facts.scopes,
            reachable: reachable.as_deref(),
        })
    }

    /// The challenge of a 403: everything held and everything missing, at once (protocol.md A-22). `None` when no token
    /// could bring it.
    pub(super) fn challenge(self, missing: &[Scope]) -> Option<String> {
        if self
            .reachable
            .is_some_and(|reachable| !missing.iter().all(|scope| reachable.contains(scope)))
        {
            return None;
        }
        let mut scopes: Vec<Scope> = self.granted.iter().chain(missing).cloned().collect();
        scopes.sort();
        scopes.dedup();
        Some(insufficient(self.resource, &scopes))
    }
}

/// The challenge of a 403 to whoever reads statuses.
pub(super) fn insufficient(resource: Option<&Resource>, scopes: &[Scope]) -> String {
    let mut parts = vec![
        parameter("error", "insufficient_scope"),
        parameter("scope", &joined(scopes)),
    ];
    if let Some(resource) = resource {
        parts.push(parameter("resource_metadata", &resource.metadata_url()));
    }
    parts.push(parameter("error_description", INSUFFICIENT));
    bearer(&parts)
}

fn bearer(parts: &[String]) -> String {
    if parts.is_empty() {
        return "Bearer".to_owned();
    }
    format!("Bearer {}", parts.join(", "))
}

/// The one place where a value is quoted (RFC 9110 §5.6.4). What cannot stand in a header is left out.
fn parameter(name: &str, value: &str) -> String {
    let mut out = format!("{name}=\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {}
        }
    }
    out.push('"');
    out
}

fn joined(scopes: &[Scope]) -> String {
    scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_and_stay_on_their_line() {
        assert_eq!(parameter("a", "x\"y\\z\r\n: é"), r#"a="x\"y\\z: ""#);
        assert_eq!(unauthorized(None, false), "Bearer");
        assert_eq!(unauthorized(None, true), r#"Bearer error="invalid_token""#);
    }

    #[test]
    fn a_refused_call_names_every_scope_at_once() {
        let scopes = |words: &[&str]| words.iter().map(|w| Scope::new(w).unwrap()).collect::<Vec<_>>();
        let (granted, missing, narrow) = (scopes(&["b", "a"]), scopes(&["c"]), scopes(&["a", "b"]));
        let stepping = Stepping {
            resource: None,
            granted: &granted,
            reachable: None,
        };
        assert_eq!(
            stepping.challenge(&missing).unwrap(),
            r#"Bearer error="insufficient_scope", scope="a b c", error_description="This call needs more scopes""#
        );
        let out_of_reach = Stepping {
            reachable: Some(&narrow),
            ..stepping
        };
        assert_eq!(out_of_reach.challenge(&missing), None);
    }
}
