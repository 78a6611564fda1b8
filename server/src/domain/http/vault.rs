//! Secrets in a vault: read when a call needs them, kept for a while, read again when the API refuses them.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;

use super::{credential, remote::RemoteError};
use crate::{
    catalogue::http::{Vault, VaultPath},
    outgoing::{Outgoing, Reach, read_capped},
};

/// For one look: far more than a vault beside us needs, and less than a caller waits.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const LARGEST_ANSWER: usize = 64 * 1024;
/// Secrets that are kept at once; of each tenant there may be one. With more, all are read anew.
const MOST_KEPT: usize = 10_000;
/// For how long a secret is still used after its time when the vault does not answer: an outage of the vault should not at
/// once be one of every API behind it.
const GRACE: Duration = Duration::from_secs(15 * 60);

struct Held {
    secret: SecretString,
    read_at: Instant,
    /// It was refused where it was used. It is kept all the same: words that repeat it must not show it.
    refused: bool,
}

/// A vault with what was read from it.
pub(super) struct OpenVault {
    vault: Arc<Vault>,
    outgoing: Outgoing,
    held: Mutex<HashMap<VaultPath, Held>>,
}

/// Why a look gave nothing.
enum NoSecret {
    /// The vault says that there is none, or not for us.
    Refused(String),
    /// The vault did not say anything.
    Silent(String),
}

impl OpenVault {
    pub(super) fn new(vault: &Arc<Vault>) -> Result<Self, RemoteError> {
        let outgoing = Outgoing::new(&Reach {
            allow_private: vault.allow_private,
            ca_file: vault.ca_file.clone(),
            timeout: TIMEOUT,
        })?;
        Ok(Self {
            vault: Arc::clone(vault),
            outgoing,
            held: Mutex::default(),
        })
    }

    /// The secret at a place.
    ///
    /// # Errors
    /// When there is none, or the vault has been silent for too long.
    pub(super) async fn secret(&self, place: &VaultPath) -> Result<SecretString, RemoteError> {
        // Held across the look: a hundred calls that find no secret look once.
        let mut held = self.held.lock().await;
        let known = held
            .get(place)
            .filter(|held| !held.refused)
            .map(|held| (held.secret.clone(), held.read_at.elapsed()));
        if let Some((secret, age)) = &known
            && *age < self.vault.cache
        {
            return Ok(secret.clone());
        }
        match self.look(place).await {
            Ok(secret) => {
                if held.len() >= MOST_KEPT {
                    held.clear();
                }
                let kept = Held {
                    secret: secret.clone(),
                    read_at: Instant::now(),
                    refused: false,
                };
                held.insert(place.clone(), kept);
                Ok(secret)
            }
            Err(NoSecret::Refused(why)) => {
                held.remove(place);
                Err(RemoteError::Secret(why))
            }
            Err(NoSecret::Silent(why)) => match known {
                Some((secret, age)) if age < self.vault.cache + GRACE => {
                    tracing::warn!(
                        error = why,
                        "the vault does not answer; a secret read before is used"
                    );
                    Ok(secret)
                }
                _ => Err(RemoteError::Secret(why)),
            },
        }
    }

    /// The secrets that are kept; none while one is being read.
    pub(super) fn known(&self) -> Vec<SecretString> {
        let held = self.held.try_lock();
        held.map_or_else(
            |_| Vec::new(),
            |held| held.values().map(|held| held.secret.clone()).collect(),
        )
    }

    /// The secret was refused where it was used: it is read anew for the next call.
    pub(super) async fn forget(&self, place: &VaultPath) {
        if let Some(held) = self.held.lock().await.get_mut(place) {
            held.refused = true;
        }
    }

    async fn look(&self, place: &VaultPath) -> Result<SecretString, NoSecret> {
        let source = self.vault.token.clone();
        let token = tokio::task::spawn_blocking(move || credential::read(&source)).await;
        let token = match token {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => return Err(NoSecret::Silent(error.to_string())),
            Err(_) => return Err(NoSecret::Silent("the vault's token cannot be read".to_owned())),
        };
        let mut url = self.vault.base.clone();
        let before = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{before}/v1/{}/data/{}", place.mount, place.path));
        let silent = |error: &dyn std::fmt::Display| NoSecret::Silent(format!("the vault: {error}"));
        let mut request = self
            .outgoing
            .request(Method::GET, url)
            .map_err(|e| silent(&e))?
            .header("x-vault-token", token.expose_secret())
            .header("x-vault-request", "true")
            .header(header::ACCEPT, "application/json");
        if let Some(namespace) = &self.vault.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        let response = request.send().await.map_err(|e| silent(&e.without_url()))?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND || status == StatusCode::FORBIDDEN {
            let why = format!("the vault answers {status} for {}/{}", place.mount, place.path);
            return Err(NoSecret::Refused(why));
        }
        if !status.is_success() {
            return Err(silent(&format!("it answers {status}")));
        }
        let body = read_capped(response, LARGEST_ANSWER)
            .await
            .map_err(|e| silent(&e))?;
        let answer: Value = serde_json::from_slice(&body).map_err(|e| silent(&e))?;
        let field = answer
            .pointer("/data/data")
            .and_then(|data| data.get(&place.field));
        match field.and_then(Value::as_str).filter(|text| !text.is_empty()) {
            Some(secret) => Ok(SecretString::from(secret)),
            None => Err(NoSecret::Refused(format!(
                "the secret {}/{} has no text in its field `{}`",
                place.mount, place.path, place.field
            ))),
        }
    }
}
