//! What a host wants to hear of, and what of it a server offers (protocol.md X-05, S-95, S-100).

use footbridge_protocol::jsonrpc::Notification;
use serde_json::Value;

use super::session::Facts;
use crate::cross::object::{Object, quoted};

/// Resources one listen may name. More are left out of the acknowledgement.
const RESOURCES: usize = 256;

pub(super) const TOOLS: &str = "notifications/tools/list_changed";
pub(super) const PROMPTS: &str = "notifications/prompts/list_changed";
pub(super) const LISTED: &str = "notifications/resources/list_changed";
pub(super) const UPDATED: &str = "notifications/resources/updated";

/// What a host wants to hear of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) tools: bool,
    pub(super) prompts: bool,
    pub(super) resources: bool,
    pub(super) uris: Vec<String>,
}

impl Filter {
    pub(super) fn read(text: &str) -> Option<Filter> {
        let value: Value = serde_json::from_str(text).ok().filter(Value::is_object)?;
        let wants = |key: &str| match value.get(key) {
            None => Some(false),
            Some(value) => value.as_bool(),
        };
        let mut uris = Vec::new();
        if let Some(named) = value.get("resourceSubscriptions") {
            for uri in named.as_array()? {
                let uri = uri.as_str()?.to_owned();
                if !uris.contains(&uri) && uris.len() < RESOURCES {
                    uris.push(uri);
                }
            }
        }
        Some(Filter {
            tools: wants("toolsListChanged")?,
            prompts: wants("promptsListChanged")?,
            resources: wants("resourcesListChanged")?,
            uris,
        })
    }

    /// What of it the server offers.
    pub(super) fn offered(&self, facts: &Facts) -> Filter {
        let subscribes = facts.has(&["resources", "subscribe"]);
        Filter {
            tools: self.tools && facts.has(&["tools", "listChanged"]),
            prompts: self.prompts && facts.has(&["prompts", "listChanged"]),
            resources: self.resources && facts.has(&["resources", "listChanged"]),
            uris: if subscribes { self.uris.clone() } else { Vec::new() },
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut members = Object::default();
        for (key, wanted) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if wanted {
                members.set(key, "true");
            }
        }
        if !self.uris.is_empty() {
            let uris: Vec<String> = self.uris.iter().map(|uri| quoted(uri)).collect();
            members.set("resourceSubscriptions", format!("[{}]", uris.join(",")));
        }
        members.to_text()
    }

    pub(super) fn wants(&self, notification: &Notification<'_>) -> bool {
        match notification.method.as_ref() {
            TOOLS => self.tools,
            PROMPTS => self.prompts,
            LISTED => self.resources,
            // The server may name a part of what was subscribed to.
            UPDATED => match notification.params.uri() {
                Ok(Some(uri)) => self.uris.iter().any(|named| uri.starts_with(named.as_str())),
                _ => false,
            },
            _ => false,
        }
    }
}

/// Says whether the server offers anything to listen to (S-100).
pub(super) fn offers_changes(facts: &Facts) -> bool {
    ["tools", "prompts", "resources"]
        .iter()
        .any(|kind| facts.has(&[kind, "listChanged"]))
        || facts.has(&["resources", "subscribe"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(capabilities: &str) -> Facts {
        Facts {
            capabilities: capabilities.to_owned(),
            server_info: None,
            instructions: None,
        }
    }

    #[test]
    fn a_filter_keeps_what_the_server_offers() {
        let wanted = Filter::read(
            r#"{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a","b","a"]}"#,
        )
        .unwrap();
        let offered = wanted.offered(&facts(
            r#"{"tools":{"listChanged":true},"resources":{"subscribe":true}}"#,
        ));
        assert_eq!(
            offered.to_text(),
            r#"{"toolsListChanged":true,"resourceSubscriptions":["a","b"]}"#
        );
        assert_eq!(wanted.offered(&facts("{}")).to_text(), "{}");
        assert!(!offers_changes(&facts(r#"{"tools":{}}"#)));
    }

    #[test]
    fn a_filter_of_other_types_is_none() {
        for text in [
            "[]",
            r#"{"toolsListChanged":"yes"}"#,
            r#"{"resourceSubscriptions":[7]}"#,
            r#"{"resourceSubscriptions":{}}"#,
        ] {
            assert_eq!(Filter::read(text), None, "{text}");
        }
    }
}
