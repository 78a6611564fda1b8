//! Proxies: which one an address is reached through, and asking it for the way (`CONNECT`, RFC 9110 §9.3.6).
//!
//! The variables are those every program reads: `https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`, in lower case first. Every
//! address is reached by a tunnel, plain http as well: then a proxy sees neither key nor message as a request of its own,
//! and nothing else in here has to know of it. This machine is never reached through a proxy. A proxy's user and password
//! are sent to it and shown to nobody.

mod except;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::connect::ConnectError;
use super::endpoint::Endpoint;
use super::stream::Link;
use crate::brand;
use crate::error::quote;
use crate::options::Secret;
use except::is_excepted;

/// Largest answer of a proxy that is read, in bytes.
const ANSWER_BYTES: usize = 16 * 1024;

/// What the environment says about proxies, as it says it. It is judged when a connection is made: a wrong value must not
/// trouble those who reach their server without.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    https: Option<Said>,
    http: Option<Said>,
    all: Option<Said>,
    except: String,
}

#[derive(Debug)]
struct Said {
    variable: &'static str,
    url: Secret,
}

/// One proxy, for one connection.
pub(super) struct Proxy {
    endpoint: Endpoint,
    /// What people call it: its address without user and password, and the variable it came from.
    name: String,
    variable: &'static str,
    /// The value of `Proxy-Authorization`.
    credentials: Option<Secret>,
}

