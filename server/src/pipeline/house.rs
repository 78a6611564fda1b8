//! The house: every room, built once and shared by all connections.

use std::{sync::Arc, time::Duration};

use super::SignInError;
use crate::{
    access::{AuthError, Keyring, Principal},
    catalogue::{Catalogue, CatalogueError, Driver, Edition, ListCache, StrictClients, Tool},
    domain::{
        Handler, Handlers,
        http::{self, RemoteError, Remotes},
    },
    limits::{AddressMeters, Limits},
    policy::SealKey,
    store::{Store, StoreError},
    vocabulary::{Clock, EditionName},
};

/// Why the house cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum HouseError {
    /// A row names a handler that no domain registered.
    #[error("tool `{tool}` of edition `{edition}` names the handler `{handler}`, which does not exist")]
    NoHandler {
        /// The edition.
        edition: String,
        /// The tool.
        tool: String,
        /// The name that nothing answers to.
        handler: String,
    },
    /// A REST API behind a tool cannot be used.
    #[error("tool `{tool}` of edition `{edition}`: upstream `{upstream}`: {source}")]
    Upstream {
        /// The edition.
        edition: String,
        /// The tool.
        tool: String,
        /// The API.
        upstream: String,
        /// Why.
        source: RemoteError,
    },
    /// The catalogue is not in order.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The list of strict clients is not in order.
    #[error("strict_clients.toml: {0}")]
    StrictClients(#[from] toml::de::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An edition with its handlers bound and its lists cached.
pub struct BoundEdition {
    /// The edition.
    pub edition: Arc<Edition>,
    pub(super) lists: ListCache,
    handlers: Vec<Handler>,
}

impl BoundEdition {
    pub(super) fn handler(&self, tool: &Tool) -> Option<&Handler> {
        self.handlers.get(tool.index)
    }
}

/// All rooms. Shared behind an [`Arc`] by every connection.
pub struct House {
    pub(super) store: Store,
    pub(super) limits: Limits,
    pub(super) strict_clients: StrictClients,
    pub(super) seal_key: SealKey,
    pub(super) clock: Clock,
    pub(super) call_timeout: Duration,
    editions: Vec<Arc<BoundEdition>>,
    pub(super) keyring: Arc<Keyring>,
    failed_sign_ins: AddressMeters,
}

/// What a house is built from.
pub struct HouseBuilder {
    /// The store.
    pub store: Store,
    /// The editions to serve.
    pub catalogue: Catalogue,
    /// The functions behind the tools.
    pub handlers: Handlers,
    /// Who may come in.
    pub keyring: Arc<Keyring>,
    /// Seals multi-round states; the same on every replica.
    pub seal_key: SealKey,
    /// The time.
    pub clock: Clock,
    /// How long a call may take when its row says nothing.
    pub call_timeout: Duration,
    /// Calls that one key may have running at once.
    pub most_running_per_key: u32,
    /// Failed sign-ins a minute that one address may have.
    pub failed_sign_ins_per_minute: u32,
}

impl HouseBuilder {
    /// Binds every row to its handler.
    ///
    /// # Errors
    /// When a row names a handler that is not there.
    pub fn build(self) -> Result<House, HouseError> {
        let editions = self
            .catalogue
            .editions()
            .iter()
            .map(|edition| bind(edition, &self.handlers).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(House {
            store: self.store,
            limits: Limits::new(self.most_running_per_key),
            strict_clients: StrictClients::builtin()?,
            seal_key: self.seal_key,
            clock: self.clock,
            call_timeout: self.call_timeout,
            editions,
            keyring: self.keyring,
            failed_sign_ins: AddressMeters::new(self.failed_sign_ins_per_minute),
        })
    }
}

fn bind(edition: &Arc<Edition>, handlers: &Handlers) -> Result<BoundEdition, HouseError> {
    let mut remotes = Remotes::default();
    let bound = edition.tools().iter().map(|tool| match &tool.driver {
        Driver::Function(name) => handlers.find(name).cloned().ok_or_else(|| HouseError::NoHandler {
            edition: edition.name.to_string(),
            tool: tool.name.to_string(),
            handler: name.clone(),
        }),
        Driver::Http(call) => {
            http::handler(tool, call, &mut remotes).map_err(|source| HouseError::Upstream {
                edition: edition.name.to_string(),
                tool: tool.name.to_string(),
                upstream: call.upstream.name.clone(),
                source,
            })
        }
    });
    let handlers = bound.collect::<Result<Vec<_>, _>>()?;
    Ok(BoundEdition {
        edition: Arc::clone(edition),
        lists: ListCache::default(),
        handlers,
    })
}

impl House {
    /// The editions served, in catalogue order.
    pub fn editions(&self) -> &[Arc<BoundEdition>] {
        &self.editions
    }

    /// Finds out who is calling (room 3). `address` is where failures are counted.
    ///
    /// # Errors
    /// Why the credential does not open this edition, or that the address failed too often.
    pub async fn authenticate(
        &self,
        credential: Option<&str>,
        edition: &Edition,
        address: std::net::IpAddr,
    ) -> Result<Principal, SignInError> {
        let result = self
            .keyring
            .authenticate(credential, edition, self.clock.now())
            .await;
        if result.as_ref().is_err_and(AuthError::counts_as_failure)
            && let Err(limit) = self.failed_sign_ins.count(address)
        {
            return Err(SignInError::TooManyFailures(limit));
        }
        Ok(result?)
    }

    /// The store, for doors that serve other things than tools.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Forgets what only strangers left behind; called now and then.
    pub fn tidy(&self) {
        self.failed_sign_ins.forget_quiet();
    }

    pub(super) fn edition_of(&self, principal: &Principal) -> Option<&Arc<BoundEdition>> {
        let name: &EditionName = &principal.facts().edition;
        self.editions.iter().find(|bound| bound.edition.name == *name)
    }
}
