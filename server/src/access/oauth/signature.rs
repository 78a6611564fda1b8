//! The cryptography that `jsonwebtoken` asks for: checks of public-key signatures by ring, and nothing else.
//!
//! The library's own choices are a second TLS-sized C library, and an RSA that is not constant in time. Shared secrets
//! (HS256) and signing are left out: a server that only reads tokens must not know either.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error as Mismatch, Verifier},
};
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};

/// What a token may be signed with. Everything else is refused unread: `none`, and whatever rests on a shared secret.
pub(super) const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory,
    verifier_factory,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes the library use ring, for the whole process.
pub(super) fn install() {
    // The second call finds the first one's work.
    let _ = PROVIDER.install_default();
}

fn signer_factory(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verifier_factory(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let kind = match *algorithm {
        Algorithm::RS256 => Kind::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Kind::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Kind::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Kind::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Kind::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Kind::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Kind::Raw(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Kind::Raw(&signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Kind::Raw(&signature::ED25519),
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    // A key of another family would be read as bytes of this one.
    if key.family() != family(*algorithm)? {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(Check {
        algorithm: *algorithm,
        kind,
        key: key.clone(),
    }))
}

fn family(algorithm: Algorithm) -> Result<AlgorithmFamily> {
    Ok(match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => AlgorithmFamily::Ec,
        Algorithm::EdDSA => AlgorithmFamily::Ed,
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512 => AlgorithmFamily::Rsa,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    })
}

enum Kind {
    Rsa(&'static RsaParameters),
    Raw(&'static dyn signature::VerificationAlgorithm),
}

struct Check {
    algorithm: Algorithm,
    kind: Kind,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> std::result::Result<(), Mismatch> {
        use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        let checked = match (&self.kind, self.key.kind()) {
            (Kind::Rsa(parameters), RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, given)
            }
            (Kind::Raw(algorithm), SecretOrDer(key)) => {
                UnparsedPublicKey::new(*algorithm, key).verify(message, given)
            }
            _ => Err(ring::error::Unspecified),
        };
        checked.map_err(|_| Mismatch::new())
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
