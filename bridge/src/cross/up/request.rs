//! A modern request → what a handshake-era server reads (protocol.md X-02, X-07).
//!
//! The envelope goes, the rest stays as it is: progress token, trace context and whatever else `_meta` holds.

use std::hash::{BuildHasher as _, RandomState};

use footbridge_protocol::codes;
use footbridge_protocol::era::ProtocolVersion;
use footbridge_protocol::jsonrpc::{ErrorObject, OwnedId, Request, write_request};
use footbridge_protocol::meta::{
    CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, PROTOCOL_VERSION, SUBSCRIPTION_ID,
};
use serde_json::{Value, json};

use crate::cross::object::Object;
use crate::error::quote;

/// The revision this side of the bridge serves, and the only one.
pub(super) const SERVED: &str = ProtocolVersion::V2026_07_28.as_str();
/// Keys of `_meta` that only the modern era knows.
const ENVELOPE: [&str; 5] = [
    PROTOCOL_VERSION,
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    LOG_LEVEL,
    SUBSCRIPTION_ID,
];
/// Members of a retry that are answers, not parameters.
const RETRY: [&str; 2] = ["inputResponses", "requestState"];

/// What of a modern request outlives its message.
pub(super) struct Asked {
    pub(super) id: OwnedId,
    pub(super) method: String,
    /// `params` without the envelope and the members of a retry.
    pub(super) params: String,
    /// The capabilities to declare to the server.
    pub(super) declared: Value,
    /// Who the host says it is, raw.
    pub(super) client_info: Option<String>,
    /// The token for progress.
    pub(super) token: Option<OwnedId>,
    pub(super) level: Option<String>,
    /// The filter of a listen request.
    pub(super) filter: Option<String>,
    pub(super) retry: Option<Retry>,
}

/// The members a retry adds.
pub(super) struct Retry {
    pub(super) state: String,
    /// `inputResponses`, raw.
    pub(super) responses: Option<String>,
}

impl Asked {
    /// Reads a modern request, or says what a modern server would.
    pub(super) fn read(request: &Request<'_>) -> Result<Asked, ErrorObject> {
        let invalid = |message: String| ErrorObject::new(codes::INVALID_PARAMS, message);
        let params = &request.params;
        let envelope = params
            .meta()
            .envelope()
            .map_err(|fault| invalid(fault.to_string()))?;
        if envelope.protocol_version != SERVED {
            let message = format!(
                "Protocol version `{}` is not served; {SERVED} is.",
                quote(envelope.protocol_version.as_bytes(), 64)
            );
            let data = json!({ "supported": [SERVED], "requested": envelope.protocol_version });
            return Err(ErrorObject::new(codes::UNSUPPORTED_PROTOCOL_VERSION, message).with_data(&data));
        }
        if is_legacy_only(&request.method) {
            return Err(ErrorObject::new(
                codes::METHOD_NOT_FOUND,
                format!("Revision {SERVED} has no method `{}`.", request.method),
            ));
        }
        let raw = params.raw().map_or("{}", |raw| raw.get());
        let mut members = Object::read(raw).unwrap_or_default();
        let mut meta = members.object("_meta");
        let client_info = meta.get(CLIENT_INFO).map(str::to_owned);
        meta.remove(&ENVELOPE);
        let meta = (!meta.is_empty()).then(|| meta.to_text());
        if let Some(meta) = meta {
            members.set("_meta", meta);
        } else {
            members.remove(&["_meta"]);
        }
        members.remove(&RETRY);
        let shape = |fault: footbridge_protocol::params::ShapeFault| fault.to_error();
        let responses = params.input_responses().map_err(shape)?;
        let state = params.request_state().map_err(shape)?;
        Ok(Asked {
            id: request.id.to_owned(),
            method: request.method.as_ref().to_owned(),
            params: members.to_text(),
            declared: declared(envelope.client_capabilities.get()),
            client_info,
            token: params.meta().progress_token().map_err(shape)?.map(OwnedId::from),
            level: params
                .meta()
                .log_level()
                .map_err(shape)?
                .map(std::borrow::Cow::into_owned),
            filter: params
                .notifications()
                .map_err(shape)?
                .map(|filter| filter.get().to_owned()),
            // Answers without a state are a retry as well: making the call anew could do its work twice.
            retry: (state.is_some() || responses.is_some()).then(|| Retry {
                state: state.unwrap_or_default().into_owned(),
                responses: responses.map(|responses| responses.get().to_owned()),
            }),
        })
    }

    /// The message for the server under an id of ours. The host's own would not do: it is free again while a call is
    /// parked.
    pub(super) fn to_body(&self, id: &OwnedId) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.params.len() + 96);
        write_request(&mut body, id.as_id(), &self.method, Some(self.params.as_bytes()));
        body
    }

    /// Tells this call from others: what a retry must repeat. The parameters themselves are not kept.
    pub(super) fn digest(&self, keys: &RandomState) -> u64 {
        let mut params: Value = serde_json::from_str(&self.params).unwrap_or_default();
        if let Some(members) = params.as_object_mut() {
            members.remove("_meta");
        }
        sort(&mut params);
        keys.hash_one((&self.method, params.to_string()))
    }

    /// Says whether the host may be asked something in the middle of it (S-81).
    pub(super) fn may_ask(&self) -> bool {
        may_ask(&self.method)
    }

    /// What may be sent twice without doing anything twice (B-41).
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(
            self.method.as_str(),
            "tools/list"
                | "prompts/list"
                | "resources/list"
                | "resources/templates/list"
                | "resources/read"
                | "prompts/get"
                | "completion/complete"
        )
    }
}

fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

/// Methods the modern revision does not have (S-18), tasks of 2025-11-25 included (X-11).
fn is_legacy_only(method: &str) -> bool {
    matches!(
        method,
        "initialize" | "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe"
    ) || method.starts_with("tasks/")
}

/// The host's capabilities in the words of the older revision: what that does not know is left out, and so are changes of
/// roots, which nobody would announce.
fn declared(capabilities: &str) -> Value {
    let mut declared: Value = serde_json::from_str(capabilities).unwrap_or_else(|_| json!({}));
    if let Some(members) = declared.as_object_mut() {
        members.remove("extensions");
        members.remove("tasks");
        if let Some(roots) = members.get_mut("roots").and_then(Value::as_object_mut) {
            roots.remove("listChanged");
        }
    }
    declared
}

/// Brings the members of every object into one order: a host may spell a retry in another one. How deep a value nests was
/// bounded when its message was decoded.
fn sort(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = std::mem::take(members).into_iter().collect();
            sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            members.extend(sorted);
            members.values_mut().for_each(sort);
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use footbridge_protocol::jsonrpc::{Message, Rules, decode};

    use super::*;

    fn read(line: &str) -> Result<Asked, ErrorObject> {
        let Ok(Message::Request(request)) = decode(line.as_bytes(), &Rules::BRIDGE) else {
            panic!("no request: {line}")
        };
        Asked::read(&request)
    }

    fn line(method: &str, params: &str, meta: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}"_meta":{{"{PROTOCOL_VERSION}":"2026-07-28","{CLIENT_CAPABILITIES}":{{"roots":{{"listChanged":true}},"extensions":{{"x":{{}}}}}}{meta}}}}}}}"#
        )
    }

    #[test]
    fn the_envelope_goes_and_the_rest_stays_byte_for_byte() {
        let asked = read(&line(
            "tools/call",
            r#""arguments":{"n": 1.0},"name":"t","inputResponses":{},"requestState":"s","#,
            &format!(r#","progressToken":"p","{LOG_LEVEL}":"info","{CLIENT_INFO}":{{"name":"h","version":"1"}},"traceparent":"tp""#),
        ))
        .unwrap();
        assert_eq!(
            asked.params,
            r#"{"arguments":{"n": 1.0},"name":"t","_meta":{"progressToken":"p","traceparent":"tp"}}"#
        );
        assert_eq!(asked.declared, json!({"roots": {}}));
        assert_eq!(
            asked.client_info.as_deref(),
            Some(r#"{"name":"h","version":"1"}"#)
        );
        assert_eq!(
            (asked.token, asked.level.as_deref()),
            (Some(OwnedId::from_string("p")), Some("info"))
        );
        assert_eq!(asked.retry.unwrap().state, "s");
        let plain = read(&line("tools/list", "", "")).unwrap();
        assert_eq!(plain.params, "{}");
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_parameters_only_the_envelope_goes(
            params in proptest::collection::btree_map("[a-z\"\\\\é]{0,4}", -9_i64..9, 0..4),
            meta in proptest::collection::btree_map("[a-z/\"]{0,4}", "[a\"\n]{0,2}", 0..4),
        ) {
            let mut sent = serde_json::to_value(&params).unwrap();
            let mut expected = sent.clone();
            let mut envelope = json!({ PROTOCOL_VERSION: SERVED, CLIENT_CAPABILITIES: {}, LOG_LEVEL: "info" });
            for (key, value) in &meta {
                envelope[key] = json!(value);
            }
            sent["_meta"] = envelope;
            if !meta.is_empty() {
                expected["_meta"] = serde_json::to_value(&meta).unwrap();
            }
            let line = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": sent}).to_string();
            let asked = read(&line).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Value>(&asked.params).unwrap(), expected);
        }
    }

    #[test]
    fn a_retry_is_recognised_whatever_its_metadata_and_spelling() {
        let keys = RandomState::new();
        let digest =
            |params: &str, meta: &str| read(&line("tools/call", params, meta)).unwrap().digest(&keys);
        let first = digest(r#""name":"t","arguments":{"a":1,"b":2},"#, "");
        assert_eq!(
            first,
            digest(
                r#""arguments":{"b": 2, "a":1},"name":"\u0074","requestState":"x","inputResponses":{},"#,
                r#","progressToken":7"#
            )
        );
        assert_ne!(first, digest(r#""name":"t","arguments":{"a":1,"b":3},"#, ""));
    }

    #[test]
    fn what_a_modern_server_would_refuse_is_refused() {
        for (line, code) in [
            (line("ping", "", ""), codes::METHOD_NOT_FOUND),
            (line("tasks/get", "", ""), codes::METHOD_NOT_FOUND),
            (
                line("tools/list", "", "").replace("2026-07-28", "2026-08-01"),
                codes::UNSUPPORTED_PROTOCOL_VERSION,
            ),
            (
                line("tools/list", "", "").replace("clientCapabilities", "other"),
                codes::INVALID_PARAMS,
            ),
            (
                line("tools/call", r#""inputResponses":[],"#, ""),
                codes::INVALID_PARAMS,
            ),
        ] {
            assert_eq!(read(&line).err().map(|error| error.code), Some(code), "{line}");
        }
    }
}
