//! Names for tools, inputs and scopes, of whatever a document calls things.

use std::collections::BTreeMap;

/// `listLeads`, `List leads` and `list-leads` become `list_leads`.
pub fn snake(text: &str) -> String {
    let mut out = String::new();
    let mut before: Option<char> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if !letter.is_ascii_alphanumeric() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            before = None;
            continue;
        }
        // `listV2API` reads `list_v2_api`: a capital begins a word after a small letter, or before one.
        let begins = letter.is_ascii_uppercase()
            && before.is_some_and(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || (b.is_ascii_uppercase() && letters.peek().is_some_and(char::is_ascii_lowercase))
            });
        if begins && !out.ends_with('_') {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
        before = Some(letter);
    }
    out.trim_end_matches('_').to_owned()
}

/// A name that every client accepts for a property: some providers allow only these characters, 64 of them.
pub(super) fn input(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut name = snake(text);
    name.truncate(64);
    if name.is_empty() { "value".to_owned() } else { name }
}

/// The resource part of a scope.
pub(super) fn slug(text: &str) -> String {
    let slug = snake(text).replace('_', "-");
    if slug.is_empty() { "api".to_owned() } else { slug }
}

/// Pairs of places that have one name, a line each.
pub(super) fn twice<'n>(names: impl Iterator<Item = (&'n str, &'n str)>) -> Vec<String> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut twice = Vec::new();
    for (name, place) in names {
        // Two names that meet once dots are underscores cannot both be listed (catalogue.md §2.19).
        if let Some(first) = seen.insert(name.replace('.', "_"), place) {
            twice.push(format!("  {name}: {first} and {place}"));
        }
    }
    twice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words() {
        for (from, to) in [
            ("listLeads", "list_leads"),
            ("List leads!", "list_leads"),
            ("list-leads/v2", "list_leads_v2"),
            ("getHTTPStatus", "get_http_status"),
            ("listV2API", "list_v2_api"),
            ("__x__", "x"),
            ("GET /v1/leads/{id}", "get_v1_leads_id"),
            ("repos/list-for-org", "repos_list_for_org"),
        ] {
            assert_eq!(snake(from), to);
        }
        assert_eq!(input("page[size]"), "page_size");
        assert_eq!(input("$top"), "top");
        assert_eq!(input("filter.name"), "filter.name");
    }
}
