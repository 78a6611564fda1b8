//! What can go wrong in the bridge itself → the error the host reads (protocol.md §3.2).
//!
//! The message names the cause first, then what to do about it. `sent` is the fact a caller needs most: whether the server
//! may have acted on the request. The server's own errors never pass through here, they go to the host as they are.

use std::fmt::Write as _;

use footbridge_protocol::codes;
use footbridge_protocol::jsonrpc::{ErrorObject, Id, write_error};
use hyper::StatusCode;
use serde_json::json;

use crate::brand::variable;
use crate::diagnosis::Diagnosis;
use crate::log;
use crate::stdio::Line;

/// Longest message, in bytes: texts quoted from a server stay below (security.md B14).
const MESSAGE_BYTES: usize = 2048;

/// A failure of the bridge or of the way to the server. Cheap to make, read once.
#[derive(Clone, Debug)]
pub(crate) struct BridgeError {
    code: i64,
    message: String,
    sent: bool,
    status: Option<StatusCode>,
    setting: Option<&'static str>,
    diagnosis: Option<Diagnosis>,
}

impl BridgeError {
    fn new(code: i64, sent: bool, message: impl Into<String>) -> BridgeError {
        BridgeError {
            code,
            message: message.into(),
            sent,
            status: None,
            setting: None,
            diagnosis: None,
        }
    }

    /// −31001: nothing was sent because there is no connection.
    pub(crate) fn no_connection(message: impl Into<String>) -> BridgeError {
        Self::new(codes::BRIDGE_NO_CONNECTION, false, message)
    }

    /// −31002: an HTTP status of 300 or more without a JSON-RPC error. A 4xx means the request was refused, anything else may have acted.
    pub(crate) fn http_status(status: StatusCode, message: impl Into<String>) -> BridgeError {
        let sent = !status.is_client_error();
        BridgeError {
            status: Some(status),
            ..Self::new(codes::BRIDGE_HTTP_STATUS, sent, message)
        }
    }

    /// −31003: the request was sent, its reply did not arrive.
    pub(crate) fn reply_lost(message: impl Into<String>) -> BridgeError {
        Self::new(codes::BRIDGE_REPLY_LOST, true, message)
    }

    /// −31004: a time limit passed after the request had left.
    pub(crate) fn timeout(message: impl Into<String>) -> BridgeError {
        Self::new(codes::BRIDGE_TIMEOUT, true, message)
    }

    /// −31005: the server answered with something that is no answer.
    pub(crate) fn protocol(message: impl Into<String>) -> BridgeError {
        Self::new(codes::BRIDGE_UPSTREAM_PROTOCOL, true, message)
    }

    /// −31006: a credential is missing or was refused. `setting` is what the operator has to look at.
    pub(crate) fn authentication(
        status: Option<StatusCode>,
        setting: &'static str,
        message: impl Into<String>,
    ) -> BridgeError {
        BridgeError {
            status,
            setting: Some(setting),
            ..Self::new(codes::BRIDGE_AUTHENTICATION, false, message)
        }
    }

    /// −31007: too large or too many, found before anything was sent.
    pub(crate) fn too_large(message: impl Into<String>) -> BridgeError {
        Self::new(codes::BRIDGE_TOO_LARGE, false, message)
    }

    /// −31007: the reply is too large; the server has acted.
    pub(crate) fn reply_too_large(limit: usize) -> BridgeError {
        Self::new(
            codes::BRIDGE_TOO_LARGE,
            true,
            format!(
                "The reply is larger than {limit} bytes. Ask for less, or raise {}",
                variable!("MAX_MESSAGE")
            ),
        )
    }

    /// −31008: the message has no form in the other era. `sent` as everywhere.
    pub(crate) fn no_translation(sent: bool, message: impl Into<String>) -> BridgeError {
        Self::new(codes::BRIDGE_NO_TRANSLATION, sent, message)
    }

    /// −32602 for a retry whose state is not, or no longer, good: the call it belongs to may have taken effect.
    pub(crate) fn spent_state(message: impl Into<String>) -> BridgeError {
        Self::new(codes::INVALID_PARAMS, true, message)
    }

