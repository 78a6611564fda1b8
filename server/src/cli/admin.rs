//! `footbridge-server admin mcp auth …` (catalogue.md §6.4).

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use footbridge_server::{
    catalogue::{Catalogue, Edition},
    operate::oauth::{self, OAuthChange, OAuthStatus, Switch},
    store::OAuthMount,
    vocabulary::{EditionName, Scope},
};
use std::sync::Arc;

use super::{OfTenant, Place, print};

/// `footbridge-server admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// What concerns MCP clients.
    #[command(subcommand)]
    Mcp(McpAdmin),
}

#[derive(Debug, Subcommand)]
pub(crate) enum McpAdmin {
    /// Access tokens of an OpenID provider: on, off, and what is asked of them.
    #[command(subcommand)]
    Auth(AuthCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Accept access tokens.
    Enable {
        #[command(flatten)]
        values: Box<Values>,
        #[command(flatten)]
        at: At,
    },
    /// Accept none; keys go on.
    Disable {
        #[command(flatten)]
        at: At,
    },
    /// Show how it is set.
    Status {
        #[command(flatten)]
        at: At,
    },
    /// Change values; what is not named stays.
    Configure {
        #[command(flatten)]
        values: Box<Values>,
        #[command(flatten)]
        at: At,
    },
    /// Say that somebody of the provider is a person who is here already.
    Link {
        /// The person's e-mail address here.
        email: String,
        /// Who they are at the provider: the claim `sub` of their tokens.
        #[arg(long)]
        subject: String,
        #[command(flatten)]
        at: At,
    },
}

/// Which endpoint a command is about.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// The edition [default: the only one, else access].
    #[arg(long, value_name = "NAME")]
    edition: Option<EditionName>,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Values {
    /// The provider, as its tokens write it: https://id.example.com
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The audience that tokens must name [default: the endpoint's own URL].
    #[arg(long, value_name = "URL")]
    resource_uri: Option<String>,
    /// The claim that holds a person's groups [default: groups].
    #[arg(long, value_name = "NAME")]
    groups_claim: Option<String>,
    /// The one client of a provider that registers none; empty: none.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Where its secret is: env:NAME or file:PATH. The registration gives it to everybody: prefer a public client with
    /// PKCE.
    #[arg(long, value_name = "REFERENCE")]
    client_secret: Option<String>,
    /// Scopes that a group brings along: staff=search,get. May be repeated; without scopes the group is forgotten.
    #[arg(long, value_name = "GROUP=SCOPES", value_parser = group_scopes)]
    scope_map: Vec<(String, Vec<Scope>)>,
    /// `separate`: at <endpoint>/oauth, beside the endpoint for keys; `same`: on the endpoint itself.
    #[arg(long, value_name = "MOUNT")]
    mount: Option<OAuthMount>,
    /// The group whose people are admins; empty: none.
    #[arg(long, value_name = "GROUP")]
    admin_group: Option<String>,
    /// Whether tokens without scopes see every tool and are judged by role alone.
    #[arg(long, value_name = "BOOL")]
    legacy_jwt: Option<bool>,
}

impl Values {
    fn into_change(self) -> OAuthChange {
        OAuthChange {
            issuer: self.issuer,
            resource_uri: self.resource_uri,
            groups_claim: self.groups_claim,
            client_id: self.client_id,
            client_secret: self.client_secret,
            scope_map: self.scope_map,
            mount: self.mount,
            admin_group: self.admin_group,
            legacy_jwt: self.legacy_jwt,
        }
    }
}

fn group_scopes(text: &str) -> Result<(String, Vec<Scope>), String> {
    let (group, scopes) = text
        .split_once('=')
        .filter(|(group, _)| !group.is_empty())
        .ok_or("write GROUP=SCOPE,SCOPE")?;
    let scopes = scopes.split(',').filter(|scope| !scope.is_empty());
    let scopes = scopes.map(Scope::new).collect::<Result<_, _>>();
    Ok((group.to_owned(), scopes.map_err(|e| e.to_string())?))
}

impl At {
    fn edition(&self) -> Result<Arc<Edition>> {
        let catalogue = Catalogue::builtin()?;
        let all = catalogue.editions();
        let named = |name: &str| all.iter().find(|edition| edition.name.as_str() == name);
        let always: Vec<_> = all.iter().filter(|edition| !edition.on_request).collect();
        let found = match (&self.edition, always.as_slice()) {
            (Some(name), _) => named(name.as_str()),
            (None, [only]) => Some(*only),
            (None, _) => named("access"),
        };
        let names: Vec<_> = all.iter().map(|edition| edition.name.as_str()).collect();
        found
            .cloned()
            .with_context(|| format!("name the edition with --edition; there are: {}", names.join(", ")))
    }

    /// What clients reach the server at, as far as the configuration says.
    fn base(&self) -> Result<String> {
        let config = self.place.config()?;
        let tls = config.server.tls_certificate.is_some();
        Ok(config.edge.base_url(config.server.listen, tls))
    }

    async fn change(&self, switch: Switch, change: OAuthChange) -> Result<OAuthStatus> {
        let (edition, base) = (self.edition()?, self.base()?);
        let store = self.place.open().await?;
        let status = oauth::change(&store, &self.tenant.tenant, &edition, &base, switch, change).await;
        store.close().await;
        Ok(status?)
    }
}

impl AdminCommand {
    pub(crate) async fn run(self) -> Result<()> {
        let Self::Mcp(McpAdmin::Auth(command)) = self;
        match command {
            AuthCommand::Enable { values, at } => {
                let status = at.change(Switch::On, values.into_change()).await?;
                print::line("MCP OAuth enabled")?;
                print::line(&format!("Resource URI: {}", status.resource_uri))?;
                print::line(&format!("Metadata URL: {}", status.metadata_url))?;
            }
            AuthCommand::Disable { at } => {
                at.change(Switch::Off, OAuthChange::default()).await?;
                print::line("MCP OAuth disabled; bearer tokens still work")?;
            }
            AuthCommand::Status { at } => {
                let (edition, base) = (at.edition()?, at.base()?);
                let store = at.place.open().await?;
                let status = oauth::status(&store, &at.tenant.tenant, &edition, &base).await;
                store.close().await;
                show(&status?)?;
            }
            AuthCommand::Configure { values, at } => {
                let change = values.into_change();
                if change.is_empty() {
                    bail!(
                        "nothing to configure: name a value, such as --issuer, --resource-uri, --groups-claim or \
                         --client-id"
                    );
                }
                show(&at.change(Switch::Stays, change).await?)?;
            }
            AuthCommand::Link { email, subject, at } => {
                let edition = at.edition()?;
                let store = at.place.open().await?;
                let linked = oauth::link(&store, &at.tenant.tenant, &edition, &email, &subject).await;
                store.close().await;
                linked?;
                print::line(&format!("linked {email}"))?;
            }
        }
        Ok(())
    }
}

fn show(status: &OAuthStatus) -> Result<()> {
    let settings = &status.settings;
    let none = || "none".to_owned();
    let client = settings
        .client_id
        .as_ref()
        .map(|id| match &settings.client_secret {
            Some(_) => format!("{id} (with a secret)"),
            None => id.clone(),
        });
    let map: Vec<_> = settings
        .scope_map
        .iter()
        .map(|(group, scopes)| {
            let scopes: Vec<_> = scopes.iter().map(Scope::as_str).collect();
            format!("{group}={}", scopes.join(","))
        })
        .collect();
    let state = if status.enabled { "enabled" } else { "disabled" };
    let rows = [
        ("State:", state.to_owned()),
        ("Issuer:", settings.issuer.clone().unwrap_or_else(none)),
        ("Resource URI:", status.resource_uri.clone()),
        ("Metadata URL:", status.metadata_url.clone()),
        ("Mount:", status.mount.as_str().to_owned()),
        ("Groups Claim:", status.groups_claim.clone()),
        ("Admin Group:", settings.admin_group.clone().unwrap_or_else(none)),
        ("Scope Map:", if map.is_empty() { none() } else { map.join(" ") }),
        ("Static Client:", client.unwrap_or_else(none)),
        ("Legacy JWT:", settings.legacy_jwt.to_string()),
    ];
    for (name, value) in rows {
        print::line(&format!("{name:<15}{value}"))?;
    }
    Ok(())
}
