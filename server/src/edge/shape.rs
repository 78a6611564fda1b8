//! Results as each revision writes them: the table of protocol.md S-70 in code.
//!
//! What a tool produced stays the bytes that it is; nothing is parsed again on the way out.

use footbridge_protocol::{era::ProtocolVersion, jsonrpc::write_string};
use serde_json::{Map, value::RawValue};

use super::envelope::Dialect;
use crate::domain::{Content, InputRequest, ToolResult};

/// Writes a finished call. `tail` is what ends the result: `,"_meta":{…}`, or nothing.
pub(super) fn write_tool_result(out: &mut Vec<u8>, dialect: Dialect, tail: &[u8], result: &ToolResult) {
    let structured = result.structured.as_deref().map(RawValue::get);
    let blocks = Blocks {
        text: result.prose.as_deref().or(structured),
        besides: &result.content,
    };
    write(out, dialect, tail, &blocks, structured, result.is_error);
}

/// Writes a failure that the model can act on. `structured` is the JSON of `{"error":…}`.
pub(super) fn write_tool_error(
    out: &mut Vec<u8>,
    dialect: Dialect,
    tail: &[u8],
    text: &str,
    structured: &str,
) {
    let text = [Content::Text(text.to_owned())];
    let blocks = Blocks {
        text: None,
        besides: &text,
    };
    write(out, dialect, tail, &blocks, Some(structured), true);
}

