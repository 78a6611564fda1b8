//! JSON in the one form that is hashed (RFC 8785): two values are the same exactly when their digests are.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A value in canonical form: keys sorted by their UTF-16 code units, no spacing, numbers as ECMAScript writes them.
///
/// Integers beyond 2⁵³ keep all their digits, although RFC 8785 would round them: two arguments that a handler
/// could tell apart must not look the same to whoever confirms one of them.
pub fn canonical(value: &Value) -> String {
    let mut out = Vec::with_capacity(128);
    write(value, &mut out);
    // Invariant: whatever is written is text already.
    String::from_utf8(out).unwrap_or_default()
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (position, (key, item)) in keys.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                plain(key, out);
                out.push(b':');
                write(item, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => {
                out.extend_from_slice(ryu_js::Buffer::new().format(float).as_bytes());
            }
            _ => plain(number, out),
        },
        scalar => plain(scalar, out),
    }
}

/// What has one spelling in JSON.
fn plain(scalar: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    // Texts, numbers and words have a JSON form, and a vector takes every byte.
    let _ = serde_json::to_writer(out, scalar);
}

/// SHA-256 of a text.
pub fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Bytes in lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut out = vec![0; bytes.len() * 2];
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    // Invariant: digits are text.
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        canonical(&serde_json::from_str(text).unwrap())
    }

    /// The example of RFC 8785 §3.2.2 and §3.2.3, and the sorting example of its §3.2.3.
    #[test]
    fn the_rfcs_own_examples_come_out_as_printed_there() {
        let text = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(form(text), expected);
        let sorted = form(r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#);
        assert_eq!(
            sorted,
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn order_spacing_and_spelling_of_numbers_do_not_count_and_all_else_does() {
        assert_eq!(
            form(r#"{"a":1,"b":{"d":[1.0,2],"c":"x"}}"#),
            form(r#"{ "b": {"c":"x", "d":[1,2]}, "a":1.0 }"#)
        );
        assert_ne!(form(r#"{"d":[1,2]}"#), form(r#"{"d":[2,1]}"#));
        assert_ne!(form("9007199254740993"), form("9007199254740992"));
        assert_ne!(form("1"), form("\"1\""));
        assert_eq!(hexadecimal(&sha256("{}")[..2]), "4413");
    }
}
