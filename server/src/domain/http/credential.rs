//! The credential that a call to an API carries. Secrets are read from where their reference points, kept apart from
//! everything that is printed, and never come from a caller.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::{DomainError, UpstreamFault, remote::RemoteError, vault::OpenVault};
use crate::{
    catalogue::http::{Auth, SecretSource, Upstream, VaultPath},
    outgoing::{Outgoing, read_capped},
    vocabulary::TenantId,
};

/// The largest answer of a token endpoint.
const LARGEST_TOKEN_ANSWER: usize = 64 * 1024;
/// A token is renewed this long before it ends, so that none ends on the way.
const RENEW_EARLY: Duration = Duration::from_secs(30);
/// How long a token counts as good when its issuer does not say.
const UNSAID_LIFETIME: Duration = Duration::from_secs(300);

/// How calls to one API are authorised, with the secrets read.
pub(super) enum Credential {
    None,
    Fixed {
        name: HeaderName,
        value: SecretString,
    },
    /// A secret in a vault, with what makes a header of it.
    InVault {
        name: HeaderName,
        shape: Shape,
        place: VaultPath,
        vault: Arc<OpenVault>,
    },
    Granted(Grant),
    PerTenant {
        name: HeaderName,
        prefix: String,
        reference: String,
        vault: Option<Arc<OpenVault>>,
    },
}

/// What makes a header's value of a secret.
pub(super) enum Shape {
    /// Something before it.
    Behind(String),
    /// A user's name beside it, as HTTP basic authentication writes the two.
    Basic(String),
}

impl Shape {
    fn of(&self, secret: &SecretString) -> SecretString {
        match self {
            Self::Behind(prefix) => SecretString::from(format!("{prefix}{}", secret.expose_secret())),
            Self::Basic(user) => {
                let pair = format!("{user}:{}", secret.expose_secret());
                SecretString::from(format!("Basic {}", STANDARD.encode(pair)))
            }
        }
    }
}

/// Where the secret of a client is.
enum ClientSecret {
    Read(SecretString),
    InVault(VaultPath, Arc<OpenVault>),
}

/// Tokens of the client credentials grant, one at a time for all calls.
pub(super) struct Grant {
    token_url: Url,
    client_id: String,
    secret: ClientSecret,
    scopes: Vec<String>,
    held: Mutex<Option<Held>>,
}

struct Held {
    token: SecretString,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

/// Reads a secret from where its reference points.
pub(super) fn read(source: &SecretSource) -> Result<SecretString, RemoteError> {
    let text = match source {
        SecretSource::Environment(name) => std::env::var(name)
            .map_err(|_| RemoteError::Secret(format!("the environment variable {name} is not set")))?,
        SecretSource::File(path) => std::fs::read_to_string(path)
            .map_err(|e| RemoteError::Secret(format!("{}: {e}", path.display())))?,
        // Whoever has a vault asks it; this is read on the spot.
        SecretSource::Vault(_) => return Err(RemoteError::Secret("it is in a vault".to_owned())),
    };
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(RemoteError::Secret(match source {
            SecretSource::Environment(name) => format!("the environment variable {name} is empty"),
            SecretSource::File(path) => format!("{} is empty", path.display()),
            SecretSource::Vault(_) => "it is empty".to_owned(),
        }));
    }
    Ok(SecretString::from(line))
}

impl Credential {
    /// Reads the secrets of an API, those in a vault later.
    pub(super) fn open(upstream: &Upstream) -> Result<Self, RemoteError> {
        let vault = upstream
            .vault
            .as_ref()
            .map(|vault| OpenVault::new(vault).map(Arc::new));
        let vault = vault.transpose()?;
        let header = |name: &HeaderName, shape: Shape, secret: &SecretSource| match (secret, &vault) {
            (SecretSource::Vault(place), Some(vault)) => Ok(Self::InVault {
                name: name.clone(),
                shape,
                place: place.clone(),
                vault: Arc::clone(vault),
            }),
            (secret, _) => Ok::<_, RemoteError>(Self::Fixed {
                name: name.clone(),
                value: shape.of(&read(secret)?),
            }),
        };
        Ok(match &upstream.auth {
            Auth::None => Self::None,
            Auth::Header { name, prefix, secret } => header(name, Shape::Behind(prefix.clone()), secret)?,
            Auth::Basic { user, secret } => {
                header(&header::AUTHORIZATION, Shape::Basic(user.clone()), secret)?
            }
            Auth::ClientCredentials {
                token_url,
                client_id,
                secret,
                scopes,
            } => Self::Granted(Grant {
                token_url: token_url.clone(),
                client_id: client_id.clone(),
                secret: match (secret, &vault) {
                    (SecretSource::Vault(place), Some(vault)) => {
                        ClientSecret::InVault(place.clone(), Arc::clone(vault))
                    }
                    (secret, _) => ClientSecret::Read(read(secret)?),
                },
                scopes: scopes.clone(),
                held: Mutex::new(None),
            }),
            Auth::PerTenant {
                name,
                prefix,
                reference,
            } => Self::PerTenant {
                name: name.clone(),
                prefix: prefix.clone(),
                reference: reference.clone(),
                vault,
            },
        })
    }

