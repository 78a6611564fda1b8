//! Documents of a provider: an address comes in, a few kilobytes go out, or the reason why not.
//!
//! The issuer is the operator's choice and may be anywhere. What it points to on other hosts must be in public: a
//! lying provider must not make us ask inside the operator's network (security.md H2). Addresses are judged after
//! resolution, and the connection goes to exactly the address that was judged. No redirect is followed.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::limits::OAuthLimits;

/// Why a document was not had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchFault {
    /// Not an address that is asked.
    #[error("`{0}` is not an https address without user, query and fragment (http is for loopback alone)")]
    Address(String),
    /// It leads inside, from outside.
    #[error("`{0}` has no public address, and is not on the issuer's own host")]
    Inside(String),
    /// No connection.
    #[error("no connection to `{host}`: {source}")]
    Connect {
        /// Where to.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The name cannot stand in a certificate.
    #[error(transparent)]
    Name(#[from] InvalidDnsNameError),
    /// It does not speak HTTP.
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    /// It answered something else than a document.
    #[error("answered {0}")]
    Status(StatusCode),
    /// The document is too large, or broke off.
    #[error("the document is larger than {0} bytes, or broke off")]
    Body(usize),
    /// It took too long.
    #[error("no answer in {0} ms")]
    Timeout(u64),
    /// The document is not what it should be.
    #[error("{0}")]
    Document(String),
}

/// Fetches documents.
pub(super) struct Fetcher {
    tls: TlsConnector,
    timeout_ms: u64,
    most_bytes: usize,
}

impl Fetcher {
    /// Trusts the public authorities, and those of the setting's file.
    pub(super) fn new(limits: &OAuthLimits) -> io::Result<Self> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if let Some(file) = &limits.ca_file {
            add_authorities(&mut roots, file)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            timeout_ms: limits.fetch_timeout_ms,
            most_bytes: limits.document_bytes,
        })
    }

    /// Gets one document. `home` is the issuer's host, which alone may be inside.
    pub(super) async fn get(&self, url: &str, home: &str) -> Result<Bytes, FetchFault> {
        let limit = Duration::from_millis(self.timeout_ms);
        tokio::time::timeout(limit, self.get_now(url, home))
            .await
            .unwrap_or(Err(FetchFault::Timeout(self.timeout_ms)))
    }

    async fn get_now(&self, url: &str, home: &str) -> Result<Bytes, FetchFault> {
        let place = Place::parse(url)?;
        let addresses = place.addresses(home).await?;
        let failed = |source| FetchFault::Connect {
            host: place.host.clone(),
            source,
        };
        let stream = TcpStream::connect(addresses.as_slice()).await.map_err(failed)?;
        if !place.secure {
            return self.ask(&place, stream).await;
        }
        let name = ServerName::try_from(place.host.clone())?;
        let stream = self.tls.connect(name, stream).await.map_err(failed)?;
        self.ask(&place, stream).await
    }

    async fn ask<S>(&self, place: &Place, stream: S) -> Result<Bytes, FetchFault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender, which is dropped when the document is here or the time is over.
        tokio::spawn(connection);
        let mut request = Request::new(Empty::<Bytes>::new());
        request.uri_mut().clone_from(&place.target);
        let headers = request.headers_mut();
        headers.insert(header::HOST, place.authority.clone());
        headers.insert(
            header::ACCEPT,
            header::HeaderValue::from_static("application/json"),
        );
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchFault::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), self.most_bytes)
            .collect()
            .await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|_| FetchFault::Body(self.most_bytes))
    }
}

fn add_authorities(roots: &mut RootCertStore, file: &Path) -> io::Result<()> {
    let problem = |e: &dyn std::fmt::Display| io::Error::other(format!("{}: {e}", file.display()));
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| problem(&e))? {
        let certificate = certificate.map_err(|e| problem(&e))?;
        roots.add(certificate).map_err(|e| problem(&e))?;
    }
    Ok(())
}

/// Where a document is.
struct Place {
    secure: bool,
    host: String,
    port: u16,
    authority: http::HeaderValue,
    /// Path and query.
    target: Uri,
}

