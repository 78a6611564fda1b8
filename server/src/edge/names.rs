//! Which `Host` and `Origin` are ours (gate row 1, protocol.md S-04 to S-06): the wall against pages that make a
//! browser call a server it can reach and they cannot.

use std::net::SocketAddr;

use http::{HeaderMap, Uri, header};

use super::settings::EdgeSettings;

/// The names this server answers to.
#[derive(Debug)]
pub(super) struct Names {
    hosts: Vec<Host<String>>,
    origins: Vec<String>,
}

#[derive(Debug)]
struct Host<N> {
    name: N,
    /// `None` accepts every port: a proxy's port says nothing about who sent the request.
    port: Option<u16>,
}

impl Names {
    /// The names for a server bound to `bound`. Loopback names count when it listens on loopback, or on everything:
    /// a stranger's page has another name either way.
    pub(super) fn new(settings: &EdgeSettings, bound: SocketAddr, tls: bool) -> Self {
        let configured = settings.public_names.iter().filter_map(|name| Host::parse(name));
        let mut hosts: Vec<Host<String>> = configured
            .map(|host| Host {
                name: host.name.to_owned(),
                port: host.port,
            })
            .collect();
        let mut origins: Vec<String> = settings
            .allowed_origins
            .iter()
            .map(|o| o.to_ascii_lowercase())
            .collect();
        if bound.ip().is_loopback() || bound.ip().is_unspecified() {
            let scheme = if tls { "https" } else { "http" };
            let default_port = if tls { 443 } else { 80 };
            for name in ["localhost", "127.0.0.1", "[::1]"] {
                hosts.push(Host {
                    name: name.to_owned(),
                    port: Some(bound.port()),
                });
                origins.push(format!("{scheme}://{name}:{}", bound.port()));
                if bound.port() == default_port {
                    origins.push(format!("{scheme}://{name}"));
                }
            }
        }
        Self { hosts, origins }
    }

    /// Whether the request names this server: every `Host`, and the authority of the target if it has one.
    pub(super) fn allow_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (first, None) => first.map(|value| value.to_str().unwrap_or_default()),
            _ => return false,
        };
        let target = uri.authority().map(http::uri::Authority::as_str);
        match (target, host) {
            (None, None) => false,
            // A target in absolute form must agree with `Host`, or two readers would see two servers.
            (Some(target), Some(host)) => target.eq_ignore_ascii_case(host) && self.knows(host, uri),
            (Some(name), None) | (None, Some(name)) => self.knows(name, uri),
        }
    }

    /// Whether the request comes from no browser, or from a page that is on the list.
    pub(super) fn allow_origin(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => origin
                .to_str()
                .is_ok_and(|o| self.origins.iter().any(|known| known.eq_ignore_ascii_case(o))),
            _ => false,
        }
    }

    /// Whether a request that changes something comes from no browser, or from a page of this server itself: its
    /// origin is `base` or the host that was asked for, or is on the list. Call after [`Names::allow_host`].
    pub(super) fn is_own_page(&self, base: &str, headers: &HeaderMap) -> bool {
        if self.allow_origin(headers) && headers.contains_key(header::ORIGIN) {
            return true;
        }
        let said = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        // What browsers say by themselves and no page can change.
        if said("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
            return false;
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => return true,
            (Some(origin), None) => origin.to_str().unwrap_or_default(),
            _ => return false,
        };
        let authority = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        let host = said(header::HOST.as_str());
        origin.eq_ignore_ascii_case(base)
            || matches!((authority, host), (Some(a), Some(h)) if a.eq_ignore_ascii_case(h))
    }

    fn knows(&self, text: &str, uri: &Uri) -> bool {
        let Some(given) = Host::parse(text) else {
            return false;
        };
        let default = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let port = given.port.unwrap_or(default);
        self.hosts
            .iter()
            .any(|known| known.name.eq_ignore_ascii_case(given.name) && known.port.is_none_or(|p| p == port))
    }
}

impl<'a> Host<&'a str> {
    /// Splits `name[:port]`. `None` for whatever else a header may hold, user information included.
    fn parse(text: &'a str) -> Option<Self> {
        let end_of_name = match text.strip_prefix('[') {
            Some(inside) => inside.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (name, rest) = text.split_at_checked(end_of_name)?;
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        (!name.is_empty() && name.bytes().all(plain)).then_some(Self { name, port })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn names() -> Names {
        let settings = EdgeSettings {
            public_names: vec!["mcp.example.com".into(), "alt.example.com:8443".into()],
            allowed_origins: vec!["https://app.example.com".into()],
            ..EdgeSettings::default()
        };
        Names::new(&settings, "127.0.0.1:19850".parse().unwrap(), false)
    }

    fn headers(name: &header::HeaderName, values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn hosts_are_compared_as_parsed_names_and_ports() {
        let table: &[(&str, &[&str], bool)] = &[
            ("/mcp", &["localhost:19850"], true),
            ("/mcp", &["LOCALHOST:19850"], true),
            ("/mcp", &["127.0.0.1:19850"], true),
            ("/mcp", &["[::1]:19850"], true),
            ("/mcp", &["localhost"], false),
            ("/mcp", &["localhost:1985"], false),
            ("/mcp", &["localhost:019850x"], false),
            ("/mcp", &["localhost.evil.example:19850"], false),
            ("/mcp", &["evil.example"], false),
            ("/mcp", &["mcp.example.com"], true),
            ("/mcp", &["mcp.example.com:444"], true),
            ("/mcp", &["mcp.example.com.evil.example"], false),
            ("/mcp", &["alt.example.com:8443"], true),
            ("/mcp", &["alt.example.com"], false),
            ("/mcp", &["mcp.example.com@evil.example"], false),
            ("/mcp", &["evil@mcp.example.com"], false),
            ("/mcp", &[""], false),
            ("/mcp", &[], false),
            ("/mcp", &["localhost:19850", "localhost:19850"], false),
            ("http://localhost:19850/mcp", &["localhost:19850"], true),
            ("http://evil.example/mcp", &["localhost:19850"], false),
            ("http://localhost:19850/mcp", &["evil.example"], false),
            ("http://localhost:19850/mcp", &[], true),
        ];
        for (target, hosts, expected) in table {
            let uri: Uri = target.parse().unwrap();
            assert_eq!(
                names().allow_host(&uri, &headers(&header::HOST, hosts)),
                *expected,
                "{target} {hosts:?}"
            );
        }
    }

    #[test]
    fn an_origin_is_absent_or_on_the_list() {
        let table: &[(&[&str], bool)] = &[
            (&[], true),
            (&["https://app.example.com"], true),
            (&["http://127.0.0.1:19850"], true),
            (&["http://localhost:1"], false),
            (&["https://127.0.0.1:19850"], false),
            (&["null"], false),
            (&["https://app.example.com", "https://app.example.com"], false),
            (&["https://app.example.com.evil.example"], false),
            (&["http://evil.example"], false),
        ];
        for (origins, expected) in table {
            assert_eq!(
                names().allow_origin(&headers(&header::ORIGIN, origins)),
                *expected,
                "{origins:?}"
            );
        }
    }

    #[test]
    fn bound_elsewhere_the_loopback_names_are_strangers() {
        let names = Names::new(&EdgeSettings::default(), "192.0.2.1:80".parse().unwrap(), false);
        let uri = Uri::from_static("/mcp");
        assert!(!names.allow_host(&uri, &headers(&header::HOST, &["localhost:80"])));
    }
}
