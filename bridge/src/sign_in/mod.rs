//! Signing in: a request that was refused for want of a credential → the credential (protocol.md §2.4, M-8).
//!
//! In reading order: [`challenge`] (what the server wants), [`discovery`] (who grants it), [`identity`] and [`client`] (who we are to them),
//! [`authorize`] (asking the person, by way of [`browser`] and [`callback`]), [`token`] (what comes of it), [`store`] and
//! [`saved`] (keeping it); [`address`] and [`fetch`] guard every step into the network. [`work`] is the whole of it in order,
//! [`command`] the verbs `login` and `logout`.
//!
//! This file is the side that requests see: one sign-in at a time, whoever needs it waits for that one. It runs in a task of
//! its own, so that a host that gives up a request does not end it. Nothing is opened or read before a server asks.

mod address;
mod authorize;
mod browser;
mod callback;
mod challenge;
mod client;
mod command;
mod discovery;
mod fetch;
mod form;
mod identity;
mod random;
mod saved;
mod scopes;
mod store;
mod token;
mod work;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::brand;
use crate::diagnosis::Diagnosis;
use crate::error::BridgeError;
use crate::log;
use crate::options::{KEY_VARIABLE, SIGN_IN_VARIABLE, SignInSettings};
use crate::upstream::{Dialer, Endpoint};
use challenge::Challenge;
pub(crate) use command::{login, logout};
use fetch::Fetcher;
use identity::Identity;
use saved::{Grant, now};
use scopes::Scopes;
use store::Store;

/// How long a failed sign-in stands for those that come after it: nobody wants a browser to open for each call.
const FAILURE_STANDS: Duration = Duration::from_secs(30);
/// How long a step-up that did not help is not asked for again.
const STEP_STANDS: Duration = Duration::from_secs(300);
/// Sign-ins and refreshes for one request.
const TRIES: u8 = 2;
/// Step-ups for one request (C-09).
const STEPS: u8 = 2;

/// Why there is no credential.
#[derive(Clone, Debug)]
enum Trouble {
    /// The server offers no sign-in: its refusal stands as it is.
    NotOffered,
    /// It does, and it failed. The cause, then what to do.
    Failed(String),
}

/// The credential of one server, and the way to get one.
pub(crate) struct SignIn {
    server: Endpoint,
    fetcher: Fetcher,
    store: Store,
    identity: Identity,
    settings: SignInSettings,
    state: Mutex<State>,
}

/// What is known in this process.
#[derive(Default)]
struct State {
    /// The file has been looked at.
    is_loaded: bool,
    current: Option<Current>,
    running: Option<watch::Receiver<Option<Outcome>>>,
    /// What failed, and until when that stands.
    failed: Option<(Instant, Trouble)>,
    /// The last step-up, by the scopes that were wanted.
    stepped: Option<(Scopes, Instant)>,
}

struct Current {
    grant: Grant,
    header: HeaderValue,
    /// When it was granted anew, if the server has not accepted it yet.
    untried_since: Option<Instant>,
}

/// How a sign-in came out for those who wait: where the credential came from.
type Outcome = Result<Source, Trouble>;

/// Where a credential came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Another process had it.
    Kept,
    /// A refresh token.
    Refreshed,
    /// A person, or the client's own credentials.
    SignedIn,
}

/// Why a credential is needed.
#[derive(Clone)]
enum Need {
    /// There is none, or the server refused this one.
    Credential {
        refused: Option<HeaderValue>,
        challenge: Challenge,
    },
    /// This one lacks scopes.
    Scopes {
        refused: HeaderValue,
        challenge: Challenge,
    },
    /// This one is about to expire.
    Fresh { expiring: HeaderValue },
    /// A person said `login`.
    Login { challenge: Challenge },
}

/// What was tried for one request.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    refused: u8,
    steps: u8,
    signed_in: bool,
}

impl SignIn {
    /// Prepares signing in to `server`. Nothing is opened or read but the file with the client's secret.
    ///
    /// # Errors
    /// −31006: that file cannot be used.
    pub(crate) fn new(
        server: Endpoint,
        dialer: Arc<Dialer>,
        mut settings: SignInSettings,
    ) -> Result<SignIn, BridgeError> {
        let places = std::mem::take(&mut settings.places);
        let directory = store::directory(|name| {
            let place = places.iter().find(|(known, _)| *known == name);
            place.map(|(_, value)| value.clone())
        });
        let identity = Identity::read(&mut settings)?;
        Ok(SignIn {
            fetcher: Fetcher::new(server.clone(), dialer),
            store: Store::new(discovery::canonical(&server), directory),
            server,
            identity,
            settings,
            state: Mutex::default(),
        })
    }

    /// The header to send, if there is a credential. One that is about to expire is renewed first.
    pub(crate) async fn credential(self: &Arc<Self>) -> Option<HeaderValue> {
        let expiring = {
            let mut state = self.state();
            if !state.is_loaded {
                state.is_loaded = true;
                state.current = self
                    .store
                    .load()
                    .grant
                    .and_then(|grant| Current::new(grant, false));
            }
            let current = state.current.as_ref()?;
            if !current.grant.is_expired(now()) || current.grant.refresh.is_none() {
                return Some(current.header.clone());
            }
            current.header.clone()
        };
        // If that fails, the server says what it thinks of the old one.
        if let Err(trouble) = self.obtain(Need::Fresh { expiring }).await {
            log::info(format_args!("the sign-in was not renewed: {trouble:?}"));
        }
        self.state()
            .current
            .as_ref()
            .map(|current| current.header.clone())
    }

