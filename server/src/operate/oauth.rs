//! OAuth of an edition: on, off, and what it asks of tokens (catalogue.md §2.18, §6.4).

use futures_util::FutureExt;
use serde_json::json;

use super::{OperateError, Standing, logged, note, tenants::prepare_tenant};
use crate::{
    access::oauth::{
        GROUPS_CLAIM, check_issuer, check_reference, check_resource_uri, default_mount, metadata_url,
        oauth_path,
    },
    catalogue::Edition,
    store::{OAuthMount, OAuthSettings, Store, StoreError},
    vocabulary::{Scope, TenantId},
};

/// New values; what is absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct OAuthChange {
    /// The provider.
    pub issuer: Option<String>,
    /// The audience of tokens.
    pub resource_uri: Option<String>,
    /// The claim that holds groups.
    pub groups_claim: Option<String>,
    /// The client that everybody uses; empty: none any more.
    pub client_id: Option<String>,
    /// Where that client's secret is; empty: it has none.
    pub client_secret: Option<String>,
    /// Groups with the scopes they bring; one without scopes is forgotten.
    pub scope_map: Vec<(String, Vec<Scope>)>,
    /// Where tokens are accepted.
    pub mount: Option<OAuthMount>,
    /// The group whose people are admins; empty: none.
    pub admin_group: Option<String>,
    /// Whether tokens without scopes are judged by role.
    pub legacy_jwt: Option<bool>,
}

impl OAuthChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        let Self {
            issuer,
            resource_uri,
            groups_claim,
            client_id,
            client_secret,
            scope_map,
            mount,
            admin_group,
            legacy_jwt,
        } = self;
        let texts = [
            issuer,
            resource_uri,
            groups_claim,
            client_id,
            client_secret,
            admin_group,
        ];
        texts.iter().all(|text| text.is_none())
            && scope_map.is_empty()
            && mount.is_none()
            && legacy_jwt.is_none()
    }

    fn check(&self, edition: &Edition) -> Result<(), OperateError> {
        let rule = OperateError::Rule;
        if let Some(issuer) = &self.issuer {
            check_issuer(issuer).map_err(|e| rule(format!("--issuer: {e}")))?;
        }
        if let Some(uri) = &self.resource_uri {
            check_resource_uri(uri).map_err(|e| rule(format!("--resource-uri: {e}")))?;
        }
        if let Some(secret) = self.client_secret.as_ref().filter(|text| !text.is_empty()) {
            check_reference(secret).map_err(|e| rule(format!("--client-secret: {e}")))?;
        }
        for scope in self.scope_map.iter().flat_map(|(_, scopes)| scopes) {
            if !edition.scopes.knows(scope) {
                return Err(rule(format!(
                    "--scope-map: the edition `{}` has no scope `{scope}`; see `footbridge-server catalogue list`",
                    edition.name
                )));
            }
        }
        Ok(())
    }

    fn apply(self, settings: &mut OAuthSettings) {
        let set = |field: &mut Option<String>, new: Option<String>| {
            if let Some(new) = new {
                *field = (!new.is_empty()).then_some(new);
            }
        };
        set(&mut settings.issuer, self.issuer);
        set(&mut settings.resource_uri, self.resource_uri);
        set(&mut settings.groups_claim, self.groups_claim);
        set(&mut settings.client_id, self.client_id);
        set(&mut settings.client_secret, self.client_secret);
        set(&mut settings.admin_group, self.admin_group);
        for (group, scopes) in self.scope_map {
            if scopes.is_empty() {
                settings.scope_map.remove(&group);
            } else {
                settings.scope_map.insert(group, scopes);
            }
        }
        settings.mount = self.mount.or(settings.mount);
        settings.legacy_jwt = self.legacy_jwt.unwrap_or(settings.legacy_jwt);
    }
}

/// An edition's OAuth as it stands, every default filled in.
#[derive(Clone, Debug)]
pub struct OAuthStatus {
    /// Whether tokens are accepted.
    pub enabled: bool,
    /// The audience of tokens.
    pub resource_uri: String,
    /// Where clients find out about it.
    pub metadata_url: String,
    /// The claim that holds groups.
    pub groups_claim: String,
    /// Where tokens are accepted.
    pub mount: OAuthMount,
    /// The rest.
    pub settings: OAuthSettings,
}

/// What is to become of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Tokens are accepted.
    On,
    /// They are not.
    Off,
    /// As it is.
    Stays,
}

/// Reads an edition's OAuth. `base` is scheme and authority that clients see.
///
/// # Errors
/// When the store cannot be read.
pub async fn status(
    store: &Store,
    tenant: &TenantId,
    edition: &Edition,
    base: &str,
) -> Result<OAuthStatus, OperateError> {
    let name = edition.name.clone();
    let row = store
        .read(tenant, move |tx| {
            async move { tx.oauth().find(&name).await }.boxed()
        })
        .await?;
    let (enabled, settings) = row.map_or_else(Default::default, |row| (row.enabled, row.settings));
    Ok(filled_in(edition, base, enabled, settings))
}