    /// The header for one call.
    ///
    /// # Errors
    /// When the tenant has no secret, or no token is to be had.
    pub(super) async fn header(
        &self,
        tenant: &TenantId,
        outgoing: &Outgoing,
    ) -> Result<Option<(HeaderName, HeaderValue)>, DomainError> {
        let (name, value) = match self {
            Self::None => return Ok(None),
            Self::Fixed { name, value } => (name.clone(), value.clone()),
            Self::Granted(grant) => {
                let token = grant.token(outgoing).await?;
                (
                    header::AUTHORIZATION,
                    SecretString::from(format!("Bearer {}", token.expose_secret())),
                )
            }
            Self::InVault {
                name,
                shape,
                place,
                vault,
            } => {
                let secret = vault.secret(place).await.map_err(|error| {
                    tracing::warn!(%error, "failed to read the secret of an API");
                    DomainError::from(UpstreamFault::unreachable("upstream's credential cannot be read"))
                })?;
                (name.clone(), shape.of(&secret))
            }
            Self::PerTenant {
                name,
                prefix,
                reference,
                vault,
            } => {
                let secret = secret_of(reference, tenant, vault.as_deref()).await.map_err(|error| {
                    tracing::warn!(tenant.id = %tenant, %error, "failed to read a tenant's secret for an API");
                    DomainError::Rule(
                        "this workspace is not connected to the API behind the tool; its administrator has to store the API's key"
                            .to_owned(),
                    )
                })?;
                (
                    name.clone(),
                    SecretString::from(format!("{prefix}{}", secret.expose_secret())),
                )
            }
        };
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
            DomainError::internal(RemoteError::Secret("it is not a header's value".to_owned()))
        })?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }

    /// The API refused the credential: what was granted, or read from a vault, is asked for anew next time.
    pub(super) async fn refused(&self, tenant: &TenantId) {
        match self {
            Self::Granted(grant) => *grant.held.lock().await = None,
            Self::InVault { place, vault, .. } => vault.forget(place).await,
            Self::PerTenant {
                reference,
                vault: Some(vault),
                ..
            } => {
                if let Ok(SecretSource::Vault(place)) = of_tenant(reference, tenant) {
                    vault.forget(&place).await;
                }
            }
            Self::None | Self::Fixed { .. } | Self::PerTenant { .. } => {}
        }
    }

    /// Replaces the secret in words that an API sent back.
    pub(super) fn redact(&self, text: String) -> String {
        match self {
            Self::Fixed { value, .. } => without(text, value),
            Self::InVault { vault, .. }
            | Self::PerTenant {
                vault: Some(vault), ..
            } => vault.known().iter().fold(text, without),
            Self::None | Self::Granted(_) | Self::PerTenant { vault: None, .. } => text,
        }
    }
}

/// A text without a secret that stands in it.
fn without(text: String, secret: &SecretString) -> String {
    // What stands behind `Bearer ` or `Basic ` is the secret itself.
    let secret = secret.expose_secret().rsplit(' ').next().unwrap_or_default();
    if secret.len() < 4 {
        text
    } else {
        text.replace(secret, "[redacted]")
    }
}

/// The secret of a tenant.
async fn secret_of(
    reference: &str,
    tenant: &TenantId,
    vault: Option<&OpenVault>,
) -> Result<SecretString, RemoteError> {
    match (of_tenant(reference, tenant)?, vault) {
        (SecretSource::Vault(place), Some(vault)) => vault.secret(&place).await,
        (source, _) => tokio::task::spawn_blocking(move || read(&source))
            .await
            .map_err(|_| RemoteError::Secret("reading it broke off".to_owned()))?,
    }
}

/// The reference with the tenant's name in it: in capitals with underscores for a variable, as it is for a file.
fn of_tenant(reference: &str, tenant: &TenantId) -> Result<SecretSource, RemoteError> {
    // Invariant: a tenant id is a slug, so it names no other folder.
    let name = if reference.starts_with("env:") {
        tenant.as_str().to_ascii_uppercase().replace('-', "_")
    } else {
        tenant.as_str().to_owned()
    };
    SecretSource::parse(&reference.replace("{tenant}", &name)).map_err(RemoteError::Secret)
}

impl Grant {
    async fn token(&self, outgoing: &Outgoing) -> Result<SecretString, DomainError> {
        // Held across the request: a hundred calls that find no token ask for one token.
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| Instant::now() < held.until) {
            return Ok(held.token.clone());
        }
        let answer = self.ask(outgoing).await?;
        let lifetime = answer.expires_in.map_or(UNSAID_LIFETIME, Duration::from_secs);
        let token = SecretString::from(answer.access_token);
        *held = Some(Held {
            token: token.clone(),
            until: Instant::now() + lifetime.saturating_sub(RENEW_EARLY),
        });
        Ok(token)
    }

    fn form(&self) -> String {
        let scope = self.scopes.join(" ");
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !scope.is_empty() {
            form.append_pair("scope", &scope);
        }
        form.finish()
    }

    async fn ask(&self, outgoing: &Outgoing) -> Result<TokenAnswer, DomainError> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::warn!(%error, "failed to get a token for an API");
            DomainError::from(UpstreamFault::unreachable("upstream gave Footbridge no token"))
        };
        let secret = match &self.secret {
            ClientSecret::Read(secret) => secret.clone(),
            ClientSecret::InVault(place, vault) => vault.secret(place).await.map_err(|e| failed(&e))?,
        };
        let response = outgoing
            .request(Method::POST, self.token_url.clone())
            .map_err(|e| failed(&e))?
            .basic_auth(&self.client_id, Some(secret.expose_secret()))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(self.form())
            .send()
            .await
            .map_err(|e| failed(&e.without_url()))?;
        let status = response.status();
        if !status.is_success() {
            return Err(failed(&format!("the token endpoint answered {status}")));
        }
        let body = read_capped(response, LARGEST_TOKEN_ANSWER)
            .await
            .map_err(|e| failed(&e))?;
        serde_json::from_slice(&body).map_err(|e| failed(&e))
    }
}
