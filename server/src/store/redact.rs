//! Takes secrets out of values that are about to be kept for years (security.md A4): by the name of a field and by
//! the look of a text, inside arrays and nested objects too.

use serde_json::Value;

/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";

/// Parts of field names whose values are not kept.
const SECRET_NAMES: [&str; 8] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "cookie",
    "credential",
    "private_key",
];

/// Shortest run of letters, digits and `_` that is taken for a key or a token of ours. A key's random part and its
/// checksum have 49, an id of ours has 30, and a digest, which is no secret, is 64 of `0-9a-f`.
const KEY_LIKE: usize = 43;

/// The value with every secret replaced.
pub fn redacted(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let value = if is_secret_name(&name) && !value.is_null() && !value.is_boolean() {
                    REDACTED.into()
                } else {
                    redacted(value)
                };
                (name, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        Value::String(text) => Value::String(without_keys(text)),
        other => other,
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// The text with everything that looks like a key replaced.
fn without_keys(text: String) -> String {
    let in_key = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_key =
        |run: &str| run.len() >= KEY_LIKE && !(run.len() == 64 && run.bytes().all(|b| b.is_ascii_hexdigit()));
    if !text.split(|c| !in_key(c)).any(is_key) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(|c| !in_key(c)) {
        let run = part.trim_end_matches(|c| !in_key(c));
        if is_key(run) {
            out.push_str(REDACTED);
            out.push_str(part.get(run.len()..).unwrap_or_default());
        } else {
            out.push_str(part);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_go_at_every_depth_and_in_every_container() {
        let key = format!("hoard_sk_{}", "a1B2".repeat(13));
        let value = json!({
            "name": "Ada",
            "Password": "x",
            "list": [{"api_token": 7}, format!("use {key}, please")],
            "text": {"deep": [[key]]},
            "has_secret": true,
            "digest": "ab".repeat(32),
            "id": "usr_01J9Z0000000000000000000AB",
        });
        assert_eq!(
            redacted(value),
            json!({
                "name": "Ada",
                "Password": "[redacted]",
                "list": [{"api_token": "[redacted]"}, "use [redacted], please"],
                "text": {"deep": [["[redacted]"]]},
                "has_secret": true,
                "digest": "ab".repeat(32),
                "id": "usr_01J9Z0000000000000000000AB",
            })
        );
    }
}
