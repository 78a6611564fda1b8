//! The house: every room, built once and shared by all connections.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{SignInError, Wanted, questions::Questions, sessions::Sessions};
use crate::{
    access::{
        AuthError, Keyring, Principal,
        oauth::{Entrance, OAuth, Origin},
    },
    audit::Keeping,
    catalogue::{
        Catalogue, CatalogueError, Driver, Edition, ListCache, ListedNames, Shape, StrictClients, Tool,
    },
    domain::{
        Handler, Handlers, command,
        http::{self, RemoteError, Remotes},
        offers,
    },
    limits::{AddressMeters, Limits},
    policy::{Rules, SealKey},
    store::{Key, Store, StoreError},
    vocabulary::{Clock, Consent, EditionName, ToolName},
};

/// How long a resource's change is remembered: far longer than any stream takes to ask.
const CHANGES_LAST_MS: i64 = 24 * 60 * 60 * 1000;
/// How long a job that ended is kept, whatever its queue, for those who look for what became of it.
const JOBS_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Rows that one sweep removes: a transaction that others need not wait for.
const SWEPT_AT_ONCE: u32 = 1000;

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
        source: Box<RemoteError>,
    },
    /// A prompt or resource that would change something.
    #[error("`{name}` of edition `{edition}` only reads, and its handler `{handler}` may write")]
    Writes {
        /// The edition.
        edition: String,
        /// The prompt or resource.
        name: String,
        /// The handler that writes.
        handler: String,
    },
    /// A row asks for consent, and its handler cannot say what it would do.
    #[error(
        "tool `{tool}` of edition `{edition}` asks for consent, and the handler `{handler}` does not plan: register it \
         with `planned`, or set its policy to auto"
    )]
    NoPlan {
        /// The edition.
        edition: String,
        /// The tool.
        tool: String,
        /// The handler that runs at once.
        handler: String,
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
    /// What runs for prompts and resources, by the names of their rows.
    offered: HashMap<ToolName, Handler>,
}

impl BoundEdition {
    /// The row that a call is for, and what runs.
    pub(super) fn find(&self, wanted: Wanted, name: &str) -> Option<(&Arc<Tool>, &Handler)> {
        let offers = &self.edition.offers;
        let row = match wanted {
            Wanted::Tool => {
                let tool = self.edition.find(name)?;
                return Some((tool, self.handlers.get(tool.index)?));
            }
            Wanted::Prompt => &offers.prompt(name)?.row,
            Wanted::Resource => &offers.resource(name)?.0.row,
        };
        Some((row, self.offered.get(&row.name)?))
    }
}

/// All rooms. Shared behind an [`Arc`] by every connection.
pub struct House {
    pub(super) store: Store,
    pub(super) limits: Arc<Limits>,
    pub(super) strict_clients: StrictClients,
    pub(super) seal_key: Arc<SealKey>,
    pub(super) rules: Arc<Rules>,
    pub(super) clock: Clock,
    pub(super) call_timeout: Duration,
    pub(super) sessions: Sessions,
    pub(super) questions: Arc<Questions>,
    pub(super) audit: Keeping,
    editions: ArcSwap<Vec<Arc<BoundEdition>>>,
    /// Counts the catalogues that were in force.
    generation: watch::Sender<u64>,
    handlers: Handlers,
    pub(super) keyring: Arc<Keyring>,
    oauth: Arc<OAuth>,
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
    /// Who may come in with a key.
    pub keyring: Arc<Keyring>,
    /// Who may come in with an access token.
    pub oauth: Arc<OAuth>,
    /// Seals multi-round states; the same on every replica.
    pub seal_key: SealKey,
    /// The time.
    pub clock: Clock,
    /// How long a call may take when its row says nothing.
    pub call_timeout: Duration,
    /// What the call log keeps.
    pub audit: Keeping,
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
        let editions = bind_all(&self.catalogue, &self.handlers)?;
        let seal_key = Arc::new(self.seal_key);
        Ok(House {
            sessions: Sessions::new(self.store.clone()),
            questions: Arc::new(Questions::new(self.store.clone(), Arc::clone(&seal_key))),
            limits: Arc::new(Limits::new(self.most_running_per_key, self.store.clone())),
            rules: Arc::new(Rules::new(self.store.clone())),
            store: self.store,
            strict_clients: StrictClients::builtin()?,
            seal_key,
            clock: self.clock,
            call_timeout: self.call_timeout,
            audit: self.audit,
            editions: ArcSwap::from_pointee(editions),
            generation: watch::Sender::new(0),
            handlers: self.handlers,
            keyring: self.keyring,
            oauth: self.oauth,
            failed_sign_ins: AddressMeters::new(self.failed_sign_ins_per_minute),
        })
    }
}

