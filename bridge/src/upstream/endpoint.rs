//! The server's address: checked once, then only taken apart.

use std::net::IpAddr;

use hyper::Uri;
use hyper::header::HeaderValue;

use crate::diagnosis::Diagnosis;
use crate::options::{ALLOW_HTTP_VARIABLE, URL_VARIABLE};

/// Where requests go. Holds no credential: an address with one is refused.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// TLS or plain.
    pub(crate) tls: bool,
    /// The host's name or address, without brackets.
    pub(crate) host: String,
    /// The port, the scheme's own if none was given.
    pub(crate) port: u16,
    /// The `Host` header.
    pub(crate) authority: HeaderValue,
    /// Path and query, the request target.
    pub(crate) target: Uri,
}

/// Why an address cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    /// Not an absolute http(s) URL.
    #[error(
        "The server address is not an http:// or https:// URL. Set {URL_VARIABLE} to the server's MCP address, \
         for example https://mcp.example.com/mcp"
    )]
    NotUrl,
    /// A name or password before the host.
    #[error(
        "The server address contains a user name or password. Remove it from {URL_VARIABLE}; the key has a variable of its own"
    )]
    Credentials,
    /// Plain HTTP to another machine.
    #[error(
        "Plain http:// to `{0}` would send the key unencrypted. Use https://, or set {ALLOW_HTTP_VARIABLE}=1 if the network is trusted"
    )]
    Unencrypted(String),
}

impl EndpointError {
    /// The check that failed.
    pub(crate) fn diagnosis(&self) -> Diagnosis {
        match self {
            EndpointError::NotUrl | EndpointError::Credentials => Diagnosis::UrlMalformed,
            EndpointError::Unencrypted(_) => Diagnosis::Unencrypted,
        }
    }
}

impl Endpoint {
    /// Reads the address a person configured. Plain HTTP is for loopback unless `allow_http`.
    pub(crate) fn parse(text: &str, allow_http: bool) -> Result<Endpoint, EndpointError> {
        let uri: Uri = text.parse().map_err(|_| EndpointError::NotUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(EndpointError::NotUrl);
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(EndpointError::NotUrl),
        };
        if authority.as_str().contains('@') {
            return Err(EndpointError::Credentials);
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        // Taken from the text itself: the parser's own accessor has no answer for a port that is no number of 16 bits.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => default_port(tls),
            Some(port) => port
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .ok_or(EndpointError::NotUrl)?,
            None => return Err(EndpointError::NotUrl),
        };
        if host.is_empty() || port == 0 {
            return Err(EndpointError::NotUrl);
        }
        if !tls && !allow_http && !is_loopback(&host) {
            return Err(EndpointError::Unencrypted(host));
        }
        let bracketed = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let authority = if port == default_port(tls) {
            bracketed
        } else {
            format!("{bracketed}:{port}")
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Endpoint {
            tls,
            host,
            port,
            authority: HeaderValue::from_str(&authority).map_err(|_| EndpointError::NotUrl)?,
            target: target.parse().map_err(|_| EndpointError::NotUrl)?,
        })
    }

    /// The request target a redirect to `location` leads to, if it stays on this origin: scheme, host and port.
    pub(crate) fn follow(&self, location: &str) -> Option<Uri> {
        let location = location.split('#').next().unwrap_or_default();
        if location.starts_with("//") || location.contains('\\') {
            return None;
        }
        if location.starts_with('/') {
            return location.parse().ok();
        }
        if location.contains("://") {
            // The origin is compared below, so the rule for plain HTTP needs no second judgement.
            let other = Endpoint::parse(location, true).ok()?;
            return (other.tls == self.tls && other.host == self.host && other.port == self.port)
                .then_some(other.target);
        }
        // A relative reference replaces the last segment of the path.
        let (directory, _) = self.target.path().rsplit_once('/')?;
        format!("{directory}/{location}").parse().ok()
    }

    /// Host and port for people.
    pub(crate) fn place(&self) -> &str {
        self.authority.to_str().unwrap_or(&self.host)
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Says whether `host` can only be this machine. `localhost` is taken at its word (RFC 6761) and never looked up.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(text, false)
    }

    #[test]
    fn an_address_is_taken_apart() {
        let endpoint = parse("https://MCP.example.com/a/b?c=d#e").unwrap();
        assert_eq!(
            (endpoint.host.as_str(), endpoint.port, endpoint.tls),
            ("mcp.example.com", 443, true)
        );
        assert_eq!(endpoint.authority, "mcp.example.com");
        assert_eq!(endpoint.target, "/a/b?c=d");
        let endpoint = parse("http://[::1]:8080").unwrap();
        assert_eq!(
            (endpoint.host.as_str(), endpoint.port, endpoint.tls),
            ("::1", 8080, false)
        );
        assert_eq!(endpoint.authority, "[::1]:8080");
        assert_eq!(endpoint.target, "/");
        assert_eq!(parse("https://h:443/x").unwrap().authority, "h");
    }

    #[test]
    fn what_is_no_server_address_is_refused() {
        for text in [
            "",
            "mcp.example.com",
            "/mcp",
            "ftp://h/",
            "https://",
            "https://h:99999/",
            "https://h:0/",
            "file:///x",
        ] {
            assert_eq!(parse(text).unwrap_err(), EndpointError::NotUrl, "{text}");
        }
        assert_eq!(
            parse("https://user:pass@h/").unwrap_err(),
            EndpointError::Credentials
        );
    }

    #[test]
    fn plain_http_is_for_loopback() {
        for text in [
            "http://localhost/",
            "http://127.0.0.1:1/",
            "http://127.9.9.9/",
            "http://[::1]/",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "http://example.com/",
            "http://localhost.evil.com/",
            "http://10.0.0.1/",
            "http://0.0.0.0/",
            "http://127.0.0.1.evil.com/",
        ] {
            assert!(
                matches!(parse(text), Err(EndpointError::Unencrypted(_))),
                "{text}"
            );
            assert!(Endpoint::parse(text, true).is_ok(), "{text}");
        }
    }

    #[test]
    fn only_redirects_that_stay_on_the_origin_are_followed() {
        let endpoint = parse("https://h.example/a/b?q").unwrap();
        for (location, target) in [
            ("/c?d", Some("/c?d")),
            ("c", Some("/a/c")),
            ("https://h.example/c", Some("/c")),
            ("https://H.EXAMPLE:443/c#f", Some("/c")),
            ("https://h.example:444/c", None),
            ("http://h.example/c", None),
            ("https://other.example/c", None),
            ("https://h.example.evil/c", None),
            ("https://h.example@evil/c", None),
            ("//evil/c", None),
            ("/\\evil", None),
            ("javascript://h.example/", None),
        ] {
            assert_eq!(
                endpoint.follow(location).map(|uri| uri.to_string()).as_deref(),
                target,
                "{location}"
            );
        }
    }
}
