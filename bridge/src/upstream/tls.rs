//! TLS: a connection → the same, secure, or why not.
//!
//! Nothing here is built before the first handshake: a start over plain HTTP pays nothing for it (design.md D16). [`trust`]
//! says whom to believe, [`certificate`] finds the words when that fails. There is no way to switch verification off.
//!
//! [`trust`]: super::trust
//! [`certificate`]: super::certificate

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate;
use super::connect::ConnectError;
use super::endpoint::Endpoint;
use super::stream::Link;
use super::trust::Trust;
use crate::key;
use crate::options::{CLIENT_CERT_VARIABLE, CLIENT_KEY_VARIABLE};

/// What a connection may be used for (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/1.1 and nothing else.
    Http1,
    /// HTTP/2, or HTTP/1.1 if the server prefers that or this build knows nothing else.
    Http2,
}

/// The certificate by which this side proves who it is.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The certificate and what leads to its authority, PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
}

/// The client side of TLS, made when first needed.
pub(super) struct Tls {
    ca_file: Option<PathBuf>,
    identity: Option<Identity>,
    /// The one host that is shown it.
    host: String,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    trust: Option<Arc<Trust>>,
    /// One connector for each use, so that sessions are resumed.
    connectors: Vec<(Use, TlsConnector)>,
}

/// What connectors differ in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Use {
    offer: Offer,
    shows_identity: bool,
}

impl Tls {
    /// Remembers which certificates to trust besides the bundled ones, and who we are towards `host`.
    pub(super) fn new(ca_file: Option<PathBuf>, identity: Option<Identity>, host: String) -> Tls {
        Tls {
            ca_file,
            identity,
            host,
            made: Mutex::default(),
        }
    }

    /// Makes `link` secure, with `endpoint`'s host as the name the certificate must bear.
    pub(super) async fn handshake(
        &self,
        endpoint: &Endpoint,
        link: Link,
        offer: Offer,
    ) -> Result<TlsStream<Link>, ConnectError> {
        let connector = self.connector(endpoint, offer)?;
        let name = ServerName::try_from(endpoint.host.clone()).map_err(|_| ConnectError::Tls {
            place: endpoint.place().to_owned(),
            cause: "its name cannot be in a certificate".to_owned(),
        })?;
        connector
            .connect(name, link)
            .await
            .map_err(|error| certificate::explain(endpoint, &error))
    }

    fn connector(&self, endpoint: &Endpoint, offer: Offer) -> Result<TlsConnector, ConnectError> {
        let identity = self.identity.as_ref().filter(|_| self.host == endpoint.host);
        let wanted = Use {
            offer,
            shows_identity: identity.is_some(),
        };
        // Nothing is awaited while this is locked, and a panic leaves it as it was or completed.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = made.connectors.iter().find(|(made, _)| *made == wanted) {
            return Ok(connector.clone());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = match &made.trust {
            Some(trust) => Arc::clone(trust),
            None => Arc::new(Trust::new(self.ca_file.as_deref(), &provider)?),
        };
        made.trust = Some(Arc::clone(&trust));
        let connector = TlsConnector::from(Arc::new(configure(provider, trust, identity, offer)?));
        made.connectors.push((wanted, connector.clone()));
        Ok(connector)
    }
}

fn configure(
    provider: Arc<CryptoProvider>,
    trust: Arc<Trust>,
    identity: Option<&Identity>,
    offer: Offer,
) -> Result<ClientConfig, ConnectError> {
    let unusable = |error: rustls::Error| ConnectError::Files(format!("TLS cannot be set up: {error}"));
    // `dangerous` is what rustls calls every verifier of one's own. Ours asks rustls' own verifier, twice at most.
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(trust);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = read_identity(identity)?;
            config.with_client_auth_cert(chain, key).map_err(|error| {
                ConnectError::Files(format!(
                    "The certificate in {CLIENT_CERT_VARIABLE} and the key in {CLIENT_KEY_VARIABLE} cannot be used together \
                     ({error}). Check that they belong to each other"
                ))
            })?
        }
    };
    config.alpn_protocols = match offer {
        Offer::Http2 if cfg!(feature = "http2") => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        _ => vec![b"http/1.1".to_vec()],
    };
    Ok(config)
}

/// Reads who we are. The key must be for its owner's eyes only, like every other key.
fn read_identity(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ConnectError> {
    let failed = |what: &str, path: &Path, cause: &str, variable: &str| {
        ConnectError::Files(format!(
            "The client's {what} `{}` cannot be used: {cause}. Check {variable}",
            path.display()
        ))
    };
    let no_certificate =
        |cause: &str| failed("certificate", &identity.certificate, cause, CLIENT_CERT_VARIABLE);
    let chain = CertificateDer::pem_file_iter(&identity.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| no_certificate(&error.to_string()))?;
    if chain.is_empty() {
        return Err(no_certificate("it holds no PEM certificate"));
    }
    let no_key = |cause: &str| failed("key", &identity.key, cause, CLIENT_KEY_VARIABLE);
    let facts = std::fs::metadata(&identity.key).map_err(|error| no_key(&error.to_string()))?;
    if !key::is_private(&facts) {
        return Err(no_key(
            "others than its owner have access to it. Run `chmod 600` on it",
        ));
    }
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| no_key(&error.to_string()))?;
    Ok((chain, key))
}
