//! Texts nobody can guess, and what proves that one knows them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};

/// `bytes` random bytes as text fit for addresses and file names.
pub(super) fn text(bytes: usize) -> Result<String, &'static str> {
    let mut random = vec![0; bytes];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| "the system gave no random numbers")?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
pub(super) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c04_the_challenge_is_that_of_the_specification() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn random_texts_differ() {
        let (a, b) = (text(32).unwrap(), text(32).unwrap());
        assert!(a != b && a.len() == 43);
    }
}
