//! What an edition's scopes mean: titles, implications, which are explicit, which roles may hold them.
//!
//! The matcher of catalogue.md §2.3 lives here because its rules are data of the edition.

use std::collections::BTreeMap;

use super::file::ScopeRow;
use crate::vocabulary::{Role, Scope};

/// The scopes of one edition.
#[derive(Debug, Default)]
pub struct ScopeRules {
    rows: BTreeMap<String, ScopeRow>,
}

impl ScopeRules {
    pub(super) fn new(rows: BTreeMap<String, ScopeRow>) -> Self {
        Self { rows }
    }

    /// Every scope with its title, in alphabetical order.
    pub fn titles(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows
            .iter()
            .map(|(scope, row)| (scope.as_str(), row.title.as_str()))
    }

    /// Whether the edition knows this scope, a wildcard over one it knows included.
    pub fn knows(&self, scope: &Scope) -> bool {
        self.rows.contains_key(scope.as_str())
            || (scope.as_str().contains('*')
                && self.rows.keys().any(|known| self.matches(scope.as_str(), known)))
    }

    /// Whether everything that `scope` opens, now or after scopes were added, is opened by `granted` too: what a
    /// holder of `granted` may keep, or hand on.
    ///
    /// It errs towards no: a wildcard over scopes some of which are explicit is not part of `*`.
    pub fn includes(&self, granted: &[Scope], scope: &Scope) -> bool {
        let wish = scope.as_str();
        if granted.contains(scope) || (!wish.contains('*') && self.satisfies(granted, scope)) {
            return true;
        }
        let explicit_below = || {
            self.rows
                .iter()
                .any(|(name, row)| row.explicit && covers(wish, name))
        };
        granted.iter().any(|have| match have.as_str() {
            "*" => wish.starts_with("*:") || !explicit_below(),
            // `*:read` holds nothing whole but itself; a prefix holds the longer prefixes below it.
            have => !have.starts_with("*:") && wish != "*" && covers(have, wish),
        })
    }

    /// Whether a scope must be granted by its own name.
    pub fn is_explicit(&self, scope: &Scope) -> bool {
        self.rows.get(scope.as_str()).is_some_and(|row| row.explicit)
    }

    /// The roles that may hold or use a scope; `None` means every role.
    pub fn roles(&self, scope: &Scope) -> Option<&[Role]> {
        let roles = |row: &'_ ScopeRow| (!row.roles.is_empty()).then_some(());
        let row = self
            .rows
            .get(scope.as_str())
            .filter(|row| roles(row).is_some())
            .or_else(|| {
                self.rows
                    .iter()
                    .find(|(name, row)| !row.roles.is_empty() && covers(name, scope.as_str()))
                    .map(|(_, row)| row)
            })?;
        Some(&row.roles)
    }

    /// Whether holding `granted` satisfies a tool that asks for `required`.
    pub fn satisfies(&self, granted: &[Scope], required: &Scope) -> bool {
        granted.iter().any(|have| {
            self.matches(have.as_str(), required.as_str())
                || self.rows.get(have.as_str()).is_some_and(|row| {
                    row.implies
                        .iter()
                        .any(|implied| self.matches(implied.as_str(), required.as_str()))
                })
        })
    }

    /// The table of catalogue.md §2.3, one granted scope against one required.
    fn matches(&self, granted: &str, required: &str) -> bool {
        if granted == required {
            return true;
        }
        let explicit = self.rows.get(required).is_some_and(|row| row.explicit);
        if granted == "*" {
            return !explicit;
        }
        if let Some(verb) = granted.strip_prefix("*:") {
            return !explicit && required.rsplit_once(':').is_some_and(|(_, v)| v == verb);
        }
        covers(granted, required)
    }
}

/// A trailing `:*` or `.*` stands for everything below that prefix.
fn covers(granted: &str, required: &str) -> bool {
    granted == "*"
        || granted == required
        || granted.strip_suffix('*').is_some_and(|prefix| {
            (prefix.ends_with(':') || prefix.ends_with('.'))
                && required.len() > prefix.len()
                && required.starts_with(prefix)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> ScopeRules {
        let row = |implies: &[&str], explicit| ScopeRow {
            title: "t".into(),
            implies: implies.iter().map(|s| Scope::new(s).unwrap()).collect(),
            explicit,
            roles: vec![],
        };
        ScopeRules::new(BTreeMap::from([
            ("memory.write".to_owned(), row(&["memory.read"], false)),
            ("data.search".to_owned(), row(&["search"], false)),
            ("mcp-creds:read".to_owned(), row(&[], true)),
            (
                "admin:*".to_owned(),
                ScopeRow {
                    roles: vec![Role::Owner, Role::Admin],
                    ..row(&[], false)
                },
            ),
        ]))
    }

    #[test]
    fn the_table_of_the_scope_matcher() {
        let rules = rules();
        let table = [
            ("crm:read", "crm:read", true),
            ("admin:*", "admin:members", true),
            ("admin:*", "admin:", false),
            ("admin:*", "administer:members", false),
            ("mcp:*", "mcp:wallet.read", true),
            ("memory.*", "memory.read", true),
            ("memory.*", "memory", false),
            ("*:read", "instances:read", true),
            ("*:read", "instances:write", false),
            ("*:read", "mcp-creds:read", false),
            ("mcp-creds:read", "mcp-creds:read", true),
            ("*", "anything", true),
            ("*", "mcp-creds:read", false),
            ("crm:write", "crm:read", false),
            ("memory.write", "memory.read", true),
            ("data.search", "search", true),
            ("crm*", "crm:read", false),
        ];
        for (granted, required, expected) in table {
            let granted_scope = Scope::new(granted).unwrap();
            assert_eq!(
                rules.satisfies(&[granted_scope], &Scope::new(required).unwrap()),
                expected,
                "{granted} against {required}"
            );
        }
    }

    #[test]
    fn role_rules_reach_every_scope_below_a_wildcard() {
        let rules = rules();
        assert_eq!(
            rules.roles(&Scope::new("admin:members").unwrap()),
            Some(&[Role::Owner, Role::Admin][..])
        );
        assert_eq!(rules.roles(&Scope::new("memory.read").unwrap()), None);
    }
}
