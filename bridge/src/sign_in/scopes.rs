//! Sets of scopes: read from a stranger's text, joined, compared, written.

use std::fmt;

/// More than this many scopes in one document are not a list of scopes.
const MOST: usize = 128;

/// Scope tokens in the order they were met, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scopes(Vec<String>);

impl Scopes {
    /// Reads tokens separated by blanks. What is no scope token (RFC 6749 §3.3) is left out.
    pub(super) fn parse(text: &str) -> Scopes {
        Self::collect(text.split(' '))
    }

    /// The tokens of a list.
    pub(super) fn collect<'t>(tokens: impl IntoIterator<Item = &'t str>) -> Scopes {
        let mut scopes = Scopes::default();
        for token in tokens {
            let is_token = !token.is_empty()
                && token
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
            if is_token && scopes.0.len() < MOST && !scopes.has(token) {
                scopes.0.push(token.to_owned());
            }
        }
        scopes
    }

    pub(super) fn has(&self, token: &str) -> bool {
        self.0.iter().any(|known| known == token)
    }

    /// Says whether all of `other` is in here.
    pub(super) fn covers(&self, other: &Scopes) -> bool {
        other.0.iter().all(|token| self.has(token))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything in either.
    pub(super) fn union(&self, other: &Scopes) -> Scopes {
        Self::collect(self.0.iter().chain(&other.0).map(String::as_str))
    }

    /// Everything but `token`.
    pub(super) fn without(mut self, token: &str) -> Scopes {
        self.0.retain(|known| known != token);
        self
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_a_set_of_clean_tokens() {
        let scopes = Scopes::parse("b  a b \"x\" é c\nd");
        assert_eq!(scopes.to_string(), "b a");
        assert_eq!(scopes.union(&Scopes::parse("c a")).to_string(), "b a c");
        assert!(scopes.covers(&Scopes::parse("a")) && !scopes.covers(&Scopes::parse("a c")));
        assert_eq!(scopes.without("b").to_string(), "a");
    }
}
