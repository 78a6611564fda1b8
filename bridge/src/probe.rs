//! Which era the server speaks: what is known, and how it is found out (protocol.md §3.6).
//!
//! In comes the reply to a `server/discover`; out goes a [`Conclusion`]. What was concluded is remembered for the process,
//! which talks to one server only (B-51). Nothing here sends anything: a legacy host's `initialize` becomes the probe, a
//! modern host's first request is its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use footbridge_protocol::codes;
use footbridge_protocol::era::{Era, ProtocolVersion};
use footbridge_protocol::jsonrpc::{ErrorView, Message, ResponseBody, Rules, decode};
use hyper::StatusCode;
use serde_json::value::RawValue;

/// What `--upstream` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Find out.
    #[default]
    Auto,
    /// The server is modern: never fall back to a handshake.
    Modern,
    /// The server is legacy: never ask it, never translate.
    Legacy,
}

impl Choice {
    /// The choice of this name.
    pub(crate) fn find(name: &str) -> Option<Choice> {
        match name {
            "auto" => Some(Choice::Auto),
            "modern" => Some(Choice::Modern),
            "legacy" => Some(Choice::Legacy),
            _ => None,
        }
    }
}

/// What is known of the server.
#[derive(Clone, Debug, Default)]
pub(crate) enum Known {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It speaks the modern era, perhaps besides others.
    Modern(Arc<Discovered>),
    /// It speaks the handshake era only.
    Legacy,
}

/// What a modern server said about itself.
#[derive(Debug)]
pub(crate) struct Discovered {
    /// The revision to speak with it.
    pub(crate) version: ProtocolVersion,
    /// The result of its `server/discover`. `None` if it has shown its era in another way.
    pub(crate) result: Option<Box<RawValue>>,
}

/// The knowledge of one process about its server.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    choice: Choice,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Known,
    /// A contradiction has been looked into; another one is taken as it is.
    doubted: bool,
}

impl Probe {
    /// Knows nothing but what it was told.
    pub(crate) fn new(choice: Choice) -> Probe {
        Probe {
            choice,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the operator said.
    pub(crate) fn choice(&self) -> Choice {
        self.choice
    }

    /// What is known, the operator's word first.
    pub(crate) fn known(&self) -> Known {
        match self.choice {
            Choice::Legacy => Known::Legacy,
            Choice::Auto | Choice::Modern => self.state().known.clone(),
        }
    }

    /// Says whether the era is still to be found out.
    pub(crate) fn is_open(&self) -> bool {
        self.choice == Choice::Auto && matches!(self.state().known, Known::Unknown)
    }

    /// Says whether the server speaks the handshake era only.
    pub(crate) fn is_legacy(&self) -> bool {
        match self.choice {
            Choice::Legacy => true,
            Choice::Modern => false,
            Choice::Auto => matches!(self.state().known, Known::Legacy),
        }
    }

    /// Remembers what was found out.
    pub(crate) fn learn(&self, known: Known) {
        self.state().known = known;
    }

    /// The server has contradicted what is known: says whether one new probe is due, which it is once (B-51).
    pub(crate) fn doubt(&self) -> bool {
        let mut state = self.state();
        self.choice == Choice::Auto && !std::mem::replace(&mut state.doubted, true)
    }
}

/// What the reply to a probe means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conclusion {
    /// Modern, in a revision that is spoken here.
    Modern(ProtocolVersion),
    /// Modern, but the request was wrong in some way: correct it and repeat it once.
    Repeat,
    /// Modern, in revisions that nobody here speaks.
    Foreign,
    /// Legacy: go on with `initialize`.
    Legacy,
    /// Either: a modern server has to know `server/discover`. Try `initialize`; if that fails as well, it was modern.
    Undecided,
    /// Nothing: the error is the host's to see, and no fallback follows.
    Nothing,
}

/// Reads the reply to a `server/discover` by its status and body (the table of §3.6). A body that came with a success and
/// is no JSON-RPC message is a server that does not know the method.
pub(crate) fn conclude(status: StatusCode, body: &[u8]) -> Conclusion {
    if status.is_server_error() || status.is_redirection() {
        return Conclusion::Nothing;
    }
    let said = match decode(body, &Rules::BRIDGE) {
        Ok(Message::Response(response)) => Some(response.body),
        _ => None,
    };
    let error = match said {
        Some(ResponseBody::Result(result)) if status.is_success() => return of_result(result),
        Some(ResponseBody::Error(error)) => ErrorView::read(error),
        _ => None,
    };
    match error.as_ref().map(|error| error.code) {
        Some(codes::UNSUPPORTED_PROTOCOL_VERSION) => {
            of_versions(error.and_then(|error| versions(error.data?, "supported")))
        }
        Some(codes::HEADER_MISMATCH | codes::MISSING_CLIENT_CAPABILITY) => Conclusion::Repeat,
        _ if matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        ) =>
        {
            Conclusion::Nothing
        }
        Some(codes::METHOD_NOT_FOUND) if status == StatusCode::NOT_FOUND => Conclusion::Undecided,
        _ => Conclusion::Legacy,
    }
}

/// Says whether a refusal of a modern request looks as if it came from a server of the handshake era: one that looks for a
/// session, or that does not speak JSON-RPC where a modern server would. `code` is that of the JSON-RPC error, if any.
pub(crate) fn contradicts_modern(status: StatusCode, code: Option<i64>) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
    ) && code.is_none_or(|code| code == codes::INVALID_REQUEST || (-32009..=-32000).contains(&code))
}

/// The same of a reply as it came.
pub(crate) fn reply_contradicts_modern(status: StatusCode, reply: &[u8]) -> bool {
    !status.is_success() && contradicts_modern(status, code_of(reply))
}

