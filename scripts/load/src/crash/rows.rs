//! Audit rows as `audit --json` prints them, and the digest by which a row is found again.

use crate::wire::Failure;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Status of a call that ran.
pub(crate) const ALLOW: &str = "allow";
/// Status of a call that was about to have an effect outside the store.
pub(crate) const INTENT: &str = "intent";

/// What is read of a row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its number.
    pub(crate) seq: u64,
    /// Id of the key that called.
    pub(crate) caller: String,
    /// Tool.
    pub(crate) tool: String,
    /// How the call ended.
    pub(crate) status: String,
    /// SHA-256 of the canonical arguments.
    pub(crate) digest: String,
    /// Records the call touched.
    pub(crate) records: Vec<String>,
}

/// Reads the output of `audit --json`.
pub(crate) fn parse(said: &str) -> Result<Vec<Row>, Failure> {
    #[derive(Deserialize)]
    struct Line {
        seq: u64,
        row: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        status: String,
        api_key_id: Option<String>,
        tool_name: Option<String>,
        args_digest: Option<String>,
        #[serde(default)]
        record_ids: Vec<String>,
    }
    said.lines()
        .map(|line| {
            let line: Line =
                serde_json::from_str(line).map_err(|e| format!("`audit --json` printed `{line}`: {e}"))?;
            Ok(Row {
                seq: line.seq,
                caller: line.row.api_key_id.unwrap_or_default(),
                tool: line.row.tool_name.unwrap_or_default(),
                status: line.row.status,
                digest: line.row.args_digest.unwrap_or_default(),
                records: line.row.record_ids,
            })
        })
        .collect()
}

/// The digest the log shows for these arguments: SHA-256 of the JSON without spaces, keys sorted.
pub(crate) fn digest(arguments: &Value) -> String {
    // `Value` keeps its keys sorted and prints without spaces.
    let hash = Sha256::digest(arguments.to_string().as_bytes());
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_read_with_and_without_what_is_optional() {
        let said = concat!(
            r#"{"hash":"aa","row":{"status":"allow","tool_name":"memory_put","args_digest":"d","record_ids":["mem_1"]},"seq":7}"#,
            "\n",
            r#"{"hash":"bb","row":{"status":"deny_rate","ts":"x"},"seq":8}"#,
            "\n"
        );
        let rows = parse(said).expect("reads");
        assert_eq!(
            (rows[0].seq, rows[0].records.as_slice()),
            (7, &["mem_1".to_owned()][..])
        );
        assert_eq!(
            (rows[1].tool.as_str(), rows[1].status.as_str()),
            ("", "deny_rate")
        );
        assert!(parse("42 rows").is_err());
    }

    #[test]
    fn the_digest_is_the_one_of_sorted_arguments() {
        // printf '{"content":"x","key":"k"}' | sha256sum
        let expected = "623605f897405b7a32e87ed8fef24c04ff21c807bbdc47bedbf3b0ce9483eb53";
        assert_eq!(digest(&json!({ "key": "k", "content": "x" })), expected);
    }
}
