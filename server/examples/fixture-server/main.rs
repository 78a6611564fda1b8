//! The server that the official conformance suite is run against: every room of the real one, with a catalogue
//! that only the suite has a use for and a door that asks for no credential.
//!
//! `fixture-server ADDR` serves `http://ADDR/mcp` on a loopback address until SIGTERM. Its store is a new SQLite
//! file that goes when it stops. Nothing of this is in the shipped binary.

mod content;
mod questions;
mod rounds;
mod streams;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use footbridge_server::{
    access::Keyring,
    catalogue::{Catalogue, NamedText},
    domain::Handlers,
    pipeline::{House, HouseBuilder},
    policy::SealKey,
    store::{NewTenant, Store, StoreError, StoreSettings, StoreUrl},
    vocabulary::{Clock, TenantId, UserId},
};
use futures_util::FutureExt;

/// The suite sends everything as one principal, as fast as it can; a limit would only test the limit.
const REQUESTS_PER_MINUTE: u32 = 1_000_000;
/// No tool here takes longer than a fraction of a second.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

fn main() {}

/// All rooms over a store of their own.
async fn house(store: Store) -> anyhow::Result<Arc<House>> {
    let tenant = TenantId::new("fixture")?;
    make_tenant(&store, tenant.clone())
        .await
        .context("failed to make the tenant")?;
    let mut seal_key = [0_u8; 32];
    getrandom::fill(&mut seal_key).context("failed to get random bytes")?;
    let keyring = Keyring::without_credentials(tenant, UserId::new("usr_suite")?, REQUESTS_PER_MINUTE);
    let house = HouseBuilder {
        store,
        catalogue: Catalogue::load(&[&[NamedText {
            name: "catalogue.toml",
            text: include_str!("catalogue.toml"),
        }]])?,
        handlers: handlers(),
        keyring,
        seal_key: SealKey::new(seal_key),
        clock: Clock::System,
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
    handlers
}

async fn make_tenant(store: &Store, id: TenantId) -> Result<(), StoreError> {
    let new = NewTenant {
        name: id.to_string(),
        id,
        monthly_cap: None,
    };
    store
        .system_write(move |tx| async move { tx.tenants().insert(&new).await.map(drop) }.boxed())
        .await
}

#[cfg(test)]
mod tests;
