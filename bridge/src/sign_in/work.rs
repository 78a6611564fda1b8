//! One sign-in from beginning to end, with the lock of all processes held.

use tokio::time::Instant;

use super::authorize::{Person, scopes_for};
use super::challenge::Challenge;
use super::discovery::{self, Issuer, Resource};
use super::saved::{Grant, Saved, now};
use super::scopes::Scopes;
use super::token::{Ask, Denied};
use super::{Need, SignIn, Source, Trouble, client, header};
use crate::log;
use crate::options::{CLIENT_ID_VARIABLE, CLIENT_SECRET_VARIABLE, SIGN_IN_VARIABLE, SignInMode};

impl Need {
    fn challenge(&self) -> Challenge {
        match self {
            Need::Credential { challenge, .. }
            | Need::Scopes { challenge, .. }
            | Need::Login { challenge } => challenge.clone(),
            Need::Fresh { .. } => Challenge::default(),
        }
    }

    /// Says whether `grant`, which was kept, is what is needed: some other process may have been quicker.
    fn is_met_by(&self, grant: &Grant) -> bool {
        let header = header(grant);
        match self {
            Need::Credential { refused, .. } => header != *refused && !grant.is_expired(now()),
            Need::Scopes { refused, challenge } => {
                header.as_ref() != Some(refused) && grant.scopes.covers(&challenge.scopes)
            }
            Need::Fresh { expiring } => header.as_ref() != Some(expiring) && !grant.is_expired(now()),
            Need::Login { .. } => false,
        }
    }
}

impl SignIn {
    /// Gets what is needed: kept, refreshed, or granted anew.
    pub(super) async fn work(&self, need: &Need) -> Result<(Grant, Source), Trouble> {
        let deadline = Instant::now() + self.settings.limit;
        let _lock = self.store.lock(deadline).await?;
        let mut saved = self.store.load();
        if let Some(grant) = saved.grant.as_ref().filter(|grant| need.is_met_by(grant)) {
            return Ok((grant.clone(), Source::Kept));
        }
        let challenge = need.challenge();
        let resource = discovery::resource(&self.fetcher, &self.server, &challenge).await?;
        let name = issuer_of(&resource, &saved);
        let issuer = discovery::issuer(&self.fetcher, &name, resource.is_own_issuer).await?;
        log::debug(format_args!(
            "the sign-in is with {}",
            issuer.token.endpoint.place()
        ));
        self.drop_foreign(&mut saved, &issuer, &resource);
        let outcome = self
            .grant(need, &issuer, &resource, &challenge, &mut saved, deadline)
            .await;
        if let Ok((grant, _)) = &outcome {
            saved.grant = Some(grant.clone());
        }
        // Also after a failure: a registration may have been made, or a grant dropped.
        if outcome.is_ok() || !saved.clients.is_empty() {
            self.store.save(&saved);
        }
        outcome
    }

    async fn grant(
        &self,
        need: &Need,
        issuer: &Issuer,
        resource: &Resource,
        challenge: &Challenge,
        saved: &mut Saved,
        deadline: Instant,
    ) -> Result<(Grant, Source), Trouble> {
        if matches!(need, Need::Credential { .. } | Need::Fresh { .. })
            && let Some(grant) = self.refresh(issuer, saved).await?
        {
            return Ok((grant, Source::Refreshed));
        }
        let scopes = scopes_for(issuer, self.scopes(need, challenge, resource, saved));
        if self.settings.own_credentials {
            let Some(client) =
                client::configured(&self.identity, issuer).filter(|client| client.secret.is_some())
            else {
                return Err(Trouble::Failed(format!(
                    "To sign in as a client, set {CLIENT_ID_VARIABLE} and {CLIENT_SECRET_VARIABLE}"
                )));
            };
            let ask = Ask {
                issuer: &issuer.name,
                resource: &resource.id,
                client: &client,
                endpoint: &issuer.token,
                revocation_endpoint: issuer.revoke.as_ref().map(|address| address.as_str().to_owned()),
                scopes,
            };
            let grant = ask.with_own_credentials(&self.fetcher).await?;
            return Ok((grant, Source::SignedIn));
        }
        if matches!(need, Need::Fresh { .. }) {
            return Err(Trouble::Failed("Only a new sign-in helps".to_owned()));
        }
        if self.settings.mode == SignInMode::Kept && !matches!(need, Need::Login { .. }) {
            // Without metadata only a registration would tell whether there is anything to sign in to.
            if !issuer.is_published {
                return Err(Trouble::NotOffered);
            }
            return Err(Trouble::Failed(format!(
                "No sign-in that could be used is kept, and {SIGN_IN_VARIABLE} allows no browser"
            )));
        }
        if !self.store.is_lasting() {
            log::warn(format_args!(
                "HOME is not set, so the sign-in ends with this process"
            ));
        }
        let person = Person {
            fetcher: &self.fetcher,
            identity: &self.identity,
            place: self.server.place(),
            browser: self.settings.browser.as_deref(),
            callback_port: self.settings.callback_port,
            deadline,
            limit: self.settings.limit,
        };
        let grant = person.ask(issuer, resource, scopes, saved).await?;
        log::info(format_args!("signed in to {}", self.server.place()));
        Ok((grant, Source::SignedIn))
    }

