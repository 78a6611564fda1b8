//! The commands: what is typed, and which operation carries it out.

mod admin;
mod approve;
mod audit;
mod catalogue;
mod catalogue_cost;
mod channel;
mod check_config;
mod demo;
mod flow;
mod group;
mod healthy;
mod import;
mod key;
mod local;
mod outbox;
mod people;
mod print;
mod restore;
mod review;
mod serve;
mod source;
mod user;
mod workspace;

use std::{fmt, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use footbridge_server::{
    catalogue::Catalogue,
    config::{self, Config},
    operate::editions::CatalogueSource,
    store::{Store, StoreUrl},
    vocabulary::{Clock, TenantId},
};

/// A hosted, multi-tenant MCP backend that owns the tool catalogue and the scopes.
#[derive(Debug, Parser)]
#[command(
    name = "footbridge-server",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the editions over HTTP.
    Serve(serve::Serve),
    /// Mint, list, show, rotate, narrow and revoke API keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Add, list, suspend and admit tenants.
    #[command(subcommand)]
    Tenant(people::TenantCommand),
    /// Add, invite, list and change the people of a tenant.
    #[command(subcommand)]
    User(user::UserCommand),
    /// List groups, and put people into them.
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Make the first owner with the token that the first start printed.
    Setup(people::Setup),
    /// List the calls that wait for a person.
    Pending(approve::Pending),
    /// Say yes to a call that waits for a person.
    Approve(approve::Answer),
    /// Say no to a call that waits for a person.
    Decline(approve::Answer),
    /// List, show, approve and reject calls that others must approve.
    #[command(subcommand)]
    Review(review::ReviewCommand),
    /// List webhooks and mails, and send again what could not be delivered.
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// Give a channel of a workspace the address that messages are brought to.
    #[command(subcommand)]
    Channel(channel::ChannelCommand),
    /// Read or verify the log of calls.
    Audit(audit::Audit),
    /// Put in, test, switch and list the flows of the workspace edition.
    #[command(subcommand)]
    Flow(flow::FlowCommand),
    /// Bring back deleted records of the workspace edition, and declare fields of a tenant's own.
    #[command(subcommand)]
    Workspace(workspace::WorkspaceCommand),
    /// Add, list and synchronise folders of notes.
    #[command(subcommand)]
    Source(source::SourceCommand),
    /// Check, list and show the tools.
    #[command(subcommand)]
    Catalogue(catalogue::CatalogueCommand),
    /// Fill something with made-up data, to look at.
    #[command(subcommand)]
    Demo(demo::DemoCommand),
    /// Settings of the whole server: OAuth.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Serve one edition to a program that starts this one.
    #[command(subcommand)]
    Mcp(local::McpCommand),
    /// Copy the embedded store while it is in use.
    Backup(local::Backup),
    /// Put a backup in the place of the embedded store, which no server may have open.
    Restore(restore::Restore),
    /// Ask a running server whether it is ready; the exit code is the answer.
    Healthy(healthy::Healthy),
    /// Name everything that is wrong with a configuration file, or print the defaults.
    CheckConfig(check_config::CheckConfig),
}

/// A command's end that has an exit code of its own.
#[derive(Debug)]
pub(crate) struct Exit {
    code: ExitCode,
    said: String,
}

impl Exit {
    fn with(code: ExitCode, said: String) -> anyhow::Error {
        Self { code, said }.into()
    }

    /// What the process ends with.
    pub(crate) fn code(&self) -> ExitCode {
        self.code
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Exit {}

/// Where the server keeps its data. The same for every command.
#[derive(Debug, Args)]
struct Place {
    /// Folder of the embedded store, the inbox and other files [default: the user's data folder].
    #[arg(long, value_name = "DIR", env = "FOOTBRIDGE_DATA")]
    data: Option<PathBuf>,
    /// Another store than the embedded one: postgres://user@host/database.
    #[arg(long, value_name = "URL", env = "FOOTBRIDGE_STORE", hide_env_values = true)]
    store: Option<StoreUrl>,
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "FOOTBRIDGE_CONFIG")]
    config: Option<PathBuf>,
}

/// The tenant a command is about.
#[derive(Debug, Args)]
struct OfTenant {
    /// The tenant.
    #[arg(long, value_name = "NAME", default_value = "local")]
    tenant: TenantId,
}

/// The tenant a command is about, and where it is.
#[derive(Debug, Args)]
struct At {
    #[command(flatten)]
    of: OfTenant,
    #[command(flatten)]
    place: Place,
}

impl At {
    fn tenant(&self) -> &TenantId {
        &self.of.tenant
    }

    async fn open(&self) -> Result<Store> {
        self.place.open().await
    }
}

/// Carries out one command.
pub(crate) fn run(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the asynchronous runtime")?;
    runtime.block_on(async {
        match options.command {
            Command::Serve(command) => command.run().await,
            Command::Key(command) => command.run().await,
            Command::Tenant(command) => command.run().await,
            Command::User(command) => command.run().await,
            Command::Group(command) => command.run().await,
            Command::Setup(command) => command.run().await,
            Command::Pending(command) => command.run().await,
            Command::Approve(command) => command.run(true).await,
            Command::Decline(command) => command.run(false).await,
            Command::Review(command) => command.run().await,
            Command::Outbox(command) => command.run().await,
            Command::Channel(command) => command.run().await,
            Command::Audit(command) => command.run().await,
            Command::Flow(command) => command.run().await,
            Command::Workspace(command) => command.run().await,
            Command::Source(command) => command.run().await,
            Command::Catalogue(command) => command.run().await,
            Command::Demo(command) => command.run().await,
            Command::Admin(command) => command.run().await,
            Command::Mcp(command) => command.run().await,
            Command::Backup(command) => command.run().await,
            Command::Restore(command) => command.run().await,
            Command::Healthy(command) => command.run(),
            Command::CheckConfig(command) => command.run().await,
        }
    })
}

impl Place {
    /// The data folder: the flag, the environment, the configuration, or the user's data folder.
    fn folder(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.data {
            return Ok(folder.clone());
        }
        if let Some(folder) = self.config()?.server.data {
            return Ok(folder);
        }
        let from = |name: &str| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let base = from("XDG_DATA_HOME").or_else(|| from("HOME").map(|home| home.join(".local/share")));
        base.map(|base| base.join("footbridge"))
            .context("HOME is not set; name the data folder with --data DIR")
    }

    fn config(&self) -> Result<Config> {
        let (name, text) = match &self.config {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("failed to read {}", path.display()))?;
                (path.display().to_string(), text)
            }
            None => (String::from("the environment"), String::new()),
        };
        Ok(config::read::read(&name, &text, variables())?)
    }

    fn store_url(&self) -> Result<StoreUrl> {
        match self
            .store
            .clone()
            .map_or_else(|| Ok(self.config()?.store.url), |url| anyhow::Ok(Some(url)))?
        {
            Some(url) => Ok(url),
            None => Ok(StoreUrl::Sqlite(self.folder()?.join("footbridge.db"))),
        }
    }

    /// The editions compiled in and those of the configuration.
    fn catalogue(&self) -> Result<Catalogue> {
        Ok(CatalogueSource::of(&self.config()?, &[]).load()?)
    }

    /// Opens the store, whether or not a server uses it at the same time.
    async fn open(&self) -> Result<Store> {
        let url = self.store_url()?;
        let settings = self.config()?.store.settings();
        Store::open(&url, &settings, Clock::System)
            .await
            .with_context(|| format!("failed to open the store {url}"))
    }
}

/// The environment, as far as it is text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
