//! `application/x-www-form-urlencoded`, both ways: the bodies of the token endpoint, the query of an address.

use std::fmt::Write as _;

/// Longest query that is looked at; what an authorization server sends back is a few hundred bytes.
const PAIRS: usize = 64;

/// Pairs → text. Everything outside RFC 3986's unreserved set is escaped, blanks too, so that the result is at home in a
/// query, in a body and in a Basic header alike.
pub(super) fn encode(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(&escape(name));
        text.push('=');
        text.push_str(&escape(value));
    }
    text
}

/// One value, escaped.
pub(super) fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 8);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Text → pairs, in order. `None` if an escape is broken, a value is no UTF-8, or a name comes twice: OAuth allows no
/// parameter more than once (RFC 6749 §3.1), and taking either one would be a guess.
pub(super) fn decode(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = unescape(name)?;
        if pairs.len() == PAIRS || pairs.iter().any(|(known, _)| *known == name) {
            return None;
        }
        pairs.push((name, unescape(value)?));
    }
    Some(pairs)
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_a_meaning_is_escaped() {
        assert_eq!(
            encode(&[("a b", "c&d=e+f/é"), ("g", "")]),
            "a%20b=c%26d%3De%2Bf%2F%C3%A9&g="
        );
    }

    #[test]
    fn broken_and_doubled_parameters_are_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=1&a=2", "a=1&%61=2"] {
            assert_eq!(decode(text), None, "{text}");
        }
        assert_eq!(
            decode("a=b+c&&d"),
            Some(vec![("a".into(), "b c".into()), ("d".into(), String::new())])
        );
    }

    proptest! {
        #[test]
        fn a_value_survives_the_way_there_and_back(name in "\\PC+", value in "\\PC*") {
            prop_assert_eq!(decode(&encode(&[(&name, &value)])), Some(vec![(name, value)]));
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC*") {
            let _ = decode(&text);
        }
    }
}
