//! Sign-in of people in a browser: ID tokens, checked as access tokens are, for whoever runs the code flow.

use std::{net::IpAddr, sync::Arc, time::Instant};

use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};
use tracing::warn;

use super::{
    ProviderFault,
    fetch::FetchFault,
    guard::OAuth,
    people::{Identity, user_of},
    resource::GROUPS_CLAIM,
    secret::read_secret,
    token::{Claims, Expected, TokenFault},
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

/// What an ID token must fit.
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
    id_token: String,
    /// For the provider's own place for claims alone; dropped after that.
    access_token: Option<String>,
}

impl OAuth {
    /// Redeems a code, and checks who the provider says it belongs to.
    ///
    /// # Errors
    /// When the provider cannot be reached, does not know the code, or its answer is not believed.
    pub async fn identify(
        &self,
        code: CodeRequest<'_>,
        asked: IdTokenRequest<'_>,
    ) -> Result<Identity, AuthError> {
        let redeemed = self.redeem_code(code).await?;
        let mut claims = self.verify_id_token(&redeemed.id_token, asked).await?;
        let groups = asked.groups_claim.unwrap_or(GROUPS_CLAIM);
        if let Some(token) = redeemed.access_token {
            let token = SecretString::from(token);
            self.complete(&mut claims, asked.issuer, groups, &token).await?;
        }
        Ok(Identity::of(&claims, groups))
    }

    async fn redeem_code(&self, asked: CodeRequest<'_>) -> Result<TokenResponse, AuthError> {
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
        let answer = match issuer.post_form(&endpoints.token, &form, client).await {
            // RFC 6749 §5.2: used, expired, another client's, or of another verifier.
            Err(FetchFault::Status(StatusCode::BAD_REQUEST)) => return Err(TokenFault::Code.into()),
            answer => answer.map_err(|fault| away(fault.to_string()))?,
        };
        serde_json::from_slice(&answer).map_err(|_| away("its answer has no ID token".to_owned()))
    }

    /// Asks the provider's place for claims for what the ID token does not say: many keep address and groups there alone
    /// (OpenID Connect Core §5.4). It is an addition: when it fails, what the token says is all that is known.
    async fn complete(
        &self,
        claims: &mut Claims,
        issuer: &str,
        groups_claim: &str,
        token: &SecretString,
    ) -> Result<(), AuthError> {
        let wanted = ["email", "name", groups_claim];
        let metadata = self.provider_metadata(issuer).await?;
        let place = metadata.get("userinfo_endpoint").and_then(Value::as_str);
        let Some(place) = place.filter(|_| !wanted.iter().all(|name| claims.all.contains_key(*name))) else {
            return Ok(());
        };
        let answer = self.issuer(issuer)?.get_with(place, token).await;
        let answer = answer.map_err(|fault| fault.to_string());
        let said = answer.and_then(|answer| {
            serde_json::from_slice::<Map<String, Value>>(&answer).map_err(|_| "no JSON object".to_owned())
        });
        match said {
            // OpenID Connect Core §5.3.2: of another subject, it must not be used.
            Ok(said) if said.get("sub").and_then(Value::as_str) == Some(&claims.subject) => {
                // Whether an address was checked is said where the address is.
                if !claims.all.contains_key("email") {
                    claims.all.remove("email_verified");
                    claims.adopt(&said, "email_verified");
                }
                for name in wanted {
                    claims.adopt(&said, name);
                }
            }
            Ok(_) => warn!(issuer, "the provider's claims are another person's"),
            Err(fault) => warn!(issuer, "no claims from the provider: {fault}"),
        }
        Ok(())
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
    async fn verify_id_token(&self, token: &str, asked: IdTokenRequest<'_>) -> Result<Claims, AuthError> {
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
        Ok(claims)
    }

    /// The user that a verified identity is in a tenant: found, or made at first sight.
    ///
    /// # Errors
    /// When they have no address, it belongs to somebody else, or they were shut out.
    pub async fn user(&self, tenant: &TenantId, who: &Identity) -> Result<User, AuthError> {
        user_of(&self.store, tenant, who).await.map(|(user, _)| user)
    }
}