    /// A refresh token → a token; `None` if there is none, or it is worth nothing any more.
    async fn refresh(&self, issuer: &Issuer, saved: &mut Saved) -> Result<Option<Grant>, Trouble> {
        let Some(grant) = saved.grant.clone() else {
            return Ok(None);
        };
        let Some(refresh) = &grant.refresh else {
            return Ok(None);
        };
        let client = self.identity.complete(&grant.client);
        let ask = Ask {
            issuer: &grant.issuer,
            resource: &grant.resource,
            client: &client,
            endpoint: &issuer.token,
            revocation_endpoint: issuer.revoke.as_ref().map(|address| address.as_str().to_owned()),
            scopes: grant.scopes.clone(),
        };
        match ask.with_refresh(&self.fetcher, refresh).await {
            Ok(fresh) => {
                log::debug(format_args!("the sign-in was renewed"));
                Ok(Some(Grant {
                    asked: grant.asked,
                    ..fresh
                }))
            }
            Err(Denied::Trouble(trouble)) => Err(trouble),
            Err(Denied::Client(said)) => {
                log::info(format_args!("the sign-in cannot be renewed: {said}"));
                saved.forget_client(&issuer.name);
                saved.grant = None;
                Ok(None)
            }
            Err(Denied::Grant(said)) => {
                log::info(format_args!("the sign-in cannot be renewed: {said}"));
                saved.grant = None;
                Ok(None)
            }
        }
    }

    /// The scopes to ask for (C-09): those of the challenge, else all that the resource knows; for a step-up also what was
    /// asked for and granted before.
    fn scopes(&self, need: &Need, challenge: &Challenge, resource: &Resource, saved: &Saved) -> Scopes {
        let named = if challenge.scopes.is_empty() {
            &resource.scopes
        } else {
            &challenge.scopes
        };
        let named = match &self.settings.scopes {
            Some(scopes) => Scopes::parse(scopes),
            None => named.clone(),
        };
        match (need, &saved.grant) {
            (Need::Scopes { .. }, Some(grant)) => grant
                .asked
                .union(&grant.scopes)
                .union(&named)
                .union(&challenge.scopes),
            (Need::Scopes { .. }, None) => named.union(&challenge.scopes),
            _ => named,
        }
    }

    /// Drops a grant that does not belong to this issuer, resource and client (C-08, C-12).
    fn drop_foreign(&self, saved: &mut Saved, issuer: &Issuer, resource: &Resource) {
        let belongs = |grant: &Grant| {
            let is_our_client = self.identity.id.as_ref().is_none_or(|id| *id == grant.client.id);
            grant.issuer == issuer.name && grant.resource == resource.id && is_our_client
        };
        if saved.grant.as_ref().is_some_and(|grant| !belongs(grant)) {
            log::info(format_args!(
                "the kept sign-in was made elsewhere and is not used any more"
            ));
            saved.grant = None;
        }
    }
}

/// The issuer to use: the one we are known to, if it is still named, else the first.
fn issuer_of(resource: &Resource, saved: &Saved) -> String {
    let known = |issuer: &&String| {
        saved.grant.as_ref().is_some_and(|grant| grant.issuer == **issuer) || saved.client(issuer).is_some()
    };
    let chosen = resource.issuers.iter().find(known).or(resource.issuers.first());
    chosen.cloned().unwrap_or_default()
}
