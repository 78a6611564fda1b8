//! Documents of a provider: an address comes in, a few kilobytes go out, or the reason why not.
//!
//! The issuer is the operator's choice and may be anywhere. What it points to on other hosts must be in public: a
//! lying provider must not make us ask inside the operator's network (security.md H2). Plain http is for loopback.

use std::{net::IpAddr, time::Duration};

use http::{Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::limits::OAuthLimits;
use crate::outgoing::{Forbidden, Outgoing, OutgoingError, Reach, ReadError, read_capped};

/// Why a document was not had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchFault {
    /// Not an address that is asked.
    #[error("`{0}` is not an https address without user, query and fragment (http is for loopback alone)")]
    Address(String),
    /// It leads where a provider may not lead.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// No answer.
    #[error("no answer: {}", chain(.0))]
    Http(#[from] reqwest::Error),
    /// It answered something else than a document.
    #[error("answered {0}")]
    Status(StatusCode),
    /// The document is too large, or broke off.
    #[error(transparent)]
    Body(#[from] ReadError),
    /// The document is not what it should be.
    #[error("{0}")]
    Document(&'static str),
}

/// The client's own text says only that sending failed.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Fetches documents.
pub(super) struct Fetcher {
    /// For the issuer's own host, wherever it is.
    home: Outgoing,
    /// For every other.
    abroad: Outgoing,
    most_bytes: usize,
}

impl Fetcher {
    pub(super) fn new(limits: &OAuthLimits) -> Result<Self, OutgoingError> {
        let mut reach = Reach {
            allow_private: true,
            ca_file: limits.ca_file.clone(),
            timeout: Duration::from_millis(limits.fetch_timeout_ms),
        };
        let home = Outgoing::new(&reach)?;
        reach.allow_private = false;
        Ok(Self {
            home,
            abroad: Outgoing::new(&reach)?,
            most_bytes: limits.document_bytes,
        })
    }

    /// Gets one document. `home` is the issuer's host, which alone may be inside.
    pub(super) async fn get(&self, url: &str, home: &str) -> Result<Vec<u8>, FetchFault> {
        let url = parse(url)?;
        let request = self.client(&url, home).request(Method::GET, url)?;
        self.send(request).await
    }

    /// Gets one document that is for whoever holds this token.
    pub(super) async fn get_with(
        &self,
        url: &str,
        home: &str,
        token: &SecretString,
    ) -> Result<Vec<u8>, FetchFault> {
        let url = parse(url)?;
        let request = self.client(&url, home).request(Method::GET, url)?;
        self.send(request.bearer_auth(token.expose_secret())).await
    }

    /// Sends a form. `client` is named as RFC 6749 §2.3.1 asks: both parts form-encoded, then Basic.
    pub(super) async fn post_form(
        &self,
        url: &str,
        home: &str,
        form: &[(&str, &str)],
        client: Option<(&str, &SecretString)>,
    ) -> Result<Vec<u8>, FetchFault> {
        let url = parse(url)?;
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut request = self
            .client(&url, home)
            .request(Method::POST, url)?
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        if let Some((id, secret)) = client {
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic_auth(encoded(id), Some(encoded(secret.expose_secret())));
        }
        self.send(request).await
    }

    fn client(&self, url: &Url, home: &str) -> &Outgoing {
        match host(url).eq_ignore_ascii_case(home) {
            true => &self.home,
            false => &self.abroad,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>, FetchFault> {
        let request = request.header(header::ACCEPT, "application/json");
        let response = request.send().await?;
        if response.status() != StatusCode::OK {
            return Err(FetchFault::Status(response.status()));
        }
        Ok(read_capped(response, self.most_bytes).await?)
    }
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// Whether an issuer, resource or endpoint may be written like this, and its host.
pub(super) fn host_of(url: &str) -> Result<String, FetchFault> {
    let parsed = parse(url)?;
    if url.contains('?') {
        return Err(wrong(url));
    }
    Ok(host(&parsed).to_owned())
}

fn wrong(url: &str) -> FetchFault {
    FetchFault::Address(url.chars().take(200).filter(|c| !c.is_control()).collect())
}

fn parse(text: &str) -> Result<Url, FetchFault> {
    let url: Url = text.parse().map_err(|_| wrong(text))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => return Err(wrong(text)),
    };
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !scheme || has_user || url.fragment().is_some() {
        return Err(wrong(text));
    }
    Ok(url)
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

    #[tokio::test]
    async fn a_document_elsewhere_must_be_in_public() {
        let fetcher = Fetcher::new(&OAuthLimits::default()).unwrap();
        for inside in [
            "https://127.0.0.1:1/keys",
            "http://127.0.0.1:1/keys",
            "https://10.0.0.1/keys",
        ] {
            let refused = fetcher.get(inside, "id.example.com").await;
            assert!(
                matches!(refused, Err(FetchFault::Forbidden(_))),
                "{inside}: {refused:?}"
            );
        }
        // The issuer itself may be inside: here nobody listens.
        let refused = fetcher.get("http://127.0.0.1:1/keys", "127.0.0.1").await;
        assert!(matches!(refused, Err(FetchFault::Http(_))), "{refused:?}");
    }
}
