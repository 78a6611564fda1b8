//! `footbridge-server key …`

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use footbridge_server::{
    operate::keys::{self, MintRequest},
    store::{Key, KeyLimits},
    vocabulary::{EditionName, NameStyle, Scope},
};
use serde_json::json;

use super::{OfTenant, Place, print};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Mint a key and show it once.
    Mint(Box<Mint>),
    /// List a tenant's keys.
    List(List),
    /// Show one key's rights and limits.
    Show(Named),
    /// Revoke a key for good; a running server refuses it within a second.
    Revoke(Named),
}

#[derive(Debug, Args)]
pub(crate) struct Mint {
    /// The edition that the key opens.
    #[arg(long, value_name = "NAME")]
    edition: EditionName,
    /// Scopes, separated by commas; `footbridge-server catalogue list` shows them.
    #[arg(long, value_name = "A,B", value_delimiter = ',', required = true)]
    scopes: Vec<Scope>,
    /// A name for people.
    #[arg(long, default_value = "")]
    name: String,
    /// Who owns it, by e-mail address [default: the tenant's first owner].
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    /// Days until it expires, 1 to 730 [default: never].
    #[arg(long, value_name = "DAYS")]
    expires_in_days: Option<u32>,
    /// Requests a minute that pass [default: 60].
    #[arg(long, value_name = "N")]
    rate_per_minute: Option<u32>,
    /// Only tools that read.
    #[arg(long)]
    read_only: bool,
    /// Only these tools.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    tools_allow: Vec<String>,
    /// Not these tools.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    tools_deny: Vec<String>,
    /// Spelling of tool names: auto, native or underscore.
    #[arg(long, default_value = "auto", value_parser = name_style)]
    names: NameStyle,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The key's id, or its visible beginning.
    key: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

fn name_style(text: &str) -> Result<NameStyle, String> {
    match text {
        "auto" => Ok(NameStyle::Auto),
        "native" => Ok(NameStyle::Native),
        "underscore" => Ok(NameStyle::Underscore),
        _ => Err("one of auto, native, underscore".to_owned()),
    }
}

impl KeyCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Mint(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Show(command) => {
                let store = command.place.open().await?;
                let key = keys::show(&store, &command.tenant.tenant, &command.key).await?;
                store.close().await;
                print::json(&as_json(&key))
            }
            Self::Revoke(command) => {
                let store = command.place.open().await?;
                let key = keys::revoke(&store, &command.tenant.tenant, &command.key).await?;
                store.close().await;
                if command.json {
                    return print::json(&json!({ "id": key.id, "revoked": true }));
                }
                Ok(print::line(&format!("revoked {} ({}…)", key.id, key.prefix))?)
            }
        }
    }
}

impl Mint {
    async fn run(self) -> Result<()> {
        let catalogue = self.place.catalogue()?;
        let edition = catalogue.edition(&self.edition).with_context(|| {
            let known = catalogue
                .editions()
                .iter()
                .map(|e| e.name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            format!("there is no edition `{}`; there are: {known}", self.edition)
        })?;
        let store = self.place.open().await?;
        let request = MintRequest {
            tenant: self.tenant.tenant,
            owner: self.user,
            name: self.name,
            scopes: self.scopes,
            expires_in_days: self.expires_in_days,
            limits: KeyLimits {
                rate_per_minute: self.rate_per_minute,
                read_only: self.read_only,
                tools_allow: self.tools_allow,
                tools_deny: self.tools_deny,
                names: self.names,
                ..KeyLimits::default()
            },
        };
        let minted = keys::mint(&store, edition, request).await?;
        store.close().await;
        if self.json {
            return print::json(&minted);
        }
        print::line(&minted.key)?;
        // Beside the key, not in it: a script that captures stdout gets the key alone.
        eprintln!(
            "This is the only time the key is shown. Id {}, tenant {}.",
            minted.id, minted.tenant_id
        );
        Ok(())
    }
}

impl List {
    async fn run(self) -> Result<()> {
        let store = self.place.open().await?;
        let keys = keys::list(&store, &self.tenant.tenant).await?;
        store.close().await;
        if self.json {
            return print::json(&keys.iter().map(as_json).collect::<Vec<_>>());
        }
        let rows: Vec<_> = keys
            .iter()
            .map(|key| {
                [
                    key.id.to_string(),
                    format!("{}…", key.prefix),
                    key.name.clone(),
                    key.scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(","),
                    state(key),
                    key.last_used_at
                        .map_or_else(|| "never".to_owned(), |at| at.to_string()),
                ]
            })
            .collect();
        Ok(print::table(
            ["ID", "KEY", "NAME", "SCOPES", "STATE", "LAST USED"],
            &rows,
        )?)
    }
}

fn state(key: &Key) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) => format!("expires {at}"),
        (None, None) => "active".to_owned(),
    }
}

/// A key as lists show it: never the key, never its hash.
fn as_json(key: &Key) -> serde_json::Value {
    json!({
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "editions": key.editions,
        "scopes": key.scopes,
        "tenant_id": key.tenant,
        "owner_id": key.owner,
        "limits": key.limits,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "last_used_client": key.last_used_client,
    })
}
