//! A channel: how people outside reach the workspace, and who answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::words;
use crate::domain::workspace::record::{Index, Kind, Link};

words! {
    /// What a channel is made of.
    ChannelType { Email = "email", Web = "web", Api = "api" }
}
words! {
    /// Who gets a new conversation.
    Routing { RoundRobin = "round_robin", Manual = "manual", LeastBusy = "least_busy" }
}

/// How replies leave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ChannelDelivery {
    /// `webhook`, `smtp` or `none`.
    pub(crate) adapter: String,
    pub(crate) target: Option<String>,
}

/// A channel.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Channel {
    pub(crate) name: String,
    pub(crate) slug: String,
    #[serde(rename = "type")]
    pub(crate) kind: ChannelType,
    pub(crate) active: bool,
    pub(crate) routing: Routing,
    /// Users' ids.
    pub(crate) members: Vec<String>,
    pub(crate) greeting: Option<String>,
    pub(crate) sla: Option<Value>,
    pub(crate) business_hours: Option<Value>,
    pub(crate) delivery: ChannelDelivery,
    /// SHA-256 of the secret in its inbound address, hexadecimal.
    pub(crate) secret_hash: Option<String>,
}

impl Kind for Channel {
    const NAME: &'static str = "channel";
    const PREFIX: &'static str = "chn";
    const READ: &'static str = "admin:channels";
    const KEYS: &'static [&'static str] = &["slug", "name"];
    const LINKS: &'static [(&'static str, Link)] = &[("members", Link::Person)];
    const SECRETS: &'static [&'static str] = &["secret_hash"];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn index(&self, index: &mut Index) {
        index.unique_text("slug", &self.slug);
        index.unique_text("name", &self.name);
        index.word("type", self.kind.as_str());
        index.put("active", self.active);
        for member in &self.members {
            index.word("member", member);
        }
        if let Some(hash) = &self.secret_hash {
            index.unique("secret_hash", hash.as_str());
        }
    }
}
