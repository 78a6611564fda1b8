//! `params._meta`: the keys of the modern envelope, the progress token and the trace context.
//!
//! In: the raw `_meta`. Out: a [`RequestMeta`] whose accessors judge types one by one. Never trusts or branches on
//! `clientInfo` (S-21).

use std::borrow::Cow;

use serde::de::MapAccess;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::jsonrpc::Id;
use crate::members::{Inner, Kind, Members, NoInner, spelled};
use crate::params::{ShapeFault, read_id, read_object, read_text};

/// Names the revision the request is made under; its presence is the *modern claim*.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can do, for this request alone.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Who the client says it is; for logs.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// Asks for log messages from this level up.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// In results: who the server says it is.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// On every message of a listen stream: the id of the listen request.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// Asks for progress under this token.
pub const PROGRESS_TOKEN: &str = "progressToken";
/// W3C trace context, parent.
pub const TRACEPARENT: &str = "traceparent";
/// W3C trace context, vendor state.
pub const TRACESTATE: &str = "tracestate";

const MEMBERS: [&str; 8] = [
    PROTOCOL_VERSION,
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    LOG_LEVEL,
    PROGRESS_TOKEN,
    TRACEPARENT,
    TRACESTATE,
    SUBSCRIPTION_ID,
];

/// `_meta` of a request or notification. An absent one reads like an empty object.
#[derive(Clone, Debug)]
pub struct RequestMeta<'a> {
    /// The type of `_meta` if it is there; only an object has members.
    kind: Option<Kind>,
    members: Members<'a, 8>,
}

impl Default for RequestMeta<'_> {
    fn default() -> Self {
        RequestMeta {
            kind: None,
            members: Members::EMPTY,
        }
    }
}

/// The two keys every modern request must carry (S-21), well typed.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// The revision named.
    pub protocol_version: Cow<'a, str>,
    /// The capabilities object.
    pub client_capabilities: &'a RawValue,
}

/// Who a client says it is. Untrusted text, for logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo<'a> {
    /// `name`, if it is a string.
    pub name: Option<Cow<'a, str>>,
    /// `version`, if it is a string.
    pub version: Option<Cow<'a, str>>,
}

/// Why `_meta` is no modern envelope; answered with −32602 (row 10).
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EnvelopeFault {
    /// Keys are missing.
    #[error("Every request needs {} in `params._meta`.", quoted(.0))]
    Missing(Vec<&'static str>),
    /// A key has the wrong type.
    #[error(transparent)]
    Shape(#[from] ShapeFault),
}

fn quoted(keys: &[&str]) -> String {
    keys.iter()
        .map(|key| format!("`{key}`"))
        .collect::<Vec<_>>()
        .join(" and ")
}

impl<'a> RequestMeta<'a> {
    /// The first key that occurs twice among those anybody reads (L-14).
    pub fn doubled(&self) -> Option<&'static str> {
        self.members
            .doubled()
            .and_then(|index| MEMBERS.get(index))
            .copied()
    }

    /// Refuses a `_meta` that is not an object.
    pub fn check(&self) -> Result<(), ShapeFault> {
        match self.kind {
            None | Some(Kind::Object) => Ok(()),
            Some(kind) => Err(ShapeFault::new("params._meta", "an object", kind.phrase())),
        }
    }

    /// True when the `protocolVersion` key is there, whatever its value.
    pub fn is_modern_claim(&self) -> bool {
        self.members.at(0).is_some()
    }

    /// The revision this request names.
    pub fn protocol_version(&self) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        read_text(
            self.members.at(0),
            "params._meta.io.modelcontextprotocol/protocolVersion",
        )
    }

    /// The raw capabilities, an object.
    pub fn client_capabilities(&self) -> Result<Option<&'a RawValue>, ShapeFault> {
        read_object(
            self.members.at(1),
            "params._meta.io.modelcontextprotocol/clientCapabilities",
        )
    }

    /// Both required keys, or which are missing.
    pub fn envelope(&self) -> Result<Envelope<'a>, EnvelopeFault> {
        self.check()?;
        match (self.protocol_version()?, self.client_capabilities()?) {
            (Some(protocol_version), Some(client_capabilities)) => Ok(Envelope {
                protocol_version,
                client_capabilities,
            }),
            (version, capabilities) => {
                let missing = [
                    version.is_none().then_some(PROTOCOL_VERSION),
                    capabilities.is_none().then_some(CLIENT_CAPABILITIES),
                ];
                Err(EnvelopeFault::Missing(missing.into_iter().flatten().collect()))
            }
        }
    }

    /// Name and version of the client, as far as they are strings. Never an error: it is for logs.
    pub fn client_info(&self) -> ClientInfo<'a> {
        self.members.at(2).map(ClientInfo::read).unwrap_or_default()
    }

    /// The log level asked for.
    pub fn log_level(&self) -> Result<Option<Cow<'a, str>>, ShapeFault> {
        read_text(
            self.members.at(3),
            "params._meta.io.modelcontextprotocol/logLevel",
        )
    }

    /// The progress token, a string or an integer.
    pub fn progress_token(&self) -> Result<Option<Id<'a>>, ShapeFault> {
        read_id(self.members.at(4), "params._meta.progressToken")
    }

    /// `traceparent` as text; its format is the reader's to check, and a wrong one is to be ignored (L-10).
    pub fn traceparent(&self) -> Option<Cow<'a, str>> {
        self.members.at(5).and_then(spelled)
    }

    /// `tracestate` as text.
    pub fn tracestate(&self) -> Option<Cow<'a, str>> {
        self.members.at(6).and_then(spelled)
    }

    /// The listen request this message belongs to.
    pub fn subscription_id(&self) -> Option<Id<'a>> {
        self.members.at(7).and_then(Id::read)
    }
}