/// Whether an issuer or resource may be written like this, and its host.
pub(super) fn host_of(url: &str) -> Result<String, FetchFault> {
    let place = Place::parse(url)?;
    if url.contains(['?', '#']) {
        return Err(FetchFault::Address(shown(url)));
    }
    Ok(place.host)
}

fn shown(url: &str) -> String {
    url.chars().take(200).filter(|c| !c.is_control()).collect()
}

impl Place {
    fn parse(url: &str) -> Result<Self, FetchFault> {
        let wrong = || FetchFault::Address(shown(url));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let plain = uri.scheme() == Some(&Scheme::HTTP) && is_loopback_name(&host);
        if host.is_empty() || authority.as_str().contains('@') || url.contains('#') || !(secure || plain) {
            return Err(wrong());
        }
        let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Ok(Self {
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.as_str().parse().map_err(|_| wrong())?,
            target: target.parse().map_err(|_| wrong())?,
            secure,
            host,
        })
    }

    async fn addresses(&self, home: &str) -> Result<Vec<SocketAddr>, FetchFault> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|source| FetchFault::Connect {
                host: self.host.clone(),
                source,
            })?;
        let at_home = self.host.eq_ignore_ascii_case(home);
        let good = |address: &SocketAddr| match self.secure {
            true => at_home || is_public(address.ip()),
            false => address.ip().is_loopback() && (at_home || is_loopback_name(home)),
        };
        let good: Vec<_> = found.filter(good).collect();
        if good.is_empty() {
            return Err(FetchFault::Inside(self.host.clone()));
        }
        Ok(good)
    }
}

fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether an address belongs to the open network.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let special = a == 0 || a >= 240 || (a == 192 && b == 0) || (a == 198 && (18..20).contains(&b));
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || shared
        || special)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // An IPv4 address in another dress is judged as what it leads to.
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let inner = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    if let Some(ip) = ip.to_ipv4_mapped() {
        return is_public_v4(ip);
    }
    if (a, b, c, d, e, f) == (0x64, 0xff9b, 0, 0, 0, 0) {
        return is_public_v4(inner(g, h));
    }
    if a == 0x2002 {
        return is_public_v4(inner(b, c));
    }
    // Global unicast alone; documentation and Teredo lie inside it.
    (a & 0xe000) == 0x2000 && !(a == 0x2001 && (b == 0 || b == 0xdb8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_are_asked() {
        let table = [
            ("https://id.example.com", true),
            ("https://id.example.com:8443/realms/a", true),
            ("http://127.0.0.1:9000", true),
            ("http://localhost:9000/x", true),
            ("http://[::1]:9000", true),
            ("http://id.example.com", false),
            ("http://10.0.0.1", false),
            ("http://169.254.169.254/latest", false),
            ("https://user@id.example.com", false),
            ("https://id.example.com/?a=b", false),
            ("https://id.example.com/#a", false),
            ("file:///etc/passwd", false),
            ("gopher://id", false),
            ("id.example.com", false),
            ("", false),
        ];
        for (url, good) in table {
            assert_eq!(host_of(url).is_ok(), good, "{url}");
        }
    }

    #[test]
    fn addresses_inside_are_told_from_those_outside() {
        let table = [
            ("1.1.1.1", true),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.0.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("2606:4700::1111", true),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:1.1.1.1", true),
            ("64:ff9b::a00:1", false),
            ("2002:a00:1::", false),
            ("2001:db8::1", false),
        ];
        for (address, public) in table {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[tokio::test]
    async fn a_document_elsewhere_must_be_in_public() {
        let inside = Place::parse("https://127.0.0.1/keys").unwrap();
        assert!(matches!(
            inside.addresses("id.example.com").await,
            Err(FetchFault::Inside(_))
        ));
        // The issuer itself may be inside.
        assert!(inside.addresses("127.0.0.1").await.is_ok());
        let plain = Place::parse("http://127.0.0.1/keys").unwrap();
        assert!(plain.addresses("id.example.com").await.is_err());
        assert!(plain.addresses("localhost").await.is_ok());
    }
}