fn filled_in(edition: &Edition, base: &str, enabled: bool, settings: OAuthSettings) -> OAuthStatus {
    let mount = settings.mount.unwrap_or_else(|| default_mount(&edition.name));
    let resource_uri = settings
        .resource_uri
        .clone()
        .unwrap_or_else(|| format!("{base}{}", oauth_path(edition, mount)));
    OAuthStatus {
        enabled,
        metadata_url: metadata_url(&resource_uri),
        resource_uri,
        groups_claim: settings
            .groups_claim
            .clone()
            .unwrap_or_else(|| GROUPS_CLAIM.to_owned()),
        mount,
        settings,
    }
}

/// Changes an edition's OAuth. Running servers follow within a second.
///
/// # Errors
/// When a value is not one, OAuth would be on without a provider, or another tenant has it on at this edition.
pub async fn change(
    store: &Store,
    tenant: &TenantId,
    edition: &Edition,
    base: &str,
    switch: Switch,
    change: OAuthChange,
) -> Result<OAuthStatus, OperateError> {
    change.check(edition)?;
    let (tenant, name) = (tenant.clone(), edition.name.clone());
    let (enabled, settings) = store
        .system_write(move |tx| {
            async move {
                prepare_tenant(tx, &tenant).await?;
                let known = tx.within(&tenant).oauth().find(&name).await?;
                let (was, mut settings) =
                    known.map_or_else(Default::default, |row| (row.enabled, row.settings));
                change.apply(&mut settings);
                let enabled = match switch {
                    Switch::On => true,
                    Switch::Off => false,
                    Switch::Stays => was,
                };
                if enabled && settings.issuer.is_none() {
                    return Err(OperateError::Rule(
                        "no identity provider is configured; name it with --issuer https://…".to_owned(),
                    ));
                }
                if settings.client_secret.is_some() && settings.client_id.is_none() {
                    return Err(OperateError::Rule(
                        "--client-secret belongs to a client; name it with --client-id".to_owned(),
                    ));
                }
                let set = tx.oauth().set(&tenant, &name, enabled, &settings).await;
                set.map_err(|error| match error {
                    StoreError::Conflict { .. } => OperateError::Rule(format!(
                        "another tenant takes access tokens at the edition `{name}` already; an endpoint has one \
                         identity provider, so serve this tenant from a server of its own"
                    )),
                    error => error.into(),
                })?;
                let command = match switch {
                    Switch::On => "oauth.enable",
                    Switch::Off => "oauth.disable",
                    Switch::Stays => "oauth.configure",
                };
                let after = logged(&settings);
                note(&mut tx.within(&tenant), &Standing::Operator, command, name.as_str(), None, after);
                Ok((enabled, settings))
            }
            .boxed()
        })
        .await?;
    Ok(filled_in(edition, base, enabled, settings))
}

/// Says that a subject of the edition's provider is a person who is here already. Nobody is linked by their address
/// alone: it may change hands.
///
/// # Errors
/// When there is no such person or provider, or the subject is somebody already.
pub async fn link(
    store: &Store,
    tenant: &TenantId,
    edition: &Edition,
    email: &str,
    subject: &str,
) -> Result<(), OperateError> {
    let name = edition.name.clone();
    let row = store
        .read(tenant, move |tx| {
            async move { tx.oauth().find(&name).await }.boxed()
        })
        .await?;
    let issuer = row.and_then(|row| row.settings.issuer).ok_or_else(|| {
        OperateError::Rule(format!(
            "the edition `{}` has no identity provider; configure it with --issuer first",
            edition.name
        ))
    })?;
    link_at(store, tenant, &issuer, email, subject).await
}

/// The same for any provider, as the console's sign-in has one that belongs to no edition.
///
/// # Errors
/// When there is no such person, the issuer is none, or the subject is somebody already.
pub async fn link_at(
    store: &Store,
    tenant: &TenantId,
    issuer: &str,
    email: &str,
    subject: &str,
) -> Result<(), OperateError> {
    check_issuer(issuer).map_err(|e| OperateError::Rule(format!("issuer: {e}")))?;
    let (issuer, email, subject) = (issuer.to_owned(), email.to_owned(), subject.to_owned());
    store
        .write(tenant, move |tx| {
            async move {
                let user = tx.users().find_by_email(&email).await?.ok_or_else(|| {
                    OperateError::NotFound(format!(
                        "there is nobody called `{email}` in this tenant; see `footbridge-server user list`"
                    ))
                })?;
                if !tx.oauth().link(&issuer, &subject, &user.id).await? {
                    return Err(OperateError::Rule(format!(
                        "the subject `{subject}` of {issuer} is somebody here already"
                    )));
                }
                let after = Some(json!({ "issuer": issuer, "subject": subject }));
                note(
                    tx,
                    &Standing::Operator,
                    "oauth.link",
                    user.id.as_str(),
                    None,
                    after,
                );
                Ok(())
            }
            .boxed()
        })
        .await
}
