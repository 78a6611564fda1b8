//! What every crossed request carries: the host's handshake as envelope keys (protocol.md X-02, X-08, X-23).
//!
//! In comes a request of a legacy host, out goes the same request as a modern one. Arguments and everything else the host
//! wrote keep their bytes.

use footbridge_protocol::era::ProtocolVersion;
use footbridge_protocol::jsonrpc::{Id, write_string};
use footbridge_protocol::meta::{CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, PROTOCOL_VERSION};

use crate::cross::object::{Object, quoted};

/// The extension for long calls, which the bridge polls on the host's behalf (X-35).
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";
/// Members of `params` that only the other side of a crossing may write.
const FOREIGN: [&str; 3] = ["task", "inputResponses", "requestState"];

/// What the host can be asked, as it declared it in its revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Forms.
    pub(super) form: bool,
    /// Pages to visit, from 2025-11-25 on.
    pub(super) url: bool,
    pub(super) sampling: bool,
    pub(super) roots: bool,
}

/// Reads what the host declared and says the same in modern terms (X-23). Nothing the host lacks is declared, but for
/// the extension that the bridge serves by itself.
pub(super) fn translate(revision: ProtocolVersion, declared: &Object<'_>) -> (Abilities, String) {
    let mut abilities = Abilities::default();
    let mut modern = Object::default();
    if declared.has_object("elicitation") && revision >= ProtocolVersion::V2025_06_18 {
        let kinds = declared.object("elicitation");
        let newer = revision >= ProtocolVersion::V2025_11_25;
        abilities.url = newer && kinds.has_object("url");
        // An empty object means forms (S-22), and before 2025-11-25 there was nothing else.
        abilities.form = !newer || kinds.is_empty() || kinds.has_object("form");
        let raw = declared.get("elicitation").unwrap_or("{}");
        modern.set("elicitation", if newer { raw } else { r#"{"form":{}}"# });
    }
    if declared.has_object("sampling") {
        abilities.sampling = true;
        modern.set("sampling", declared.get("sampling").unwrap_or("{}"));
    }
    if declared.has_object("roots") {
        abilities.roots = true;
        modern.set("roots", "{}");
    }
    modern.set("extensions", format!(r#"{{"{TASKS}":{{}}}}"#));
    (abilities, modern.to_text())
}

/// The envelope keys as members of `_meta`, with commas between them.
pub(super) fn keys(
    version: ProtocolVersion,
    capabilities: &str,
    client: Option<&str>,
    level: Option<&str>,
) -> String {
    let mut text = format!(r#""{PROTOCOL_VERSION}":"{version}","{CLIENT_CAPABILITIES}":{capabilities}"#);
    for (key, value) in [
        (CLIENT_INFO, client.map(str::to_owned)),
        (LOG_LEVEL, level.map(quoted)),
    ] {
        if let Some(value) = value {
            text.push_str(",\"");
            text.push_str(key);
            text.push_str("\":");
            text.push_str(&value);
        }
    }
    text
}

/// Writes a request of the host as a modern one under `id`. `keys` are those of [`keys`], `more` further members of
/// `params`, each followed by a comma.
pub(super) fn stamp(id: Id<'_>, method: &str, line: &[u8], keys: &str, more: &str) -> Vec<u8> {
    let mut params = Object::within(line, "params")
        .and_then(|within| within.object)
        .unwrap_or_default();
    params.remove(&FOREIGN);
    let mut meta = params.object("_meta");
    meta.remove(&[PROTOCOL_VERSION, CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL]);
    let mut out = Vec::with_capacity(line.len() + keys.len() + more.len() + 64);
    open(&mut out, id, method);
    out.extend_from_slice(more.as_bytes());
    out.extend_from_slice(br#""_meta":{"#);
    if !meta.is_empty() {
        meta.write_members(&mut out);
        out.push(b',');
    }
    out.extend_from_slice(keys.as_bytes());
    out.push(b'}');
    drop(meta);
    params.remove(&["_meta"]);
    if !params.is_empty() {
        out.push(b',');
        params.write_members(&mut out);
    }
    out.extend_from_slice(b"}}");
    out
}

/// Writes a request of the bridge's own. `params` are members, each followed by a comma.
pub(super) fn request(id: Id<'_>, method: &str, params: &str, keys: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(params.len() + keys.len() + 128);
    open(&mut out, id, method);
    out.extend_from_slice(params.as_bytes());
    out.extend_from_slice(br#""_meta":{"#);
    out.extend_from_slice(keys.as_bytes());
    out.extend_from_slice(b"}}}");
    out
}

fn open(out: &mut Vec<u8>, id: Id<'_>, method: &str) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_raw().as_bytes());
    out.extend_from_slice(br#","method":"#);
    write_string(out, method);
    out.extend_from_slice(br#","params":{"#);
}

#[cfg(test)]
mod tests {
    use footbridge_protocol::jsonrpc::OwnedId;

    use super::*;

    const TASKS_ONLY: &str = r#""extensions":{"io.modelcontextprotocol/tasks":{}}"#;

    #[test]
    fn x23_capabilities_are_those_of_the_host() {
        use ProtocolVersion::{V2025_03_26 as M25, V2025_06_18 as J25, V2025_11_25 as N25};
        for (revision, declared, expected) in [
            (N25, "{}", ""),
            (J25, r#"{"elicitation":{}}"#, r#""elicitation":{"form":{}},"#),
            (
                J25,
                r#"{"elicitation":{"url":{}}}"#,
                r#""elicitation":{"form":{}},"#,
            ),
            (
                N25,
                r#"{"elicitation":{"url":{}, "form":{}}}"#,
                r#""elicitation":{"url":{}, "form":{}},"#,
            ),
            (M25, r#"{"elicitation":{},"sampling":{}}"#, r#""sampling":{},"#),
            (
                N25,
                r#"{"sampling":{"tools":{}},"roots":{"listChanged":true},"tasks":{},"experimental":{"x":{}}}"#,
                r#""sampling":{"tools":{}},"roots":{},"#,
            ),
            (N25, r#"{"roots":null,"sampling":true}"#, ""),
        ] {
            let (_, modern) = translate(revision, &Object::read(declared).unwrap());
            assert_eq!(
                modern,
                format!("{{{expected}{TASKS_ONLY}}}"),
                "{revision} {declared}"
            );
        }
        let url = Object::read(r#"{"elicitation":{"url":{}}}"#).unwrap();
        let (abilities, _) = translate(N25, &url);
        assert!(abilities.url && !abilities.form && !abilities.roots);
    }

    #[test]
    fn x02_the_hosts_own_bytes_stay_what_they_are() {
        let id = OwnedId::from_integer(7);
        for (params, expected) in [
            ("", r#"{"_meta":{K}}"#),
            (r#","params":{}"#, r#"{"_meta":{K}}"#),
            (r#","params":null"#, r#"{"_meta":{K}}"#),
            (
                r#","params":{"name":"n", "arguments":{"a" : 1.50}}"#,
                r#"{"_meta":{K},"name":"n","arguments":{"a" : 1.50}}"#,
            ),
            (
                r#","params":{"_meta":{"progressToken": 1,"io.modelcontextprotocol/logLevel":"x"},"task":{"ttl":1},"name":"n"}"#,
                r#"{"_meta":{"progressToken":1,K},"name":"n"}"#,
            ),
        ] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m"{params}}}"#);
            let seen = stamp(id.as_id(), "m", line.as_bytes(), "K", "");
            assert_eq!(
                String::from_utf8(seen).unwrap(),
                format!(r#"{{"jsonrpc":"2.0","id":7,"method":"m","params":{expected}}}"#)
            );
        }
    }

    #[test]
    fn x08_the_level_goes_with_every_request() {
        let version = ProtocolVersion::V2026_07_28;
        assert_eq!(
            keys(version, "{}", Some(r#"{"name":"h"}"#), Some("info")),
            concat!(
                r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"#,
                r#""io.modelcontextprotocol/clientInfo":{"name":"h"},"io.modelcontextprotocol/logLevel":"info""#
            )
        );
    }
}
