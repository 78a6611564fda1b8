//! Whom to believe: a server's certificate → yes, or why not (design.md D16).
//!
//! First the bundled authorities and those of the file a person named. Only a certificate that none of them has signed
//! brings in the operating system's store, which is read once and kept: that is where companies put the authority of the
//! proxy that looks into their traffic. Both are asked by the same verifier of rustls; no answer of it is overruled.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::certificate::Unknown;
use super::connect::ConnectError;
use crate::log;
use crate::options::CA_FILE_VARIABLE;

/// The verifier.
#[derive(Debug)]
pub(super) struct Trust {
    ours: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    /// The operating system's authorities once they were needed; none if it has none.
    system: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
}

impl Trust {
    /// Reads `ca_file`, if one is set.
    pub(super) fn new(ca_file: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Trust, ConnectError> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if let Some(path) = ca_file {
            let failed = |cause: &str| {
                ConnectError::Files(format!(
                    "The certificates in `{}` cannot be used ({cause}). Correct or unset {CA_FILE_VARIABLE} (or SSL_CERT_FILE)",
                    path.display()
                ))
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| failed(&error.to_string()))?;
            let mut added = 0;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| failed(&error.to_string()))?;
                // System bundles hold certificates that no verifier of today accepts: those are passed over.
                added += usize::from(roots.add(certificate).is_ok());
            }
            if added == 0 {
                return Err(failed("it holds no usable PEM certificate"));
            }
        }
        let ours = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| ConnectError::Files(format!("TLS cannot be set up: {error}")))?;
        Ok(Trust {
            ours,
            provider: Arc::clone(provider),
            system: OnceLock::new(),
        })
    }

    /// The operating system's authorities. Reading them takes a few milliseconds, once, where the alternative is to fail.
    fn system(&self) -> Option<&Arc<WebPkiServerVerifier>> {
        let read = || {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                log::info(format_args!("reading the system's certificates: {error}"));
            }
            let mut roots = RootCertStore::empty();
            let (added, _) = roots.add_parsable_certificates(found.certs);
            log::info(format_args!(
                "{added} authorities of the system are trusted as well"
            ));
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .ok()
        };
        self.system.get_or_init(read).as_ref()
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let ask = |verifier: &WebPkiServerVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let mut outcome = ask(&self.ours);
        if outcome.as_ref().is_err_and(|error| *error == unknown)
            && let Some(system) = self.system()
        {
            outcome = ask(system);
        }
        outcome.map_err(|error| {
            if error != unknown {
                return error;
            }
            // The certificates are at hand here and nowhere else, so their issuer goes along with the error.
            let last = intermediates.last().unwrap_or(end_entity);
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Unknown::signer(
                last,
            )))))
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.ours.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.ours.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.ours.supported_verify_schemes()
    }
}