/// Writes questions to the client.
pub(super) fn write_input_required(
    out: &mut Vec<u8>,
    tail: &[u8],
    requests: &[(String, InputRequest)],
    request_state: Option<&str>,
) {
    out.extend_from_slice(br#"{"resultType":"input_required""#);
    for (position, (key, request)) in requests.iter().enumerate() {
        out.extend_from_slice(if position == 0 {
            br#","inputRequests":{"#
        } else {
            b","
        });
        write_string(out, key);
        out.extend_from_slice(br#":{"method":"#);
        write_string(out, request.method());
        if let InputRequest::Elicitation(params) | InputRequest::Sampling(params) = request {
            out.extend_from_slice(br#","params":"#);
            out.extend_from_slice(params.to_string().as_bytes());
        }
        out.push(b'}');
    }
    if !requests.is_empty() {
        out.push(b'}');
    }
    if let Some(state) = request_state {
        out.extend_from_slice(br#","requestState":"#);
        write_string(out, state);
    }
    out.extend_from_slice(tail);
    out.push(b'}');
}

/// The content of a result: the structured content as text or in words, then whatever the tool added.
struct Blocks<'a> {
    text: Option<&'a str>,
    besides: &'a [Content],
}

fn write(
    out: &mut Vec<u8>,
    dialect: Dialect,
    tail: &[u8],
    blocks: &Blocks<'_>,
    structured: Option<&str>,
    is_error: bool,
) {
    if let Some(text) = structured {
        // The text is there twice, once escaped; growing in steps would copy it again and again.
        out.reserve(text.len() * 2 + text.len() / 4 + 256);
    }
    out.push(b'{');
    if dialect.is_modern() {
        out.extend_from_slice(br#""resultType":"complete","#);
    }
    if dialect.flat
        && let Some(members) = structured.and_then(members_to_spread)
    {
        out.extend_from_slice(members.as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(br#""content":["#);
    blocks.write(out, dialect);
    out.push(b']');
    // Widely used legacy clients hold the structured content of an error to the tool's output schema, too, and show
    // their user that complaint in place of the error. The text says the same.
    let shown = dialect.is_modern() || (dialect.version >= ProtocolVersion::V2025_06_18 && !is_error);
    if let Some(text) = structured.filter(|_| shown) {
        out.extend_from_slice(br#","structuredContent":"#);
        out.extend_from_slice(text.as_bytes());
    }
    if is_error {
        out.extend_from_slice(br#","isError":true"#);
    }
    out.extend_from_slice(tail);
    out.push(b'}');
}

/// The inside of an object that may be spread into a result (catalogue.md §2.20). `None` for an empty object, and
/// for one whose members would meet the result's own.
fn members_to_spread(object: &str) -> Option<&str> {
    let members: Map<String, serde_json::Value> = serde_json::from_str(object).ok()?;
    let meets = ["content", "isError", "_meta"]
        .iter()
        .any(|own| members.contains_key(*own));
    if members.is_empty() || meets {
        return None;
    }
    object.trim().strip_prefix('{')?.strip_suffix('}')
}

impl Blocks<'_> {
    fn write(&self, out: &mut Vec<u8>, dialect: Dialect) {
        let mut first = true;
        if let Some(text) = self.text {
            write_text(out, text);
            first = false;
        }
        for block in self.besides {
            if !first {
                out.push(b',');
            }
            first = false;
            write_block(out, dialect, block);
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(br#"{"type":"text","text":"#);
    write_string(out, text);
    out.push(b'}');
}

pub(super) fn write_block(out: &mut Vec<u8>, dialect: Dialect, block: &Content) {
    let mut members = |opening: &str, pairs: &[(&str, &str)], closing: &str| {
        out.extend_from_slice(opening.as_bytes());
        for (position, (key, value)) in pairs.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            write_string(out, key);
            out.push(b':');
            write_string(out, value);
        }
        out.extend_from_slice(closing.as_bytes());
    };
    match block {
        Content::Text(text) => members("{", &[("type", "text"), ("text", text)], "}"),
        Content::Image { data, mime_type } => {
            members(
                "{",
                &[("type", "image"), ("data", data), ("mimeType", mime_type)],
                "}",
            );
        }
        Content::Audio { data, mime_type } => {
            members(
                "{",
                &[("type", "audio"), ("data", data), ("mimeType", mime_type)],
                "}",
            );
        }
        Content::EmbeddedText { uri, mime_type, text } => members(
            r#"{"type":"resource","resource":{"#,
            &[("uri", uri), ("mimeType", mime_type), ("text", text)],
            "}}",
        ),
        Content::EmbeddedBytes { uri, mime_type, data } => members(
            r#"{"type":"resource","resource":{"#,
            &[("uri", uri), ("mimeType", mime_type), ("blob", data)],
            "}}",
        ),
        Content::ResourceLink { uri, name } if dialect.version >= ProtocolVersion::V2025_06_18 => {
            members(
                "{",
                &[("type", "resource_link"), ("uri", uri), ("name", name)],
                "}",
            );
        }
        Content::ResourceLink { uri, name } => {
            members("{", &[("type", "text"), ("text", &format!("{name}: {uri}"))], "}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TAIL: &[u8] = br#","_meta":{"s":1}"#;

    fn written(dialect: Dialect, result: &ToolResult) -> Value {
        let mut out = Vec::new();
        let tail = if dialect.is_modern() { TAIL } else { b"" };
        write_tool_result(&mut out, dialect, tail, result);
        serde_json::from_slice(&out).unwrap()
    }

    fn result(structured: &str) -> ToolResult {
        ToolResult {
            structured: Some(RawValue::from_string(structured.to_owned()).unwrap()),
            ..ToolResult::default()
        }
    }

    #[test]
    fn each_revision_gets_its_own_members() {
        let mut linked = result(r#"{"n":1.0}"#);
        linked.content = vec![Content::ResourceLink {
            uri: "file:///a".into(),
            name: "A".into(),
        }];
        let text = json!({"type":"text","text":"{\"n\":1.0}"});
        let link = json!({"type":"resource_link","uri":"file:///a","name":"A"});
        let link_text = json!({"type":"text","text":"A: file:///a"});
        let table = [
            (
                ProtocolVersion::V2026_07_28,
                json!({"resultType":"complete","content":[text,link],"structuredContent":{"n":1.0},"_meta":{"s":1}}),
            ),
            (
                ProtocolVersion::V2025_11_25,
                json!({"content":[text,link],"structuredContent":{"n":1.0}}),
            ),
            (
                ProtocolVersion::V2025_06_18,
                json!({"content":[text,link],"structuredContent":{"n":1.0}}),
            ),
            (ProtocolVersion::V2025_03_26, json!({"content":[text,link_text]})),
        ];
        for (version, expected) in table {
            assert_eq!(written(Dialect::of(version), &linked), expected, "{version}");
        }
    }

    #[test]
    fn flat_results_spread_what_does_not_meet_their_own_members() {
        let flat = Dialect {
            bare: true,
            flat: true,
            ..Dialect::of(ProtocolVersion::V2025_03_26)
        };
        assert_eq!(
            written(flat, &result(r#"{"results":[],"next":null}"#)),
            json!({"results":[],"next":null,"content":[{"type":"text","text":"{\"results\":[],\"next\":null}"}]})
        );
        assert_eq!(
            written(flat, &result("{}")),
            json!({"content":[{"type":"text","text":"{}"}]})
        );
        let meeting = written(flat, &result(r#"{"c\u006fntent":1}"#));
        assert!(
            meeting["content"].is_array(),
            "the result's own member stays what it is: {meeting}"
        );
    }

    #[test]
    fn blocks_of_every_kind_are_written() {
        let result = ToolResult {
            content: vec![
                Content::Text("a\n\"b\"".into()),
                Content::Image {
                    data: "aa".into(),
                    mime_type: "image/png".into(),
                },
                Content::Audio {
                    data: "bb".into(),
                    mime_type: "audio/wav".into(),
                },
                Content::EmbeddedText {
                    uri: "t:/1".into(),
                    mime_type: "text/plain".into(),
                    text: "x".into(),
                },
            ],
            is_error: true,
            ..ToolResult::default()
        };
        assert_eq!(
            written(Dialect::of(ProtocolVersion::V2025_11_25), &result),
            json!({"isError":true,"content":[
                {"type":"text","text":"a\n\"b\""},
                {"type":"image","data":"aa","mimeType":"image/png"},
                {"type":"audio","data":"bb","mimeType":"audio/wav"},
                {"type":"resource","resource":{"uri":"t:/1","mimeType":"text/plain","text":"x"}}]})
        );
    }

    #[test]
    fn questions_have_one_of_their_two_members_at_least() {
        let mut out = Vec::new();
        let requests = vec![
            ("ok".to_owned(), InputRequest::Elicitation(json!({"message":"?"}))),
            ("r".to_owned(), InputRequest::Roots),
        ];
        write_input_required(&mut out, TAIL, &requests, Some("v1.x"));
        assert_eq!(
            serde_json::from_slice::<Value>(&out).unwrap(),
            json!({"resultType":"input_required","requestState":"v1.x","_meta":{"s":1},"inputRequests":{
                "ok":{"method":"elicitation/create","params":{"message":"?"}},"r":{"method":"roots/list"}}})
        );
        out.clear();
        write_input_required(&mut out, TAIL, &[], Some("v1.x"));
        assert_eq!(
            out,
            br#"{"resultType":"input_required","requestState":"v1.x","_meta":{"s":1}}"#
        );
    }
}
