//! One edition as a protected resource: its settings with every default filled in.

use std::sync::Arc;

use super::{
    issuer::{Issuer, well_known},
    limits::OAuthLimits,
    verified::VerifiedTokens,
};
use crate::{
    access::groups::ACCESS,
    catalogue::{ADMINS, Edition},
    store::{OAuthMount, OAuthRow},
    vocabulary::{EditionName, Effect, Scope, TenantId},
};

/// The claim that holds groups unless a setting names another (catalogue.md §2.18).
pub const GROUPS_CLAIM: &str = "groups";
/// What is used where a setting is absent.
pub fn default_mount(edition: &EditionName) -> OAuthMount {
    if edition.as_str() == ACCESS {
        OAuthMount::Same
    } else {
        OAuthMount::Separate
    }
}

/// The path at which an edition's tokens are accepted.
pub fn oauth_path(edition: &Edition, mount: OAuthMount) -> String {
    match mount {
        OAuthMount::Same => edition.endpoint(),
        OAuthMount::Separate => format!("{}/oauth", edition.endpoint()),
    }
}

/// The address of a resource's metadata (RFC 9728 §3.1).
pub fn metadata_url(resource_uri: &str) -> String {
    well_known(resource_uri, "oauth-protected-resource")
}

/// An edition that takes access tokens.
pub struct Resource {
    pub(super) row: OAuthRow,
    pub(super) issuer: Arc<Issuer>,
    pub(super) verified: VerifiedTokens,
    uri: String,
    path: String,
    title: String,
    scopes: Vec<Scope>,
    /// The edition as of which it was made.
    serial: u64,
}

impl Resource {
    pub(super) fn new(
        row: OAuthRow,
        edition: &Edition,
        issuer: Arc<Issuer>,
        base: &str,
        limits: &OAuthLimits,
    ) -> Self {
        let path = oauth_path(edition, mount_of(&row));
        let uri = row
            .settings
            .resource_uri
            .clone()
            .unwrap_or_else(|| format!("{base}{path}"));
        // Where groups decide, the provider does not know our scopes: a client that asked for them would be refused.
        let scopes = if row.settings.scope_map.is_empty() {
            basic_scopes(edition)
        } else {
            Vec::new()
        };
        Self {
            row,
            issuer,
            verified: VerifiedTokens::new(limits.verified_tokens),
            uri,
            path,
            title: edition.title.clone(),
            serial: edition.serial,
            scopes,
        }
    }

    /// Whether it was made from these settings, for this edition.
    pub(super) fn is_of(&self, row: &OAuthRow, edition: &Edition) -> bool {
        self.row == *row && self.serial == edition.serial
    }

    /// The edition.
    pub fn edition(&self) -> &EditionName {
        &self.row.edition
    }

    /// Whose people sign in.
    pub fn tenant(&self) -> &TenantId {
        &self.row.tenant
    }

    /// The audience that tokens must name.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The path at which tokens are accepted.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its name for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The provider.
    pub fn issuer_url(&self) -> &str {
        &self.issuer.url
    }

    /// What a client needs for a beginning, and not everything there is (protocol.md A-03).
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The client that everybody uses, and where its secret is.
    pub fn static_client(&self) -> Option<(&str, Option<&str>)> {
        let settings = &self.row.settings;
        let id = settings.client_id.as_deref()?;
        Some((id, settings.client_secret.as_deref()))
    }

    /// Whether the edition's endpoint for keys takes its tokens too, judged by role alone (catalogue.md §4.6).
    pub fn takes_legacy(&self) -> bool {
        self.row.settings.legacy_jwt
    }

    /// The address of its metadata.
    pub fn metadata_url(&self) -> String {
        metadata_url(&self.uri)
    }

    pub(super) fn groups_claim(&self) -> &str {
        self.row.settings.groups_claim.as_deref().unwrap_or(GROUPS_CLAIM)
    }

    pub(super) fn admin_group(&self) -> Option<&str> {
        let default = (self.row.edition.as_str() == ACCESS).then_some(ADMINS);
        self.row.settings.admin_group.as_deref().or(default)
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Resource({} of {})", self.uri, self.row.tenant)
    }
}

fn mount_of(row: &OAuthRow) -> OAuthMount {
    row.settings.mount.unwrap_or_else(|| default_mount(&row.edition))
}

/// The scopes of tools that only read and are open to everybody.
fn basic_scopes(edition: &Edition) -> Vec<Scope> {
    let reading = edition.tools().iter().filter(|tool| tool.effect == Effect::Read);
    let mut scopes: Vec<Scope> = reading
        .flat_map(|tool| tool.scope.scopes())
        .filter(|scope| edition.scopes.roles(scope).is_none() && !edition.scopes.is_explicit(scope))
        .cloned()
        .collect();
    scopes.sort();
    scopes.dedup();
    scopes
}

/// Checks a resource URI that somebody typed (protocol.md A-02).
///
/// # Errors
/// What is wrong with it.
pub fn check_resource_uri(uri: &str) -> Result<(), String> {
    super::fetch::host_of(uri).map_err(|e| e.to_string())?;
    let (scheme, rest) = uri.split_once("://").unwrap_or_default();
    let authority = rest.split('/').next().unwrap_or_default();
    if scheme
        .chars()
        .chain(authority.chars())
        .any(|c| c.is_ascii_uppercase())
    {
        return Err(format!("`{uri}`: scheme and host are written in lower case"));
    }
    if uri.ends_with('/') {
        return Err(format!("`{uri}`: without a slash at the end"));
    }
    Ok(())
}

/// Checks an issuer that somebody typed.
///
/// # Errors
/// What is wrong with it.
pub fn check_issuer(url: &str) -> Result<(), String> {
    super::fetch::host_of(url).map(drop).map_err(|e| e.to_string())
}
