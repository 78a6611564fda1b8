//! `footbridge-server serve`

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use footbridge_server::{
    edge::{self, Server, TlsFiles},
    operate::{boot, editions::Reloader, oidc::SignInProvider, setup},
    outbox::Courier,
    telemetry::Telemetry,
    vocabulary::EditionName,
    web::{self, Web},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Place, print};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on [default: 127.0.0.1:19850].
    #[arg(long, value_name = "ADDR", env = "FOOTBRIDGE_LISTEN")]
    listen: Option<SocketAddr>,
    /// Serve only this edition; may be repeated [default: `context` and those of the own catalogue].
    #[arg(long = "edition", value_name = "NAME")]
    editions: Vec<EditionName>,
    #[command(flatten)]
    place: Place,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<()> {
        let mut config = self.place.config()?;
        boot::start_logging(&config.log)?;
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        let editions = if self.editions.is_empty() {
            config.server.editions.clone()
        } else {
            self.editions
        };
        let tls = match (config.server.tls_certificate.take(), config.server.tls_key.take()) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => bail!("TLS needs both: set tls_certificate and tls_key under [server]"),
        };
        let scheme = if tls.is_some() { "https" } else { "http" };

        let provider = SignInProvider::of(&config.sign_in)?;
        let telemetry = Telemetry::start(&config.telemetry)?;

        // The port first: a second server on it must not touch the store.
        let listener = edge::listen(config.server.listen)
            .with_context(|| format!("failed to listen on {}", config.server.listen))?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() && config.edge.public_names.is_empty() {
            warn!("no public_names under [edge]: requests from other machines will be refused with 403");
        }
        let store = self.place.open().await?;
        let kind = store.kind();
        let token = setup::token_if_unowned(&store).await?;
        let folder = self.place.folder()?;
        let base_url = config.edge.base_url(address, tls.is_some());
        let link_url = config.edge.link_url(Some(address), tls.is_some());
        let courier = Courier::new(store.clone(), &config.notifications, base_url)?;
        let mut booted = boot::boot(store, &config, &folder, &editions, link_url).await?;
        booted.deliver(courier);

        print::line(&format!("footbridge-server {}", env!("CARGO_PKG_VERSION")))?;
        for bound in booted.house.editions().iter() {
            let edition = &bound.edition;
            let also = edition
                .bare_path
                .as_ref()
                .map_or_else(String::new, |p| format!("   (also {p})"));
            print::line(&format!(
                "  {:<9} {scheme}://{address}{}{also}",
                edition.name,
                edition.path()
            ))?;
        }
        print::line(&format!("  {:<9} {scheme}://{address}/console", "console"))?;
        print::line(&format!("  {:<9} {}", "data", folder.display()))?;
        print::line(&format!("  {:<9} {kind}", "store"))?;
        if let Some(token) = token {
            print::line(&format!(
                "\nNobody owns this server yet. Within 24 hours, make yourself its owner with this one-time token:\n\n    \
                 {token}\n\n\
                 in a browser at {scheme}://{address}/console/setup, or in a terminal:\n\n    \
                 FOOTBRIDGE_SETUP_TOKEN={token} footbridge-server setup --email you@example.com\n\n\
                 or mint a key right away: footbridge-server key mint --edition context --scopes search,get"
            ))?;
        }

        let shutdown = CancellationToken::new();
        tokio::spawn(signalled(shutdown.clone()));
        tokio::spawn(reload_at_hangup(Arc::clone(&booted.reloader)));
        let web = Web::new(
            booted.house.clone(),
            Arc::clone(&booted.password_check),
            &config.console,
        )
        .with_provider(provider)
        .with_workspace(Arc::clone(&booted.workspace));
        let mut server = Server::new(booted.house.clone(), config.edge).with_router(web::router(web));
        if let Some(files) = tls {
            server = server.with_tls(files)?;
        }
        server.serve(listener, shutdown).await?;
        booted.stop().await;
        telemetry.stop().await;
        info!("stopped");
        Ok(())
    }
}

/// Reads the catalogue again at each SIGHUP; the HTTP side does the same with its certificate.
#[cfg(unix)]
async fn reload_at_hangup(reloader: Arc<Reloader>) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(reason) => {
            return warn!(error = %reason, "SIGHUP cannot be heard; use `catalogue reload`");
        }
    };
    while hangups.recv().await.is_some() {
        let reloader = Arc::clone(&reloader);
        // A panic in it has told its story already.
        let _ = tokio::task::spawn_blocking(move || reloader.reload()).await;
    }
}

#[cfg(not(unix))]
async fn reload_at_hangup(_reloader: Arc<Reloader>) {}

/// Waits for SIGTERM or Ctrl-C, then begins the drain.
pub(crate) async fn signalled(shutdown: CancellationToken) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
            }
            // Without a handler the default action ends the process, which is what was asked for.
            Err(_) => std::future::pending().await,
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
    shutdown.cancel();
}
