//! Calls to other systems: REST APIs behind tools, webhooks, identity providers.
//!
//! Whoever must call out describes the [`Reach`] it needs and gets an [`Outgoing`]; every address is judged after
//! its name was resolved and only judged addresses are connected to. Nothing here knows what is sent or why.
//! Proxies of the environment are not used: behind one, nobody could judge where a call ends.

mod address;
mod answer;
mod sign;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::{Attempt, Policy},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use url::{Host, Url};

pub use address::is_public;
pub use answer::{ReadError, read_capped};
pub use sign::{SIGNATURE_HEADER, SigningKey};

/// Same-origin redirects followed before an answer counts as going in circles (catalogue.md §2.21).
const MOST_REDIRECTS: usize = 3;
/// How long to connect, name resolution and TLS included: a system that does not pick up is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections to one host are closed before most servers close them, or a call would hit the closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How far a client may reach.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Whether loopback, private and link-local addresses may be called, and plain `http` spoken.
    pub allow_private: bool,
    /// PEM file with authorities to trust besides the public ones and the system's.
    pub ca_file: Option<PathBuf>,
    /// The longest wait for a whole answer.
    pub timeout: Duration,
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The file of authorities cannot be read.
    #[error("{file}: {source}")]
    Authorities {
        /// The file.
        file: String,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// TLS or the client refuse the settings.
    #[error("failed to make a client for calls out")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why an address may not be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Not a scheme that is called.
    #[error("`{0}` is not called; use https")]
    Scheme(String),
    /// Plain text to the public internet.
    #[error("http is spoken to private addresses only; use https")]
    PlainText,
    /// No host.
    #[error("the address names no host")]
    NoHost,
    /// A private, loopback or otherwise special address.
    #[error("{0} is not a public address; the operator can allow private ones")]
    Private(String),
    /// Credentials inside a URL end up in logs.
    #[error("an address must not carry a user name or password")]
    Credentials,
    /// Nothing can be called at all.
    #[error("nothing can be called from here: {0}")]
    Unready(String),
}

/// A client for calls out, of one [`Reach`]. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Outgoing {
    client: Arc<Client>,
    allow_private: bool,
}

/// What calls out, made when somebody calls out for the first time: to read the system's authorities takes milliseconds of
/// a start and kilobytes, and most servers call nobody.
#[derive(Debug)]
struct Client {
    allow_private: bool,
    timeout: Duration,
    /// Authorities of the operator's own.
    authorities: Vec<CertificateDer<'static>>,
    made: OnceLock<Result<reqwest::Client, String>>,
}

impl Outgoing {
    /// Describes a client.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub fn new(reach: &Reach) -> Result<Self, OutgoingError> {
        let allow_private = reach.allow_private;
        let mut authorities = Vec::new();
        if let Some(file) = &reach.ca_file {
            let unreadable = |source| OutgoingError::Authorities {
                file: file.display().to_string(),
                source,
            };
            for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
                authorities.push(certificate.map_err(unreadable)?);
            }
        }
        // What is wrong with them is said now.
        add_all(&mut RootCertStore::empty(), &authorities)?;
        let client = Arc::new(Client {
            allow_private,
            timeout: reach.timeout,
            authorities,
            made: OnceLock::new(),
        });
        Ok(Self {
            client,
            allow_private,
        })
    }

    /// A request to an address that passes [`Outgoing::judge`]; names are judged when they are resolved.
    ///
    /// # Errors
    /// When the address may not be called.
    pub fn request(&self, method: http::Method, url: Url) -> Result<reqwest::RequestBuilder, Forbidden> {
        self.judge(&url)?;
        Ok(self.client.get()?.request(method, url))
    }

    /// Whether an address may be called, as far as it tells by itself. Address literals never reach a resolver,
    /// so they are judged here.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, url: &Url) -> Result<(), Forbidden> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Forbidden::Credentials);
        }
        let literal = match url.host().ok_or(Forbidden::NoHost)? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        };
        match url.scheme() {
            "https" => {}
            "http" if self.allow_private => {}
            "http" => return Err(Forbidden::PlainText),
            other => return Err(Forbidden::Scheme(other.to_owned())),
        }
        match literal {
            Some(address) if !self.allow_private && !is_public(address) => {
                Err(Forbidden::Private(address.to_string()))
            }
            _ => Ok(()),
        }
    }
}

impl Client {
    fn get(&self) -> Result<&reqwest::Client, Forbidden> {
        let made = self
            .made
            .get_or_init(|| self.make().map_err(|error| error.to_string()));
        made.as_ref().map_err(|why| Forbidden::Unready(why.clone()))
    }

    fn make(&self) -> Result<reqwest::Client, OutgoingError> {
        let allow_private = self.allow_private;
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls(&self.authorities)?)
            .dns_resolver(Arc::new(Judged { allow_private }))
            .redirect(Policy::custom(same_origin))
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(self.timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("footbridge-server/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| OutgoingError::Client(Box::new(e)))
    }
}

fn add_all(roots: &mut RootCertStore, authorities: &[CertificateDer<'static>]) -> Result<(), OutgoingError> {
    for certificate in authorities {
        roots
            .add(certificate.clone())
            .map_err(|e| OutgoingError::Client(Box::new(e)))?;
    }
    Ok(())
}

fn tls(authorities: &[CertificateDer<'static>]) -> Result<ClientConfig, OutgoingError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // A system without a store of its own still has the public authorities.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    add_all(&mut roots, authorities)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| OutgoingError::Client(Box::new(e)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// Follows a redirect only where the credential that was sent would go anyway.
fn same_origin(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let stays = attempt
        .previous()
        .first()
        .is_some_and(|first| first.origin() == attempt.url().origin());
    if stays && attempt.previous().len() <= MOST_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Resolves names as the system does and hands on only addresses that may be called.
struct Judged {
    allow_private: bool,
}

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| allow_private || is_public(address.ip()))
                .collect();
            match (allowed.is_empty(), found.first()) {
                (true, Some(first)) => Err(Forbidden::Private(first.ip().to_string()).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests;
