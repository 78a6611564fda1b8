//! The token endpoint: codes, refresh tokens and client credentials → tokens; and their end (protocol.md C-05, C-11).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

use super::Trouble;
use super::address::Address;
use super::fetch::{Document, Fetcher};
use super::form;
use super::saved::{Client, ClientAuth, Grant, now};
use super::scopes::Scopes;
use crate::error::quote;
use crate::options::Secret;

/// Longest token that is believed: it has to fit into a header.
const TOKEN_BYTES: usize = 32 * 1024;
/// A lifetime beyond ten years is as good as none.
const LIFETIME_MOST: u64 = 10 * 365 * 24 * 3600;

/// What a token is asked for with.
pub(super) struct Ask<'a> {
    pub(super) issuer: &'a str,
    pub(super) resource: &'a str,
    pub(super) client: &'a Client,
    pub(super) endpoint: &'a Address,
    pub(super) revocation_endpoint: Option<String>,
    /// The scopes of the request, and of the token unless the answer says otherwise.
    pub(super) scopes: Scopes,
}

/// Why there is no token.
pub(super) enum Denied {
    /// The authorization server has no such grant (any more): only a new sign-in helps.
    Grant(String),
    /// It does not know the client: registering anew may help.
    Client(String),
    /// Anything else.
    Trouble(Trouble),
}

impl From<Trouble> for Denied {
    fn from(trouble: Trouble) -> Denied {
        Denied::Trouble(trouble)
    }
}

impl From<Denied> for Trouble {
    fn from(denied: Denied) -> Trouble {
        match denied {
            Denied::Trouble(trouble) => trouble,
            Denied::Grant(said) | Denied::Client(said) => Trouble::Failed(format!(
                "The authorization server gave no token ({said}). Try again"
            )),
        }
    }
}

impl Ask<'_> {
    /// A code → a token.
    pub(super) async fn with_code(
        self,
        fetcher: &Fetcher,
        code: &str,
        verifier: &str,
        redirect: &str,
    ) -> Result<Grant, Denied> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        self.send(fetcher, &form, None).await
    }

    /// A refresh token → a token. The refresh token stays as it is unless the answer brings another one.
    pub(super) async fn with_refresh(self, fetcher: &Fetcher, refresh: &Secret) -> Result<Grant, Denied> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose()),
        ];
        self.send(fetcher, &form, Some(refresh)).await
    }

    /// The client's own credentials → a token.
    pub(super) async fn with_own_credentials(self, fetcher: &Fetcher) -> Result<Grant, Denied> {
        let scopes = self.scopes.to_string();
        let mut form = vec![("grant_type", "client_credentials")];
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        self.send(fetcher, &form, None).await
    }

    async fn send(
        self,
        fetcher: &Fetcher,
        form: &[(&str, &str)],
        refresh: Option<&Secret>,
    ) -> Result<Grant, Denied> {
        let mut pairs = form.to_vec();
        pairs.push(("resource", self.resource));
        let authorization = identify(self.client, &mut pairs);
        let document = fetcher
            .post_form(self.endpoint, authorization, form::encode(&pairs))
            .await?;
        if !document.status.is_success() {
            let said = document.refusal();
            return Err(match document.text("error") {
                Some("invalid_grant") => Denied::Grant(said),
                Some("invalid_client" | "unauthorized_client") => Denied::Client(said),
                _ => Denied::Trouble(Trouble::Failed(format!(
                    "`{}` gave no token ({said}). Try again, or tell its operator",
                    self.endpoint.endpoint.place()
                ))),
            });
        }
        self.read(&document, refresh)
    }

    fn read(self, document: &Document, refresh: Option<&Secret>) -> Result<Grant, Denied> {
        let unusable = |why: &str| {
            Denied::Trouble(Trouble::Failed(format!(
                "`{}` sent {why}. Its operator has to correct that",
                self.endpoint.endpoint.place()
            )))
        };
        let token = |name: &str| {
            document
                .text(name)
                .filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES)
        };
        let access = token("access_token").ok_or_else(|| unusable("no token"))?;
        if !access.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable("a token that no header can carry"));
        }
        if let Some(other) = document
            .text("token_type")
            .filter(|kind| !kind.eq_ignore_ascii_case("bearer"))
        {
            return Err(unusable(&format!(
                "a token of a kind this program does not know, `{}`",
                quote(other.as_bytes(), 40)
            )));
        }
        let lifetime = document.json.get("expires_in").and_then(|value| {
            // Some servers send the number as a text.
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        });
        Ok(Grant {
            issuer: self.issuer.to_owned(),
            resource: self.resource.to_owned(),
            client: self.client.clone(),
            token_endpoint: self.endpoint.as_str().to_owned(),
            revocation_endpoint: self.revocation_endpoint,
            access: Secret::from(access.to_owned()),
            refresh: token("refresh_token")
                .map(|token| Secret::from(token.to_owned()))
                .or_else(|| refresh.cloned()),
            expires_at: lifetime.map(|seconds| now() + seconds.min(LIFETIME_MOST)),
            scopes: document
                .text("scope")
                .map(Scopes::parse)
                .filter(|scopes| !scopes.is_empty())
                .unwrap_or_else(|| self.scopes.clone()),
            asked: self.scopes,
        })
    }
}

