//! The answer to `initialize`, made of what a modern server says about itself (protocol.md X-01, X-21).

use footbridge_protocol::era::{OLDEST_TOLERATED, ProtocolVersion, negotiate};
use footbridge_protocol::meta::SERVER_INFO;
use footbridge_protocol::params::Params;

use super::envelope::{Abilities, translate};
use crate::cross::object::{Object, quoted};

/// What the host's `initialize` settles.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    /// The version the host is answered with.
    pub(super) answered: &'static str,
    /// The revision whose shapes it reads.
    pub(super) revision: ProtocolVersion,
    /// What it can be asked.
    pub(super) abilities: Abilities,
    /// The same for the server, as a raw object.
    pub(super) capabilities: String,
    /// The raw `clientInfo`.
    pub(super) client: Option<String>,
}

impl Handshake {
    /// Reads the parameters of `initialize`.
    pub(super) fn read(params: &Params<'_>) -> Handshake {
        let requested = params.protocol_version().ok().flatten().unwrap_or_default();
        let answered = negotiate(&requested);
        let revision = ProtocolVersion::parse(answered).unwrap_or(ProtocolVersion::V2025_03_26);
        let declared = params
            .capabilities()
            .ok()
            .flatten()
            .and_then(|raw| Object::read(raw.get()))
            .unwrap_or_default();
        let (abilities, capabilities) = translate(revision, &declared);
        Handshake {
            answered,
            revision,
            abilities,
            capabilities,
            client: params
                .client_info()
                .ok()
                .flatten()
                .map(|raw| raw.get().to_owned()),
        }
    }

    /// Says whether the host may send arrays of messages: 2025-03-26 has them, and no revision before or after.
    pub(super) fn knows_batches(&self) -> bool {
        self.revision == ProtocolVersion::V2025_03_26 && self.answered != OLDEST_TOLERATED
    }
}

/// What the server offers that the bridge has to act on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offers {
    pub(super) tools_changed: bool,
    pub(super) prompts_changed: bool,
    pub(super) resources_changed: bool,
    pub(super) subscribe: bool,
    pub(super) logging: bool,
}

impl Offers {
    /// Reads the `capabilities` of a discover result.
    pub(super) fn read(discovered: &Object<'_>) -> Offers {
        let capabilities = discovered.object("capabilities");
        let says = |area: &str, what: &str| capabilities.object(area).is_true(what);
        Offers {
            tools_changed: says("tools", "listChanged"),
            prompts_changed: says("prompts", "listChanged"),
            resources_changed: says("resources", "listChanged"),
            subscribe: says("resources", "subscribe"),
            logging: capabilities.has_object("logging"),
        }
    }

    /// Says whether any listing announces its changes.
    pub(super) fn any_list(self) -> bool {
        self.tools_changed || self.prompts_changed || self.resources_changed
    }
}

/// The raw result of `initialize`. `place` names a server that does not name itself.
pub(super) fn result(handshake: &Handshake, discovered: &Object<'_>, place: &str) -> String {
    let offered = discovered.object("capabilities");
    let mut capabilities = Object::default();
    for (area, details) in [
        ("tools", &["listChanged"][..]),
        ("prompts", &["listChanged"]),
        ("resources", &["listChanged", "subscribe"]),
        ("completions", &[]),
        ("logging", &[]),
    ] {
        if !offered.has_object(area) {
            continue;
        }
        let offer = offered.object(area);
        let mut kept = Object::default();
        for detail in details.iter().filter(|detail| offer.is_true(detail)) {
            kept.set(detail, "true");
        }
        let kept = kept.to_text();
        capabilities.set(area, kept);
    }
    let meta = discovered.object("_meta");
    let server = meta
        .get(SERVER_INFO)
        .filter(|info| {
            Object::read(info)
                .is_some_and(|info| info.text("name").is_some() && info.text("version").is_some())
        })
        .map_or_else(
            || format!(r#"{{"name":{},"version":"0"}}"#, quoted(place)),
            str::to_owned,
        );
    let mut result = Object::default();
    result.set("protocolVersion", quoted(handshake.answered));
    result.set("capabilities", capabilities.to_text());
    result.set("serverInfo", server);
    if discovered.text("instructions").is_some() {
        result.set("instructions", discovered.get("instructions").unwrap_or_default());
    }
    result.to_text()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn handshake(version: &str) -> Handshake {
        let raw: Box<RawValue> = serde_json::from_str(&format!(
            r#"{{"protocolVersion":"{version}","capabilities":{{}}}}"#
        ))
        .unwrap();
        Handshake::read(&Params::read(&raw).unwrap())
    }

    #[test]
    fn x21_versions_are_answered_by_name() {
        for (asked, answered, batches) in [
            ("2025-11-25", "2025-11-25", false),
            ("2025-06-18", "2025-06-18", false),
            ("2025-03-26", "2025-03-26", true),
            ("2024-11-05", "2024-11-05", false),
            ("2026-07-28", "2025-11-25", false),
            ("1.0", "2025-11-25", false),
        ] {
            let handshake = handshake(asked);
            assert_eq!(
                (handshake.answered, handshake.knows_batches()),
                (answered, batches)
            );
        }
    }

    #[test]
    fn x21_capabilities_are_those_the_host_knows() {
        let discovered = Object::read(
            r#"{"capabilities":{"tools":{"listChanged":true,"x":1},"resources":{"subscribe":true,"listChanged":false},
                "completions":{},"logging":{},"extensions":{"a/b":{}},"tasks":{}},"instructions":"Do \"it\".",
                "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"2", "title":"S"}}}"#,
        )
        .unwrap();
        assert_eq!(
            result(&handshake("2025-06-18"), &discovered, "host"),
            concat!(
                r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"#,
                r#""completions":{},"logging":{}},"serverInfo":{"name":"s","version":"2", "title":"S"},"instructions":"Do \"it\"."}"#
            )
        );
        let offers = Offers::read(&discovered);
        assert!(offers.tools_changed && offers.subscribe && offers.logging && !offers.resources_changed);
    }

    #[test]
    fn x21_a_server_without_a_name_gets_that_of_its_host() {
        assert_eq!(
            result(&handshake("2025-11-25"), &Object::default(), "mcp.example.com"),
            r#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"mcp.example.com","version":"0"}}"#
        );
    }
}
