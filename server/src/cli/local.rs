//! `footbridge-server mcp stdio` and `backup`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use footbridge_server::{
    access::local_principal,
    edge::stdio,
    operate::{boot, tenants::LOCAL_OWNER},
    vocabulary::{EditionName, TenantId},
};

use tokio_util::sync::CancellationToken;

use super::{Place, print, serve::signalled};

#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// Speak MCP on stdin and stdout: the same tools, without a server in between.
    Stdio {
        /// The edition to serve.
        #[arg(long, value_name = "NAME", default_value = "context")]
        edition: EditionName,
        /// The tenant whose data is served when no key is given in FOOTBRIDGE_KEY.
        #[arg(long, value_name = "NAME", default_value = "local")]
        tenant: TenantId,
        #[command(flatten)]
        place: Place,
    },
}

impl McpCommand {
    pub(crate) async fn run(self) -> Result<()> {
        let Self::Stdio {
            edition,
            tenant,
            place,
        } = self;
        let config = place.config()?;
        boot::start_logging(&config.log)?;
        let store = place.open().await?;
        // Nothing listens here; links lead to what the operator calls the server, if it has a name.
        let link_url = config
            .edge
            .link_url(None, config.server.tls_certificate.is_some());
        let editions = std::slice::from_ref(&edition);
        let booted = boot::boot(store, &config, &place.folder()?, editions, link_url).await?;
        let editions = booted.house.editions();
        let bound = editions.first().context("no edition is served")?;
        // With a key, exactly its rights; without one, whoever started this process owns the data folder.
        let principal = match std::env::var("FOOTBRIDGE_KEY") {
            Ok(key) => {
                let nowhere = std::net::IpAddr::from(std::net::Ipv4Addr::LOCALHOST);
                booted
                    .house
                    .authenticate(Some(key.trim()), &bound.edition, nowhere)
                    .await?
            }
            Err(_) => {
                let owner = boot::local_owner(booted.house.store(), &tenant)
                    .await
                    .with_context(|| format!("failed to find the owner {LOCAL_OWNER} of tenant {tenant}"))?;
                local_principal(&bound.edition, tenant, owner, u32::MAX)
            }
        };
        let shutdown = CancellationToken::new();
        tokio::spawn(signalled(shutdown.clone()));
        let input = tokio::io::BufReader::new(tokio::io::stdin());
        stdio::serve(
            booted.house.clone(),
            config.edge,
            principal,
            input,
            tokio::io::stdout(),
            shutdown,
        )
        .await?;
        booted.stop().await;
        Ok(())
    }
}

/// `footbridge-server backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write; it must not exist.
    to: PathBuf,
    #[command(flatten)]
    place: Place,
}

impl Backup {
    pub(crate) async fn run(self) -> Result<()> {
        let store = self.place.open().await?;
        store.backup(&self.to).await?;
        store.close().await;
        Ok(print::line(&format!(
            "copied the store to {}",
            self.to.display()
        ))?)
    }
}