/// The code of the error that `reply` is, if it is one.
pub(crate) fn code_of(reply: &[u8]) -> Option<i64> {
    match decode(reply, &Rules::BRIDGE) {
        Ok(Message::Response(response)) => match response.body {
            ResponseBody::Error(error) => ErrorView::read(error).map(|error| error.code),
            ResponseBody::Result(_) => None,
        },
        _ => None,
    }
}

/// Says whether a refusal of a legacy request comes from a server that is modern now.
pub(crate) fn contradicts_legacy(status: StatusCode, code: Option<i64>) -> bool {
    status == StatusCode::BAD_REQUEST
        && matches!(
            code,
            Some(
                codes::HEADER_MISMATCH
                    | codes::MISSING_CLIENT_CAPABILITY
                    | codes::UNSUPPORTED_PROTOCOL_VERSION
            )
        )
}

fn of_result(result: &RawValue) -> Conclusion {
    match versions(result, "supportedVersions") {
        None => Conclusion::Legacy,
        listed => of_versions(listed),
    }
}

/// Picks the newest common revision. A list that cannot be read proves the era all the same.
fn of_versions(listed: Option<Vec<String>>) -> Conclusion {
    let Some(listed) = listed else {
        return Conclusion::Repeat;
    };
    let newest = listed
        .iter()
        .filter_map(|version| ProtocolVersion::parse(version))
        .max();
    match newest {
        Some(version) if version.era() == Era::Modern => Conclusion::Modern(version),
        Some(_) => Conclusion::Legacy,
        None => Conclusion::Foreign,
    }
}

fn versions(object: &RawValue, member: &str) -> Option<Vec<String>> {
    let members: HashMap<String, &RawValue> = serde_json::from_str(object.get()).ok()?;
    serde_json::from_str(members.get(member)?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: i64, data: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"no"{data}}}}}"#)
    }

    fn result(result: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)
    }

    #[test]
    fn b51_every_reply_to_a_probe_has_its_conclusion() {
        let modern = Conclusion::Modern(ProtocolVersion::V2026_07_28);
        for (status, body, expected) in [
            (200, result(r#"{"supportedVersions":["2026-07-28"]}"#), modern),
            (
                200,
                result(r#"{"supportedVersions":["2025-11-25","2026-07-28","2031-01-01"]}"#),
                modern,
            ),
            (
                200,
                result(r#"{"supportedVersions":["2025-11-25"]}"#),
                Conclusion::Legacy,
            ),
            (
                200,
                result(r#"{"supportedVersions":["2031-01-01"]}"#),
                Conclusion::Foreign,
            ),
            (200, result("{}"), Conclusion::Legacy),
            (200, result("[]"), Conclusion::Legacy),
            (
                400,
                error(-32022, r#","data":{"supported":["2026-07-28"],"requested":"x"}"#),
                modern,
            ),
            (
                400,
                error(-32022, r#","data":{"supported":["2025-06-18","2025-11-25"]}"#),
                Conclusion::Legacy,
            ),
            (
                400,
                error(-32022, r#","data":{"supported":["2031-01-01"]}"#),
                Conclusion::Foreign,
            ),
            (400, error(-32022, ""), Conclusion::Repeat),
            (400, error(-32020, ""), Conclusion::Repeat),
            (400, error(-32021, ""), Conclusion::Repeat),
            (200, error(-32021, ""), Conclusion::Repeat),
            (404, error(-32601, ""), Conclusion::Undecided),
            (404, error(-32001, ""), Conclusion::Legacy),
            (404, "not found".to_owned(), Conclusion::Legacy),
            (405, String::new(), Conclusion::Legacy),
            (400, error(-32600, ""), Conclusion::Legacy),
            (400, error(-32602, ""), Conclusion::Legacy),
            (400, "Bad Request: no session".to_owned(), Conclusion::Legacy),
            (406, String::new(), Conclusion::Legacy),
            (200, error(-32601, ""), Conclusion::Legacy),
            (200, "<html>".to_owned(), Conclusion::Legacy),
            (202, String::new(), Conclusion::Legacy),
            (401, error(-32001, ""), Conclusion::Nothing),
            (401, String::new(), Conclusion::Nothing),
            (403, error(-32601, ""), Conclusion::Nothing),
            (429, String::new(), Conclusion::Nothing),
            (307, String::new(), Conclusion::Nothing),
            (500, error(-32603, ""), Conclusion::Nothing),
            (503, String::new(), Conclusion::Nothing),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(conclude(status, body.as_bytes()), expected, "{status} {body}");
        }
    }

    #[test]
    fn b51_refusals_of_the_other_era_are_known() {
        for (status, code, modern, legacy) in [
            (400, None, true, false),
            (400, Some(-32000), true, false),
            (400, Some(-32600), true, false),
            (404, Some(-32001), true, false),
            (404, Some(-32601), false, false),
            (400, Some(-32022), false, true),
            (200, Some(-32022), false, false),
            (400, Some(-32602), false, false),
            (401, None, false, false),
            (500, None, false, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(contradicts_modern(status, code), modern, "{status} {code:?}");
            assert_eq!(contradicts_legacy(status, code), legacy, "{status} {code:?}");
        }
    }

    #[test]
    fn b51_one_contradiction_is_looked_into() {
        let probe = Probe::new(Choice::Auto);
        assert!(probe.doubt() && !probe.doubt());
        assert!(!Probe::new(Choice::Modern).doubt());
        probe.learn(Known::Legacy);
        assert!(matches!(probe.known(), Known::Legacy));
        assert!(matches!(Probe::new(Choice::Legacy).known(), Known::Legacy));
    }
}
