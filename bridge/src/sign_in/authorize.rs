//! Asking a person, in a browser: from an authorization server to a token (protocol.md C-04 to C-07, C-09, C-13).

use std::ffi::OsStr;
use std::time::Duration;

use tokio::time::Instant;

use super::address::Address;
use super::callback::{Answer, Callback};
use super::discovery::{Issuer, Resource};
use super::fetch::Fetcher;
use super::identity::Identity;
use super::saved::{Client, Grant, Saved};
use super::scopes::Scopes;
use super::token::{Ask, Denied};
use super::{Trouble, browser, client, form, random};
use crate::error::quote;
use crate::log;
use crate::seconds::Seconds;

/// The scope that stands for a refresh token.
const OFFLINE: &str = "offline_access";

/// What a browser sign-in needs to know.
pub(super) struct Person<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) identity: &'a Identity,
    /// The server, for people.
    pub(super) place: &'a str,
    pub(super) browser: Option<&'a OsStr>,
    pub(super) callback_port: u16,
    pub(super) deadline: Instant,
    /// The whole wait, for the words about it.
    pub(super) limit: Duration,
}

/// What is kept until the browser comes back (C-06): made before it opens, looked at before anything else.
struct Pending {
    issuer: String,
    sends_iss: bool,
    state: String,
    verifier: String,
}

/// The scopes to ask `issuer` for: `offline_access` exactly if it lists that (C-09).
pub(super) fn scopes_for(issuer: &Issuer, wanted: Scopes) -> Scopes {
    let wanted = wanted.without(OFFLINE);
    if issuer.scopes.has(OFFLINE) && !wanted.is_empty() {
        wanted.union(&Scopes::parse(OFFLINE))
    } else {
        wanted
    }
}

impl Person<'_> {
    /// Lets the person say yes and exchanges that for a token. A registration that has gone stale is renewed once.
    pub(super) async fn ask(
        &self,
        issuer: &Issuer,
        resource: &Resource,
        scopes: Scopes,
        saved: &mut Saved,
    ) -> Result<Grant, Trouble> {
        let Some(endpoint) = &issuer.authorize else {
            return Err(Trouble::Failed(format!(
                "The authorization server `{}` has no page to sign in at. Its operator has to correct that",
                quote(issuer.name.as_bytes(), 200)
            )));
        };
        self.fetcher.trust.check(endpoint).await?;
        match self.ask_once(endpoint, issuer, resource, &scopes, saved).await {
            Err(Denied::Client(_)) if saved.client(&issuer.name).is_some() => {
                saved.forget_client(&issuer.name);
                Ok(self.ask_once(endpoint, issuer, resource, &scopes, saved).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn ask_once(
        &self,
        endpoint: &Address,
        issuer: &Issuer,
        resource: &Resource,
        scopes: &Scopes,
        saved: &mut Saved,
    ) -> Result<Grant, Denied> {
        let known_port = saved.client(&issuer.name).and_then(|client| client.port);
        let port = if self.callback_port == 0 {
            known_port.unwrap_or(0)
        } else {
            self.callback_port
        };
        let callback = Callback::open(port).await.map_err(|error| {
            Trouble::Failed(format!(
                "No port of this machine could be opened for the browser to come back to ({error})"
            ))
        })?;
        let client = client::choose(self.fetcher, self.identity, issuer, &callback, saved).await?;
        let random = || {
            random::text(32).map_err(|cause| Trouble::Failed(format!("The sign-in could not begin: {cause}")))
        };
        let pending = Pending {
            issuer: issuer.name.clone(),
            sends_iss: issuer.sends_iss,
            state: random()?,
            verifier: random()?,
        };
        let redirect = callback.address();
        let page = page(endpoint, &client, resource, scopes, &pending, &redirect);
        log::warn(format_args!(
            "`{}` asks for a sign-in. If no browser opens, open this address on this machine: {page}",
            self.place
        ));
        browser::open(&page, self.browser);
        let answer = match tokio::time::timeout_at(self.deadline, callback.wait(&pending.state)).await {
            Ok(answer) => answer.map_err(|error| {
                Trouble::Failed(format!("The browser's answer could not be received ({error})"))
            })?,
            Err(_) => {
                // Perhaps the page said that it does not know us: the next sign-in registers anew.
                saved.forget_client(&issuer.name);
                return Err(Denied::Trouble(Trouble::Failed(format!(
                    "Nobody signed in within {} s",
                    Seconds(self.limit)
                ))));
            }
        };
        let outcome = match pending.judge(&answer) {
            Ok(code) => {
                let ask = Ask {
                    issuer: &issuer.name,
                    resource: &resource.id,
                    client: &client,
                    endpoint: &issuer.token,
                    revocation_endpoint: issuer.revoke.as_ref().map(|address| address.as_str().to_owned()),
                    scopes: scopes.clone(),
                };
                ask.with_code(self.fetcher, code, &pending.verifier, &redirect)
                    .await
            }
            Err(trouble) => Err(trouble.into()),
        };
        answer.finish(outcome.is_ok()).await;
        outcome
    }
}

/// The address of the page to sign in at.
fn page(
    endpoint: &Address,
    client: &Client,
    resource: &Resource,
    scopes: &Scopes,
    pending: &Pending,
    redirect: &str,
) -> String {
    let (scopes, challenge) = (scopes.to_string(), random::challenge(&pending.verifier));
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", redirect),
        ("state", &pending.state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", &resource.id),
    ];
    if !scopes.is_empty() {
        pairs.push(("scope", &scopes));
    }
    // Without it many servers give no refresh token to somebody who has said yes before.
    if scopes.split(' ').any(|scope| scope == OFFLINE) {
        pairs.push(("prompt", "consent"));
    }
    let separator = if endpoint.as_str().contains('?') { '&' } else { '?' };
    format!("{}{separator}{}", endpoint.as_str(), form::encode(&pairs))
}

impl Pending {
    /// The code, if the answer comes from the issuer that was asked. Its own words are not shown otherwise.
    fn judge<'a>(&self, answer: &'a Answer) -> Result<&'a str, Trouble> {
        let is_from_issuer = match answer.find("iss") {
            Some(iss) => iss == self.issuer,
            None => !self.sends_iss,
        };
        if !is_from_issuer {
            return Err(Trouble::Failed(format!(
                "The answer in the browser did not come from `{}`, which was asked. It was not used. If this happens again, \
                 tell the server's operator",
                quote(self.issuer.as_bytes(), 200)
            )));
        }
        if let Some(error) = answer.find("error") {
            let words = answer
                .find("error_description")
                .map(|words| format!(": {}", quote(words.as_bytes(), 200).trim_end_matches('.')));
            return Err(Trouble::Failed(format!(
                "The sign-in was not granted ({}{})",
                quote(error.as_bytes(), 60),
                words.unwrap_or_default()
            )));
        }
        answer
            .find("code")
            .filter(|code| !code.is_empty())
            .ok_or_else(|| Trouble::Failed("The browser brought no code back".to_owned()))
    }
}