fn bind_all(catalogue: &Catalogue, handlers: &Handlers) -> Result<Vec<Arc<BoundEdition>>, HouseError> {
    let editions = catalogue.editions().iter();
    editions
        .map(|edition| bind(edition, handlers).map(Arc::new))
        .collect()
}

fn bind(edition: &Arc<Edition>, handlers: &Handlers) -> Result<BoundEdition, HouseError> {
    let mut remotes = Remotes::default();
    let bound = edition.tools().iter().map(|tool| {
        let (handler, called) = handler_of(edition, tool, handlers, &mut remotes)?;
        if edition.consent(tool) > Consent::Auto && !matches!(handler, Handler::Planned(_)) {
            return Err(HouseError::NoPlan {
                edition: edition.name.to_string(),
                tool: tool.name.to_string(),
                handler: called,
            });
        }
        Ok(handler)
    });
    let bound = bound.collect::<Result<Vec<_>, _>>()?;
    let offered = edition.offers.rows().map(|row| {
        let (handler, called) = handler_of(edition, row, handlers, &mut remotes)?;
        if matches!(handler, Handler::Write(_) | Handler::Planned(_)) {
            return Err(HouseError::Writes {
                edition: edition.name.to_string(),
                name: row.name.to_string(),
                handler: called,
            });
        }
        Ok((row.name.clone(), handler))
    });
    Ok(BoundEdition {
        offered: offered.collect::<Result<_, _>>()?,
        edition: Arc::clone(edition),
        lists: ListCache::default(),
        handlers: bound,
    })
}

/// What runs for a row, and what errors call it.
fn handler_of(
    edition: &Edition,
    tool: &Tool,
    handlers: &Handlers,
    remotes: &mut Remotes,
) -> Result<(Handler, String), HouseError> {
    match &tool.driver {
        Driver::Function(name) => match handlers.find(name) {
            Some(handler) => Ok((handler.clone(), name.clone())),
            None => Err(HouseError::NoHandler {
                edition: edition.name.to_string(),
                tool: tool.name.to_string(),
                handler: name.clone(),
            }),
        },
        Driver::Http(call) => {
            let handler = http::handler(tool, call, remotes).map_err(|source| HouseError::Upstream {
                edition: edition.name.to_string(),
                tool: tool.name.to_string(),
                upstream: call.upstream.name.clone(),
                source: Box::new(source),
            })?;
            Ok((handler, "http".to_owned()))
        }
        Driver::Command(call) => {
            let handler = command::handler(tool, call, handlers.runner());
            Ok((handler, "command".to_owned()))
        }
        Driver::Messages(messages) => Ok((offers::messages(messages), "message".to_owned())),
        Driver::Stored(stored) => Ok((offers::stored(stored), "text".to_owned())),
    }
}

impl House {
    /// The editions served, in catalogue order: those in force now. Another moment may have others.
    pub fn editions(&self) -> Arc<Vec<Arc<BoundEdition>>> {
        self.editions.load_full()
    }

