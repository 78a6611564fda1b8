//! How a receiver tells that a request is from this server (catalogue.md §3.5).

use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

use crate::vocabulary::{Timestamp, hexadecimal};

/// The header that carries a signature.
pub const SIGNATURE_HEADER: &str = "X-Footbridge-Signature";

/// What requests to one receiver are signed with.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// A key from a secret that the receiver knows too.
    pub fn new(secret: &SecretString) -> Self {
        Self(hmac::Key::new(
            hmac::HMAC_SHA256,
            secret.expose_secret().as_bytes(),
        ))
    }

    /// The signature of a body at a moment: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`.
    pub fn sign(&self, now: Timestamp, body: &str) -> String {
        let seconds = now.as_millis() / 1000;
        let signed = hmac::sign(&self.0, format!("{seconds}.{body}").as_bytes());
        format!("t={seconds},v1={}", hexadecimal(signed.as_ref()))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_over_the_moment_and_the_body() {
        let said = SigningKey::new(&"a secret of this test".into()).sign(Timestamp(1_700_000_000_999), "{}");
        let (moment, mac) = said.split_once(",v1=").unwrap();
        assert_eq!(moment, "t=1700000000");
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a secret of this test");
        let expected = hmac::sign(&key, b"1700000000.{}");
        assert_eq!(mac, hexadecimal(expected.as_ref()));
    }
}
