//! `requestState`: what a multi-round call carries between its rounds, sealed so that only this server can
//! have written it (protocol.md S-84).
//!
//! The seal binds principal, tenant, tool and arguments; a state that was changed, borrowed, outdated or made
//! for another call opens with one and the same error.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::vocabulary::{Timestamp, hexadecimal, sha256};

/// How long a state may be redeemed (protocol.md S-84: at most 15 minutes).
const LIFETIME_MS: i64 = 10 * 60 * 1000;
/// Longest state that is looked at (protocol.md L-02).
const LONGEST: usize = 4096;
const VERSION: &str = "v1.";
const NONCE_BYTES: usize = 24;

/// The key that seals states.
pub struct SealKey(SecretBox<[u8; 32]>);

/// The state does not open. One text for every reason: the caller may know no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("requestState is not valid for this call; start again without it")]
pub struct StateError;

#[derive(Serialize, Deserialize)]
struct Sealed {
    expires_ms: i64,
    round: u32,
    state: Value,
}

impl SealKey {
    /// A key from 32 secret bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    /// Seals `state` for one call: `binding` names tenant, principal, tool and arguments.
    ///
    /// # Errors
    /// When the machine gives no random bytes, or the state is larger than callers may send back.
    pub fn seal(
        &self,
        binding: &str,
        round: u32,
        state: Value,
        now: Timestamp,
    ) -> Result<String, StateError> {
        let sealed = Sealed {
            expires_ms: now.plus_millis(LIFETIME_MS).as_millis(),
            round,
            state,
        };
        let plain = serde_json::to_vec(&sealed).map_err(|_| StateError)?;
        let bytes = self.encrypt(binding, &plain)?;
        let text = format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(bytes));
        if text.len() > LONGEST {
            Err(StateError)
        } else {
            Ok(text)
        }
    }

    /// Opens a state that a caller sent back; hands out the round it belongs to and what was sealed.
    ///
    /// # Errors
    /// When it was not sealed by this key for this call, or is past its time.
    pub fn open(&self, binding: &str, text: &str, now: Timestamp) -> Result<(u32, Value), StateError> {
        let encoded = text
            .strip_prefix(VERSION)
            .filter(|t| t.len() <= LONGEST)
            .ok_or(StateError)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| StateError)?;
        let plain = self.decrypt(binding, &bytes)?;
        let sealed: Sealed = serde_json::from_slice(&plain).map_err(|_| StateError)?;
        if now.as_millis() > sealed.expires_ms {
            return Err(StateError);
        }
        Ok((sealed.round, sealed.state))
    }

    /// Seals what the store keeps for us, however long: `binding` says which row it belongs to.
    ///
    /// # Errors
    /// When the value has no JSON form or the machine gives no random bytes.
    pub fn seal_row(&self, binding: &str, value: &impl Serialize) -> Result<Vec<u8>, StateError> {
        let plain = serde_json::to_vec(value).map_err(|_| StateError)?;
        self.encrypt(binding, &plain)
    }

    /// Opens what [`SealKey::seal_row`] sealed for the same row.
    ///
    /// # Errors
    /// When it was sealed by another key or for another row.
    pub fn open_row<T: DeserializeOwned>(&self, binding: &str, bytes: &[u8]) -> Result<T, StateError> {
        let plain = self.decrypt(binding, bytes)?;
        serde_json::from_slice(&plain).map_err(|_| StateError)
    }

    /// Seals what a client brings back in every request: text in visible ASCII.
    ///
    /// # Errors
    /// When the value has no JSON form or the machine gives no random bytes.
    pub fn seal_text(&self, binding: &str, value: &impl Serialize) -> Result<String, StateError> {
        let bytes = self.seal_row(binding, value)?;
        Ok(format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Opens what [`SealKey::seal_text`] sealed for the same binding.
    ///
    /// # Errors
    /// When it was not sealed by this key for this binding.
    pub fn open_text<T: DeserializeOwned>(&self, binding: &str, text: &str) -> Result<T, StateError> {
        let encoded = text
            .strip_prefix(VERSION)
            .filter(|t| t.len() <= LONGEST)
            .ok_or(StateError)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| StateError)?;
        self.open_row(binding, &bytes)
    }

    /// A secret for one purpose, the same on every replica, as 64 hexadecimal digits. Whoever knows it learns neither this
    /// key nor the secret of another purpose.
    pub fn derived(&self, purpose: &str) -> SecretString {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.0.expose_secret());
        let secret = ring::hmac::sign(&key, purpose.as_bytes());
        hexadecimal(secret.as_ref()).into()
    }

    fn encrypt(&self, binding: &str, plain: &[u8]) -> Result<Vec<u8>, StateError> {
        let mut nonce = [0_u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| StateError)?;
        let payload = Payload {
            msg: plain,
            aad: &sha256(binding),
        };
        let mut bytes = nonce.to_vec();
        bytes.extend(
            self.cipher()
                .encrypt(&XNonce::from(nonce), payload)
                .map_err(|_| StateError)?,
        );
        Ok(bytes)
    }

    fn decrypt(&self, binding: &str, bytes: &[u8]) -> Result<Vec<u8>, StateError> {
        let (nonce, cipher_text) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(StateError)?;
        let payload = Payload {
            msg: cipher_text,
            aad: &sha256(binding),
        };
        self.cipher()
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| StateError)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0.expose_secret()))
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_000);

    #[test]
    fn a_state_opens_for_its_own_call_only() {
        let key = SealKey::new([7; 32]);
        let text = key.seal("call", 2, json!({"step": 1}), NOW).unwrap();
        assert_eq!(key.open("call", &text, NOW), Ok((2, json!({"step": 1}))));
        assert_eq!(key.open("other call", &text, NOW), Err(StateError));
        assert_eq!(SealKey::new([8; 32]).open("call", &text, NOW), Err(StateError));
        assert_eq!(
            key.open("call", &text, NOW.plus_millis(LIFETIME_MS + 1)),
            Err(StateError)
        );
    }

    #[test]
    fn no_changed_character_goes_unnoticed() {
        let key = SealKey::new([7; 32]);
        let text = key.seal("call", 1, json!("x"), NOW).unwrap();
        for position in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            if changed != text {
                // The last digit of unpadded base64 carries spare bits; a decoder that ignored them would differ here.
                assert_eq!(
                    key.open("call", &changed, NOW),
                    Err(StateError),
                    "position {position}"
                );
            }
        }
        assert_eq!(key.open("call", "", NOW), Err(StateError));
        assert_eq!(key.open("call", &"v1.".repeat(5000), NOW), Err(StateError));
    }

    #[test]
    fn a_row_opens_for_itself_only() {
        let key = SealKey::new([7; 32]);
        let sealed = key.seal_row("acme 1", &json!({"a": "x".repeat(9000)})).unwrap();
        assert_eq!(
            key.open_row::<Value>("acme 1", &sealed).unwrap()["a"],
            "x".repeat(9000)
        );
        assert_eq!(key.open_row::<Value>("acme 2", &sealed), Err(StateError));
        assert_eq!(key.open_row::<Value>("acme 1", &[0; 10]), Err(StateError));
    }

    #[test]
    fn a_text_opens_for_what_it_is_bound_to() {
        let key = SealKey::new([7; 32]);
        let text = key.seal_text("ada", &json!({"a": 1})).unwrap();
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(key.open_text::<Value>("ada", &text), Ok(json!({"a": 1})));
        assert_eq!(key.open_text::<Value>("bob", &text), Err(StateError));
        assert_eq!(
            key.open_text::<Value>("ada", text.strip_prefix("v1.").unwrap()),
            Err(StateError)
        );
    }

    #[test]
    fn a_state_too_large_to_come_back_is_not_made() {
        assert_eq!(
            SealKey::new([7; 32]).seal("c", 1, json!("x".repeat(4000)), NOW),
            Err(StateError)
        );
    }
}
