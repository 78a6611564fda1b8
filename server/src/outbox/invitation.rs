//! What the link of an invitation carries. The store keeps its hash alone.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// A fresh token, 256 random bits. It is shown or sent once.
pub struct InvitationToken(String);

impl InvitationToken {
    /// Makes one.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random)?;
        Ok(Self(format!("fbi_{}", URL_SAFE_NO_PAD.encode(random))))
    }

    /// What the store keeps of it.
    pub fn hash(&self) -> [u8; 32] {
        hash_of_token(&self.0)
    }

    /// The token itself.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for InvitationToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InvitationToken(…)")
    }
}

/// What the store keeps of a token, as somebody brings it.
pub fn hash_of_token(token: &str) -> [u8; 32] {
    Sha256::digest(token.trim().as_bytes()).into()
}
