//! The encoding of values in `Mcp-Name` and `Mcp-Param-*` headers (H-01 to H-04).
//!
//! A value that is safe in a header travels as it is; any other as `=?base64?…?=`. Encoding never yields a byte
//! that could end or fold a header line.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// A header value with both markers whose inside is no base64 of UTF-8 text (H-03).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the text between `=?base64?` and `?=` is not padded base64 of UTF-8")]
pub struct BadEncoding;

/// The header value for a text.
pub fn encode(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        && text == trim(text)
        && !(text.starts_with(OPEN) && text.ends_with(CLOSE));
    if plain {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{OPEN}{}{CLOSE}", STANDARD.encode(text)))
    }
}

/// The text a header value stands for. Optional whitespace around the value is not part of it (S-30).
pub fn decode(value: &str) -> Result<Cow<'_, str>, BadEncoding> {
    let value = trim(value);
    let Some(inside) = value.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) else {
        return Ok(Cow::Borrowed(value));
    };
    let bytes = STANDARD.decode(inside).map_err(|_| BadEncoding)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| BadEncoding)
}

/// Strips what HTTP calls optional whitespace: spaces and tabs.
pub fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BadEncoding, decode, encode};

    /// Vectors of protocol brief §1.4, and the cases around the markers.
    const VECTORS: [(&str, &str); 13] = [
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("us-west1", "us-west1"),
        ("", ""),
        ("a\tb c", "a\tb c"),
        ("\tx", "=?base64?CXg=?="),
        ("=?base64?open", "=?base64?open"),
        ("close?=", "close?="),
        ("=?BASE64?eA==?=", "=?BASE64?eA==?="),
        ("=?base64?=", "=?base64?PT9iYXNlNjQ/PQ==?="),
        ("\u{7f}", "=?base64?fw==?="),
    ];

    #[test]
    fn vectors_hold_both_ways() {
        for (text, value) in VECTORS {
            assert_eq!(encode(text), value, "encoding {text:?}");
            assert_eq!(decode(value).as_deref(), Ok(text), "decoding {value:?}");
        }
    }

    #[test]
    fn whitespace_around_a_value_is_not_part_of_it() {
        assert_eq!(decode(" \tus-west1 ").as_deref(), Ok("us-west1"));
        assert_eq!(decode(" =?base64?eA==?=\t").as_deref(), Ok("x"));
    }

    #[test]
    fn markers_that_share_their_question_mark_are_literal() {
        assert_eq!(decode("=?base64?=").as_deref(), Ok("=?base64?="));
    }

    #[test]
    fn both_markers_with_a_bad_inside_are_malformed() {
        for value in [
            "=?base64?literal?=",
            "=?base64?eA?=",
            "=?base64?eA= =?=",
            "=?base64?e-_=?=",
            "=?base64?/w==?=",
            "=?base64?eB==?=",
            "=?base64?====?=",
        ] {
            assert_eq!(decode(value), Err(BadEncoding), "{value}");
        }
        assert_eq!(
            decode("=?base64??=").as_deref(),
            Ok(""),
            "nothing is the base64 of nothing"
        );
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in any::<String>()) {
            let value = encode(&text);
            prop_assert_eq!(decode(&value).unwrap(), text.as_str());
        }

        #[test]
        fn encoded_values_are_safe_in_a_header(text in any::<String>()) {
            let value = encode(&text);
            prop_assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')));
            prop_assert!(!value.starts_with([' ', '\t']) && !value.ends_with([' ', '\t']));
        }

        #[test]
        fn near_markers_survive(inside in r"[=?a-z64 ]{0,12}") {
            let text = format!("=?base64?{inside}?=");
            let value = encode(&text);
            prop_assert_eq!(decode(&value).unwrap(), text.as_str());
        }
    }
}
