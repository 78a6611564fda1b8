//! The server's side: requests out, replies in.
//!
//! In come headers and a body that are sent as they are; out comes a [`Reply`] whose body the caller reads. This module adds
//! what every request carries (host, credential, who we are), follows the few redirects that may be followed and turns
//! transport failures into words. It knows nothing of JSON-RPC.

mod connect;
mod endpoint;
mod pool;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};

use crate::alarm::Alarm;
use crate::brand;
use crate::error::{BridgeError, quote};
use crate::log;
use crate::options::{KEY_VARIABLE, URL_VARIABLE};
pub(crate) use connect::Dialer;
pub(crate) use endpoint::Endpoint;
use pool::{Connection, Pool, SendError};
pub(crate) use tls::Tls;

/// Redirects followed for one request (protocol.md B-16).
const REDIRECTS: usize = 3;
/// How long the rest of a reply that nobody needs may take; a connection read to its end can be used again.
const LINGER: Duration = Duration::from_secs(1);
/// How much of it is read for that.
const LINGER_BYTES: usize = 64 * 1024;

/// The one server the bridge talks to.
pub(crate) struct Upstream {
    endpoint: Endpoint,
    pool: Arc<Pool>,
    /// What every request carries.
    headers: HeaderMap,
    /// What every POST carries.
    post_headers: HeaderMap,
    has_key: bool,
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

/// A response, its body still to be read.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// The body of a reply. Reading it to the end frees the connection for the next request, dropping it closes the
/// connection, which is how a modern request is cancelled.
pub(crate) struct Body {
    incoming: Incoming,
    lease: Option<(Connection, Arc<Pool>)>,
}

/// Why a body did not arrive whole.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The connection failed.
    Lost(hyper::Error),
    /// It is larger than allowed.
    TooLarge,
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
            headers,
            post_headers,
            has_key,
            response_limit: limits.response,
            alarm: limits.alarm,
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

