//! The server that the official conformance suite is run against: every room of the real one, with a catalogue
//! that only the suite has a use for and a door that asks for no credential.
//!
//! `fixture-server ADDR [STORE]` serves `http://ADDR/mcp` on a loopback address until SIGTERM, and beside it
//! `/desk/mcp`, whose tools ask before they change anything. STORE is a database that several of them share as replicas
//! (`postgres://…`); without it the store is a new SQLite file that goes when the server stops. Nothing of this is in
//! the shipped binary.

mod content;
mod desk;
mod questions;
mod rounds;
mod streams;
mod tasks;

use std::{
    io::{self, IsTerminal as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use footbridge_server::{
    access::{
        Keyring,
        oauth::{OAuth, OAuthLimits},
    },
    audit::Keeping,
    catalogue::{Catalogue, NamedText},
    domain::Handlers,
    edge::{EdgeSettings, Server},
    operate::boot::seal_key,
    pipeline::{House, HouseBuilder},
    store::{NewTenant, Store, StoreError, StoreSettings, StoreUrl},
    vocabulary::{Clock, TenantId, UserId},
};
use futures_util::FutureExt;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// The suite sends everything as one principal, as fast as it can; a limit would only test the limit.
const REQUESTS_PER_MINUTE: u32 = 1_000_000;
/// The suite lets one tool sleep for a minute, and stops it.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);

/// What the suite wants to see as a task takes longer, and all else not nearly so long.
const TASK_AFTER_MS: u64 = 400;

/// The harness waits 5 s for the end; nothing here runs that long, so whatever is left by then is stuck.
const DRAIN_MS: u64 = 3000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().context("usage: fixture-server ADDR [STORE]")?;
    let address: SocketAddr = address
        .parse()
        .with_context(|| format!("`{address}` is no address with a port"))?;
    // Invariant of this program: whoever reaches it may do everything.
    ensure!(
        address.ip().is_loopback(),
        "{address} is no loopback address, and no credential is asked for"
    );

    let files = tempfile::tempdir().context("failed to make a directory for the store")?;
    let url = match arguments.next() {
        Some(url) => url.parse::<StoreUrl>()?,
        None => StoreUrl::Sqlite(files.path().join("store")),
    };
    let store = Store::open(&url, &StoreSettings::default(), Clock::System).await?;
    let house = house(store.clone()).await?;
    tokio::spawn({
        let house = Arc::clone(&house);
        async move { house.follow_clients().await }
    });
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}"))?;
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    let settings = EdgeSettings {
        drain_ms: DRAIN_MS,
        task_after_ms: TASK_AFTER_MS,
        ..EdgeSettings::default()
    };
    Server::new(house, settings).serve(listener, shutdown).await?;
    store.close().await;
    Ok(())
}

/// All rooms over a store of their own.
async fn house(store: Store) -> anyhow::Result<Arc<House>> {
    let tenant = TenantId::new("fixture")?;
    make_tenant(&store, tenant.clone())
        .await
        .context("failed to make the tenant")?;
    let seal_key = seal_key(&store).await?;
    let keyring = Keyring::without_credentials(tenant, UserId::new("usr_suite")?, REQUESTS_PER_MINUTE);
    let catalogue = Catalogue::load(&[
        &[NamedText {
            name: "catalogue.toml",
            text: include_str!("catalogue.toml"),
        }],
        &[NamedText {
            name: "desk.toml",
            text: include_str!("desk.toml"),
        }],
    ])?;
    let limits = OAuthLimits::default();
    let oauth = OAuth::load(store.clone(), &catalogue, limits).await?;
    let house = HouseBuilder {
        store,
        catalogue,
        oauth,
        handlers: handlers(),
        keyring,
        seal_key,
        clock: Clock::System,
        audit: Keeping::default(),
        call_timeout: CALL_TIMEOUT,
        // The suite's calls overlap only where a scenario means them to.
        most_running_per_key: 64,
        failed_sign_ins_per_minute: 60,
    };
    Ok(Arc::new(house.build()?))
}

fn handlers() -> Handlers {
    let mut handlers = Handlers::default();
    content::register(&mut handlers);
    streams::register(&mut handlers);
    questions::register(&mut handlers);
    rounds::register(&mut handlers);
    tasks::register(&mut handlers);
    desk::register(&mut handlers, &Arc::default());
    handlers
}

async fn make_tenant(store: &Store, id: TenantId) -> Result<(), StoreError> {
    let new = NewTenant {
        name: id.to_string(),
        id,
        monthly_cap: None,
    };
    store
        .system_write(move |tx| {
            async move {
                // Another replica may have made it.
                if tx.tenants().find(&new.id).await?.is_none() {
                    tx.tenants().insert(&new).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
}

#[cfg(test)]
mod tests;