impl<'de> Inner<'de> for RequestMeta<'de> {
    const INDEX: usize = crate::params::META;

    fn take<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        self.kind = Some(map.next_value_seed(self.members.nested(&MEMBERS, &mut NoInner))?);
        Ok(())
    }
}

impl<'a> ClientInfo<'a> {
    /// Reads a raw `clientInfo`, of `_meta` or of `initialize`.
    pub fn read(raw: &'a RawValue) -> Self {
        match Members::read(raw.get(), &["name", "version"]) {
            Ok(members) => ClientInfo {
                name: members.at(0).and_then(spelled),
                version: members.at(1).and_then(spelled),
            },
            Err(_) => ClientInfo::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;

    fn with_meta(text: &str) -> Params<'_> {
        Params::read(serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn the_envelope_needs_both_keys() {
        for (text, missing) in [
            ("{}", vec![PROTOCOL_VERSION, CLIENT_CAPABILITIES]),
            (r#"{"_meta":{}}"#, vec![PROTOCOL_VERSION, CLIENT_CAPABILITIES]),
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"x"}}"#,
                vec![CLIENT_CAPABILITIES],
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}"#,
                vec![PROTOCOL_VERSION],
            ),
        ] {
            assert_eq!(
                with_meta(text).meta().envelope().unwrap_err(),
                EnvelopeFault::Missing(missing),
                "{text}"
            );
        }
        let params = with_meta(
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
                "io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}}"#,
        );
        let envelope = params.meta().envelope().unwrap();
        assert_eq!(envelope.protocol_version, "2026-07-28");
        assert_eq!(envelope.client_capabilities.get(), r#"{"elicitation":{}}"#);
    }

    #[test]
    fn a_claim_is_the_key_whatever_its_value() {
        for value in ["\"2026-07-28\"", "7", "null", "{}"] {
            let text = format!(r#"{{"_meta":{{"io.modelcontextprotocol\/protocolVersion":{value}}}}}"#);
            assert!(with_meta(&text).meta().is_modern_claim(), "{text}");
        }
        assert!(
            !with_meta(r#"{"protocolVersion":"2026-07-28","_meta":{"protocolVersion":"x"}}"#)
                .meta()
                .is_modern_claim()
        );
    }

    #[test]
    fn what_is_for_logs_is_never_an_error() {
        let params = with_meta(
            r#"{"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"host","version":7},"traceparent":1,
                "tracestate":"a=b","progressToken":"t","io.modelcontextprotocol/logLevel":"info",
                "io.modelcontextprotocol/subscriptionId":4}}"#,
        );
        let meta = params.meta();
        assert_eq!(
            meta.client_info(),
            ClientInfo {
                name: Some("host".into()),
                version: None
            }
        );
        assert_eq!(
            (meta.traceparent(), meta.tracestate().as_deref()),
            (None, Some("a=b"))
        );
        assert_eq!(meta.progress_token().unwrap().unwrap().as_raw(), "\"t\"");
        assert_eq!(meta.log_level().unwrap().unwrap(), "info");
        assert_eq!(meta.subscription_id().unwrap().as_raw(), "4");
        let params = with_meta(r#"{"_meta":{"io.modelcontextprotocol/clientInfo":[]}}"#);
        assert_eq!(params.meta().client_info(), ClientInfo::default());
    }

    #[test]
    fn missing_keys_are_named() {
        let fault = with_meta("{}").meta().envelope().unwrap_err();
        assert_eq!(
            fault.to_string(),
            "Every request needs `io.modelcontextprotocol/protocolVersion` and \
             `io.modelcontextprotocol/clientCapabilities` in `params._meta`."
        );
    }
}
