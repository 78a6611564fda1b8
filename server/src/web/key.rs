//! Proof of an API key, for the REST endpoints that programs use: the credential of a request comes in, a [`KeyInHand`]
//! goes out. A session's token opens none of them, and a key none of the others.

use axum::extract::FromRequestParts;
use http::{HeaderMap, StatusCode, request::Parts};
use secrecy::ExposeSecret;

use super::{Credential, RestError, Web};
use crate::{
    access::Principal,
    edge::{self, Visit},
    limits::{OverLimit, RateState},
    pipeline::{Refused, SignInError},
    store::Key,
    telemetry::Arrival,
};

/// Proof that the request carries an API key that is good now. The request is counted against the key's rate.
#[derive(Debug)]
pub struct KeyInHand {
    key: Key,
    /// As whom it enters each edition; one at least.
    principals: Vec<Principal>,
    counted: Result<RateState, OverLimit>,
    arrival: Arrival,
}

impl KeyInHand {
    /// The key's row.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// When the request came.
    pub fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// As whom it enters each of the editions that are served, in catalogue order.
    pub fn principals(&self) -> &[Principal] {
        &self.principals
    }

    /// What the key's rate says to this request, as header fields.
    pub fn rate_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let rate = match &self.counted {
            Ok(rate) => Some(*rate),
            Err(limit) => limit.rate(),
        };
        if let Some(rate) = rate {
            edge::show_rate(&mut headers, rate);
        }
        headers
    }

    /// The limit that the request is over, if it is.
    pub fn over(&self) -> Option<&OverLimit> {
        self.counted.as_ref().err()
    }

    /// Refuses a request that is over the key's rate.
    ///
    /// # Errors
    /// 429, with the time to come back.
    pub fn within_rate(&self) -> Result<(), RestError> {
        match self.over() {
            Some(limit) => Err(too_many(limit).with_headers(self.rate_headers())),
            None => Ok(()),
        }
    }
}

/// 429 for a limit.
pub(super) fn too_many(limit: &OverLimit) -> RestError {
    let refused = match limit {
        OverLimit::Rate { .. } | OverLimit::Concurrency { .. } => Refused::RATE_LIMITED,
        OverLimit::Cap { .. } => Refused::CAP_REACHED,
    };
    let text = format!("429 Too Many Requests: {limit}");
    RestError::new(refused, text).retry_after(limit.retry_after_seconds())
}

fn refused(error: &SignInError) -> RestError {
    let error = match error {
        SignInError::TooManyFailures(limit) => return too_many(limit),
        SignInError::Credential(error) => error,
    };
    let status = edge::auth_status(error);
    let row = match status {
        StatusCode::UNAUTHORIZED => Refused::UNAUTHORIZED,
        StatusCode::FORBIDDEN => Refused::FORBIDDEN,
        _ => Refused::UNAVAILABLE,
    };
    let refused = RestError::new(row, format!("{status}: {error}"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return refused.retry_after(2);
    }
    refused
}

impl FromRequestParts<Web> for KeyInHand {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, RestError> {
        let mut arrival = Arrival::now();
        let Credential(secret) = Credential::from_request_parts(parts, web).await?;
        let visit = parts.extensions.get::<Visit>();
        let address = visit
            .ok_or_else(|| RestError::internal(&"a request without a visit"))?
            .address;
        let secret = secret.as_ref().map(ExposeSecret::expose_secret);
        arrival.asked();
        let (key, principals) = web
            .house()
            .recognise(secret, address)
            .await
            .map_err(|error| refused(&error))?;
        arrival.admitted();
        let Some(any) = principals.first() else {
            return Err(RestError::internal(&"a key was recognised for no edition"));
        };
        let counted = web.house().count_request(any);
        Ok(Self {
            key,
            principals,
            counted,
            arrival,
        })
    }
}
