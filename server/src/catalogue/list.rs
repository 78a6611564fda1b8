//! `tools/list` as bytes: each distinct answer is composed once and then only copied.
//!
//! Two callers see the same bytes when they see the same tools, in the same shape, in the same spelling;
//! how many keys there are does not matter.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::RwLock;

use super::tool::{Edition, ListedNames, Shape, ToolSet};
use crate::vocabulary::{Consent, NameStyle};

/// What distinguishes one list from another within an edition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListKey {
    /// The tools that the caller may call.
    pub visible: ToolSet,
    /// Those of them that ask for consent first.
    pub confirming: ToolSet,
    /// The shape of its revision.
    pub shape: Shape,
    /// The spelling of names.
    pub names: ListedNames,
}

/// Distinct lists kept per edition. Keys are minted with a handful of scope combinations; past this many the
/// cache starts anew rather than grow with whatever combinations callers think of.
const MOST_LISTS: usize = 256;

/// The composed `tools` arrays of one edition.
#[derive(Debug, Default)]
pub struct ListCache {
    lists: RwLock<HashMap<ListKey, Bytes>>,
}

impl ListCache {
    /// The JSON array of the visible tools' definitions, in catalogue order.
    pub fn get(&self, edition: &Edition, key: ListKey) -> Bytes {
        if let Some(list) = self.lists.read().get(&key) {
            return list.clone();
        }
        let definitions: Vec<_> = edition
            .tools()
            .iter()
            .filter(|tool| key.visible.contains(tool.index))
            .map(|tool| {
                let consent = if key.confirming.contains(tool.index) {
                    Consent::Confirm
                } else {
                    Consent::Auto
                };
                tool.listed(key.shape, key.names, consent)
            })
            .collect();
        let list = Bytes::from(serde_json::Value::from(definitions).to_string());
        let mut lists = self.lists.write();
        if lists.len() >= MOST_LISTS {
            lists.clear();
        }
        lists.insert(key, list.clone());
        list
    }
}

/// Clients that drop a whole list over one dot in a name (catalogue.md §2.19), by what they call themselves.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrictClients {
    /// Beginnings of `clientInfo.name`, compared without regard to case.
    name_prefixes: Vec<String>,
}

impl StrictClients {
    /// The list compiled in.
    ///
    /// # Errors
    /// The file's own fault, which a test rules out.
    pub fn builtin() -> Result<Self, toml::de::Error> {
        toml::from_str(include_str!("../../catalogue/strict_clients.toml"))
    }

    /// The spelling for a client: an unknown one gets native names.
    pub fn spelling(&self, style: NameStyle, client: Option<&str>) -> ListedNames {
        match style {
            NameStyle::Native => ListedNames::Native,
            NameStyle::Underscore => ListedNames::Underscored,
            NameStyle::Auto => {
                let client = client.unwrap_or_default().as_bytes();
                let begins = |prefix: &String| {
                    let beginning = client.get(..prefix.len());
                    beginning.is_some_and(|text| text.eq_ignore_ascii_case(prefix.as_bytes()))
                };
                let strict = self.name_prefixes.iter().any(begins);
                if strict {
                    ListedNames::Underscored
                } else {
                    ListedNames::Native
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_client_gets_native_names() {
        let clients = StrictClients::builtin().unwrap();
        assert_eq!(clients.spelling(NameStyle::Auto, None), ListedNames::Native);
        assert_eq!(
            clients.spelling(NameStyle::Auto, Some("someone")),
            ListedNames::Native
        );
        assert_eq!(
            clients.spelling(NameStyle::Auto, Some("Claude-AI")),
            ListedNames::Underscored
        );
        assert_eq!(
            clients.spelling(NameStyle::Native, Some("claude-ai")),
            ListedNames::Native
        );
        assert_eq!(
            clients.spelling(NameStyle::Underscore, None),
            ListedNames::Underscored
        );
    }
}