    /// A text of the server with our own credential struck out, should it repeat it. For everything that is quoted.
    pub(crate) fn without_key(&self, text: &[u8]) -> String {
        let text = String::from_utf8_lossy(text);
        match self
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

    /// The headers of a new POST, to be added to.
    pub(crate) fn post_headers(&self) -> HeaderMap {
        self.post_headers.clone()
    }

    /// The headers of a new GET or DELETE, to be added to.
    pub(crate) fn plain_headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// Sends one request and waits for the head of its reply. `leaving` is called each time just before bytes may leave.
    /// Redirects within the origin are followed if method and body may be kept; every other 3xx is an error.
    pub(crate) async fn send(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
        leaving: impl Fn(),
    ) -> Result<Reply, BridgeError> {
        self.send_to(None, method, headers, body, leaving).await
    }

    /// The same to another request target of the server, one that [`Upstream::resolve`] has made.
    pub(crate) async fn send_to(
        &self,
        target: Option<&Uri>,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
        leaving: impl Fn(),
    ) -> Result<Reply, BridgeError> {
        let mut target = target.unwrap_or(&self.endpoint.target).clone();
        let mut followed = 0;
        loop {
            let request = || {
                leaving();
                let mut request = Request::new(Full::new(body.clone()));
                *request.method_mut() = method.clone();
                *request.uri_mut() = target.clone();
                *request.headers_mut() = headers.clone();
                request
            };
            let sent = self
                .alarm
                .within(self.response_limit, self.pool.send(request))
                .await;
            let (response, connection) = match sent {
                Ok(outcome) => outcome.map_err(|error| self.explain(&error))?,
                Err(_) => return Err(self.too_slow()),
            };
            let reply = Reply::new(response, connection, &self.pool);
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

    /// Where a redirect may lead: the same origin, with 307 or 308.
    fn redirected(&self, reply: &Reply) -> Result<Uri, BridgeError> {
        let location = reply
            .headers
            .get(header::LOCATION)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let keeps_body = matches!(
            reply.status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        if let (true, Some(target)) = (
            keeps_body,
            std::str::from_utf8(location)
                .ok()
                .and_then(|text| self.endpoint.follow(text)),
        ) {
            return Ok(target);
        }
        // Query and user information of a stranger's URL may be secret: scheme, host and path are enough to act on.
        let shown = location
            .split(|byte| matches!(byte, b'?' | b'#'))
            .next()
            .unwrap_or_default();
        Err(BridgeError::http_status(
            reply.status,
            format!(
                "`{}` redirects to `{}` ({}), which is not followed so that neither key nor message reach another \
                 address. If that is the right server, set {URL_VARIABLE} to it",
                self.place(),
                quote(self.without_key(shown).as_bytes(), 200),
                reply.status.as_u16()
            ),
        ))
    }

    fn explain(&self, error: &SendError) -> BridgeError {
        match error {
            SendError::Connect(cause) => {
                BridgeError::no_connection(cause.to_string()).diagnosed(cause.diagnosis())
            }
            SendError::Unsent(cause) => BridgeError::no_connection(format!(
                "`{}` closed the connection before the request could be sent ({cause}). Try again",
                self.place()
            )),
            SendError::Lost(cause) => self.lost(cause),
        }
    }

    /// The error for a reply that stopped on its way.
    pub(crate) fn lost(&self, cause: &hyper::Error) -> BridgeError {
        BridgeError::reply_lost(format!(
            "The connection to `{}` ended before the reply was complete ({cause}); whether the request took effect is \
             unknown. Check that before you repeat it",
            self.place()
        ))
    }

    fn too_slow(&self) -> BridgeError {
        BridgeError::timeout(format!(
            "`{}` did not begin to answer within {} s; whether the request took effect is unknown. Check that before you \
             repeat it",
            self.place(),
            self.response_limit.as_secs_f64()
        ))
    }
}

impl Reply {
    fn new(response: Response<Incoming>, connection: Connection, pool: &Arc<Pool>) -> Reply {
        let (head, incoming) = response.into_parts();
        let mut body = Body {
            incoming,
            lease: Some((connection, Arc::clone(pool))),
        };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        Reply {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// A header's value as text; empty if it is absent or no text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Says whether the body is of this media type, parameters ignored.
    pub(crate) fn is_type(&self, essence: &str) -> bool {
        let declared = self.header(header::CONTENT_TYPE);
        declared
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case(essence)
    }
}

impl Body {
    /// The next bytes, `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        loop {
            match self.incoming.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(error)) => {
                    self.lease = None;
                    return Err(error);
                }
                None => {
                    self.finish();
                    return Ok(None);
                }
            }
        }
    }

    /// Everything, if it is at most `limit` bytes.
    pub(crate) async fn whole(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let declared = usize::try_from(self.incoming.size_hint().lower()).unwrap_or(usize::MAX);
        if declared > limit {
            return Err(BodyError::TooLarge);
        }
        // Room that no bytes arrive for is never touched, so a declared length may be believed up to the limit; growing
        // step by step would hold a large message twice. One more for the newline the line will end with.
        let mut whole = Vec::with_capacity(declared + 1);
        while let Some(bytes) = self.chunk().await.map_err(BodyError::Lost)? {
            if whole.len() + bytes.len() > limit {
                return Err(BodyError::TooLarge);
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    /// As much as arrives of the first `limit` bytes. For texts that are quoted, never for messages.
    pub(crate) async fn beginning(mut self, limit: usize) -> Vec<u8> {
        let mut beginning = Vec::new();
        while beginning.len() < limit {
            match self.chunk().await {
                Ok(Some(bytes)) => beginning.extend_from_slice(&bytes),
                Ok(None) | Err(_) => break,
            }
        }
        beginning.truncate(limit);
        beginning
    }

    /// Reads on in the background, within limits, so that the connection can be used again.
    pub(crate) fn linger(mut self) {
        if self.lease.is_none() {
            return;
        }
        tokio::spawn(async move {
            let rest = async {
                let mut bytes = 0;
                while let Ok(Some(chunk)) = self.chunk().await {
                    bytes += chunk.len();
                    if bytes > LINGER_BYTES {
                        break;
                    }
                }
            };
            let _ = tokio::time::timeout(LINGER, rest).await;
        });
    }

    fn finish(&mut self) {
        if let Some((connection, pool)) = self.lease.take() {
            pool.give_back(connection);
        }
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
            KEY_VARIABLE,
            format!(
                "The key in {KEY_VARIABLE} has characters that no key has (blanks, line breaks, or letters outside ASCII). \
                 Copy it again"
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
            assert!(error.message().contains(KEY_VARIABLE) && !error.message().contains("schlüssel"));
        }
        assert!(!format!("{:?}", bearer("fbk_planted").unwrap()).contains("planted"));
    }
}
