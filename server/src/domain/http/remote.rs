//! A connection to one API: sends prepared requests, again where that is harmless, and reads capped answers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode, header};
use url::Url;

use super::{
    DomainError,
    answer::{self, Answer},
    credential::Credential,
    fault::UpstreamFault,
    request::Prepared,
};
use crate::{
    catalogue::http::{HttpCall, Upstream},
    outgoing::{Outgoing, OutgoingError, Reach, ReadError, read_capped},
    vocabulary::TenantId,
};

/// Tries after the first (catalogue.md §2.21).
const MOST_RETRIES: u32 = 2;
/// The pause before the first further try, before jitter; each later one is three times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// An API that asks for a longer pause than this is not waited for: the caller is told instead.
const LONGEST_PAUSE: u64 = 2;

/// Why an API cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// A secret cannot be read.
    #[error("a secret cannot be read: {0}")]
    Secret(String),
    /// No client can be made.
    #[error(transparent)]
    Client(#[from] OutgoingError),
}

/// The APIs of a catalogue, each opened once.
#[derive(Default)]
pub struct Remotes {
    open: HashMap<*const Upstream, Arc<Remote>>,
}

impl Remotes {
    /// Opens an API, or finds it open: its tools share connections and tokens.
    ///
    /// # Errors
    /// When its secret or its authorities cannot be read.
    pub fn open(&mut self, upstream: &Arc<Upstream>) -> Result<Arc<Remote>, RemoteError> {
        if let Some(known) = self.open.get(&Arc::as_ptr(upstream)) {
            return Ok(Arc::clone(known));
        }
        let outgoing = Outgoing::new(&Reach {
            allow_private: upstream.allow_private,
            ca_file: upstream.ca_file.clone(),
            timeout: upstream.timeout,
        })?;
        let remote = Arc::new(Remote {
            upstream: Arc::clone(upstream),
            outgoing,
            credential: Credential::open(upstream)?,
        });
        self.open.insert(Arc::as_ptr(upstream), Arc::clone(&remote));
        Ok(remote)
    }
}

/// One API with its client and credential.
pub struct Remote {
    upstream: Arc<Upstream>,
    outgoing: Outgoing,
    credential: Credential,
}

/// What one try came to.
enum Try {
    Ended(Result<Answer, UpstreamFault>),
    /// The API is for the moment not there; nothing was done, or it can be done again.
    Again {
        fault: UpstreamFault,
        asked: Option<u64>,
    },
}

impl Remote {
    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// What the API refused, or why there was no answer; all tries together take no longer than its time limit.
    pub(super) async fn send(
        &self,
        call: &HttpCall,
        prepared: Prepared,
        tenant: &TenantId,
    ) -> Result<Answer, DomainError> {
        self.within_limit(call, &call.method, prepared, tenant).await
    }

    /// Reads a record before it is changed.
    ///
    /// # Errors
    /// As [`Remote::send`].
    pub(super) async fn look(
        &self,
        call: &HttpCall,
        url: Url,
        tenant: &TenantId,
    ) -> Result<Answer, DomainError> {
        let request = Prepared {
            url,
            headers: HeaderMap::new(),
            body: None,
        };
        self.within_limit(call, &Method::GET, request, tenant).await
    }

    async fn within_limit(
        &self,
        call: &HttpCall,
        method: &Method,
        prepared: Prepared,
        tenant: &TenantId,
    ) -> Result<Answer, DomainError> {
        let limit = self.upstream.timeout;
        match tokio::time::timeout(limit, self.tries(call, method, &prepared, tenant)).await {
            Ok(result) => result,
            Err(_) => Err(UpstreamFault::timeout(limit.as_secs()).into()),
        }
    }

