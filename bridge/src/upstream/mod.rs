//! The server's side: requests out, replies in.
//!
//! In come headers and a body that are sent as they are; out comes a [`Reply`] whose body the caller reads. This module adds
//! what every request carries (host, credential, who we are), follows the few redirects that may be followed and turns
//! transport failures into words. It knows nothing of JSON-RPC.
//!
//! From here outwards: [`pool`] (which connection carries a request), [`http1`] (one that carries it alone), [`multiplex`] (one that
//! carries many), `cork` (its writes), [`reply`];
//! [`connect`] (a new one) with [`endpoint`], [`proxy`], [`race`] and [`tls`], [`trust`], [`certificate`]; [`stream`] (its bytes); [`words`] (why there was no reply).

mod certificate;
mod connect;
#[cfg(feature = "http2")]
mod cork;
mod endpoint;
mod http1;
#[cfg_attr(not(feature = "http2"), path = "no_multiplex.rs")]
mod multiplex;
mod pool;
mod proxy;
mod race;
mod reply;
mod stream;
mod tls;
mod trust;
mod words;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode, Uri};

use crate::alarm::Alarm;
use crate::brand;
use crate::error::{BridgeError, quote};
use crate::key;
use crate::log;
use crate::options::URL_VARIABLE;
#[cfg(feature = "sign-in")]
use crate::sign_in::{SignIn, Tries};
pub(crate) use connect::{Dialer, Way};
pub(crate) use endpoint::Endpoint;
#[cfg(not(feature = "sign-in"))]
use http1::{Common, Outgoing};
#[cfg(feature = "sign-in")]
pub(crate) use http1::{Common, Outgoing, Wire};
use pool::Pool;
pub(crate) use pool::TransportError;
pub(crate) use proxy::Proxies;
pub(crate) use reply::{Body, BodyError, Reply};
pub(crate) use tls::Identity;

/// Redirects followed for one request (protocol.md B-16).
const REDIRECTS: usize = 3;
/// The one server the bridge talks to.
pub(crate) struct Upstream {
    endpoint: Endpoint,
    pool: Arc<Pool>,
    /// What every request carries.
    common: Common,
    /// What every POST carries.
    post_common: Common,
    has_key: bool,
    #[cfg(feature = "sign-in")]
    sign_in: Option<Arc<SignIn>>,
    response_limit: Duration,
    alarm: Alarm,
}

/// The time limits of the way to the server.
pub(crate) struct Limits {
    /// From sending to response headers.
    pub(crate) response: Duration,
    /// What keeps it.
    pub(crate) alarm: Alarm,
}

impl Upstream {
    /// Prepares everything short of a connection. `key` has passed [`bearer`].
    pub(crate) fn new(
        endpoint: Endpoint,
        dialer: Arc<Dialer>,
        key: Option<HeaderValue>,
        limits: Limits,
    ) -> Upstream {
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(header::HOST, endpoint.authority.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(brand::USER_AGENT));
        let has_key = key.is_some();
        if let Some(key) = key {
            headers.insert(header::AUTHORIZATION, key);
        }
        let mut post_headers = headers.clone();
        post_headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        post_headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        Upstream {
            pool: Arc::new(Pool::new(endpoint.clone(), dialer)),
            endpoint,
            common: Common::new(headers),
            post_common: Common::new(post_headers),
            has_key,
            #[cfg(feature = "sign-in")]
            sign_in: None,
            response_limit: limits.response,
            alarm: limits.alarm,
        }
    }

    /// Lets requests that are refused for want of a credential get one from `sign_in`. Never beside a key.
    #[cfg(feature = "sign-in")]
    pub(crate) fn with_sign_in(self, sign_in: Option<SignIn>) -> Upstream {
        Upstream {
            sign_in: sign_in.filter(|_| !self.has_key).map(Arc::new),
            ..self
        }
    }

    /// Begins to connect, so that the first message need not wait for it.
    pub(crate) fn warm_up(&self) {
        self.pool.warm_up();
    }

    /// Says whether requests carry a credential.
    pub(crate) fn has_key(&self) -> bool {
        self.has_key
    }

    /// Says whether requests carry the credential of a sign-in.
    pub(crate) fn is_signed_in(&self) -> bool {
        #[cfg(feature = "sign-in")]
        if let Some(sign_in) = &self.sign_in {
            return sign_in.is_signed_in();
        }
        false
    }

    /// A text of the server with our own credential struck out, should it repeat it. For everything that is quoted.
    pub(crate) fn without_key(&self, text: &[u8]) -> String {
        let text = String::from_utf8_lossy(text);
        #[cfg(feature = "sign-in")]
        if let Some(sign_in) = &self.sign_in {
            return sign_in.strike(&text);
        }
        match self
            .common
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        {
            Some(key) => text.replace(key, "…"),
            None => text.into_owned(),
        }
    }

    /// Host and port for people.
    pub(crate) fn place(&self) -> &str {
        self.endpoint.place()
    }