    /// −32600 and its kin: the host's own message is at fault, in the words of JSON-RPC.
    pub(crate) fn invalid(code: i64, message: impl Into<String>) -> BridgeError {
        Self::new(code, false, message)
    }

    /// Notes the HTTP status the failure came with.
    pub(crate) fn with_status(self, status: StatusCode) -> BridgeError {
        BridgeError {
            status: Some(status),
            ..self
        }
    }

    /// Names the check that failed.
    pub(crate) fn diagnosed(self, diagnosis: Diagnosis) -> BridgeError {
        BridgeError {
            diagnosis: Some(diagnosis),
            ..self
        }
    }

    /// The check that failed, if it is one with a name.
    pub(crate) fn diagnosis(&self) -> Option<Diagnosis> {
        self.diagnosis
    }

    /// Says whether the request left and its reply did not come, so that asking again may be worth it.
    pub(crate) fn is_loss(&self) -> bool {
        self.code == codes::BRIDGE_REPLY_LOST
    }

    /// Says whether the server may still be at work on the request, with nobody left to read the result.
    pub(crate) fn leaves_work(&self) -> bool {
        matches!(self.code, codes::BRIDGE_REPLY_LOST | codes::BRIDGE_TIMEOUT)
    }

    /// The JSON-RPC code.
    pub(crate) fn code(&self) -> i64 {
        self.code
    }

    /// The HTTP status the failure came with.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Says whether the same request may well succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self.code,
            codes::BRIDGE_NO_CONNECTION | codes::BRIDGE_REPLY_LOST | codes::BRIDGE_TIMEOUT
        ) || self
            .status
            .is_some_and(|status| status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS)
    }

    /// Notes whether the request had left.
    pub(crate) fn with_sent(self, sent: bool) -> BridgeError {
        BridgeError { sent, ..self }
    }

    /// The cause and the cure, for a line on stderr.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The response that tells the host. Without an id the member is left out.
    pub(crate) fn to_line(&self, id: Option<Id<'_>>) -> Line {
        let mut data = json!({ "source": "bridge", "sent": self.sent });
        if let Some(members) = data.as_object_mut() {
            if let Some(status) = self.status {
                members.insert("httpStatus".to_owned(), status.as_u16().into());
            }
            if let Some(setting) = self.setting {
                members.insert("setting".to_owned(), setting.into());
            }
        }
        if let (Some(diagnosis), Some(members)) = (self.diagnosis, data.as_object_mut()) {
            members.insert("check".to_owned(), diagnosis.code().into());
        }
        let mut message = log::cut(&self.message, MESSAGE_BYTES).to_owned();
        if !message.ends_with(['.', '…']) {
            message.push('.');
        }
        let mut bytes = Vec::with_capacity(256);
        write_error(
            &mut bytes,
            id,
            &ErrorObject::new(self.code, message).with_data(&data),
        );
        Line::new(bytes)
    }
}

/// At most `limit` characters of a stranger's text, fit to be quoted: control characters removed, blanks joined.
pub(crate) fn quote(bytes: &[u8], limit: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut quoted = String::new();
    for (index, word) in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .enumerate()
    {
        if index > 0 {
            quoted.push(' ');
        }
        let _ = quoted.write_str(word);
        if let Some((end, _)) = quoted.char_indices().nth(limit) {
            quoted.truncate(end);
            quoted.push('…');
            break;
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_source_and_whether_the_request_left() {
        let error = BridgeError::http_status(StatusCode::BAD_GATEWAY, "The server answered 502");
        let line: serde_json::Value = serde_json::from_slice(&error.to_line(None).to_bytes()).unwrap();
        let expected = serde_json::json!({"jsonrpc": "2.0", "error": {
            "code": -31002,
            "message": "The server answered 502.",
            "data": {"source": "bridge", "sent": true, "httpStatus": 502},
        }});
        assert_eq!(line, expected);
        assert!(!BridgeError::http_status(StatusCode::CONFLICT, "x").sent);
    }

    #[test]
    fn quoted_text_is_short_and_plain() {
        assert_eq!(quote(b" a\r\n\x1b[31mb \xff ", 200), "a [31mb \u{fffd}");
        assert_eq!(quote("éé é".as_bytes(), 3), "éé …");
        assert_eq!(quote(b"", 3), "");
    }
}