    async fn tries(
        &self,
        call: &HttpCall,
        method: &Method,
        prepared: &Prepared,
        tenant: &TenantId,
    ) -> Result<Answer, DomainError> {
        let harmless = matches!(*method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE)
            || call.idempotency_header.is_some();
        let mut tries = if call.retry && harmless { MOST_RETRIES } else { 0 };
        let mut pause = FIRST_PAUSE;
        loop {
            match self.one_try(call, method, prepared, tenant).await? {
                Try::Ended(result) => return result.map_err(|fault| self.cleaned(fault).into()),
                Try::Again { fault, asked } => {
                    let too_long = asked.is_some_and(|seconds| seconds > LONGEST_PAUSE);
                    if tries == 0 || too_long {
                        return Err(self.cleaned(fault).into());
                    }
                    tries -= 1;
                    let wait = asked.map_or(pause, Duration::from_secs).max(pause);
                    tokio::time::sleep(jittered(wait)).await;
                    pause *= 3;
                }
            }
        }
    }

    async fn one_try(
        &self,
        call: &HttpCall,
        method: &Method,
        prepared: &Prepared,
        tenant: &TenantId,
    ) -> Result<Try, DomainError> {
        let request = self
            .outgoing
            .request(method.clone(), prepared.url.clone())
            .map_err(|_| UpstreamFault::unreachable("upstream's address may not be called"))?;
        let mut request = request.header(header::ACCEPT, "application/json, text/plain;q=0.5");
        for (name, value) in &self.upstream.headers {
            request = request.header(name, value);
        }
        request = request.headers(prepared.headers.clone());
        if let Some((name, value)) = self.credential.header(tenant, &self.outgoing).await? {
            request = request.header(name, value);
        }
        if let Some(body) = prepared.body.clone() {
            request = request.header(header::CONTENT_TYPE, body.media).body(body.bytes);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(self.no_answer(&error)),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        if status == StatusCode::UNAUTHORIZED {
            self.credential.refused(tenant).await;
        }
        let body = match read_capped(response, self.upstream.most_bytes).await {
            Ok(body) => body,
            Err(error @ ReadError::TooLarge { .. }) => {
                tracing::warn!(upstream = self.upstream.name, %error, "an API's answer was refused");
                let message = "upstream's answer is too large; ask for less";
                return Ok(Try::Ended(Err(UpstreamFault::broken(message))));
            }
            Err(ReadError::Broken(error)) => return Ok(self.no_answer(&error)),
        };
        let read = answer::read(call, status, &headers, &body);
        Ok(match (status.as_u16(), read) {
            (502..=504, Err(fault)) => Try::Again {
                fault,
                asked: answer::retry_after(&headers),
            },
            (_, read) => Try::Ended(read),
        })
    }

    /// There was no answer. What the client library says stays in the log: it names hosts and addresses.
    fn no_answer(&self, error: &reqwest::Error) -> Try {
        let causes = causes(error);
        tracing::warn!(
            upstream = self.upstream.name,
            error = causes,
            "a call to an API failed"
        );
        if error.is_timeout() && !error.is_connect() {
            return Try::Ended(Err(UpstreamFault::timeout(self.upstream.timeout.as_secs())));
        }
        let what = if error.is_connect() {
            "upstream cannot be reached"
        } else {
            "upstream broke off"
        };
        Try::Again {
            fault: UpstreamFault::unreachable(what),
            asked: None,
        }
    }

    /// Secrets and internal names out of words that an API sent (security.md H3).
    fn cleaned(&self, mut fault: UpstreamFault) -> UpstreamFault {
        fault.message = self.credential.redact(fault.message);
        if let Some(host) = self.upstream.base.host_str() {
            fault.message = fault.message.replace(host, &self.upstream.name);
        }
        fault
    }
}

/// An error with everything behind it, without the address: its query may hold what a caller wrote.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    if let Some(url) = error.url() {
        text = text.replace(url.as_str(), url.path());
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Between half of `wait` and one and a half: callers that failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [128_u8];
    // Without randomness there is no jitter, which harms nobody.
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    wait.mul_f64(0.5 + f64::from(byte) / 255.0)
}
