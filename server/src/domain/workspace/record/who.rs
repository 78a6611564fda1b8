//! Who changes records.

use std::sync::Arc;

use crate::{
    access::{Credential, Principal},
    store::{self, ScopeKind},
    vocabulary::UserId,
};

/// Who changes records, for history, change log and events.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// A user's id, or the part of the workspace that acts by itself.
    pub(crate) name: String,
    actor: Option<Arc<store::Actor>>,
    /// How many flows stand between a person and this change.
    pub(crate) depth: u32,
    /// The flow that acts.
    pub(crate) flow: Option<String>,
}

impl Who {
    /// The caller of a tool.
    pub(crate) fn of(principal: &Principal) -> Self {
        let facts = principal.facts();
        let (kind, key) = match &facts.credential {
            Credential::ApiKey { id, .. } => (ScopeKind::ApiKey, Some(id.clone())),
            Credential::Token { .. } => (ScopeKind::Jwt, None),
            Credential::LegacyToken => (ScopeKind::Legacy, None),
            Credential::Session => (ScopeKind::Session, None),
            Credential::Local => (ScopeKind::Operator, None),
        };
        Self {
            name: facts.user.to_string(),
            actor: Some(Arc::new(store::Actor {
                user_id: Some(facts.user.clone()),
                api_key_id: key,
                ..store::Actor::new(kind)
            })),
            depth: 0,
            flow: None,
        }
    }

    /// Somebody at the console, by a user's id, or the operator at the command line.
    pub(crate) fn person(name: &str) -> Self {
        let user = UserId::new(name).ok().filter(|_| name != "operator");
        Self {
            actor: user.map(|user| Arc::new(store::Actor::person(user))),
            ..Self::system(name)
        }
    }

    /// A part of the workspace that acts for nobody: `inbound`, `routing`, `bot`, `sla`, `demo`.
    pub(crate) fn system(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            actor: None,
            depth: 0,
            flow: None,
        }
    }

    /// A flow, whose changes are events one level deeper.
    pub(crate) fn flow(id: &str, depth: u32) -> Self {
        Self {
            depth,
            flow: Some(id.to_owned()),
            ..Self::system("flow")
        }
    }

    /// As the change log names them.
    pub(crate) fn actor(&self) -> store::Actor {
        let actor = self.actor.as_deref();
        actor.cloned().unwrap_or_else(store::Actor::operator)
    }
}
