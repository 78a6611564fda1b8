//! An answer of a handshake-era server → what a modern host reads (protocol.md X-03, X-11, X-12).

use footbridge_protocol::codes;
use footbridge_protocol::jsonrpc::ErrorView;
use footbridge_protocol::meta::SERVER_INFO;
use serde_json::json;
use serde_json::value::RawValue;

use super::request::SERVED;
use super::session::Facts;
use crate::cross::object::{Object, elements, quoted};
use crate::error::quote;
use crate::log;

/// Server capabilities that mean the same in both eras. Tasks and what nobody knows are not passed on.
const CAPABILITIES: [&str; 6] = [
    "tools",
    "prompts",
    "resources",
    "completions",
    "logging",
    "experimental",
];

/// The result of `method`, completed: what kind of result it is, that it must not be kept, who it is from. `None` if it is no
/// object.
pub(super) fn complete<'r>(method: &str, result: &'r str, facts: &Facts) -> Option<Object<'r>> {
    let mut members = Object::read(result)?;
    if method == "tools/list" {
        trim_tools(&mut members);
    }
    members.set("resultType", r#""complete""#);
    if is_cacheable(method) {
        members.set("ttlMs", "0");
        members.set("cacheScope", r#""private""#);
    }
    let meta = with_server_info(members.object("_meta"), facts);
    members.set("_meta", meta);
    Some(members)
}

/// The result of `server/discover`, from what `initialize` has said.
pub(super) fn discovered(facts: &Facts) -> String {
    let mut capabilities = Object::default();
    let known = Object::read(&facts.capabilities).unwrap_or_default();
    for key in CAPABILITIES {
        // A value that is no object says nothing that can be relied on.
        if let Some(value) = known.get(key).filter(|value| Object::read(value).is_some()) {
            capabilities.set(key, value.to_owned());
        }
    }
    let mut result = Object::default();
    result.set("resultType", r#""complete""#);
    result.set("supportedVersions", format!(r#"["{SERVED}"]"#));
    result.set("capabilities", capabilities.to_text());
    if let Some(instructions) = &facts.instructions {
        result.set("instructions", instructions.as_str());
    }
    result.set("ttlMs", "0");
    result.set("cacheScope", r#""private""#);
    result.set("_meta", with_server_info(Object::default(), facts));
    result.to_text()
}

/// `_meta` with the server's name in it.
fn with_server_info(mut meta: Object<'_>, facts: &Facts) -> String {
    if let (Some(info), None) = (&facts.server_info, meta.get(SERVER_INFO)) {
        meta.set(SERVER_INFO, info.clone());
    }
    meta.to_text()
}

fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" | "resources/read"
    )
}

/// Takes `execution` out of the tools, and out of the list the tools that run as tasks only: calls run synchronously here.
fn trim_tools(members: &mut Object<'_>) {
    let Some(tools) = members.get("tools").and_then(elements) else {
        return;
    };
    let mut changed = false;
    let mut kept = Vec::with_capacity(tools.len());
    for tool in tools {
        let mut object = match Object::read(tool.get()) {
            Some(object) if object.get("execution").is_some() => object,
            _ => {
                kept.push(tool.get().to_owned());
                continue;
            }
        };
        changed = true;
        if object.object("execution").text("taskSupport").as_deref() == Some("required") {
            log::warn(format_args!(
                "left a tool out of the list: `{}` runs as a task only, which this revision does not have",
                quote(object.text("name").unwrap_or_default().as_bytes(), 64)
            ));
            continue;
        }
        object.remove(&["execution"]);
        kept.push(object.to_text());
    }
    if changed {
        members.set("tools", format!("[{}]", kept.join(",")));
    }
}

/// An error of the server in codes a modern host may read. `uri` is the resource that was asked for.
pub(super) fn error(raw: &RawValue, uri: Option<&str>) -> String {
    let Some(view) = ErrorView::read(raw) else {
        return json!({ "code": codes::INTERNAL_ERROR, "message": "The server's error has no readable code." })
            .to_string();
    };
    let Some(mut members) = Object::read(raw.get()) else {
        return raw.get().to_owned();
    };
    match view.code {
        codes::LEGACY_RESOURCE_NOT_FOUND => {
            members.set("code", codes::INVALID_PARAMS.to_string());
            let mut data = members.object("data");
            if let (None, Some(uri)) = (data.get("uri"), uri) {
                data.set("uri", quoted(uri));
                let data = data.to_text();
                members.set("data", data);
            }
        }
        // What these say in the modern era they cannot have meant here, and the host would act on it.
        codes::HEADER_MISMATCH
        | codes::MISSING_CLIENT_CAPABILITY
        | codes::UNSUPPORTED_PROTOCOL_VERSION
        | codes::LEGACY_URL_ELICITATION_REQUIRED => {
            members.set("code", codes::INTERNAL_ERROR.to_string());
        }
        _ => {}
    }
    members.to_text()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn facts() -> Facts {
        Facts {
            capabilities: r#"{"tools":{"listChanged":true},"tasks":{"list":{}},"logging":true,"x":{}}"#
                .to_owned(),
            server_info: Some(r#"{"name":"s","version":"1"}"#.to_owned()),
            instructions: Some(r#""Be kind.""#.to_owned()),
        }
    }

    fn complete(method: &str, result: &str, facts: &Facts) -> String {
        super::complete(method, result, facts).unwrap().to_text()
    }

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn results_say_what_they_are_and_only_listings_how_long_they_last() {
        assert_eq!(
            complete(
                "tools/call",
                r#"{"content":[{"n":1.0}],"_meta":{"x":1}}"#,
                &facts()
            ),
            r#"{"content":[{"n":1.0}],"_meta":{"x":1,"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}},"resultType":"complete"}"#
        );
        let listed = parsed(&complete("prompts/list", r#"{"prompts":[],"ttlMs":5}"#, &facts()));
        assert_eq!(
            (&listed["ttlMs"], &listed["cacheScope"]),
            (&json!(0), &json!("private"))
        );
        assert!(super::complete("x", "7", &facts()).is_none());
    }

    #[test]
    fn tools_lose_what_is_about_tasks() {
        let listed = parsed(&complete(
            "tools/list",
            r#"{"tools":[{"name":"a","execution":{"taskSupport":"optional"}},{"name":"b","execution":{"taskSupport":"required"}},{"name":"c"}]}"#,
            &facts(),
        ));
        assert_eq!(listed["tools"], json!([{"name": "a"}, {"name": "c"}]));
    }

    #[test]
    fn discovery_tells_what_the_handshake_told() {
        let result = parsed(&discovered(&facts()));
        assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
        assert_eq!(result["capabilities"], json!({"tools": {"listChanged": true}}));
        assert_eq!(result["instructions"], "Be kind.");
        assert_eq!(result["_meta"][SERVER_INFO]["name"], "s");
    }

    #[test]
    fn codes_of_the_older_era_are_translated() {
        for (sent, expected) in [
            (
                json!({"code": -32002, "message": "m"}),
                json!({"code": -32602, "message": "m", "data": {"uri": "file:///x"}}),
            ),
            (
                json!({"code": -32002, "message": "m", "data": {"uri": "y"}}),
                json!({"code": -32602, "message": "m", "data": {"uri": "y"}}),
            ),
            (
                json!({"code": -32021, "message": "m"}),
                json!({"code": -32603, "message": "m"}),
            ),
            (
                json!({"code": -32000, "message": "m"}),
                json!({"code": -32000, "message": "m"}),
            ),
        ] {
            let raw = serde_json::value::to_raw_value(&sent).unwrap();
            assert_eq!(parsed(&error(&raw, Some("file:///x"))), expected);
        }
    }
}