impl Proxies {
    /// Reads the variables through `variable`.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Proxies {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let url = variable(name).filter(|url| !url.trim().is_empty())?;
                Some(Said {
                    variable: name,
                    url: Secret::from(url.trim().to_owned()),
                })
            })
        };
        // Where a web server starts this program for each request, HTTP_PROXY is a header of the request (CVE-2016-5385).
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http: &[_] = if is_cgi {
            &["http_proxy"]
        } else {
            &["http_proxy", "HTTP_PROXY"]
        };
        Proxies {
            https: first(&["https_proxy", "HTTPS_PROXY"]),
            http: first(http),
            all: first(&["all_proxy", "ALL_PROXY"]),
            except: ["no_proxy", "NO_PROXY"]
                .into_iter()
                .find_map(variable)
                .unwrap_or_default(),
        }
    }

    /// The proxy that `endpoint` is reached through, if there is one.
    pub(super) fn find(&self, endpoint: &Endpoint) -> Result<Option<Proxy>, ConnectError> {
        let own = if endpoint.tls { &self.https } else { &self.http };
        match own.as_ref().or(self.all.as_ref()) {
            Some(said) if !endpoint.is_loopback() && !is_excepted(&self.except, endpoint) => {
                Proxy::parse(said).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Proxy {
    fn parse(said: &Said) -> Result<Proxy, ConnectError> {
        let unusable = |cause: &str| ConnectError::Proxy {
            proxy: format!("in {}", said.variable),
            cause: format!("cannot be used: {cause}. It has the form http://host:port or https://host:port"),
        };
        let text = said.url.expose();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = scheme.to_ascii_lowercase();
        if scheme.starts_with("socks") {
            return Err(unusable("SOCKS is not spoken here"));
        }
        if scheme != "http" && scheme != "https" {
            return Err(unusable("its address has another scheme"));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let endpoint = Endpoint::parse(&format!("{scheme}://{place}/"), true)
            .map_err(|_| unusable("its address has no host or a wrong port"))?;
        let credentials = user.filter(|user| !user.is_empty()).map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let mut pair = decoded(name);
            pair.push(b':');
            pair.extend(decoded(password));
            Secret::from(format!("Basic {}", STANDARD.encode(pair)))
        });
        Ok(Proxy {
            name: format!("{scheme}://{} ({})", endpoint.place(), said.variable),
            endpoint,
            variable: said.variable,
            credentials,
        })
    }

    /// Where it listens.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// It failed: `cause` continues the sentence.
    pub(super) fn failed(&self, cause: String) -> ConnectError {
        ConnectError::Proxy {
            proxy: self.name.clone(),
            cause,
        }
    }

    /// Asks for a tunnel to `endpoint`. After that `link` leads there.
    pub(super) async fn ask_for(&self, endpoint: &Endpoint, link: &mut Link) -> Result<(), ConnectError> {
        let broken = |error: std::io::Error| self.failed(format!("broke the connection off ({error})"));
        link.write_all(self.request(endpoint).as_bytes())
            .await
            .map_err(broken)?;
        link.flush().await.map_err(broken)?;
        let mut answer = Vec::with_capacity(512);
        let end = loop {
            if link.read_buf(&mut answer).await.map_err(broken)? == 0 {
                return Err(self.failed("broke the connection off without an answer".to_owned()));
            }
            if let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") {
                break end + 4;
            }
            if answer.len() > ANSWER_BYTES {
                return Err(self.failed("answered with something that is not HTTP".to_owned()));
            }
        };
        let status = status(&answer)
            .ok_or_else(|| self.failed("answered with something that is not HTTP".to_owned()))?;
        if !(200..300).contains(&status) {
            return Err(self.refused(endpoint, status, &answer));
        }
        // Servers speak second. Whoever says something already is not the server.
        if answer.len() > end {
            return Err(self.failed("sent more than an answer before anything was asked".to_owned()));
        }
        Ok(())
    }

    fn request(&self, endpoint: &Endpoint) -> String {
        let host = if endpoint.host.contains(':') {
            format!("[{}]", endpoint.host)
        } else {
            endpoint.host.clone()
        };
        let place = format!("{host}:{}", endpoint.port);
        let mut request = format!(
            "CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: {}\r\n",
            brand::USER_AGENT
        );
        if let Some(credentials) = &self.credentials {
            let _ = write!(request, "Proxy-Authorization: {}\r\n", credentials.expose());
        }
        request.push_str("\r\n");
        request
    }

    fn refused(&self, endpoint: &Endpoint, status: u16, answer: &[u8]) -> ConnectError {
        let variable = self.variable;
        self.failed(match status {
            407 if self.credentials.is_none() => format!(
                "answered 407: it wants a user and password. Put them into {variable} as http://user:password@host:port"
            ),
            407 => format!("answered 407: it refused the user and password in {variable}. Correct them there"),
            _ => {
                let reason = answer
                    .split(|byte| *byte == b'\r')
                    .next()
                    .and_then(|line| line.splitn(3, |byte| *byte == b' ').nth(2))
                    .unwrap_or_default();
                let reason = match quote(reason, 80) {
                    reason if reason.is_empty() => reason,
                    reason => format!(" ({reason})"),
                };
                format!(
                    "answered {status}{reason} when it was asked for a way to `{}`. Ask its operator, or exempt the host in \
                     NO_PROXY",
                    endpoint.place()
                )
            }
        })
    }
}

/// The status of an answer's first line.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5))?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

/// Percent-encoding undone; what is none stays as it is.
fn decoded(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        let digits = (*first == b'%')
            .then(|| after.split_first_chunk::<2>())
            .flatten()
            .and_then(|(digits, after)| {
                let digits = std::str::from_utf8(digits).ok()?;
                // A sign would pass for a digit.
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                Some((u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?, after))
            });
        let (byte, after) = digits.unwrap_or((*first, after));
        decoded.push(byte);
        rest = after;
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| {
            variables
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    /// What `url` is reached through.
    fn through(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let endpoint = Endpoint::parse(url, true).unwrap();
        proxies(variables)
            .find(&endpoint)
            .unwrap()
            .map(|proxy| proxy.name)
    }

    #[test]
    fn each_scheme_has_its_variable_and_lower_case_wins() {
        let all = [
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "http://lower:2"),
            ("HTTP_PROXY", "http://plain:3"),
            ("ALL_PROXY", "http://all:4"),
        ];
        let https = "https://mcp.example.com/";
        let http = "http://mcp.example.com/";
        assert_eq!(through(&all, https).unwrap(), "http://lower:2 (https_proxy)");
        assert_eq!(through(&all, http).unwrap(), "http://plain:3 (HTTP_PROXY)");
        assert_eq!(through(&all[3..], http).unwrap(), "http://all:4 (ALL_PROXY)");
        assert_eq!(through(&all[2..3], https), None);
        assert_eq!(through(&[("HTTPS_PROXY", " ")], https), None);
        // The header `Proxy:` of a stranger's request to a web server.
        let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://evil:3")];
        assert_eq!(through(&cgi, http), None);
    }

    #[test]
    fn this_machine_is_reached_directly() {
        let all = [("ALL_PROXY", "http://all:4")];
        for url in [
            "http://localhost/",
            "http://127.0.0.1/",
            "https://[::1]/",
            "https://127.1.2.3/",
        ] {
            assert_eq!(through(&all, url), None, "{url}");
        }
    }

    #[test]
    fn exceptions_are_names_addresses_networks_and_ports() {
        for (except, url, direct) in [
            ("*", "https://a.example/", true),
            ("a.example", "https://a.example/", true),
            ("A.EXAMPLE", "https://a.example/", true),
            ("example", "https://a.example/", true),
            (".example", "https://a.example/", true),
            ("*.example", "https://a.example/", true),
            (".a.example", "https://a.example/", true),
            ("x.example, b.example,a.example", "https://a.example/", true),
            ("x.example b.example", "https://b.example/", true),
            ("ample", "https://a.example/", false),
            ("b.a.example", "https://a.example/", false),
            ("", "https://a.example/", false),
            (".", "https://a.example/", false),
            ("a.example:443", "https://a.example/", true),
            ("a.example:444", "https://a.example/", false),
            ("a.example:8443", "https://a.example:8443/", true),
            ("10.0.0.1", "https://10.0.0.1/", true),
            ("10.0.0.1:80", "https://10.0.0.1/", false),
            ("0.0.1", "https://10.0.0.1/", false),
            ("10.0.0.0/8", "https://10.200.0.1/", true),
            ("10.0.0.0/8", "https://11.0.0.1/", false),
            ("10.0.0.0/33", "https://10.0.0.1/", false),
            ("0.0.0.0/0", "https://11.0.0.1/", true),
            ("0.0.0.0/0", "https://a.example/", false),
            ("2001:db8::1", "https://[2001:db8::1]/", true),
            ("[2001:db8::1]:443", "https://[2001:db8::1]/", true),
            ("[2001:db8::1]:80", "https://[2001:db8::1]/", false),
            ("2001:db8::/32", "https://[2001:db8:ff::1]/", true),
            ("2001:db8::/32", "https://[2001:db9::1]/", false),
        ] {
            let variables = [("ALL_PROXY", "http://p:1"), ("NO_PROXY", except)];
            assert_eq!(through(&variables, url).is_none(), direct, "{except} {url}");
        }
    }

    #[test]
    fn addresses_of_proxies_are_read_as_people_write_them() {
        for (text, name) in [
            ("http://proxy:3128", "http://proxy:3128 (HTTPS_PROXY)"),
            ("proxy:3128", "http://proxy:3128 (HTTPS_PROXY)"),
            ("HTTPS://Proxy/", "https://proxy (HTTPS_PROXY)"),
            ("http://u:p@[::1]:8080/x", "http://[::1]:8080 (HTTPS_PROXY)"),
            ("http://u:p%40@q@proxy", "http://proxy (HTTPS_PROXY)"),
        ] {
            let found = through(&[("HTTPS_PROXY", text)], "https://a.example/");
            assert_eq!(found.as_deref(), Some(name));
        }
        let endpoint = Endpoint::parse("https://a.example/", false).unwrap();
        for text in [
            "socks5://u:secret@h:1",
            "ftp://u:secret@h",
            "http://u:secret@",
            "http://u:secret@h:99999",
        ] {
            let proxies = proxies(&[("HTTPS_PROXY", text)]);
            let error = proxies.find(&endpoint).err().unwrap().to_string();
            assert!(
                error.contains("HTTPS_PROXY") && !error.contains("secret"),
                "{error}"
            );
            assert!(!format!("{proxies:?}").contains("secret"));
        }
    }

    #[test]
    fn the_request_names_the_place_and_carries_the_credentials() {
        let endpoint = Endpoint::parse("https://[2001:db8::1]/mcp", false).unwrap();
        let proxies = proxies(&[("HTTPS_PROXY", "http://al%69ce:p%3A%zz%+1@h")]);
        let proxy = proxies.find(&endpoint).unwrap().unwrap();
        let request = proxy.request(&endpoint);
        assert!(
            request.starts_with("CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"),
            "{request}"
        );
        let credentials = STANDARD.encode("alice:p:%zz%+1");
        assert!(
            request.ends_with(&format!("Proxy-Authorization: Basic {credentials}\r\n\r\n")),
            "{request}"
        );
    }
}