    /// Writes down what is noted beside the calls: when keys were used, and how often.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn write_down(&self) -> Result<(), StoreError> {
        self.keyring.write_down().await
    }

    /// Puts another catalogue in the place of the one in force. Calls under way end with the old one.
    ///
    /// # Errors
    /// When a row names a handler that is not there; the old catalogue stays.
    pub fn replace_catalogue(&self, catalogue: &Catalogue) -> Result<(), HouseError> {
        let editions = bind_all(catalogue, &self.handlers)?;
        self.keyring.adopt(catalogue);
        self.oauth.adopt(catalogue);
        self.editions.store(Arc::new(editions));
        self.generation.send_modify(|generation| *generation += 1);
        Ok(())
    }

    /// What tells one catalogue from another: the same on every replica that serves the same tools.
    pub fn catalogue_digest(&self) -> String {
        let mut digest = Sha256::new();
        for bound in self.editions.load().iter() {
            digest.update(bound.edition.name.as_str());
            let edition = &bound.edition;
            for tool in edition.tools().iter().chain(edition.offers.rows()) {
                digest.update(
                    tool.definition(Shape::Full, ListedNames::Native, Consent::Auto)
                        .to_string(),
                );
                digest.update(format!("{:?}", tool.driver).as_bytes());
            }
        }
        digest
            .finalize()
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Tells when another catalogue is in force.
    pub fn catalogue_changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
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
        self.admit(credential, edition, address, None).await
    }

    /// The same at an entrance that takes access tokens too.
    ///
    /// # Errors
    /// As [`House::authenticate`].
    pub async fn admit(
        &self,
        credential: Option<&str>,
        edition: &Edition,
        address: std::net::IpAddr,
        entrance: Option<&Entrance>,
    ) -> Result<Principal, SignInError> {
        let now = self.clock.now();
        let by_token = match (credential, entrance) {
            (Some(token), Some(entrance)) => {
                let origin = Origin {
                    address,
                    is_suspect: &|| self.failed_sign_ins.is_used_up(address),
                };
                Box::pin(self.oauth.admit(entrance, edition, token, origin, now)).await
            }
            _ => Ok(None),
        };
        let result = match by_token {
            Ok(Some(principal)) => Ok(principal),
            Ok(None) => self.keyring.authenticate(credential, edition, now).await,
            Err(error) => Err(error),
        };
        self.judged(result, address)
    }

    /// Finds out who presents an API key at a door that no edition owns: the key, and as whom it enters each of the
    /// editions served, one at least.
    ///
    /// # Errors
    /// As [`House::authenticate`]; access tokens are no keys.
    pub async fn recognise(
        &self,
        credential: Option<&str>,
        address: std::net::IpAddr,
    ) -> Result<(Key, Vec<Principal>), SignInError> {
        let bound = self.editions();
        let editions: Vec<_> = bound.iter().map(|bound| Arc::clone(&bound.edition)).collect();
        let result = self
            .keyring
            .recognise(credential, &editions, self.clock.now())
            .await;
        self.judged(result, address)
    }

    /// Counts what looks like a guess.
    fn judged<T>(&self, result: Result<T, AuthError>, address: std::net::IpAddr) -> Result<T, SignInError> {
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

    /// What editions ask of access tokens.
    pub fn oauth(&self) -> &Arc<OAuth> {
        &self.oauth
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What opens the sealed parts of waiting calls.
    pub fn seal_key(&self) -> &SealKey {
        &self.seal_key
    }

    /// What tenants ask for beyond their tools' own policies.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Removes waiting calls, questions, sessions and replies that nobody can ask for any more, what is remembered of
    /// resources that have been quiet, and jobs that ended a month ago, a bounded number of each; gives how many calls.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        self.store
            .system_write(|tx| {
                async move {
                    tx.client_sessions().purge(SWEPT_AT_ONCE).await?;
                    tx.client_questions().purge(SWEPT_AT_ONCE).await?;
                    tx.reply_messages().purge(SWEPT_AT_ONCE).await?;
                    tx.client_tasks().purge(SWEPT_AT_ONCE).await?;
                    let before = tx.now().plus_millis(-CHANGES_LAST_MS);
                    tx.resources().purge(before, SWEPT_AT_ONCE).await?;
                    let before = tx.now().plus_millis(-JOBS_KEPT_MS);
                    tx.jobs().purge(before, SWEPT_AT_ONCE).await?;
                    tx.pending_calls().purge(SWEPT_AT_ONCE).await
                }
                .boxed()
            })
            .await
    }

    /// Forgets what only strangers left behind; called now and then.
    pub fn tidy(&self) {
        self.failed_sign_ins.forget_quiet();
        self.limits.tidy();
        self.sessions.tidy(self.clock.now());
    }

    /// Whether the log of calls keeps arguments, and not their digest alone.
    pub fn keeps_arguments(&self) -> bool {
        self.audit.arguments
    }

    /// Requests a minute of a key that says nothing itself.
    pub fn usual_rate(&self) -> u32 {
        self.keyring.usual_rate()
    }

    /// Rates and caps, for whoever looks after them beside the calls.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// The edition as it is in force now. Invariant: its rows are judged anew by whoever asks, since the principal
    /// may have been let in under the catalogue before.
    pub(super) fn edition_of(&self, principal: &Principal) -> Option<Arc<BoundEdition>> {
        let name: &EditionName = &principal.facts().edition;
        let editions = self.editions.load();
        editions.iter().find(|bound| bound.edition.name == *name).cloned()
    }
}
