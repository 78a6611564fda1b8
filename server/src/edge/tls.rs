//! TLS from PEM files (design.md D12), read again when told to.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// Where certificate and key are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// PEM file of the certificate chain, our own first.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

/// Why TLS cannot be spoken with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no such thing.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not go together.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
}

/// The acceptor in use; replaced as a whole, so a handshake sees one pair of files.
pub(super) struct Tls {
    files: TlsFiles,
    acceptor: ArcSwap<ServerConfig>,
}

impl Tls {
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let acceptor = ArcSwap::from_pointee(config(&files)?);
        Ok(Self { files, acceptor })
    }

    /// Reads the files again. Connections that are open keep what they have.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        self.acceptor.store(Arc::new(config(&self.files)?));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.acceptor.load_full())
    }
}

/// Whether TLS can be spoken with these files.
///
/// # Errors
/// What is wrong with them.
pub fn check_tls(files: &TlsFiles) -> Result<(), TlsError> {
    config(files).map(drop)
}

fn config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(fault(&files.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(fault(&files.key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