/// Ends a token at the authorization server (RFC 7009). Returns whether that server agreed.
pub(super) async fn revoke(fetcher: &Fetcher, endpoint: &Address, grant: &Grant) -> Result<bool, Trouble> {
    let (token, hint) = match &grant.refresh {
        Some(refresh) => (refresh, "refresh_token"),
        None => (&grant.access, "access_token"),
    };
    let mut pairs = vec![("token", token.expose()), ("token_type_hint", hint)];
    let authorization = identify(&grant.client, &mut pairs);
    let document = fetcher
        .post_form(endpoint, authorization, form::encode(&pairs))
        .await?;
    Ok(document.status.is_success())
}

/// Says who asks, the way the client was told to.
fn identify<'f>(client: &'f Client, pairs: &mut Vec<(&'f str, &'f str)>) -> Option<HeaderValue> {
    let secret = client.secret.as_ref().map(Secret::expose);
    match (client.method, secret) {
        (ClientAuth::Basic, Some(secret)) => {
            let text = format!("{}:{}", form::escape(&client.id), form::escape(secret));
            let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).ok()?;
            value.set_sensitive(true);
            Some(value)
        }
        (ClientAuth::Post, Some(secret)) => {
            pairs.push(("client_id", &client.id));
            pairs.push(("client_secret", secret));
            None
        }
        _ => {
            pairs.push(("client_id", &client.id));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(method: ClientAuth, secret: Option<&str>) -> Client {
        Client {
            issuer: "https://as".to_owned(),
            id: "i:d".to_owned(),
            secret: secret.map(|secret| Secret::from(secret.to_owned())),
            method,
            port: None,
        }
    }

    #[test]
    fn a_client_says_who_it_is_in_one_way_only() {
        let said = |method, secret| {
            let client = client(method, secret);
            let mut pairs = Vec::new();
            let header = identify(&client, &mut pairs).map(|value| value.to_str().unwrap().to_owned());
            (header, form::encode(&pairs))
        };
        assert_eq!(
            said(ClientAuth::Basic, Some("s&")),
            (
                Some(format!("Basic {}", STANDARD.encode("i%3Ad:s%26"))),
                String::new()
            )
        );
        assert_eq!(
            said(ClientAuth::Post, Some("s&")),
            (None, "client_id=i%3Ad&client_secret=s%26".to_owned())
        );
        for alone in [
            said(ClientAuth::None, Some("s")),
            said(ClientAuth::Basic, None),
            said(ClientAuth::Post, None),
        ] {
            assert_eq!(alone, (None, "client_id=i%3Ad".to_owned()));
        }
    }
}
