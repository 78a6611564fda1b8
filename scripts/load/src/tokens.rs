//! An identity provider that is two documents and two keys, and the tokens that are made in its name.

use crate::wire::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of the key that signs good tokens.
const GOOD: &str = "good";
/// The name of the key that forged tokens claim: RSA of the size that providers use. Nobody has its other half.
const FORGED: &str = "forged";
const MODULUS_BYTES: usize = 256;

/// The provider.
pub(crate) struct Provider {
    /// Its address.
    pub(crate) issuer: String,
    pair: Ed25519KeyPair,
}

impl Provider {
    /// Serves its documents until this process ends.
    pub(crate) fn start() -> Result<Self, Failure> {
        let text = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| "no key was made")?;
        let pair = Ed25519KeyPair::from_pkcs8(text.as_ref()).map_err(|e| format!("no key was made: {e}"))?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let mut modulus = [0xa5; MODULUS_BYTES];
        if let Some(last) = modulus.last_mut() {
            *last |= 1;
        }
        let keys = serde_json::json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": GOOD, "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()) },
            { "kty": "RSA", "kid": FORGED, "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB" },
        ] });
        let about = serde_json::json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") });
        let (keys, about) = (keys.to_string(), about.to_string());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever hangs up early is asked no more.
                let _ = answer(stream, &keys, &about);
            }
        });
        Ok(Self { issuer, pair })
    }

    fn claims(&self, resource: &str, id: &str) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        serde_json::json!({
            "iss": self.issuer, "aud": resource, "sub": "bench", "iat": now, "exp": now + 3600, "jti": id,
            "scope": "memory.read memory.write", "email": "bench@example.test", "name": "Bench",
        })
        .to_string()
    }

    fn message(&self, algorithm: &str, key: &str, resource: &str, id: &str) -> String {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{key}","typ":"at+jwt"}}"#);
        let claims = self.claims(resource, id);
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        )
    }

    /// A token that opens the resource.
    pub(crate) fn good_token(&self, resource: &str) -> String {
        let message = self.message("EdDSA", GOOD, resource, "good");
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// One of many tokens whose signature alone is wrong.
    pub(crate) fn forged_token(&self, resource: &str, number: u64) -> String {
        let message = self.message("RS256", FORGED, resource, &number.to_string());
        let mut signature = [0x5a; MODULUS_BYTES];
        for (place, byte) in signature.iter_mut().rev().zip(number.to_le_bytes()) {
            *place = byte;
        }
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn answer(mut stream: TcpStream, keys: &str, about: &str) -> std::io::Result<()> {
    let mut first = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let body = if first.starts_with("GET /keys ") {
        keys
    } else {
        about
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
