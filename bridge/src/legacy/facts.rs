//! What the answer of `initialize` settles.

use std::collections::HashMap;

use footbridge_protocol::era::ProtocolVersion;
use footbridge_protocol::headers::{PROTOCOL_VERSION, SESSION_ID, is_visible_ascii};
use footbridge_protocol::jsonrpc::{Message, ResponseBody, Rules, decode};
use hyper::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::log;

/// Kinds of lists a server may announce changes of, with the notification that does it.
const LISTS: [(&str, &str); 3] = [
    ("tools", "notifications/tools/list_changed"),
    ("prompts", "notifications/prompts/list_changed"),
    ("resources", "notifications/resources/list_changed"),
];

/// The negotiated facts.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The version, as a header.
    pub(super) version: Option<HeaderValue>,
    pub(super) revision: Option<ProtocolVersion>,
    pub(super) session: Option<HeaderValue>,
    /// The server's capabilities as JSON text, empty if it named none. Parsed when a session has to be replaced, which is rare.
    capabilities: Box<str>,
}

impl Facts {
    /// Reads the answer and the headers it came with. `None` if it is no result.
    pub(super) fn read(headers: &HeaderMap, response: &[u8]) -> Option<Facts> {
        let Ok(Message::Response(response)) = decode(response, &Rules::BRIDGE) else {
            return None;
        };
        let ResponseBody::Result(result) = response.body else {
            return None;
        };
        let members: HashMap<String, &RawValue> = serde_json::from_str(result.get()).unwrap_or_default();
        let version = members
            .get("protocolVersion")
            .and_then(|version| serde_json::from_str::<String>(version.get()).ok())
            .filter(|version| is_visible_ascii(version));
        Some(Facts {
            revision: version.as_deref().and_then(ProtocolVersion::parse),
            version: version.and_then(|version| HeaderValue::try_from(version).ok()),
            session: headers.get(SESSION_ID).and_then(session_of),
            capabilities: members
                .get("capabilities")
                .map_or_else(Box::default, |capabilities| capabilities.get().into()),
        })
    }

    /// Adds the headers of messages that follow the handshake.
    pub(super) fn stamp(&self, headers: &mut HeaderMap) {
        if let Some(version) = &self.version {
            headers.insert(PROTOCOL_VERSION, version.clone());
        }
        if let Some(session) = &self.session {
            headers.insert(SESSION_ID, session.clone());
        }
    }

    /// Says whether whoever relies on `old` can rely on these.
    pub(super) fn cover(&self, old: &Facts) -> bool {
        covers(&self.capabilities(), &old.capabilities())
    }

    /// The notifications that say that a list may be another one, as far as the server announces such things.
    pub(super) fn list_changes(&self) -> impl Iterator<Item = &'static str> {
        let capabilities = self.capabilities();
        LISTS
            .into_iter()
            .filter(move |(list, _)| {
                capabilities
                    .get(list)
                    .and_then(|list| list.get("listChanged"))
                    .is_some_and(|announced| *announced == Value::Bool(true))
            })
            .map(|(_, notification)| notification)
    }

    fn capabilities(&self) -> Value {
        serde_json::from_str(&self.capabilities).unwrap_or(Value::Null)
    }
}

/// A session id that may be sent back.
fn session_of(header: &HeaderValue) -> Option<HeaderValue> {
    if header.to_str().is_ok_and(is_visible_ascii) {
        let mut session = header.clone();
        session.set_sensitive(true);
        return Some(session);
    }
    log::warn(format_args!(
        "the server's session id is not visible ASCII and is not used"
    ));
    None
}

/// Says whether every capability of `old` is in `new`. One that is `false` or null is none; other values are settings.
fn covers(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (_, Value::Null | Value::Bool(false)) => true,
        (Value::Object(new), Value::Object(old)) => old
            .iter()
            .all(|(name, old)| covers(new.get(name).unwrap_or(&Value::Null), old)),
        (Value::Null | Value::Bool(false), _) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fewer_capabilities_are_noticed_and_more_are_welcome() {
        let old = json!({"tools": {"listChanged": true}, "logging": {}, "resources": {"subscribe": false}});
        for (new, enough) in [
            (old.clone(), true),
            (
                json!({"tools": {"listChanged": true}, "logging": {}, "resources": {}, "prompts": {}}),
                true,
            ),
            (json!({"tools": {}, "logging": {}, "resources": {}}), false),
            (json!({"tools": {"listChanged": true}, "resources": {}}), false),
            (json!({}), false),
            (json!(null), false),
        ] {
            assert_eq!(covers(&new, &old), enough, "{new}");
        }
        assert!(covers(&json!(null), &json!(null)));
    }

    #[test]
    fn only_announced_kinds_are_said_to_have_changed() {
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":false},"resources":{}}}}"#;
        let facts = Facts::read(&HeaderMap::new(), answer.as_bytes()).unwrap();
        assert_eq!(
            facts.list_changes().collect::<Vec<_>>(),
            ["notifications/tools/list_changed"]
        );
        assert_eq!(Facts::default().list_changes().count(), 0);
    }
}
