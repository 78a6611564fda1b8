//! A modern result → the one a host of an older revision reads (protocol.md X-03, X-33, S-70).
//!
//! Only members at the top and, in listings, members of each entry are looked at; payloads keep their bytes.

use std::borrow::Cow;

use footbridge_protocol::era::ProtocolVersion;
use footbridge_protocol::jsonrpc::Keys;
use footbridge_protocol::meta::{SERVER_INFO, SUBSCRIPTION_ID};

use crate::cross::object::{Object, array, elements, quoted};

/// Members of every result that belong to the modern era.
const MODERN: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];
const OLDEST: ProtocolVersion = ProtocolVersion::V2025_03_26;
const MIDDLE: ProtocolVersion = ProtocolVersion::V2025_06_18;

/// Shapes the complete `result` of a request of `method` for `revision`; `keys` are those in it.
pub(super) fn shape<'a>(
    mut result: Object<'a>,
    method: &str,
    revision: ProtocolVersion,
    keys: Keys,
) -> Object<'a> {
    result.remove(&MODERN);
    without_modern_meta(&mut result);
    match method {
        "tools/call" => call(&mut result, revision),
        "prompts/get" if revision == OLDEST => messages(&mut result),
        "tools/list" => list(&mut result, "tools", revision, keys),
        "prompts/list" => list(&mut result, "prompts", revision, keys),
        "resources/list" => list(&mut result, "resources", revision, keys),
        "resources/templates/list" => list(&mut result, "resourceTemplates", revision, keys),
        _ => {}
    }
    result
}

/// Takes the keys of the modern era out of `_meta`, and `_meta` itself if nothing is left.
pub(super) fn without_modern_meta(object: &mut Object<'_>) {
    if !object.contains("_meta") {
        return;
    }
    let mut meta = object.object("_meta");
    if !meta.remove(&[SERVER_INFO, SUBSCRIPTION_ID]) {
        return;
    }
    let left = (!meta.is_empty()).then(|| meta.to_text());
    match left {
        Some(left) => object.set("_meta", left),
        None => {
            object.remove(&["_meta"]);
        }
    }
}

