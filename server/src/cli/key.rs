//! `footbridge-server key …`

use anyhow::Result;
use clap::{Args, Subcommand};
use footbridge_server::{
    operate::{
        Actor,
        keys::{self, KeyNarrowing, KeyPage, KeyView, MintRequest, MintedKey, Rotation},
    },
    store::{KeyConfirm, KeyLimits},
    vocabulary::{EditionName, KeyId, Listing, NameStyle, Scope},
};

use super::{At, print};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Mint a key and show it once.
    Mint(Box<Mint>),
    /// List a tenant's keys.
    List(List),
    /// Show one key's rights and limits.
    Show(Named),
    /// Mint a twin of a key, show it once, and let the old one expire after a grace.
    Rotate(Rotate),
    /// Take rights from a key, or tighten its limits. There is no way back: a key only gets narrower.
    Narrow(Box<Narrow>),
    /// Revoke a key for good; a running server refuses it within a second.
    Revoke(Named),
}

#[derive(Debug, Args)]
pub(crate) struct Mint {
    /// An edition that the key opens; may be repeated. The first one gives the key its prefix.
    #[arg(long = "edition", value_name = "NAME", required = true)]
    editions: Vec<EditionName>,
    /// Scopes, separated by commas; `footbridge-server catalogue list` shows them.
    #[arg(long, value_name = "A,B", value_delimiter = ',', required = true)]
    scopes: Vec<Scope>,
    /// A name for people.
    #[arg(long, default_value = "")]
    name: String,
    /// Who owns it, by e-mail address or id; it acts with their role [default: the tenant's first owner].
    #[arg(long, value_name = "EMAIL")]
    user: Option<String>,
    /// Days until it expires, 1 to 730 [default: never].
    #[arg(long, value_name = "DAYS")]
    expires_in_days: Option<u32>,
    /// Calls a calendar month [default: shares the tenant's budget].
    #[arg(long, value_name = "N")]
    monthly_cap: Option<u64>,
    /// Requests a minute that pass [default: 60].
    #[arg(long, value_name = "N")]
    rate_per_minute: Option<u32>,
    /// Requests an hour that pass [default: unlimited].
    #[arg(long, value_name = "N")]
    rate_per_hour: Option<u32>,
    /// Only tools that read.
    #[arg(long)]
    read_only: bool,
    /// How writes are confirmed: inherit (as the tool says), preview or human.
    #[arg(long, default_value = "inherit", value_parser = confirm)]
    confirm: KeyConfirm,
    /// Only these tools.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    tools_allow: Vec<String>,
    /// Not these tools.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    tools_deny: Vec<String>,
    /// List only these groups of tools; the others can be called all the same.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    toolsets: Vec<String>,
    /// List three tools that find, describe and call the others.
    #[arg(long)]
    discover: bool,
    /// Spelling of tool names: auto, native or underscore.
    #[arg(long, default_value = "auto", value_parser = name_style)]
    names: NameStyle,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The key's id, or its visible beginning.
    key: String,
    /// Minutes that the old key goes on working, 0 to 10080 [default: 60].
    #[arg(long, value_name = "N")]
    grace_minutes: Option<u32>,
    /// Days that the new key lives, 1 to 730 [default: as long as the old one was made for].
    #[arg(long, value_name = "DAYS")]
    expires_in_days: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

/// Whatever is not named stays as it is.
#[derive(Debug, Args)]
pub(crate) struct Narrow {
    /// The key's id, or its visible beginning.
    key: String,
    /// Another name for people.
    #[arg(long)]
    name: Option<String>,
    /// The scopes it keeps.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    scopes: Option<Vec<Scope>>,
    /// The editions it keeps, separated by commas.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    editions: Option<Vec<EditionName>>,
    /// Days from now until it expires.
    #[arg(long, value_name = "DAYS")]
    expires_in_days: Option<u32>,
    /// Calls a calendar month.
    #[arg(long, value_name = "N")]
    monthly_cap: Option<u64>,
    /// Requests a minute that pass.
    #[arg(long, value_name = "N")]
    rate_per_minute: Option<u32>,
    /// Requests an hour that pass.
    #[arg(long, value_name = "N")]
    rate_per_hour: Option<u32>,
    /// Only tools that read, from now on.
    #[arg(long)]
    read_only: bool,
    /// How writes are confirmed: inherit, preview or human.
    #[arg(long, value_parser = confirm)]
    confirm: Option<KeyConfirm>,
    /// The tools it keeps.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    tools_allow: Option<Vec<String>>,
    /// The tools it is denied, those denied now included.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    tools_deny: Option<Vec<String>>,
    /// Spelling of tool names: auto, native or underscore.
    #[arg(long, value_parser = name_style)]
    names: Option<NameStyle>,
    /// The groups of tools it lists, e.g. crm,tickets; "" for all. What is not listed can be called all the same.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    toolsets: Option<Vec<String>>,
    /// Whether it lists three tools that find and call the others.
    #[arg(long, value_name = "BOOL")]
    discover: Option<bool>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only keys minted before this one.
    #[arg(long, value_name = "ID")]
    before: Option<KeyId>,
    /// Most keys.
    #[arg(long, value_name = "N", default_value_t = keys::MOST_LISTED)]
    limit: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The key's id, or its visible beginning.
    key: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
}

fn name_style(text: &str) -> Result<NameStyle, String> {
    match text {
        "auto" => Ok(NameStyle::Auto),
        "native" => Ok(NameStyle::Native),
        "underscore" => Ok(NameStyle::Underscore),
        _ => Err("one of auto, native, underscore".to_owned()),
    }
}

fn confirm(text: &str) -> Result<KeyConfirm, String> {
    match text {
        "inherit" => Ok(KeyConfirm::Inherit),
        "preview" => Ok(KeyConfirm::Preview),
        "human" => Ok(KeyConfirm::Human),
        _ => Err("one of inherit, preview, human".to_owned()),
    }
}

impl KeyCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Mint(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Rotate(command) => command.run().await,
            Self::Narrow(command) => command.run().await,
            Self::Show(command) => {
                let store = command.at.open().await?;
                let key = keys::show(&store, &Actor::Operator, command.at.tenant(), &command.key).await?;
                store.close().await;
                print::json(&key)
            }
            Self::Revoke(command) => {
                let store = command.at.open().await?;
                let key = keys::revoke(&store, &Actor::Operator, command.at.tenant(), &command.key).await?;
                store.close().await;
                if command.json {
                    return print::json(&key);
                }
                Ok(print::line(&format!("revoked {} ({}…)", key.id, key.prefix))?)
            }
        }
    }
}

