//! Errors of a modern server in the words of the handshake era (protocol.md X-34).

use footbridge_protocol::codes;
use footbridge_protocol::jsonrpc::ErrorView;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::cross::object::Object;
use crate::error::quote;

/// How much of a server's own words is repeated, in characters.
const QUOTED_CHARACTERS: usize = 500;

/// The raw `error` for the host: the server's as it is, or another one in its place. None of the replaced errors comes
/// after an execution, so `sent` is false.
pub(super) fn translate(raw: &RawValue, method: &str) -> String {
    let Some(error) = ErrorView::read(raw) else {
        return raw.get().to_owned();
    };
    let words = quote(error.message.as_bytes(), QUOTED_CHARACTERS);
    let words = words.trim_end_matches('.');
    match error.code {
        codes::HEADER_MISMATCH | codes::UNSUPPORTED_PROTOCOL_VERSION => ours(
            codes::BRIDGE_UPSTREAM_PROTOCOL,
            &format!(
                "The server refused what the bridge wrote in this client's name: {words}. Its operator has to correct that"
            ),
            None,
        ),
        codes::MISSING_CLIENT_CAPABILITY => ours(
            codes::BRIDGE_NO_TRANSLATION,
            &format!("The server needs something that this client cannot do: {words}. Use a client that can"),
            error.data.and_then(|data| {
                Object::read(data.get())?
                    .get("requiredCapabilities")
                    .map(str::to_owned)
            }),
        ),
        codes::INVALID_PARAMS
            if method == "resources/read"
                && error
                    .data
                    .and_then(|data| Object::read(data.get()))
                    .is_some_and(|data| data.contains("uri")) =>
        {
            let mut error = Object::read(raw.get()).unwrap_or_default();
            error.set("code", codes::LEGACY_RESOURCE_NOT_FOUND.to_string());
            error.to_text()
        }
        _ => raw.get().to_owned(),
    }
}

fn ours(code: i64, message: &str, required: Option<String>) -> String {
    let mut data = json!({ "source": "bridge", "sent": false });
    if let (Some(required), Some(members)) = (
        required.and_then(|required| serde_json::from_str::<Value>(&required).ok()),
        data.as_object_mut(),
    ) {
        members.insert("requiredCapabilities".to_owned(), required);
    }
    json!({ "code": code, "message": format!("{message}."), "data": data }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(method: &str, error: &str) -> Value {
        let raw: Box<RawValue> = serde_json::from_str(error).unwrap();
        serde_json::from_str(&translate(&raw, method)).unwrap()
    }

    #[test]
    fn x34_every_code_has_its_place() {
        for (method, error, code) in [
            ("tools/call", r#"{"code":-32020,"message":"Header."}"#, -31005),
            ("tools/call", r#"{"code":-32022,"message":"Version."}"#, -31005),
            (
                "tools/call",
                r#"{"code":-32021,"message":"No.","data":{"requiredCapabilities":{"sampling":{}}}}"#,
                -31008,
            ),
            (
                "resources/read",
                r#"{"code":-32602,"message":"None.","data":{"uri":"u"}}"#,
                -32002,
            ),
            (
                "tools/call",
                r#"{"code":-32602,"message":"None.","data":{"uri":"u"}}"#,
                -32602,
            ),
            ("resources/read", r#"{"code":-32602,"message":"Bad."}"#, -32602),
            ("tools/call", r#"{"code":-32601,"message":"No."}"#, -32601),
        ] {
            assert_eq!(translated(method, error)["code"], code, "{error}");
        }
    }

    #[test]
    fn x34_what_is_needed_and_what_was_not_found_are_named() {
        let error = translated(
            "tools/call",
            r#"{"code":-32021,"message":"No.","data":{"requiredCapabilities":{"sampling":{}}}}"#,
        );
        assert_eq!(error["data"]["requiredCapabilities"], json!({"sampling": {}}));
        let error = translated(
            "resources/read",
            r#"{"code":-32602,"message":"None.","data":{"uri":"u"}}"#,
        );
        assert_eq!(
            (&error["data"]["uri"], &error["message"]),
            (&json!("u"), &json!("None."))
        );
    }
}
