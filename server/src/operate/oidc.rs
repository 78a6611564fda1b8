//! Signing in to the console at an identity provider: OpenID Connect, the code flow with PKCE, one provider for the server.
//!
//! What belongs to one sign-in (nonce, verifier, where to go on) travels sealed in `state`, bound to the visit's cookie: any
//! replica can finish what another began, and an answer brought to another browser opens nothing.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::info;
use url::Url;

use super::{OperateError, Standing, note};
use crate::{
    access::{
        AuthError,
        oauth::{CodeRequest, IdTokenRequest, check_issuer, check_reference},
    },
    config::SignInSettings,
    pipeline::House,
    store::User,
    vocabulary::TenantId,
};

/// The provider that people may sign in at.
#[derive(Clone, Debug)]
pub struct SignInProvider {
    issuer: String,
    client_id: String,
    client_secret: Option<String>,
    groups_claim: Option<String>,
    tenant: TenantId,
    title: String,
}

/// What a browser brings back from the provider.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Returned {
    code: String,
    state: String,
    iss: Option<String>,
    error: String,
}

/// Whose browser it is, and where it comes back to.
#[derive(Clone, Copy, Debug)]
pub struct Browser<'a> {
    /// What tells this visit from every other.
    pub visit: &'a str,
    /// Our own address that the provider sends it back to.
    pub callback: &'a str,
    /// The peer.
    pub address: IpAddr,
}

#[derive(Serialize, Deserialize)]
struct Begun {
    nonce: String,
    verifier: String,
    next: String,
}

impl SignInProvider {
    /// The provider of a configuration; `None` where it names none.
    ///
    /// # Errors
    /// What of the settings cannot be.
    pub fn of(settings: &SignInSettings) -> Result<Option<Self>, OperateError> {
        let (issuer, client_id) = match (&settings.issuer, &settings.client_id) {
            (None, None) => return Ok(None),
            (Some(issuer), Some(client_id)) if !client_id.is_empty() => (issuer.clone(), client_id.clone()),
            _ => {
                return Err(OperateError::Rule(
                    "signing in at a provider needs both: set issuer and client_id under [sign_in]"
                        .to_owned(),
                ));
            }
        };
        check_issuer(&issuer).map_err(|e| OperateError::Rule(format!("sign_in.issuer: {e}")))?;
        if let Some(secret) = &settings.client_secret {
            check_reference(secret).map_err(|e| OperateError::Rule(format!("sign_in.client_secret: {e}")))?;
        }
        Ok(Some(Self {
            issuer,
            client_id,
            client_secret: settings.client_secret.clone(),
            groups_claim: settings.groups_claim.clone(),
            tenant: TenantId::new(&settings.tenant)?,
            title: settings.title.clone(),
        }))
    }

    /// What people call it.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where the browser goes to sign in; afterwards it is to go on to `next`.
    ///
    /// # Errors
    /// When the provider cannot be reached or the machine gives no random bytes.
    pub async fn begin(
        &self,
        house: &House,
        browser: Browser<'_>,
        next: &str,
    ) -> Result<String, OperateError> {
        let endpoints = house.oauth().provider_endpoints(&self.issuer).await;
        let endpoints = endpoints.map_err(|error| refused(&error))?;
        let begun = Begun {
            nonce: random()?,
            verifier: random()?,
            next: next.to_owned(),
        };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(begun.verifier.as_bytes()));
        let state = house
            .seal_key()
            .seal(&binding(browser), 0, json!(begun), house.clock().now())
            .map_err(|_| {
                OperateError::Invalid("the address to go on to is too long; begin again".to_owned())
            })?;
        let mut url: Url = endpoints
            .authorization
            .parse()
            .map_err(|_| OperateError::Provider("its sign-in has no address".to_owned()))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", browser.callback)
            .append_pair("scope", "openid email profile")
            .append_pair("state", &state)
            .append_pair("nonce", &begun.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Finds out who came back, and where they wanted to go.
    ///
    /// # Errors
    /// When this browser began no such sign-in, the provider says no, or its answer is not believed.
    pub async fn finish(
        &self,
        house: &House,
        browser: Browser<'_>,
        returned: Returned,
    ) -> Result<(TenantId, User, String), OperateError> {
        let now = house.clock().now();
        let opened = house.seal_key().open(&binding(browser), &returned.state, now);
        let begun = opened
            .ok()
            .and_then(|(_, state)| serde_json::from_value(state).ok());
        let Some(begun): Option<Begun> = begun else {
            return Err(OperateError::Invalid(
                "this sign-in was begun in another browser, or more than ten minutes ago; begin again"
                    .to_owned(),
            ));
        };
        let metadata = house.oauth().provider_metadata(&self.issuer).await;
        let metadata = metadata.map_err(|error| refused(&error))?;
        let promised =
            metadata.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true));
        // The answer of another provider, mixed up with ours (RFC 9207).
        if returned.iss.as_ref().map_or(promised, |iss| *iss != self.issuer) {
            return Err(not_believed("it does not name its issuer"));
        }
        if !returned.error.is_empty() {
            let word = returned.error.chars().take(60);
            let word: String = word.filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            return Err(OperateError::Forbidden(format!(
                "the identity provider did not sign you in ({word}); try again or ask whoever runs it"
            )));
        }
        let request = CodeRequest {
            issuer: &self.issuer,
            client_id: &self.client_id,
            client_secret: self.client_secret.as_deref(),
            code: &returned.code,
            redirect_uri: browser.callback,
            verifier: &begun.verifier,
        };
        let asked = IdTokenRequest {
            issuer: &self.issuer,
            client_id: &self.client_id,
            nonce: &begun.nonce,
            groups_claim: self.groups_claim.as_deref(),
            address: browser.address,
            now,
        };
        let identity = house.oauth().identify(request, asked).await;
        let identity = identity.map_err(|error| refused(&error))?;
        let user = house.oauth().user(&self.tenant, &identity).await;
        let user = user.map_err(|error| refused(&error))?;
        let (by, issuer) = (Standing::Person(Box::new(user.clone())), self.issuer.clone());
        house
            .store()
            .write(&self.tenant, move |tx| {
                async move {
                    let id = by.user().map(|user| user.id.to_string()).unwrap_or_default();
                    note(
                        tx,
                        &by,
                        "user.sign_in",
                        &id,
                        None,
                        Some(json!({ "through": issuer })),
                    );
                    Ok::<_, OperateError>(())
                }
                .boxed()
            })
            .await?;
        Ok((self.tenant.clone(), user, begun.next))
    }
}

fn binding(browser: Browser<'_>) -> String {
    format!("console sign-in\n{}\n{}", browser.visit, browser.callback)
}

fn random() -> Result<String, OperateError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn not_believed(why: &str) -> OperateError {
    info!("refused a sign-in at the identity provider: {why}");
    OperateError::Forbidden(
        "the identity provider's answer is not valid here; begin again, or ask whoever runs this server"
            .to_owned(),
    )
}

fn refused(error: &AuthError) -> OperateError {
    match error {
        AuthError::EmailTaken(email) => OperateError::Forbidden(format!(
            "an account with the address {email} exists here and is not linked to this sign-in; ask whoever runs this \
             server for `footbridge-server user link`"
        )),
        AuthError::Suspended | AuthError::NoEmail => OperateError::Forbidden(error.to_string()),
        AuthError::Provider(_) | AuthError::Busy => OperateError::Provider(error.to_string()),
        AuthError::Unavailable(error) => OperateError::Store(error.clone()),
        AuthError::Token(fault) => not_believed(&fault.to_string()),
        other => not_believed(&other.to_string()),
    }
}