    /// Sends one request and waits for the head of its reply. `headers` are those that it has besides what every request
    /// carries.
    /// Redirects within the origin are followed if method and body may be kept; every other 3xx is an error. A request that
    /// is refused for want of a credential is sent again when a sign-in has brought one (M-8).
    pub(crate) async fn send(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Reply, BridgeError> {
        self.send_to(None, method, headers, body, None).await
    }

    /// The same to another request target of the server, one that [`Upstream::resolve`] has made. `leaving` is set just before
    /// bytes may leave.
    pub(crate) async fn send_to(
        &self,
        target: Option<&Uri>,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
        leaving: Option<&AtomicBool>,
    ) -> Result<Reply, BridgeError> {
        #[cfg(feature = "sign-in")]
        if let Some(sign_in) = &self.sign_in {
            // Boxed: it is many times the size of what a request with a key needs.
            return Box::pin(self.send_signed_in(sign_in, target, method, headers, body, leaving)).await;
        }
        self.send_as(None, target, method, headers, body, leaving).await
    }

    #[cfg(feature = "sign-in")]
    async fn send_signed_in(
        &self,
        sign_in: &Arc<SignIn>,
        target: Option<&Uri>,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
        leaving: Option<&AtomicBool>,
    ) -> Result<Reply, BridgeError> {
        let mut tries = Tries::default();
        loop {
            let credential = sign_in.credential().await;
            let reply = self
                .send_as(credential.as_ref(), target, method, headers, body, leaving)
                .await?;
            let may_resend = sign_in
                .may_resend(
                    method,
                    &mut tries,
                    credential.as_ref(),
                    reply.status,
                    &reply.headers,
                )
                .await?;
            if !may_resend {
                return Ok(reply);
            }
            reply.body.linger();
        }
    }

    /// Sends with `credential` beside the headers.
    async fn send_as(
        &self,
        credential: Option<&HeaderValue>,
        target: Option<&Uri>,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
        leaving: Option<&AtomicBool>,
    ) -> Result<Reply, BridgeError> {
        let mut target = target.unwrap_or(&self.endpoint.target).clone();
        let mut followed = 0;
        loop {
            let left = AtomicBool::new(false);
            let request = Outgoing {
                method,
                target: &target,
                common: match *method == Method::POST {
                    true => &self.post_common,
                    false => &self.common,
                },
                headers,
                credential,
                body,
            };
            let leaves = || {
                if let Some(leaving) = leaving {
                    leaving.store(true, Ordering::Relaxed);
                }
                left.store(true, Ordering::Relaxed);
            };
            // Pinned here: a future that is handed on by value takes its room twice in the one that waits for it.
            let sent = {
                let sending = pin!(self.pool.send(&request, leaves));
                self.alarm.within(self.response_limit, sending).await
            };
            let reply = match sent {
                Ok(outcome) => outcome.map_err(|error| self.explain(&error))?,
                Err(_) if left.load(Ordering::Relaxed) => return Err(self.too_slow()),
                Err(_) => return Err(self.too_busy()),
            };
            if !reply.status.is_redirection() || reply.status == StatusCode::NOT_MODIFIED {
                return Ok(reply);
            }
            target = self.redirected(&reply)?;
            if followed == REDIRECTS {
                let message = format!(
                    "`{}` redirects more than {REDIRECTS} times. Check {URL_VARIABLE}",
                    self.place()
                );
                return Err(BridgeError::http_status(reply.status, message));
            }
            followed += 1;
            reply.body.linger();
            log::info(format_args!(
                "following a redirect to {}",
                quote(target.path().as_bytes(), 100)
            ));
        }
    }

    /// The request target that `reference`, absolute or relative, names on this server. `None` on any other origin.
    pub(crate) fn resolve(&self, reference: &str) -> Option<Uri> {
        self.endpoint.follow(reference)
    }
}

/// The header that carries `key`, or what is wrong with it. The key itself is in neither.
pub(crate) fn bearer(key: &str) -> Result<HeaderValue, BridgeError> {
    let key = key.trim();
    let sendable = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    let value = sendable
        .then(|| HeaderValue::from_str(&format!("Bearer {key}")).ok())
        .flatten();
    let mut value = value.ok_or_else(|| {
        BridgeError::authentication(
            None,
            key::setting(),
            format!(
                "The key in {} has characters that no key has (blanks, line breaks, or letters outside ASCII). Copy it again",
                key::setting()
            ),
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_only_if_no_byte_of_it_can_break_the_header() {
        assert_eq!(bearer(" fbk_abc\n").unwrap(), "Bearer fbk_abc");
        for key in ["", " ", "a b", "a\r\nX: y", "a\0", "schlüssel"] {
            let error = bearer(key).unwrap_err();
            assert!(error.message().contains(key::setting()) && !error.message().contains("schlüssel"));
        }
        assert!(!format!("{:?}", bearer("fbk_planted").unwrap()).contains("planted"));
    }
}
