//! TLS: whom to trust, and what to say when that fails.
//!
//! Nothing here is built before the first handshake: a start over plain HTTP pays nothing for it (design.md D16). Trust is
//! the bundled roots and the certificates of the file a person named; there is no way to switch verification off.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connect::ConnectError;
use super::endpoint::Endpoint;
use crate::brand::variable;

/// The client side of TLS, made when first needed.
pub(crate) struct Tls {
    ca_file: Option<PathBuf>,
    connector: OnceLock<TlsConnector>,
}

impl Tls {
    /// Remembers which certificates to trust besides the bundled ones.
    pub(crate) fn new(ca_file: Option<PathBuf>) -> Tls {
        Tls {
            ca_file,
            connector: OnceLock::new(),
        }
    }

    /// Makes `tcp` secure, with `endpoint`'s host as the name the certificate must bear.
    pub(crate) async fn handshake(
        &self,
        endpoint: &Endpoint,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ConnectError> {
        let failed = |cause: String| ConnectError::Tls {
            place: endpoint.place().to_owned(),
            cause,
        };
        let connector = match self.connector.get() {
            Some(connector) => connector,
            None => {
                let made = self.connector()?;
                self.connector.get_or_init(|| made)
            }
        };
        let name = ServerName::try_from(endpoint.host.clone())
            .map_err(|_| failed("its name cannot be in a certificate".to_owned()))?;
        connector
            .connect(name, tcp)
            .await
            .map_err(|error| failed(explain(&error)))
    }

    fn connector(&self) -> Result<TlsConnector, ConnectError> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if let Some(path) = &self.ca_file {
            let failed = |cause: String| {
                ConnectError::Roots(format!(
                    "The certificates in `{}` cannot be used ({cause}). Correct or unset {} (or SSL_CERT_FILE)",
                    path.display(),
                    variable!("CA_FILE")
                ))
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
            let mut added = 0;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                // System bundles hold certificates that no verifier of today accepts: those are passed over.
                added += usize::from(roots.add(certificate).is_ok());
            }
            if added == 0 {
                return Err(failed("it holds no usable PEM certificate".to_owned()));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConnectError::Roots(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// The cause of a failed handshake, then what to do about it.
fn explain(error: &std::io::Error) -> String {
    let certificate = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .and_then(|error| match error {
            rustls::Error::InvalidCertificate(certificate) => Some(certificate),
            _ => None,
        });
    match certificate {
        Some(CertificateError::UnknownIssuer) => concat!(
            "its certificate was issued by nobody this program trusts. If the server or a proxy on the way uses a private ",
            "authority, name that authority's certificate in ",
            variable!("CA_FILE")
        )
        .to_owned(),
        Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired. The server's operator has to renew it; check this machine's clock as well"
                .to_owned()
        }
        Some(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "its certificate is not valid yet. Check this machine's clock".to_owned()
        }
        Some(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "its certificate belongs to another name. Check the host in the server address".to_owned()
        }
        Some(other) => format!("its certificate is not acceptable ({other:?})"),
        None => format!("{error}. Check that the address really speaks https"),
    }
}
