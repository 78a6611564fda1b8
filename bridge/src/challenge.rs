//! The text of `WWW-Authenticate` taken apart (RFC 9110 §11.6.1), for those who explain a refusal and those who sign in.

/// Names and values, in order.
pub(crate) type Parameters = Vec<(String, String)>;

/// Splits a header into schemes with their parameters (RFC 9110 §11.6.1). A word that no `=` follows is a scheme; what
/// makes no sense ends the reading.
pub(crate) fn challenges(text: &str) -> Vec<(String, Parameters)> {
    let mut found: Vec<(String, Parameters)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        let end = rest.find(['=', ' ', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return found;
        }
        let Some(value) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            found.push((word.to_owned(), Vec::new()));
            rest = after;
            continue;
        };
        let Some((value, tail)) = value_of(value.trim_start_matches([' ', '\t'])) else {
            return found;
        };
        if let Some((_, parameters)) = found.last_mut() {
            parameters.push((word.to_owned(), value));
        }
        rest = tail;
    }
}

/// The value of a parameter of the first challenge that has it.
pub(crate) fn parameter(text: &str, name: &str) -> Option<String> {
    let mut parameters = challenges(text)
        .into_iter()
        .flat_map(|(_, parameters)| parameters);
    let found = parameters.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

/// A token or quoted string at the front of `text`, and what follows it. An unfinished quote is no value.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, tail) = text.split_at(end);
        return Some((value.to_owned(), tail));
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_of_a_challenge_are_found_by_their_whole_name() {
        let challenge = r#"Bearer error_description="no \"x\", error=fake", error="insufficient_scope", scope="a:read b:write", x=y"#;
        assert_eq!(parameter(challenge, "scope").as_deref(), Some("a:read b:write"));
        assert_eq!(
            parameter(challenge, "error").as_deref(),
            Some("insufficient_scope")
        );
        assert_eq!(
            parameter(challenge, "error_description").as_deref(),
            Some("no \"x\", error=fake")
        );
        assert_eq!(parameter(challenge, "x").as_deref(), Some("y"));
        assert_eq!(parameter(challenge, "realm"), None);
        assert_eq!(parameter("Bearer scope=\"open", "scope"), None);
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(text in "[ -~\t]*") {
            let _ = challenges(&text);
        }
    }
}
