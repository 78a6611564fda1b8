//! Sign-in of people in a browser: ID tokens, checked as access tokens are, for whoever runs the code flow.

use std::{net::IpAddr, sync::Arc, time::Instant};

use serde::Deserialize;
use serde_json::{Map, Value};
use tracing::warn;

use super::{
    ProviderFault,
    guard::OAuth,
    people::{Identity, user_of},
    resource::GROUPS_CLAIM,
    secret::read_secret,
    token::{Expected, TokenFault},
};
use crate::{
    access::AuthError,
    store::User,
    vocabulary::{TenantId, Timestamp},
};

/// Where a provider's sign-in takes place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderEndpoints {
    /// Where the browser is sent.
    pub authorization: String,
    /// Where the code is redeemed.
    pub token: String,
}

/// An ID token and what it must fit.
#[derive(Clone, Copy, Debug)]
pub struct IdTokenRequest<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// Us, as the provider knows us.
    pub client_id: &'a str,
    /// What was sent along with the browser.
    pub nonce: &'a str,
    /// The claim that holds groups; `None`: the usual one.
    pub groups_claim: Option<&'a str>,
    /// Whose browser it is.
    pub address: IpAddr,
    /// The time.
    pub now: Timestamp,
}

/// A code and what proves that it was asked for by us (RFC 6749 §4.1.3, RFC 7636 §4.5).
#[derive(Clone, Copy, Debug)]
pub struct CodeRequest<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// Us, as the provider knows us.
    pub client_id: &'a str,
    /// Where our secret is; `None`: we have none, and PKCE alone proves us.
    pub client_secret: Option<&'a str>,
    /// What the browser brought.
    pub code: &'a str,
    /// Where the browser was sent back to.
    pub redirect_uri: &'a str,
    /// Whose digest was sent along with the browser.
    pub verifier: &'a str,
}

/// The part of a token response that we use.
#[derive(Deserialize)]
struct TokenResponse {
    id_token: Option<String>,
}

impl OAuth {
    /// Redeems a code for an ID token, which is not checked yet. The access token that comes along is dropped.
    ///
    /// # Errors
    /// When the provider cannot be reached or gives none.
    pub async fn redeem_code(&self, asked: CodeRequest<'_>) -> Result<String, AuthError> {
        let away = |fault: String| {
            warn!(
                issuer = asked.issuer,
                "no token for a code of the console's sign-in: {fault}"
            );
            AuthError::from(ProviderFault::Away)
        };
        let endpoints = self.provider_endpoints(asked.issuer).await?;
        let secret = asked.client_secret.map(read_secret).transpose();
        let secret = secret.map_err(|error| away(error.to_string()))?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", asked.code),
            ("redirect_uri", asked.redirect_uri),
            ("code_verifier", asked.verifier),
        ];
        if secret.is_none() {
            form.push(("client_id", asked.client_id));
        }
        let client = secret.as_ref().map(|secret| (asked.client_id, secret));
        let issuer = self.issuer(asked.issuer)?;
        let answer = issuer.post_form(&endpoints.token, &form, client).await;
        let answer = answer.map_err(|fault| away(fault.to_string()))?;
        let parsed = serde_json::from_slice::<TokenResponse>(&answer).ok();
        parsed
            .and_then(|response| response.id_token)
            .ok_or_else(|| away("its answer has no ID token".to_owned()))
    }

    /// What a provider published about itself: its discovery document.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn provider_metadata(&self, issuer: &str) -> Result<Map<String, Value>, AuthError> {
        let known = self.issuer(issuer)?.known(Instant::now()).await?;
        Ok(known.metadata.clone())
    }

    /// Where a provider's sign-in takes place.
    ///
    /// # Errors
    /// When it cannot be reached, or names no such places.
    pub async fn provider_endpoints(&self, issuer: &str) -> Result<ProviderEndpoints, AuthError> {
        let metadata = self.provider_metadata(issuer).await?;
        let place = |name: &str| {
            let url = metadata.get(name).and_then(Value::as_str)?;
            super::fetch::host_of(url.split('?').next()?)
                .ok()
                .map(|_| url.to_owned())
        };
        match (place("authorization_endpoint"), place("token_endpoint")) {
            (Some(authorization), Some(token)) => Ok(ProviderEndpoints { authorization, token }),
            _ => Err(AuthError::Provider(super::ProviderFault::Away)),
        }
    }

    /// Checks an ID token (OpenID Connect Core §3.1.3.7).
    ///
    /// # Errors
    /// Why it is not believed.
    pub async fn verify_id_token(
        &self,
        token: &str,
        asked: IdTokenRequest<'_>,
    ) -> Result<Identity, AuthError> {
        let issuer = self.issuer(asked.issuer)?;
        let expected = Expected {
            issuer: asked.issuer,
            audience: asked.client_id,
            now: asked.now,
            skew_seconds: self.limits.skew_seconds(),
        };
        let claims = self
            .verify(&Arc::clone(&issuer), expected, token, asked.address)
            .await?;
        let text = |name: &str| claims.all.get(name).and_then(Value::as_str);
        if text("nonce") != Some(asked.nonce) {
            return Err(TokenFault::Claims.into());
        }
        if text("azp").is_some_and(|party| party != asked.client_id) {
            return Err(TokenFault::Audience.into());
        }
        Ok(Identity::of(&claims, asked.groups_claim.unwrap_or(GROUPS_CLAIM)))
    }

    /// The user that a verified identity is in a tenant: found, or made at first sight.
    ///
    /// # Errors
    /// When they have no address, it belongs to somebody else, or they were shut out.
    pub async fn user(&self, tenant: &TenantId, who: &Identity) -> Result<User, AuthError> {
        user_of(&self.store, tenant, who).await.map(|(user, _)| user)
    }
}
