//! What is kept of a sign-in, and how it is written down.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::scopes::Scopes;
use crate::options::Secret;

/// The version of the format. A file of another one is set aside.
const VERSION: u64 = 1;

/// Everything about one server.
#[derive(Clone, Default)]
pub(super) struct Saved {
    /// Who we are to each authorization server: one entry for each issuer (C-08).
    pub(super) clients: Vec<Client>,
    /// What we may do at the server.
    pub(super) grant: Option<Grant>,
}

/// A client of one authorization server.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) issuer: String,
    pub(super) id: String,
    pub(super) secret: Option<Secret>,
    pub(super) method: ClientAuth,
    /// The port of the address that answers come back to, where the registration named one.
    pub(super) port: Option<u16>,
}

/// How a client proves who it is at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuth {
    None,
    Post,
    Basic,
}

/// A token and where it came from.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) issuer: String,
    pub(super) resource: String,
    pub(super) client: Client,
    pub(super) token_endpoint: String,
    pub(super) revocation_endpoint: Option<String>,
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    /// Seconds since 1970; `None`: not said.
    pub(super) expires_at: Option<u64>,
    /// What was granted.
    pub(super) scopes: Scopes,
    /// What was asked for: a step-up asks for that again (C-09).
    pub(super) asked: Scopes,
}

impl ClientAuth {
    pub(super) fn name(self) -> &'static str {
        match self {
            ClientAuth::None => "none",
            ClientAuth::Post => "client_secret_post",
            ClientAuth::Basic => "client_secret_basic",
        }
    }

    pub(super) fn find(name: &str) -> Option<ClientAuth> {
        [ClientAuth::None, ClientAuth::Post, ClientAuth::Basic]
            .into_iter()
            .find(|method| method.name() == name)
    }
}

impl Grant {
    /// Says whether the token is too old to be sent, or will be before it arrives.
    pub(super) fn is_expired(&self, now: u64) -> bool {
        /// Clocks differ and requests take a while.
        const MARGIN_SECONDS: u64 = 30;
        self.expires_at.is_some_and(|end| end <= now + MARGIN_SECONDS)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

impl Saved {
    /// The text of the file.
    pub(super) fn to_text(&self, server: &str) -> String {
        let clients: Vec<Value> = self.clients.iter().map(Client::to_json).collect();
        json!({
            "version": VERSION,
            "server": server,
            "clients": clients,
            "grant": self.grant.as_ref().map(Grant::to_json),
        })
        .to_string()
    }

    /// Reads the text of a file about `server`. `None`: it is no such file.
    pub(super) fn parse(text: &str, server: &str) -> Option<Saved> {
        let json: Value = serde_json::from_str(text).ok()?;
        if json.get("version")?.as_u64()? != VERSION || json.get("server")?.as_str()? != server {
            return None;
        }
        let clients = json.get("clients")?.as_array()?;
        Some(Saved {
            clients: clients.iter().map(Client::from_json).collect::<Option<_>>()?,
            grant: match json.get("grant")? {
                Value::Null => None,
                grant => Some(Grant::from_json(grant)?),
            },
        })
    }

    /// The client registered with `issuer`.
    pub(super) fn client(&self, issuer: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.issuer == issuer)
    }

    /// Keeps `client` in the place of any earlier one of the same issuer.
    pub(super) fn set_client(&mut self, client: Client) {
        self.forget_client(&client.issuer.clone());
        self.clients.push(client);
    }

    pub(super) fn forget_client(&mut self, issuer: &str) {
        self.clients.retain(|client| client.issuer != issuer);
    }
}

impl Client {
    /// A secret that the person configured stays where it is: only one that a registration gave is written down.
    fn to_json(&self) -> Value {
        let secret = self.secret.as_ref().filter(|_| self.port.is_some());
        json!({
            "issuer": self.issuer,
            "client_id": self.id,
            "client_secret": secret.map(Secret::expose),
            "method": self.method.name(),
            "port": self.port,
        })
    }

    fn from_json(json: &Value) -> Option<Client> {
        Some(Client {
            issuer: text(json, "issuer")?,
            id: text(json, "client_id")?,
            secret: text(json, "client_secret").map(Secret::from),
            method: ClientAuth::find(json.get("method")?.as_str()?)?,
            port: json
                .get("port")
                .and_then(Value::as_u64)
                .and_then(|port| u16::try_from(port).ok()),
        })
    }
}

impl Grant {
    fn to_json(&self) -> Value {
        json!({
            "issuer": self.issuer,
            "resource": self.resource,
            "client": self.client.to_json(),
            "token_endpoint": self.token_endpoint,
            "revocation_endpoint": self.revocation_endpoint,
            "access_token": self.access.expose(),
            "refresh_token": self.refresh.as_ref().map(Secret::expose),
            "expires_at": self.expires_at,
            "scope": self.scopes.to_string(),
            "asked": self.asked.to_string(),
        })
    }

    fn from_json(json: &Value) -> Option<Grant> {
        Some(Grant {
            issuer: text(json, "issuer")?,
            resource: text(json, "resource")?,
            client: Client::from_json(json.get("client")?)?,
            token_endpoint: text(json, "token_endpoint")?,
            revocation_endpoint: text(json, "revocation_endpoint"),
            access: Secret::from(text(json, "access_token")?),
            refresh: text(json, "refresh_token").map(Secret::from),
            expires_at: json.get("expires_at").and_then(Value::as_u64),
            scopes: Scopes::parse(&text(json, "scope")?),
            asked: Scopes::parse(&text(json, "asked")?),
        })
    }
}

fn text(json: &Value, name: &str) -> Option<String> {
    json.get(name)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(issuer: &str) -> Client {
        Client {
            issuer: issuer.to_owned(),
            id: "id".to_owned(),
            secret: Some(Secret::from("s".to_owned())),
            method: ClientAuth::Basic,
            port: Some(7),
        }
    }

    #[test]
    fn a_configured_secret_is_not_written_down() {
        let mut saved = Saved::default();
        saved.set_client(Client {
            port: None,
            ..client("https://a")
        });
        let read = Saved::parse(&saved.to_text("r"), "r").unwrap();
        assert!(read.clients[0].secret.is_none());
    }

    #[test]
    fn what_is_kept_can_be_read_again() {
        let mut saved = Saved::default();
        saved.set_client(client("https://a"));
        saved.set_client(client("https://b"));
        saved.set_client(client("https://a"));
        saved.grant = Some(Grant {
            issuer: "https://a".to_owned(),
            resource: "https://r".to_owned(),
            client: client("https://a"),
            token_endpoint: "https://a/t".to_owned(),
            revocation_endpoint: None,
            access: Secret::from("a\"b".to_owned()),
            refresh: None,
            expires_at: Some(100),
            scopes: Scopes::parse("x y"),
            asked: Scopes::parse("x"),
        });
        let text = saved.to_text("https://r");
        let read = Saved::parse(&text, "https://r").unwrap();
        assert_eq!(read.to_text("https://r"), text);
        assert_eq!(read.clients.len(), 2);
        let grant = read.grant.unwrap();
        assert!(grant.client.secret.is_some());
        assert!(!grant.is_expired(69) && grant.is_expired(70));
        assert!(Saved::parse(&text, "https://other").is_none());
        assert!(Saved::parse(&text.replace("\"version\":1", "\"version\":2"), "https://r").is_none());
        for end in 0..text.len() {
            assert!(Saved::parse(&text[..end], "https://r").is_none());
        }
    }
}
