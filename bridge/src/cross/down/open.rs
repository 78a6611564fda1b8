//! The host's `initialize`: the probe of the server's era, and what follows from it (protocol.md §3.6, X-21, X-22).

use std::sync::Arc;

use bytes::Bytes;
use footbridge_protocol::codes;
use footbridge_protocol::era::{Era, ProtocolVersion};
use footbridge_protocol::jsonrpc::{OwnedId, write_result};
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde_json::value::RawValue;

use super::fall::Initialize;
use super::lane::{Lane, Outcome};
use super::welcome::{self, Handshake};
use super::{Host, envelope, own};
use crate::cross::object::Object;
use crate::error::BridgeError;
use crate::exchange::{Exchange, Flags, Kind, Reader, Shared};
use crate::log;
use crate::probe::{Choice, Conclusion, Discovered, Known, conclude};
use crate::stdio::Line;

/// An `initialize` on its way.
pub(super) struct Opening {
    pub(super) shared: Arc<Shared>,
    pub(super) id: OwnedId,
    pub(super) line: Bytes,
    pub(super) handshake: Handshake,
    pub(super) flags: Arc<Flags>,
}

/// What the probe leads to.
enum Way {
    Modern(Arc<Discovered>),
    /// The error to report if the handshake fails as well.
    Legacy(Option<Line>),
    Refused(Line),
    Gone,
}

impl Opening {
    /// Finds out the era if it is not known, and answers the host.
    pub(super) async fn run(self) {
        let way = match self.shared.probe.known() {
            Known::Legacy => Way::Legacy(None),
            Known::Modern(discovered) => self.probe(discovered.version).await,
            Known::Unknown => self.probe(ProtocolVersion::V2026_07_28).await,
        };
        let line = match way {
            Way::Modern(discovered) => self.cross(&discovered),
            Way::Legacy(first) => match self.pass(first).await {
                Some(line) => line,
                None => return,
            },
            Way::Refused(line) => line,
            Way::Gone => return,
        };
        let _ = self.shared.output.send(line).await;
    }

    /// Asks the server, even if it is known, for what it offers: no answer is kept (X-36).
    async fn probe(&self, version: ProtocolVersion) -> Way {
        let keys = envelope::keys(
            version,
            &self.handshake.capabilities,
            self.handshake.client.as_deref(),
            None,
        );
        let mut repeated = false;
        loop {
            let Some((status, outcome)) = own(&self.shared, &keys, "server/discover", "").await else {
                return Way::Gone;
            };
            let conclusion = meaning(status, &outcome);
            log::debug(format_args!("the server was asked for its era: {conclusion:?}"));
            match conclusion {
                Conclusion::Modern(version) => {
                    if let Some(discovered) = discovered(version, &outcome) {
                        let known = Arc::new(discovered);
                        self.shared.probe.learn(Known::Modern(Arc::clone(&known)));
                        return Way::Modern(known);
                    }
                    if std::mem::replace(&mut repeated, true) {
                        return Way::Refused(self.report(outcome));
                    }
                }
                Conclusion::Repeat if !std::mem::replace(&mut repeated, true) => {}
                Conclusion::Repeat | Conclusion::Nothing => return Way::Refused(self.report(outcome)),
                Conclusion::Foreign => return Way::Refused(self.foreign()),
                Conclusion::Legacy | Conclusion::Undecided
                    if self.shared.probe.choice() == Choice::Modern =>
                {
                    return Way::Refused(self.report(outcome));
                }
                Conclusion::Legacy => return Way::Legacy(None),
                Conclusion::Undecided => return Way::Legacy(Some(self.report(outcome))),
            }
        }
    }

    /// The server is modern: the host is answered in its name.
    fn cross(&self, discovered: &Discovered) -> Line {
        let raw = discovered.result.as_ref().map_or("{}", |result| result.get());
        let object = Object::read(raw).unwrap_or_default();
        let result = welcome::result(&self.handshake, &object, self.shared.upstream.place());
        let offers = welcome::Offers::read(&object);
        let initialize = Initialize {
            id: self.id.clone(),
            line: self.line.clone(),
        };
        let host = Host::new(self.handshake.clone(), initialize, discovered.version, offers);
        self.shared.down.open(Arc::new(host));
        log::info(format_args!(
            "the server speaks {}, the client {}: translating",
            discovered.version, self.handshake.answered
        ));
        let mut line = Vec::with_capacity(result.len() + 64);
        write_result(&mut line, self.id.as_id(), result.as_bytes());
        Line::new(line)
    }

    /// The server is legacy: the `initialize` passes as it is.
    async fn pass(&self, first: Option<Line>) -> Option<Line> {
        let lane = Arc::new(Lane::of_host());
        let exchange = Exchange {
            shared: Arc::clone(&self.shared),
            id: self.id.clone(),
            kind: Kind::Initialize,
            era: Era::Legacy,
            headers: HeaderMap::new(),
            body: self.line.clone(),
            flags: Arc::clone(&self.flags),
            reader: Reader::Lane(Arc::clone(&lane)),
        };
        exchange.run().await;
        match lane.take()?.1 {
            Outcome::Response(response) => {
                let refused = Object::within(&response, "result").is_none_or(|within| within.error.is_some());
                if !refused {
                    self.shared.probe.learn(Known::Legacy);
                }
                Some(match first {
                    Some(first) if refused => first,
                    _ => Line::new(response),
                })
            }
            Outcome::Failed(error) => Some(first.unwrap_or_else(|| error.to_line(Some(self.id.as_id())))),
        }
    }

    /// The server's error, or ours, as the answer to the `initialize` (X-22).
    fn report(&self, outcome: Outcome) -> Line {
        match outcome {
            Outcome::Failed(error) => error.to_line(Some(self.id.as_id())),
            Outcome::Response(response) => {
                let error = Object::within(&response, "result").and_then(|within| within.error);
                match error {
                    Some(error) => {
                        let error = super::codes::translate(error, "server/discover");
                        let id = self.id.as_raw();
                        Line::new(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#).into_bytes())
                    }
                    None => BridgeError::protocol(
                        "The server's answer to `server/discover` names no protocol versions. Its operator has to correct \
                         that",
                    )
                    .to_line(Some(self.id.as_id())),
                }
            }
        }
    }

    fn foreign(&self) -> Line {
        BridgeError::no_translation(
            false,
            "The server speaks only protocol versions that this bridge does not know. Update the bridge",
        )
        .to_line(Some(self.id.as_id()))
    }
}

/// What the outcome of a `server/discover` means.
pub(super) fn meaning(status: StatusCode, outcome: &Outcome) -> Conclusion {
    match outcome {
        Outcome::Response(response) => conclude(status, response),
        Outcome::Failed(error) => match error.status() {
            Some(status) => conclude(status, b""),
            // Something came that is no answer.
            None if error.code() == codes::BRIDGE_UPSTREAM_PROTOCOL => Conclusion::Legacy,
            None => Conclusion::Nothing,
        },
    }
}

fn discovered(version: ProtocolVersion, outcome: &Outcome) -> Option<Discovered> {
    let Outcome::Response(response) = outcome else {
        return None;
    };
    let result = Object::within(response, "result")?.object?;
    Some(Discovered {
        version,
        result: Some(RawValue::from_string(result.to_text()).ok()?),
    })
}
