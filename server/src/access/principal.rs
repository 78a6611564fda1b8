//! Whoever is calling, as every later room sees them.

use std::{fmt, sync::Arc};

use super::{groups::role_in, scope::visible_tools};
use crate::{
    catalogue::{Edition, Tool, ToolSet},
    store::{KeyConfirm, SignIn},
    vocabulary::{EditionName, KeyId, Listing, NameStyle, Role, Scope, TenantId, UserId},
};

/// What kind of credential was presented, as the audit log names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An API key.
    ApiKey {
        /// Its row.
        id: KeyId,
        /// Its prefix and six characters.
        shown_prefix: String,
    },
    /// An OAuth access token.
    Token {
        /// Scopes that a new token could bring; `None`: whatever its provider grants.
        reachable: Option<Vec<Scope>>,
    },
    /// A token that says nothing of scopes, judged by its owner's role alone (catalogue.md §4.6).
    LegacyToken,
    /// A person who is signed in at the console.
    Session,
    /// None at all: test fixtures and a local `mcp stdio` process, which whoever starts it owns.
    Local,
}

/// Whose calls a monthly cap counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapOf {
    /// The key's own.
    Key,
    /// Those of all keys of the tenant that have no cap of their own.
    Tenant,
}

/// Calls that pass in a calendar month (catalogue.md §2.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthlyCap {
    /// How many.
    pub calls: u64,
    /// Whose.
    pub of: CapOf,
}

/// Everything that is known of a caller. Fields are facts, not rights: rights are asked for in `scope.rs`.
#[derive(Debug)]
pub struct PrincipalFacts {
    /// The customer whose rows these are.
    pub tenant: TenantId,
    /// The person or service that owns the credential.
    pub user: UserId,
    /// Their address, for people to recognise.
    pub email: String,
    /// Their role now: a demoted owner's keys are demoted with them.
    pub role: Role,
    /// What was presented.
    pub credential: Credential,
    /// The edition that this principal was let into.
    pub edition: EditionName,
    /// The scopes held.
    pub scopes: Vec<Scope>,
    /// Whether only reading tools may be called.
    pub read_only: bool,
    /// Tools that alone may be called; empty means no such limit.
    pub tools_allow: Vec<String>,
    /// Tools that may not be called.
    pub tools_deny: Vec<String>,
    /// What the key asks for before a write.
    pub confirm: KeyConfirm,
    /// The spelling of names that the key asks for.
    pub names: NameStyle,
    /// How much of the catalogue the key wants listed.
    pub listing: Listing,
    /// Requests a minute that pass.
    pub rate_per_minute: u32,
    /// Requests an hour that pass; `None`: as many as the minutes let through.
    pub rate_per_hour: Option<u32>,
    /// Calls a month that pass; `None`: any number.
    pub monthly_cap: Option<MonthlyCap>,
}

/// Proof that a credential was presented and found good for one edition.
#[derive(Clone)]
pub struct Principal {
    inner: Arc<Inner>,
}

struct Inner {
    facts: PrincipalFacts,
    visible: ToolSet,
    /// Of the edition as of which that was judged.
    serial: u64,
}

impl Principal {
    /// Invariant: called by this room alone, after the credential was found good.
    pub(super) fn new(facts: PrincipalFacts, edition: &Edition) -> Self {
        let visible = visible_tools(edition, &facts);
        Self {
            inner: Arc::new(Inner {
                facts,
                visible,
                serial: edition.serial,
            }),
        }
    }

    /// Who they are.
    pub fn facts(&self) -> &PrincipalFacts {
        &self.inner.facts
    }

    /// The tenant whose rows they may see.
    pub fn tenant(&self) -> &TenantId {
        &self.inner.facts.tenant
    }

    /// The tools they may call, as [`super::judge`] decided for each.
    pub fn visible(&self) -> &ToolSet {
        &self.inner.visible
    }

    /// Whether this very tool was judged when they came in, and they may call it. `false` says nothing: a reload may have
    /// brought another catalogue since, and rows besides tools are counted apart from them.
    pub(super) fn was_granted(&self, edition: &Edition, tool: &Arc<Tool>) -> bool {
        let known = edition.tools().get(tool.index);
        self.inner.serial == edition.serial
            && known.is_some_and(|known| Arc::ptr_eq(known, tool))
            && self.inner.visible.contains(tool.index)
    }
}

/// The principal of whoever started this process on their own data: every scope of the edition.
pub fn local_principal(edition: &Edition, tenant: TenantId, user: UserId, rate_per_minute: u32) -> Principal {
    let whom = Whom {
        tenant,
        user,
        email: String::new(),
        role: Role::Owner,
        credential: Credential::Local,
    };
    without_key(edition, whom, rate_per_minute)
}

/// The principal of somebody at the console: every scope of the edition, as far as their role lets them use it.
/// Invariant: `session` was found good for this very request.
pub fn session_principal(edition: &Edition, session: &SignIn, rate_per_minute: u32) -> Principal {
    let whom = Whom {
        tenant: session.tenant.clone(),
        user: session.user.clone(),
        email: session.email.clone(),
        role: role_in(&edition.name, session.role, &session.groups),
        credential: Credential::Session,
    };
    without_key(edition, whom, rate_per_minute)
}

/// Who calls without a key that narrows them.
struct Whom {
    tenant: TenantId,
    user: UserId,
    email: String,
    role: Role,
    credential: Credential,
}

fn without_key(edition: &Edition, whom: Whom, rate_per_minute: u32) -> Principal {
    let scopes = edition
        .scopes
        .titles()
        .filter_map(|(scope, _)| Scope::new(scope).ok())
        .collect();
    let facts = PrincipalFacts {
        tenant: whom.tenant,
        user: whom.user,
        email: whom.email,
        role: whom.role,
        credential: whom.credential,
        edition: edition.name.clone(),
        scopes,
        read_only: false,
        tools_allow: Vec::new(),
        tools_deny: Vec::new(),
        confirm: KeyConfirm::Inherit,
        names: NameStyle::Auto,
        listing: Listing::default(),
        rate_per_minute,
        rate_per_hour: None,
        // Caps are for programs, which call without anybody watching.
        monthly_cap: None,
    };
    Principal::new(facts, edition)
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.inner.facts;
        write!(
            f,
            "Principal({}/{} in {})",
            facts.tenant, facts.user, facts.edition
        )
    }
}