/// A tool's result. What is structured has to be an object, or text for hosts that know no structure. In an error it is left
/// out: clients of the handshake revisions hold it to the tool's output schema, and then show their own complaint in the
/// place of the error (seen in the TypeScript SDK 1.32).
fn call(result: &mut Object<'_>, revision: ProtocolVersion) {
    let unreadable = result.get("structuredContent").filter(|value| {
        revision == OLDEST || !value.starts_with('{') || result.get("isError") == Some("true")
    });
    let drops = unreadable.is_some();
    if revision > OLDEST && !drops {
        return;
    }
    let blocks = result.get("content").and_then(elements);
    let is_list = blocks.is_some();
    let blocks = blocks.unwrap_or_default();
    let mut shaped: Vec<Cow<'_, str>> = blocks
        .iter()
        .map(|block| match revision {
            OLDEST => block_of_oldest(block.get()),
            _ => Cow::Borrowed(block.get()),
        })
        .collect();
    let has_text = || {
        blocks
            .iter()
            .any(|block| Object::read(block.get()).is_some_and(|block| is_type(&block, "text")))
    };
    if let Some(value) = unreadable.filter(|_| !has_text()) {
        shaped.push(format!(r#"{{"type":"text","text":{}}}"#, quoted(value)).into());
    }
    // A copy is made of what changes only: contents may be large.
    let content = (!is_list || shaped.iter().any(|block| matches!(block, Cow::Owned(_))))
        .then(|| array(shaped.iter().map(AsRef::as_ref)));
    if let Some(content) = content {
        result.set("content", content);
    }
    if drops {
        result.remove(&["structuredContent"]);
    }
}

/// The messages of a prompt for a host that knows no links.
fn messages(result: &mut Object<'_>) {
    let Some(messages) = result.get("messages").and_then(elements) else {
        return;
    };
    let shaped: Vec<String> = messages
        .iter()
        .map(|raw| match Object::read(raw.get()) {
            Some(mut message) if message.has_object("content") => {
                let content = block_of_oldest(message.get("content").unwrap_or_default()).into_owned();
                message.set("content", content);
                message.to_text()
            }
            _ => raw.get().to_owned(),
        })
        .collect();
    result.set("messages", array(shaped.iter().map(String::as_str)));
}

/// A content block for a host of 2025-03-26: a link becomes a text with its name and address.
fn block_of_oldest(raw: &str) -> Cow<'_, str> {
    let Some(block) = Object::read(raw).filter(|block| is_type(block, "resource_link")) else {
        return raw.into();
    };
    let uri = block.text("uri").unwrap_or_default();
    let text = match block.text("name") {
        Some(name) => format!("{name}: {uri}"),
        None => uri,
    };
    let annotations = block
        .get("annotations")
        .map(|annotations| format!(r#","annotations":{annotations}"#))
        .unwrap_or_default();
    format!(r#"{{"type":"text","text":{}{annotations}}}"#, quoted(&text)).into()
}

fn is_type(block: &Object<'_>, name: &str) -> bool {
    block.text("type").as_deref() == Some(name)
}

/// A listing, each entry without what the revision does not know.
fn list(result: &mut Object<'_>, member: &'static str, revision: ProtocolVersion, keys: Keys) {
    let gone: &[&str] = match revision {
        OLDEST => &["execution", "icons", "title", "outputSchema"],
        MIDDLE => &["execution", "icons"],
        _ => &["execution"],
    };
    let Some(raw) = result.get(member) else { return };
    if !keys.may_hold("outputSchema") && !gone.iter().any(|key| keys.may_hold(key)) {
        return;
    }
    let Some(entries) = elements(raw) else { return };
    let mut changed = false;
    let shaped: Vec<String> = entries
        .iter()
        .map(|raw| {
            let Some(mut entry) = Object::read(raw.get()) else {
                return raw.get().to_owned();
            };
            let mut change = entry.remove(gone);
            // A schema whose root is no object has no meaning before the modern era.
            if entry.contains("outputSchema") && !is_type(&entry.object("outputSchema"), "object") {
                change |= entry.remove(&["outputSchema"]);
            }
            changed |= change;
            if change {
                entry.to_text()
            } else {
                raw.get().to_owned()
            }
        })
        .collect();
    if changed {
        result.set(member, array(shaped.iter().map(String::as_str)));
    }
}

#[cfg(test)]
mod tests {
    use footbridge_protocol::jsonrpc::glance;

    use super::*;

    const N25: ProtocolVersion = ProtocolVersion::V2025_11_25;

    fn shaped(method: &str, revision: ProtocolVersion, result: &str) -> String {
        // As a reply brings it, and as if nobody had looked at it: both come out the same.
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        let keys = glance(message.as_bytes()).unwrap().keys;
        let [seen, unseen] = [keys, Keys::UNKNOWN]
            .map(|keys| shape(Object::read(result).unwrap(), method, revision, keys).to_text());
        assert_eq!(seen, unseen);
        seen
    }

    #[test]
    fn x03_modern_members_are_dropped_and_the_rest_is_kept() {
        assert_eq!(
            shaped(
                "resources/read",
                N25,
                r#"{"contents":[ {"n":1.50} ],"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}"#
            ),
            r#"{"contents":[ {"n":1.50} ]}"#
        );
        assert_eq!(
            shaped(
                "x",
                N25,
                r#"{"_meta":{"a": 1,"io.modelcontextprotocol/serverInfo":{}},"b":2}"#
            ),
            r#"{"_meta":{"a":1},"b":2}"#
        );
        assert_eq!(shaped("x", N25, r#"{"_meta":{"a": 1}}"#), r#"{"_meta":{"a": 1}}"#);
    }

    #[test]
    fn x33_tools_are_listed_as_the_revision_knows_them() {
        let tool = r#"{"name":"t","title":"T","icons":[],"execution":{},"outputSchema":{"type":"object"},"inputSchema":{ }}"#;
        let odd = r#"{"name":"o","outputSchema":{"type":"array"}}"#;
        let plain = r#"{ "name":"p" }"#;
        let page = format!(r#"{{"tools":[{tool}, {odd},{plain}]}}"#);
        for (revision, first) in [
            (
                N25,
                r#"{"name":"t","title":"T","icons":[],"outputSchema":{"type":"object"},"inputSchema":{ }}"#,
            ),
            (
                MIDDLE,
                r#"{"name":"t","title":"T","outputSchema":{"type":"object"},"inputSchema":{ }}"#,
            ),
            (OLDEST, r#"{"name":"t","inputSchema":{ }}"#),
        ] {
            assert_eq!(
                shaped("tools/list", revision, &page),
                format!(r#"{{"tools":[{first},{{"name":"o"}},{plain}]}}"#)
            );
        }
        let untouched = r#"{"tools":[ {"name":"t"} , 7]}"#;
        assert_eq!(shaped("tools/list", OLDEST, untouched), untouched);
    }

    #[test]
    fn x33_structured_content_is_an_object_or_text() {
        let text = r#"{"type":"text","text":"x"}"#;
        for (revision, result, expected) in [
            (
                N25,
                r#"{"content":[],"structuredContent":{"a":1.0}}"#.to_owned(),
                r#"{"content":[],"structuredContent":{"a":1.0}}"#.to_owned(),
            ),
            (
                MIDDLE,
                r#"{"content":[],"structuredContent":[1.0, "x"]}"#.to_owned(),
                r#"{"content":[{"type":"text","text":"[1.0, \"x\"]"}]}"#.to_owned(),
            ),
            (
                N25,
                format!(r#"{{"content":[{text}],"structuredContent":7}}"#),
                format!(r#"{{"content":[{text}]}}"#),
            ),
            (
                OLDEST,
                format!(r#"{{"content":[{text}],"structuredContent":{{}},"isError":true}}"#),
                format!(r#"{{"content":[{text}],"isError":true}}"#),
            ),
            (
                N25,
                format!(r#"{{"content":[{text}],"structuredContent":{{"code":"c"}},"isError":true}}"#),
                format!(r#"{{"content":[{text}],"isError":true}}"#),
            ),
            (
                N25,
                format!(r#"{{"content":[{text}],"structuredContent":{{"a":1}},"isError":false}}"#),
                format!(r#"{{"content":[{text}],"structuredContent":{{"a":1}},"isError":false}}"#),
            ),
            (
                OLDEST,
                r#"{"structuredContent":{"a":1}}"#.to_owned(),
                r#"{"content":[{"type":"text","text":"{\"a\":1}"}]}"#.to_owned(),
            ),
            (
                OLDEST,
                r#"{"content":[{"type":"resource_link","name":"N","uri":"u:1","annotations":{"p":1}}]}"#
                    .to_owned(),
                r#"{"content":[{"type":"text","text":"N: u:1","annotations":{"p":1}}]}"#.to_owned(),
            ),
        ] {
            assert_eq!(shaped("tools/call", revision, &result), expected);
        }
    }

    #[test]
    fn x33_links_in_prompts_become_text_for_the_oldest() {
        let result = r#"{"messages":[{"role":"user","content":{"type":"resource_link","uri":"u:1"}},{"role":"user","content":{"type":"text","text":"x"}}]}"#;
        assert_eq!(
            shaped("prompts/get", OLDEST, result),
            result.replace(
                r#"{"type":"resource_link","uri":"u:1"}"#,
                r#"{"type":"text","text":"u:1"}"#
            )
        );
        assert_eq!(shaped("prompts/get", MIDDLE, result), result);
    }
}
