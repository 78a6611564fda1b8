//! `WWW-Authenticate` → what a server wants of the one who asks (protocol.md A-21, A-22).

use hyper::header::{HeaderMap, WWW_AUTHENTICATE};

use super::scopes::Scopes;
use crate::challenge::challenges;

/// What the refusal of a request says about signing in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Another scheme is asked for and Bearer is not: no sign-in will help.
    pub(super) foreign: bool,
    /// Where the metadata of the resource are.
    pub(super) resource_metadata: Option<String>,
    /// The scopes that are needed.
    pub(super) scopes: Scopes,
    /// The error code, `insufficient_scope` above all.
    pub(super) error: Option<String>,
}

impl Challenge {
    /// Reads all challenges of a reply; the first one for `Bearer` counts.
    pub(super) fn read(headers: &HeaderMap) -> Challenge {
        let mut foreign = false;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let Ok(text) = value.to_str() else { continue };
            for (scheme, parameters) in challenges(text) {
                if !scheme.eq_ignore_ascii_case("bearer") {
                    foreign = true;
                    continue;
                }
                let find = |name: &str| {
                    let found = parameters
                        .iter()
                        .find(|(known, _)| known.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.clone())
                };
                return Challenge {
                    foreign: false,
                    resource_metadata: find("resource_metadata"),
                    scopes: Scopes::parse(&find("scope").unwrap_or_default()),
                    error: find("error"),
                };
            }
        }
        Challenge {
            foreign,
            ..Challenge::default()
        }
    }

    /// Says whether a credential with more rights is asked for.
    pub(super) fn wants_scope(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn read(lines: &[&str]) -> Challenge {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
        }
        Challenge::read(&headers)
    }

    #[test]
    fn the_bearer_challenge_is_found_among_others() {
        let challenge = read(&[
            r#"Negotiate, Basic realm="a, Bearer scope=\"no\"", bearer error=insufficient_scope , scope="b c","#,
            r#"Bearer scope="later""#,
        ]);
        assert_eq!(challenge.scopes.to_string(), "b c");
        assert!(challenge.wants_scope() && !challenge.foreign && challenge.resource_metadata.is_none());
        let url = r#"Bearer resource_metadata="https://h/.well-known/oauth-protected-resource""#;
        assert_eq!(
            read(&[url]).resource_metadata.as_deref(),
            Some("https://h/.well-known/oauth-protected-resource")
        );
    }

    #[test]
    fn other_schemes_alone_want_something_else() {
        assert!(read(&[r#"Basic realm="x""#]).foreign);
        assert!(!read(&[]).foreign && !read(&["Bearer"]).foreign);
    }
}