    /// Looks at the reply to a request that was sent with `used`: true if sending it again may help, because there is another
    /// credential now. A refusal was not executed, so that is safe for every request (M-8).
    ///
    /// # Errors
    /// −31006: the server offers a sign-in and it failed.
    pub(crate) async fn may_resend(
        self: &Arc<Self>,
        method: &Method,
        tries: &mut Tries,
        used: Option<&HeaderValue>,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<bool, BridgeError> {
        let is_refused = status == StatusCode::UNAUTHORIZED;
        if !is_refused {
            self.accept(used);
        }
        let is_farewell = method == Method::DELETE;
        if is_farewell || !(is_refused || status == StatusCode::FORBIDDEN) {
            return Ok(false);
        }
        let challenge = Challenge::read(headers);
        if challenge.foreign || !(is_refused || challenge.wants_scope()) {
            return Ok(false);
        }
        let need = match used {
            Some(used) if !is_refused => {
                if tries.steps == STEPS || !self.may_step_up(&challenge) {
                    return Ok(false);
                }
                tries.steps += 1;
                Need::Scopes {
                    refused: used.clone(),
                    challenge,
                }
            }
            used => {
                if tries.refused == TRIES || tries.signed_in || self.is_hopeless(used) {
                    return Ok(false);
                }
                tries.refused += 1;
                Need::Credential {
                    refused: used.cloned(),
                    challenge,
                }
            }
        };
        match self.obtain(need).await {
            Ok(source) => {
                tries.signed_in |= source == Source::SignedIn;
                Ok(true)
            }
            Err(Trouble::NotOffered) => Ok(false),
            Err(Trouble::Failed(text)) => Err(BridgeError::authentication(
                Some(status),
                SIGN_IN_VARIABLE,
                format!(
                    "`{}` asks for a sign-in ({}), which failed. {}. `{} login` signs in ahead of time; a key in {KEY_VARIABLE} \
                     makes it unnecessary",
                    self.server.place(),
                    status.as_u16(),
                    text.trim_end_matches('.'),
                    brand::NAME
                ),
            )
            .diagnosed(Diagnosis::SignIn)),
        }
    }

    /// Says whether requests carry a credential.
    pub(crate) fn is_signed_in(&self) -> bool {
        self.state().current.is_some()
    }

    /// `text` with our credential struck out.
    pub(crate) fn strike(&self, text: &str) -> String {
        match &self.state().current {
            Some(current) => text.replace(current.grant.access.expose(), "…"),
            None => text.to_owned(),
        }
    }

    /// More scopes may help: they are not granted already, and asking for them has not just failed to.
    fn may_step_up(&self, challenge: &Challenge) -> bool {
        let state = self.state();
        let granted = state.current.as_ref().map(|current| &current.grant.scopes);
        if challenge.scopes.is_empty() || granted.is_some_and(|granted| granted.covers(&challenge.scopes)) {
            return false;
        }
        !state
            .stepped
            .as_ref()
            .is_some_and(|(scopes, when)| *scopes == challenge.scopes && when.elapsed() < STEP_STANDS)
    }

    fn accept(&self, used: Option<&HeaderValue>) {
        let Some(used) = used else { return };
        if let Some(current) = &mut self.state().current
            && current.header == used
        {
            current.untried_since = None;
        }
    }

    /// The server refuses what its own authorization server has just issued: one more will be refused as well.
    fn is_hopeless(&self, used: Option<&HeaderValue>) -> bool {
        self.state()
            .current
            .as_ref()
            .filter(|current| Some(&current.header) == used)
            .and_then(|current| current.untried_since)
            .is_some_and(|since| since.elapsed() < FAILURE_STANDS)
    }

    /// Gets a credential, together with all who need one now.
    async fn obtain(self: &Arc<Self>, need: Need) -> Outcome {
        let mut running = {
            let mut state = self.state();
            let is_login = matches!(need, Need::Login { .. });
            if let Some((until, trouble)) = &state.failed
                && Instant::now() < *until
                && !is_login
            {
                return Err(trouble.clone());
            }
            match &state.running {
                Some(running) => running.clone(),
                None => {
                    let (done, running) = watch::channel(None);
                    state.running = Some(running.clone());
                    let this = Arc::clone(self);
                    tokio::spawn(async move {
                        let outcome = this.work(&need).await;
                        done.send_replace(Some(this.settle(outcome, &need)));
                    });
                    running
                }
            }
        };
        loop {
            if let Some(outcome) = running.borrow_and_update().clone() {
                return outcome;
            }
            if running.changed().await.is_err() {
                return Err(Trouble::Failed("The sign-in was broken off".to_owned()));
            }
        }
    }

    /// Takes note of how it came out.
    fn settle(&self, outcome: Result<(Grant, Source), Trouble>, need: &Need) -> Outcome {
        let mut state = self.state();
        state.running = None;
        match outcome.and_then(|(grant, source)| {
            let current = Current::new(grant, source == Source::SignedIn)
                .ok_or_else(|| Trouble::Failed("The token cannot be sent".to_owned()))?;
            Ok((current, source))
        }) {
            Ok((current, source)) => {
                state.current = Some(current);
                state.failed = None;
                if let Need::Scopes { challenge, .. } = need {
                    state.stepped = Some((challenge.scopes.clone(), Instant::now()));
                }
                Ok(source)
            }
            Err(trouble) => {
                if !matches!(need, Need::Fresh { .. }) {
                    state.failed = Some((Instant::now() + FAILURE_STANDS, trouble.clone()));
                }
                Err(trouble)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn new(grant: Grant, is_new: bool) -> Option<Current> {
        Some(Current {
            header: header(&grant)?,
            grant,
            untried_since: is_new.then(Instant::now),
        })
    }
}

/// The header that carries a token. `None` if none can.
fn header(grant: &Grant) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", grant.access.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
