//! The server's address: checked once, then only taken apart.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

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
    /// The socket of a server on this machine, instead of host and port.
    pub(crate) socket: Option<PathBuf>,
    /// The `Host` header.
    pub(crate) authority: HeaderValue,
    /// Path and query, the request target.
    pub(crate) target: Uri,
    /// What people call the place.
    place: String,
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
    /// A socket's address that names none.
    #[error(
        "The server address names no socket. It has the form unix:/run/example.sock:/mcp, with the absolute path of a socket \
         and the path of the MCP endpoint"
    )]
    NotSocket,
}

impl EndpointError {
    /// The check that failed.
    pub(crate) fn diagnosis(&self) -> Diagnosis {
        match self {
            EndpointError::NotUrl | EndpointError::Credentials | EndpointError::NotSocket => {
                Diagnosis::UrlMalformed
            }
            EndpointError::Unencrypted(_) => Diagnosis::Unencrypted,
        }
    }
}

impl Endpoint {
    /// Reads the address a person configured. Plain HTTP is for loopback unless `allow_http`.
    pub(crate) fn parse(text: &str, allow_http: bool) -> Result<Endpoint, EndpointError> {
        if let Some(socket) = text.strip_prefix("unix:") {
            return Self::parse_socket(socket);
        }
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
            place: authority,
            socket: None,
        })
    }

    /// Reads what follows `unix:`, in the notation of nginx: the path of a socket, and after a colon the path of the endpoint.
    fn parse_socket(text: &str) -> Result<Endpoint, EndpointError> {
        let (socket, target) = match text.find(":/") {
            Some(colon) => (text.get(..colon), text.get(colon + 1..)),
            None => (Some(text), Some("/")),
        };
        let (socket, target) = (socket.unwrap_or_default(), target.unwrap_or_default());
        // Some write it like the URL of a file.
        let socket = socket.strip_prefix("//").unwrap_or(socket);
        if cfg!(not(unix)) || !Path::new(socket).is_absolute() || socket.contains(char::is_control) {
            return Err(EndpointError::NotSocket);
        }
        Ok(Endpoint {
            tls: false,
            host: "localhost".to_owned(),
            port: default_port(false),
            socket: Some(socket.into()),
            authority: HeaderValue::from_static("localhost"),
            target: target.parse().map_err(|_| EndpointError::NotSocket)?,
            place: socket.to_owned(),
        })
    }

    /// Says whether this can only be the machine we are on.
    pub(crate) fn is_loopback(&self) -> bool {
        self.socket.is_some() || is_loopback(&self.host)
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
            let same = other.tls == self.tls && other.host == self.host && other.port == self.port;
            return (same && self.socket.is_none() && other.socket.is_none()).then_some(other.target);
        }
        // A relative reference replaces the last segment of the path.
        let (directory, _) = self.target.path().rsplit_once('/')?;
        format!("{directory}/{location}").parse().ok()
    }

    /// Scheme, host and port, for people.
    pub(crate) fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        // A socket is on this machine, and so is its console.
        let place = self.socket.as_ref().map_or(self.place.as_str(), |_| "localhost");
        format!("{scheme}://{place}")
    }

    /// Host and port, or the socket, for people.
    pub(crate) fn place(&self) -> &str {
        &self.place
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
    #[cfg(unix)]
    fn a_socket_of_this_machine_has_an_address_of_its_own() {
        for (text, socket, target) in [
            ("unix:/run/x.sock:/mcp?a=b", "/run/x.sock", "/mcp?a=b"),
            ("unix:/run/x.sock", "/run/x.sock", "/"),
            ("unix:///run/x.sock:/mcp", "/run/x.sock", "/mcp"),
            (
                "unix:/run/a:b/x.sock:/mcp?c=http://d",
                "/run/a:b/x.sock",
                "/mcp?c=http://d",
            ),
        ] {
            let endpoint = parse(text).unwrap();
            assert_eq!(endpoint.socket.as_deref(), Some(Path::new(socket)), "{text}");
            assert_eq!(endpoint.target, target);
            assert_eq!(
                (endpoint.place(), endpoint.authority.as_bytes()),
                (socket, &b"localhost"[..])
            );
            assert!(endpoint.is_loopback() && !endpoint.tls);
        }
        for text in ["unix:", "unix:x.sock:/mcp", "unix:/run/\n:/mcp"] {
            assert_eq!(parse(text).unwrap_err(), EndpointError::NotSocket, "{text}");
        }
        let endpoint = parse("unix:/run/x.sock:/a/b").unwrap();
        assert_eq!(endpoint.follow("/c").unwrap(), "/c");
        assert_eq!(endpoint.follow("c").unwrap(), "/a/c");
        assert_eq!(endpoint.follow("http://localhost/c"), None);
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
