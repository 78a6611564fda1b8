//! From a refusal to the authorization server (protocol.md C-02, C-03, C-04).
//!
//! First the metadata of the resource, then those of the authorization server it names. What does not fit is refused, not
//! repaired: each comparison here is what keeps a token from going to the wrong place.

use serde_json::Value;

use super::Trouble;
use super::address::{Address, origin};
use super::challenge::Challenge;
use super::fetch::{Document, Fetcher};
use super::scopes::Scopes;
use crate::error::quote;
use crate::upstream::Endpoint;

/// The protected resource, in the server's own words.
#[derive(Debug)]
pub(super) struct Resource {
    /// Its identifier, exactly as published.
    pub(super) id: String,
    /// Who may issue tokens for it, never empty.
    pub(super) issuers: Vec<String>,
    /// The scopes it knows.
    pub(super) scopes: Scopes,
    /// Nothing was published: a server of the revision 2025-03-26 is its own authorization server.
    pub(super) is_own_issuer: bool,
}

/// The authorization server, as far as it is needed.
#[derive(Clone, Debug)]
pub(super) struct Issuer {
    /// Its name, compared as a text and never normalised.
    pub(super) name: String,
    pub(super) authorize: Option<Address>,
    pub(super) token: Address,
    pub(super) register: Option<Address>,
    pub(super) revoke: Option<Address>,
    /// How clients may prove who they are; `None`: not said.
    pub(super) methods: Option<Vec<String>>,
    pub(super) scopes: Scopes,
    /// Takes the address of a document as a client id.
    pub(super) takes_documents: bool,
    /// Promises `iss` in every answer.
    pub(super) sends_iss: bool,
    /// Has published metadata.
    pub(super) is_published: bool,
}

/// The identifier of a server that has published none: its address without query and fragment.
pub(super) fn canonical(endpoint: &Endpoint) -> String {
    let path = endpoint.target.path();
    format!("{}{}", origin(endpoint), if path == "/" { "" } else { path })
}

/// Finds the metadata of the resource (C-02).
pub(super) async fn resource(
    fetcher: &Fetcher,
    server: &Endpoint,
    challenge: &Challenge,
) -> Result<Resource, Trouble> {
    let (origin, path) = (origin(server), server.target.path().trim_end_matches('/'));
    let mut places = Vec::new();
    places.extend(challenge.resource_metadata.clone());
    if !path.is_empty() {
        places.push(format!("{origin}/.well-known/oauth-protected-resource{path}"));
    }
    places.push(format!("{origin}/.well-known/oauth-protected-resource"));
    for place in places {
        let address = fetcher
            .trust
            .address(&place, "address of the resource's metadata")?;
        if let Some(document) = published(fetcher.get(&address).await?)? {
            return read_resource(&document, server);
        }
    }
    Ok(Resource {
        id: canonical(server),
        issuers: vec![origin],
        scopes: Scopes::default(),
        is_own_issuer: true,
    })
}

fn read_resource(document: &Document, server: &Endpoint) -> Result<Resource, Trouble> {
    let id = document.text("resource").unwrap_or_default();
    if !is_resource_of(id, server) {
        return Err(Trouble::Failed(format!(
            "The server's metadata are those of another resource, `{}`. No token is asked for, because it could be used \
             elsewhere. The server's operator has to correct that",
            quote(id.as_bytes(), 200)
        )));
    }
    let issuers: Vec<String> = texts(document.json.get("authorization_servers"));
    if issuers.is_empty() {
        return Err(Trouble::NotOffered);
    }
    let scopes = texts(document.json.get("scopes_supported"));
    Ok(Resource {
        id: id.to_owned(),
        issuers,
        scopes: Scopes::collect(scopes.iter().map(String::as_str)),
        is_own_issuer: false,
    })
}

/// Says whether `id` names the server: the same origin, and its path or one above it.
fn is_resource_of(id: &str, server: &Endpoint) -> bool {
    let Ok(named) = Endpoint::parse(id, true) else {
        return false;
    };
    let same_origin = named.tls == server.tls
        && named.host == server.host
        && named.port == server.port
        && !id.contains('#');
    let (above, path) = (
        named.target.path().trim_end_matches('/'),
        server.target.path().trim_end_matches('/'),
    );
    let is_above = path
        .strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    same_origin && is_above && named.socket.is_none()
}

/// Finds the metadata of an authorization server (C-03).
pub(super) async fn issuer(fetcher: &Fetcher, name: &str, is_own_issuer: bool) -> Result<Issuer, Trouble> {
    let base = fetcher
        .trust
        .address(name, "authorization server that the server names")?;
    for place in places_of(&base) {
        let address = fetcher.trust.address(&place, "address of the metadata")?;
        if let Some(document) = published(fetcher.get(&address).await?)? {
            return read_issuer(fetcher, name, &document, is_own_issuer);
        }
    }
    if !is_own_issuer {
        return Err(Trouble::Failed(format!(
            "The authorization server `{}` publishes no metadata. Its operator has to correct that",
            quote(name.as_bytes(), 200)
        )));
    }
    // The revision 2025-03-26: endpoints at fixed places of the origin.
    let at = |path: &str| {
        fetcher
            .trust
            .address(&format!("{}{path}", base.origin()), "endpoint")
    };
    Ok(Issuer {
        name: name.to_owned(),
        authorize: Some(at("/authorize")?),
        token: at("/token")?,
        register: Some(at("/register")?),
        revoke: None,
        methods: None,
        scopes: Scopes::default(),
        takes_documents: false,
        sends_iss: false,
        is_published: false,
    })
}

