//! The provider's public keys: a JSON Web Key Set comes in, keys that may check access tokens come out.
//!
//! Keys that cannot be used (shared secrets, encryption keys, unknown curves, weak RSA) are left out one by one: a
//! provider may publish a new kind beside those we know.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// Keys that are looked at (security.md §5).
const MOST_KEYS: usize = 100;
/// Keys that one token is checked against: those that share its `kid`, which no provider has two of.
const MOST_CANDIDATES: usize = 4;
/// Bytes of an RSA modulus: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The keys of one provider as of one moment.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<PublicKey>);

#[derive(Debug)]
struct PublicKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a key set's text; `None` when it is none, or holds more keys than anybody needs.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(text).ok()?;
        if document.keys.len() > MOST_KEYS {
            return None;
        }
        Some(Self(
            document.keys.into_iter().filter_map(PublicKey::read).collect(),
        ))
    }

    /// How many keys can be used.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that a token may be signed with. A token that names none gets one only where there is no choice.
    pub(super) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
        let fitting = self.0.iter().filter(|key| key.algorithms.contains(&algorithm));
        match id {
            Some(id) => fitting
                .filter(|key| key.id.as_deref() == Some(id))
                .take(MOST_CANDIDATES)
                .map(|key| key.key.clone())
                .collect(),
            None => {
                let all: Vec<_> = fitting.take(2).map(|key| key.key.clone()).collect();
                if all.len() == 1 { all } else { Vec::new() }
            }
        }
    }

    /// Whether any key has this name.
    pub(super) fn knows(&self, id: Option<&str>) -> bool {
        id.is_none() || self.0.iter().any(|key| key.id.as_deref() == id)
    }
}

impl PublicKey {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
                RSA_BYTES.contains(&modulus.len()).then(|| RSA.to_vec())?
            }
            AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(pair) => match pair.curve {
                EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
                _ => return None,
            },
            // A shared secret in a public document is none.
            _ => return None,
        };
        if let Some(named) = &jwk.common.key_algorithm {
            let only: Algorithm = (*named).try_into().ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        (!algorithms.is_empty()).then_some(Self {
            id: jwk.common.key_id,
            algorithms,
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(bytes: usize) -> Value {
        json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(vec![255; bytes]), "e": "AQAB" })
    }

    fn with(mut key: Value, members: &[(&str, &str)]) -> Value {
        for (name, value) in members {
            key[*name] = json!(value);
        }
        key
    }

    #[test]
    fn only_keys_that_can_check_a_token_are_kept() {
        let point = URL_SAFE_NO_PAD.encode([1; 32]);
        let ec = json!({ "kty": "EC", "crv": "P-256", "x": point, "y": point });
        let table = [
            (rsa(256), 1),
            (rsa(128), 0),
            (rsa(2048), 0),
            (ec.clone(), 1),
            (with(ec.clone(), &[("crv", "secp256k1")]), 0),
            (with(ec.clone(), &[("use", "enc")]), 0),
            (with(ec, &[("use", "sig"), ("alg", "ES256")]), 1),
            (json!({ "kty": "OKP", "crv": "Ed25519", "x": point }), 1),
            (json!({ "kty": "OKP", "crv": "Ed448", "x": point }), 0),
            (json!({ "kty": "oct", "k": point }), 0),
            (json!({ "kty": "new", "q": 1 }), 0),
            (with(rsa(256), &[("alg", "RSA-OAEP")]), 0),
            (with(rsa(256), &[("alg", "HS256")]), 0),
            (json!(7), 0),
        ];
        for (key, kept) in table {
            let text = json!({ "keys": [key] }).to_string();
            assert_eq!(KeySet::read(text.as_bytes()).unwrap().len(), kept, "{text}");
        }
        assert!(KeySet::read(b"<html>").is_none());
        assert!(KeySet::read(json!({ "keys": vec![rsa(256); 101] }).to_string().as_bytes()).is_none());
    }

    #[test]
    fn a_key_is_found_by_name_and_algorithm() {
        let keys = json!({ "keys": [
            with(rsa(256), &[("kid", "a"), ("alg", "RS256")]),
            with(rsa(256), &[("kid", "b")]),
        ] });
        let keys = KeySet::read(keys.to_string().as_bytes()).unwrap();
        let table = [
            (Some("a"), Algorithm::RS256, 1),
            (Some("a"), Algorithm::PS256, 0),
            (Some("a"), Algorithm::ES256, 0),
            (Some("b"), Algorithm::PS256, 1),
            (Some("../a"), Algorithm::RS256, 0),
            (Some(""), Algorithm::RS256, 0),
            // Without a name: only where there is no choice.
            (None, Algorithm::RS256, 0),
            (None, Algorithm::PS256, 1),
        ];
        for (id, algorithm, found) in table {
            assert_eq!(
                keys.candidates(id, algorithm).len(),
                found,
                "{id:?} {algorithm:?}"
            );
        }
        assert!(keys.knows(Some("a")) && keys.knows(None) && !keys.knows(Some("c")));
    }
}
