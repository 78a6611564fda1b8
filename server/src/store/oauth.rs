//! OAuth settings of each tenant and edition, and the identities of a provider's people: rows and statements.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Session, StoreError, Topic,
    row::{RowRef, params, to_json},
};
use crate::vocabulary::{EditionName, Scope, TenantId, UserId};

/// Where access tokens are accepted (design.md D15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OAuthMount {
    /// At `<endpoint>/oauth`, beside the endpoint for keys: several clients ignore a configured key wherever
    /// discovery answers.
    Separate,
    /// On the endpoint itself, which takes keys too.
    Same,
}

impl OAuthMount {
    /// The word in settings and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Separate => "separate",
            Self::Same => "same",
        }
    }
}

impl std::str::FromStr for OAuthMount {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "separate" => Ok(Self::Separate),
            "same" => Ok(Self::Same),
            _ => Err(format!("`{word}` is no mount; there are `separate` and `same`")),
        }
    }
}

/// What one edition asks of access tokens. What is absent has the default that its reader names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OAuthSettings {
    /// The provider whose tokens are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The audience that a token must name (RFC 8707).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_uri: Option<String>,
    /// The claim that holds a person's groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// The client that everybody uses, where the provider registers none by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Where that client's secret is: `env:NAME` or `file:PATH`. Never the secret itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Scopes that a group brings along. Empty: the token's own scopes count.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scope_map: BTreeMap<String, Vec<Scope>>,
    /// Where tokens are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<OAuthMount>,
    /// The group whose people are admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_group: Option<String>,
    /// Whether a token without scopes is judged by its owner's role alone (catalogue.md §4.6).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub legacy_jwt: bool,
}

/// Settings as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthRow {
    /// Whose people sign in.
    pub tenant: TenantId,
    /// At which edition.
    pub edition: EditionName,
    /// Whether tokens are accepted at all.
    pub enabled: bool,
    /// What is asked of them.
    pub settings: OAuthSettings,
}

const COLUMNS: &str = "tenant_id, edition, enabled, doc";

fn row_of(row: &RowRef<'_>) -> Result<OAuthRow, StoreError> {
    Ok(OAuthRow {
        tenant: row.name(0)?,
        edition: row.name(1)?,
        enabled: row.flag(2)?,
        settings: row.json(3)?,
    })
}

/// Statements on one tenant's OAuth settings and identities.
pub struct TenantOAuth<'t> {
    pub(super) session: &'t mut Session,
    pub(super) tenant: &'t TenantId,
}

/// Statements on all tenants' settings.
pub struct SystemOAuth<'t> {
    pub(super) session: &'t mut Session,
}

impl TenantOAuth<'_> {
    /// The settings of an edition.
    pub async fn find(&mut self, edition: &EditionName) -> Result<Option<OAuthRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM oauth_settings WHERE tenant_id = $1 AND edition = $2");
        self.session
            .query_one(&sql, params![self.tenant.as_str(), edition.as_str()], row_of)
            .await
    }

    /// The user that a provider's subject is.
    pub async fn user_of(&mut self, issuer: &str, subject: &str) -> Result<Option<UserId>, StoreError> {
        const FIND: &str =
            "SELECT user_id FROM identities WHERE tenant_id = $1 AND issuer = $2 AND subject = $3";
        self.session
            .query_one(FIND, params![self.tenant.as_str(), issuer, subject], |row| {
                row.name(0)
            })
            .await
    }

    /// Says who a provider's subject is; `false` when somebody is that already.
    pub async fn link(&mut self, issuer: &str, subject: &str, user: &UserId) -> Result<bool, StoreError> {
        const LINK: &str =
            "INSERT INTO identities (tenant_id, issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT DO NOTHING";
        let params = params![
            self.tenant.as_str(),
            issuer,
            subject,
            user.as_str(),
            self.session.now
        ];
        Ok(self.session.execute(LINK, params).await? > 0)
    }
}

impl SystemOAuth<'_> {
    /// Writes the settings of an edition; [`StoreError::Conflict`] when they are enabled and another tenant's
    /// are too.
    pub async fn set(
        &mut self,
        tenant: &TenantId,
        edition: &EditionName,
        enabled: bool,
        settings: &OAuthSettings,
    ) -> Result<(), StoreError> {
        const OTHERS: &str =
            "SELECT COUNT(*) FROM oauth_settings WHERE edition = $1 AND enabled = 1 AND tenant_id <> $2";
        const SET: &str =
            "INSERT INTO oauth_settings (tenant_id, edition, enabled, doc, updated_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (tenant_id, edition) DO UPDATE SET enabled = excluded.enabled, doc = excluded.doc,
                updated_at = excluded.updated_at";
        if enabled {
            let others = self
                .session
                .query_one(OTHERS, params![edition.as_str(), tenant.as_str()], |row| {
                    row.int(0)
                })
                .await?;
            if others.unwrap_or(0) > 0 {
                return Err(StoreError::conflict(format!("OAuth at the edition `{edition}`")));
            }
        }
        let doc = to_json(settings)?;
        let params = params![tenant.as_str(), edition.as_str(), enabled, &doc, self.session.now];
        self.session.execute(SET, params).await?;
        self.session.raise(Topic::Settings).await.map(|_| ())
    }

    /// The settings that are in force, of all tenants, by edition.
    pub async fn enabled(&mut self) -> Result<Vec<OAuthRow>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM oauth_settings WHERE enabled = 1 ORDER BY edition, tenant_id");
        self.session.query(&sql, &[], row_of).await
    }
}