/// Where the metadata of an issuer may be, most specific first.
fn places_of(base: &Address) -> Vec<String> {
    let origin = base.origin();
    let path = base.endpoint.target.path().trim_end_matches('/');
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    places
}

fn read_issuer(
    fetcher: &Fetcher,
    name: &str,
    document: &Document,
    is_own_issuer: bool,
) -> Result<Issuer, Trouble> {
    let refuse = |why: &str| {
        Trouble::Failed(format!(
            "The authorization server `{}` {why}. Its operator has to correct that",
            quote(name.as_bytes(), 200)
        ))
    };
    let published = document.text("issuer").unwrap_or_default();
    // Before the revision 2025-06-18 nobody had told the two spellings of an origin apart.
    let same = published == name || (is_own_issuer && published.strip_suffix('/') == Some(name));
    if !same {
        return Err(refuse(&format!(
            "publishes metadata of another one, `{}`",
            quote(published.as_bytes(), 200)
        )));
    }
    let address = |member: &str| {
        let text = document.text(member);
        text.map(|text| fetcher.trust.address(text, member)).transpose()
    };
    let list = |member: &str| document.json.get(member).map(|list| texts(Some(list)));
    let authorize = address("authorization_endpoint")?;
    let has_s256 = list("code_challenge_methods_supported")
        .is_some_and(|methods| methods.iter().any(|method| method == "S256"));
    if authorize.is_some() && !has_s256 {
        return Err(refuse(
            "does not say that it supports PKCE with S256, without which a code could be stolen on its way",
        ));
    }
    let flag = |member: &str| document.json.get(member).and_then(Value::as_bool) == Some(true);
    Ok(Issuer {
        name: published.to_owned(),
        authorize,
        token: address("token_endpoint")?.ok_or_else(|| refuse("names no token endpoint"))?,
        register: address("registration_endpoint")?,
        revoke: address("revocation_endpoint")?,
        methods: list("token_endpoint_auth_methods_supported"),
        scopes: Scopes::collect(
            list("scopes_supported")
                .unwrap_or_default()
                .iter()
                .map(String::as_str),
        ),
        takes_documents: flag("client_id_metadata_document_supported"),
        sends_iss: flag("authorization_response_iss_parameter_supported"),
        is_published: true,
    })
}

/// The document, if there is one here: a server that is about to fail is not one that has none.
fn published(document: Document) -> Result<Option<Document>, Trouble> {
    if document.status.is_server_error() {
        return Err(Trouble::Failed(format!(
            "The metadata for the sign-in could not be read (status {}). Try again",
            document.status.as_u16()
        )));
    }
    Ok((document.status.is_success() && document.json.is_object()).then_some(document))
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice);
    let texts = list.unwrap_or_default().iter().filter_map(Value::as_str);
    texts.take(128).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::address::Trust;
    use super::*;

    #[test]
    fn c02_a_resource_is_the_server_or_above_it() {
        let server = Endpoint::parse("https://H.example/a/mcp?x=1", false).unwrap();
        for id in [
            "https://h.example/a/mcp",
            "https://h.example/a/mcp/",
            "https://h.example:443/a",
            "https://h.example",
            "https://h.example/",
        ] {
            assert!(is_resource_of(id, &server), "{id}");
        }
        for id in [
            "",
            "https://evil.example/a/mcp",
            "http://h.example/a/mcp",
            "https://h.example:444/a/mcp",
            "https://h.example/a/mc",
            "https://h.example/a/mcp/b",
            "https://h.example/b",
            "https://h.example.evil/",
            "https://h.example/a/mcp#f",
        ] {
            assert!(!is_resource_of(id, &server), "{id}");
        }
        assert_eq!(canonical(&server), "https://h.example/a/mcp");
        assert_eq!(
            canonical(&Endpoint::parse("https://h/", false).unwrap()),
            "https://h"
        );
    }

    #[test]
    fn c03_metadata_are_looked_for_in_these_places_in_this_order() {
        let trust = Trust::new(Endpoint::parse("https://h/", false).unwrap());
        let places = |issuer| places_of(&trust.address(issuer, "x").unwrap());
        assert_eq!(
            places("https://as.example"),
            [
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            places("https://as.example/t/1/"),
            [
                "https://as.example/.well-known/oauth-authorization-server/t/1",
                "https://as.example/.well-known/openid-configuration/t/1",
                "https://as.example/t/1/.well-known/openid-configuration"
            ]
        );
    }
}
