//! Addresses that a stranger's document names: which of them may be used at all (protocol.md C-10).
//!
//! A server decides where the bridge looks for its authorization server, so it must not be able to send it to places that
//! only this machine can reach, nor over a line that others can read.

use std::net::{IpAddr, Ipv4Addr};

use tokio::sync::OnceCell;

use super::Trouble;
use crate::error::quote;
use crate::upstream::Endpoint;

/// An address fit to be used.
#[derive(Clone, Debug)]
pub(super) struct Address {
    text: String,
    pub(super) endpoint: Endpoint,
}

/// How far the documents of one server are trusted, by where that server itself is.
pub(super) struct Trust {
    server: Endpoint,
    /// Found out when first needed: that may take a look-up of the server's name.
    is_public: OnceCell<bool>,
}

impl Trust {
    pub(super) fn new(server: Endpoint) -> Trust {
        Trust {
            server,
            is_public: OnceCell::new(),
        }
    }

    /// Reads `text`: an http(s) address without credentials or fragment. Plain http is for loopback, if the server itself
    /// is there, and for the server's own origin, if the person has allowed that.
    pub(super) fn address(&self, text: &str, what: &str) -> Result<Address, Trouble> {
        let refuse = |why: &str| {
            Trouble::Failed(format!(
                "The {what} `{}` {why}. The server's operator has to correct that",
                quote(text.as_bytes(), 200)
            ))
        };
        let is_clean = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['#', '\\', '"']);
        let is_web = ["https://", "http://"].iter().any(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
        });
        if !is_clean || !is_web {
            return Err(refuse("is no http(s) address"));
        }
        let endpoint = Endpoint::parse(text, true).map_err(|_| refuse("is no http(s) address"))?;
        let own_origin = endpoint.host == self.server.host && endpoint.port == self.server.port;
        let may_be_plain = (endpoint.is_loopback() && self.server.is_loopback())
            || (own_origin && !self.server.tls && self.server.socket.is_none());
        if !endpoint.tls && !may_be_plain {
            return Err(refuse("is not https, so that others could read the sign-in"));
        }
        Ok(Address {
            text: text.to_owned(),
            endpoint,
        })
    }

    /// Refuses what leads from a public server into a private network.
    pub(super) async fn check(&self, address: &Address) -> Result<(), Trouble> {
        if !self.server_is_public().await {
            return Ok(());
        }
        if resolve(&address.endpoint).await.iter().copied().any(is_private) {
            return Err(Trouble::Failed(format!(
                "The server names `{}` for signing in, which is in a private network while the server is not. That is not \
                 followed. The server's operator has to correct it",
                address.endpoint.place()
            )));
        }
        Ok(())
    }

    async fn server_is_public(&self) -> bool {
        *self
            .is_public
            .get_or_init(|| async {
                !self.server.is_loopback() && !resolve(&self.server).await.iter().copied().any(is_private)
            })
            .await
    }
}

impl Address {
    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        origin(&self.endpoint)
    }
}

/// Scheme, host and port of an endpoint, in lower case, without a port that goes without saying.
pub(super) fn origin(endpoint: &Endpoint) -> String {
    let scheme = if endpoint.tls { "https" } else { "http" };
    format!(
        "{scheme}://{}",
        endpoint.authority.to_str().unwrap_or(&endpoint.host)
    )
}

/// The addresses of a host. None if it cannot be looked up: behind a proxy only the proxy knows.
async fn resolve(endpoint: &Endpoint) -> Vec<IpAddr> {
    if endpoint.is_loopback() {
        return vec![Ipv4Addr::LOCALHOST.into()];
    }
    if let Ok(address) = endpoint.host.parse() {
        return vec![address];
    }
    match tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(_) => Vec::new(),
    }
}

/// Says whether an address is not one of the public Internet.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || a == 0
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, high, low] = v6.segments();
            let embedded = || {
                let ([h, i], [j, k]) = (high.to_be_bytes(), low.to_be_bytes());
                Ipv4Addr::new(h, i, j, k)
            };
            // Mapped addresses and those of NAT64 are IPv4 in other clothes.
            if v6.to_ipv4_mapped().is_some() || [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0] {
                return is_private(embedded().into());
            }
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(server: &str) -> Trust {
        Trust::new(Endpoint::parse(server, true).unwrap())
    }

    #[test]
    fn c10_only_https_or_this_machine() {
        let public = trust("https://mcp.example/mcp");
        assert!(public.address("https://as.example/token", "x").is_ok());
        for text in [
            "http://as.example/token",
            "http://127.0.0.1:1/",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://u:p@h/",
            "https://h/a b",
            "https://h/#f",
            "https://h/\u{1b}",
            "//h/x",
            "",
        ] {
            assert!(public.address(text, "x").is_err(), "{text}");
        }
        let local = trust("http://127.0.0.1:9/mcp");
        assert!(local.address("http://localhost:8/token", "x").is_ok());
        assert!(local.address("http://10.0.0.1/token", "x").is_err());
        let allowed = trust("http://10.0.0.1/mcp");
        assert!(allowed.address("http://10.0.0.1/token", "x").is_ok());
        assert!(allowed.address("http://10.0.0.2/token", "x").is_err());
    }

    #[tokio::test]
    async fn c10_a_public_server_leads_nobody_into_a_private_network() {
        let public = trust("https://93.184.216.34/mcp");
        for host in [
            "10.1.2.3",
            "127.0.0.1",
            "169.254.169.254",
            "192.168.0.1",
            "172.16.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "[::1]",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a00:1]",
            "localhost",
        ] {
            let address = public.address(&format!("https://{host}/x"), "x").unwrap();
            assert!(public.check(&address).await.is_err(), "{host}");
            let private = trust("https://10.0.0.9/mcp");
            assert!(private.check(&address).await.is_ok(), "{host}");
        }
        let other = public.address("https://93.184.216.35/x", "x").unwrap();
        assert!(public.check(&other).await.is_ok());
    }
}