impl Mint {
    async fn run(self) -> Result<()> {
        let catalogue = self.at.place.catalogue()?;
        let store = self.at.open().await?;
        let request = MintRequest {
            tenant: self.at.tenant().clone(),
            owner: self.user,
            name: self.name,
            editions: self.editions,
            scopes: self.scopes,
            expires_in_days: self.expires_in_days,
            limits: KeyLimits {
                monthly_cap: self.monthly_cap,
                rate_per_minute: self.rate_per_minute,
                rate_per_hour: self.rate_per_hour,
                read_only: self.read_only,
                confirm: self.confirm,
                tools_allow: self.tools_allow,
                tools_deny: self.tools_deny,
                names: self.names,
                listing: Listing {
                    toolsets: self.toolsets,
                    discover: self.discover,
                },
            },
        };
        let minted = keys::mint(&store, catalogue.editions(), &Actor::Operator, request).await?;
        store.close().await;
        show_once(&minted, self.json)
    }
}

fn show_once(minted: &MintedKey, json: bool) -> Result<()> {
    if json {
        return print::json(minted);
    }
    print::line(&minted.key)?;
    // Beside the key, not in it: a script that captures stdout gets the key alone.
    eprintln!(
        "This is the only time the key is shown. Id {}, tenant {}.",
        minted.view.id, minted.view.tenant_id
    );
    Ok(())
}

impl Rotate {
    async fn run(self) -> Result<()> {
        let catalogue = self.at.place.catalogue()?;
        let store = self.at.open().await?;
        let (editions, tenant) = (catalogue.editions(), self.at.tenant());
        let rotation = Rotation {
            grace_minutes: self.grace_minutes,
            expires_in_days: self.expires_in_days,
        };
        let minted = keys::rotate(&store, editions, &Actor::Operator, tenant, &self.key, rotation).await?;
        store.close().await;
        show_once(&minted, self.json)
    }
}

impl Narrow {
    async fn run(self) -> Result<()> {
        let per_minute = self.at.place.config()?.limits.requests_per_minute_per_key;
        let catalogue = self.at.place.catalogue()?;
        let store = self.at.open().await?;
        let wish = KeyNarrowing {
            name: self.name,
            names: self.names,
            toolsets: self
                .toolsets
                .map(|names| names.into_iter().filter(|name| !name.is_empty()).collect()),
            discover: self.discover,
            scopes: self.scopes,
            editions: self.editions,
            expires_in_days: self.expires_in_days,
            monthly_cap: self.monthly_cap,
            rate_per_minute: self.rate_per_minute,
            rate_per_hour: self.rate_per_hour,
            read_only: self.read_only.then_some(true),
            confirm: self.confirm,
            tools_allow: self.tools_allow,
            tools_deny: self.tools_deny,
        };
        let key = keys::narrow(
            &store,
            catalogue.editions(),
            &Actor::Operator,
            self.at.tenant(),
            &self.key,
            wish,
            per_minute,
        )
        .await?;
        store.close().await;
        if self.json {
            return print::json(&key);
        }
        Ok(print::line(&format!("narrowed {} ({}…)", key.id, key.prefix))?)
    }
}

impl List {
    async fn run(self) -> Result<()> {
        let store = self.at.open().await?;
        let page = KeyPage {
            before: self.before,
            limit: self.limit,
        };
        let keys = keys::list(&store, &Actor::Operator, self.at.tenant(), page).await?;
        store.close().await;
        if self.json {
            return print::json(&keys);
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

fn state(key: &KeyView) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if key.state == "expired" => format!("expired {at}"),
        (None, Some(at)) => format!("expires {at}"),
        (None, None) => key.state.to_owned(),
    }
}
