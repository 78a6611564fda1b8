//! Who we are to an authorization server (protocol.md C-07, C-08).
//!
//! In this order: what the person configured, what was registered there before, the address of a document about us if the
//! server takes one, a registration.

use serde_json::json;

use super::Trouble;
use super::callback::Callback;
use super::discovery::Issuer;
use super::fetch::Fetcher;
use super::identity::Identity;
use super::saved::{Client, ClientAuth, Saved};
use crate::error::quote;
use crate::options::{CLIENT_ID_VARIABLE, Secret};

/// Finds the client to use with `issuer`; one that was just registered is kept in `saved`.
pub(super) async fn choose(
    fetcher: &Fetcher,
    identity: &Identity,
    issuer: &Issuer,
    callback: &Callback,
    saved: &mut Saved,
) -> Result<Client, Trouble> {
    if let Some(client) = configured(identity, issuer) {
        return Ok(client);
    }
    if let (true, Some(address)) = (issuer.takes_documents, &identity.document) {
        return Ok(Client {
            issuer: issuer.name.clone(),
            id: address.clone(),
            secret: None,
            method: ClientAuth::None,
            port: None,
        });
    }
    let known = saved.client(&issuer.name);
    if let Some(known) = known.filter(|known| known.port == Some(callback.port())) {
        return Ok(known.clone());
    }
    let client = register(fetcher, issuer, callback).await?;
    saved.set_client(client.clone());
    Ok(client)
}

/// The client the person configured.
pub(super) fn configured(identity: &Identity, issuer: &Issuer) -> Option<Client> {
    let id = identity.id.clone()?;
    Some(Client {
        issuer: issuer.name.clone(),
        id,
        method: method(issuer, identity.secret.is_some(), None),
        secret: identity.secret.clone(),
        port: None,
    })
}

/// Registers (RFC 7591).
async fn register(fetcher: &Fetcher, issuer: &Issuer, callback: &Callback) -> Result<Client, Trouble> {
    let Some(endpoint) = &issuer.register else {
        return Err(Trouble::Failed(format!(
            "The authorization server `{}` registers no clients by itself. Ask its operator for a client id and set \
             {CLIENT_ID_VARIABLE} to it",
            quote(issuer.name.as_bytes(), 200)
        )));
    };
    let wanted = method(issuer, false, None);
    let document = fetcher
        .post_json(
            endpoint,
            &json!({
                "client_name": env!("BRAND_TITLE"),
                "application_type": "native",
                "redirect_uris": [callback.address()],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": wanted.name(),
            }),
        )
        .await?;
    let id = document.text("client_id").filter(|id| !id.is_empty());
    let (true, Some(id)) = (document.status.is_success(), id) else {
        // Who has published nothing and registers nobody never meant to offer a sign-in.
        if !issuer.is_published {
            return Err(Trouble::NotOffered);
        }
        return Err(Trouble::Failed(format!(
            "The authorization server `{}` did not register this program ({}). Ask its operator for a client id and set \
             {CLIENT_ID_VARIABLE} to it",
            quote(issuer.name.as_bytes(), 200),
            document.refusal()
        )));
    };
    let secret = document
        .text("client_secret")
        .filter(|secret| !secret.is_empty())
        .map(|secret| Secret::from(secret.to_owned()));
    let told = document
        .text("token_endpoint_auth_method")
        .and_then(ClientAuth::find);
    Ok(Client {
        issuer: issuer.name.clone(),
        id: id.to_owned(),
        method: method(issuer, secret.is_some(), told),
        secret,
        port: Some(callback.port()),
    })
}

/// How to prove who we are: as we were `told`, else the best way that the issuer offers and we have the means for.
fn method(issuer: &Issuer, has_secret: bool, told: Option<ClientAuth>) -> ClientAuth {
    if let Some(told) = told {
        return told;
    }
    let offers = |method: ClientAuth| match &issuer.methods {
        Some(methods) => methods.iter().any(|name| name == method.name()),
        None => false,
    };
    // A registration has no secret yet, but says what it would use one for.
    let order: &[ClientAuth] = if has_secret {
        &[ClientAuth::Basic, ClientAuth::Post, ClientAuth::None]
    } else {
        &[ClientAuth::None, ClientAuth::Basic, ClientAuth::Post]
    };
    let offered = order.iter().copied().find(|method| offers(*method));
    offered.unwrap_or(match (has_secret, issuer.is_published) {
        (false, _) => ClientAuth::None,
        // RFC 8414's default; servers without metadata are older than that and read the body.
        (true, true) => ClientAuth::Basic,
        (true, false) => ClientAuth::Post,
    })
}
