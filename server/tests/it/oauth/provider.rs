//! An identity provider that does as it is told: the documents of a real one, keys of every kind, tokens of every sort.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaKeyPair,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// One request, its body included.
async fn request(stream: &mut TcpStream) -> String {
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut chunk).await.unwrap_or(0);
        all.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&all).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let declared = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse().unwrap_or(0))
            });
            body.len() >= declared.unwrap_or(0)
        });
        if whole || length == 0 {
            return text;
        }
    }
}

/// A key that signs.
pub(crate) enum Signer {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    /// RSA keys take long to make, so there is one.
    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(include_bytes!("rsa.der")).unwrap())
    }

    pub(crate) fn ec() -> Self {
        let random = SystemRandom::new();
        let text = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, text.as_ref(), &random);
        Self::Ec(pair.unwrap())
    }

    pub(crate) fn ed() -> Self {
        let text = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(text.as_ref()).unwrap())
    }

    /// The public half, as a key set has it.
    pub(crate) fn public(&self, id: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match self {
            Self::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "n": text(&n), "e": text(&e) })
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) })
            }
            Self::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
        };
        key["kid"] = json!(id);
        key
    }

    /// The modulus in the form of a PEM's innards: what an attacker takes for a shared secret.
    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => pair.public().as_ref().to_vec(),
            Self::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Self::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut out = vec![0; pair.public().modulus_len()];
                let padding: &dyn ring::signature::RsaEncoding = match algorithm {
                    "PS256" => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(padding, &random, message, &mut out).unwrap();
                out
            }
            Self::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with this header and these claims.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// The same from texts, which may say something twice.
    pub(crate) fn token_of(&self, header: &str, claims: &str) -> String {
        let algorithm = serde_json::from_str::<Value>(header).unwrap_or_default()["alg"].clone();
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = self.sign(algorithm.as_str().unwrap_or_default(), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The provider.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) keys: Arc<Mutex<Vec<Value>>>,
    pub(crate) fetches: Arc<AtomicU32>,
    /// What it gives for any code, once.
    pub(crate) id_token: Arc<Mutex<Option<String>>>,
    /// The forms that codes came with.
    pub(crate) redeemed: Arc<Mutex<Vec<String>>>,
    /// What it says of a person to whoever holds the access token.
    pub(crate) user_info: Arc<Mutex<Value>>,
}

impl Provider {
    /// A provider with these keys, on a port of its own.
    pub(crate) async fn start(keys: Vec<Value>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self {
            issuer: issuer.clone(),
            keys: Arc::new(Mutex::new(keys)),
            fetches: Arc::default(),
            id_token: Arc::default(),
            redeemed: Arc::default(),
            user_info: Arc::default(),
        };
        let it = Self {
            issuer,
            keys: Arc::clone(&provider.keys),
            fetches: Arc::clone(&provider.fetches),
            id_token: Arc::clone(&provider.id_token),
            redeemed: Arc::clone(&provider.redeemed),
            user_info: Arc::clone(&provider.user_info),
        };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (status, body) = it.answer(&request(&mut stream).await);
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        provider
    }

    fn answer(&self, request: &str) -> (&'static str, Value) {
        let issuer = &self.issuer;
        let of = |form: &str, field: &str| {
            let mut pairs = form_urlencoded::parse(form.as_bytes());
            pairs
                .find(|(name, _)| name == field)
                .map(|(_, value)| value.into_owned())
        };
        let body = if request.starts_with("GET /keys ") {
            self.fetches.fetch_add(1, Ordering::SeqCst);
            json!({ "keys": *self.keys.lock() })
        } else if request.starts_with("GET /.well-known/openid-configuration ") {
            json!({
                "issuer": issuer,
                "jwks_uri": format!("{issuer}/keys"),
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "userinfo_endpoint": format!("{issuer}/me"),
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
            })
        } else if request.starts_with("POST /token ") {
            let form = request.split_once("\r\n\r\n").map_or("", |(_, form)| form);
            let mut redeemed = self.redeemed.lock();
            if redeemed.iter().any(|known| of(known, "code") == of(form, "code")) {
                return ("400 Bad Request", json!({ "error": "invalid_grant" }));
            }
            redeemed.push(form.to_owned());
            json!({ "token_type": "Bearer", "access_token": "a-t0ken", "id_token": *self.id_token.lock() })
        } else if request.starts_with("GET /me ") && request.contains("authorization: Bearer a-t0ken\r\n") {
            self.user_info.lock().clone()
        } else {
            json!({})
        };
        ("200 OK", body)
    }
}
