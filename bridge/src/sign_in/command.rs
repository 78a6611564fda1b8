//! `login` and `logout`: the sign-in ahead of time, and its end. People read stderr; the exit code is for scripts.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use hyper::StatusCode;
use serde_json::json;

use super::challenge::Challenge;
use super::{Need, SignIn, Trouble, token};
use crate::brand;
use crate::error::BridgeError;
use crate::key;
use crate::log;
use crate::options::{KEY_VARIABLE, KeySource, Settings, SignInMode};
use crate::upstream::{Dialer, Endpoint};

/// Signs in now, whatever is kept.
pub(crate) fn login(settings: Settings, connect: Connect) -> ExitCode {
    if settings.sign_in.mode == SignInMode::Never {
        return fail("signing in is switched off by the settings");
    }
    if !matches!(settings.key, KeySource::None) {
        return fail(format_args!(
            "a key is set, so the server is never signed in to. Unset {} to sign in instead",
            key::setting()
        ));
    }
    run(settings, connect, async |sign_in| {
        let challenge = sign_in.probe().await?;
        sign_in.obtain(Need::Login { challenge }).await?;
        let kept = if sign_in.store.is_lasting() {
            ""
        } else {
            ". It cannot be kept, because HOME is not set"
        };
        say(format_args!("signed in to {}{kept}", sign_in.server.place()));
        Ok(())
    })
}

/// Forgets the sign-in here, and at the authorization server if that offers it.
pub(crate) fn logout(settings: Settings, connect: Connect) -> ExitCode {
    run(settings, connect, async |sign_in| {
        let Some(mut grant) = sign_in.store.load().grant else {
            let _ = sign_in.store.remove();
            say(format_args!("nobody is signed in to {}", sign_in.server.place()));
            return Ok(());
        };
        grant.client = sign_in.identity.complete(&grant.client);
        sign_in
            .store
            .remove()
            .map_err(|error| Trouble::Failed(format!("The kept sign-in cannot be removed: {error}")))?;
        let revoked = match &grant.revocation_endpoint {
            Some(endpoint) => {
                let address = sign_in.fetcher.trust.address(endpoint, "revocation endpoint")?;
                token::revoke(&sign_in.fetcher, &address, &grant)
                    .await
                    .unwrap_or(false)
            }
            None => false,
        };
        let there = if revoked {
            ""
        } else {
            " on this machine; the authorization server was not told and lets it end by itself"
        };
        say(format_args!("signed out of {}{there}", sign_in.server.place()));
        Ok(())
    })
}

/// Makes what connections are made with, from the settings.
pub(crate) type Connect = fn(&mut Settings) -> Result<(Endpoint, Arc<Dialer>), BridgeError>;

fn run(
    mut settings: Settings,
    connect: Connect,
    act: impl AsyncFnOnce(Arc<SignIn>) -> Result<(), Trouble>,
) -> ExitCode {
    log::set_level(settings.level);
    let prepared =
        connect(&mut settings).and_then(|(endpoint, dialer)| SignIn::new(endpoint, dialer, settings.sign_in));
    let sign_in = match prepared {
        Ok(sign_in) => Arc::new(sign_in),
        Err(error) => return fail(error.message()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(format_args!("the event loop cannot be started: {error}")),
    };
    let place = sign_in.server.place().to_owned();
    let outcome = runtime.block_on(act(sign_in));
    runtime.shutdown_background();
    log::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::NotOffered) => fail(format_args!(
            "`{place}` offers no sign-in. Use a key: {KEY_VARIABLE}"
        )),
        Err(Trouble::Failed(text)) => fail(text),
    }
}

impl SignIn {
    /// Asks the server for something without a credential, to hear what it wants.
    async fn probe(&self) -> Result<Challenge, Trouble> {
        let address = format!("{}{}", super::address::origin(&self.server), self.server.target);
        let address = self.fetcher.trust.address(&address, "server's address")?;
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
        let reply = self.fetcher.post_json(&address, &request).await?;
        if reply.status == StatusCode::UNAUTHORIZED {
            let challenge = Challenge::read(&reply.headers);
            if challenge.foreign {
                return Err(Trouble::NotOffered);
            }
            return Ok(challenge);
        }
        Ok(Challenge::default())
    }
}

fn say(text: impl fmt::Display) {
    log::flush();
    let _ = writeln!(std::io::stderr(), "{}: {text}", brand::NAME);
}

fn fail(text: impl fmt::Display) -> ExitCode {
    say(text);
    ExitCode::FAILURE
}
