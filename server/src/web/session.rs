//! Proof that somebody signed in, for REST: the bearer token of a session comes in, a [`SignedIn`] goes out.

use axum::extract::FromRequestParts;
use http::request::Parts;
use secrecy::SecretString;

use super::{
    RestError, Web,
    who::{Who, narrower, reads_everything},
};
use crate::{edge, operate::sessions, pipeline::Refused, store::SignInKind, vocabulary::Role};

/// Proof that the request carries the token of a session that is good now.
#[derive(Clone, Debug)]
pub struct SignedIn(Who);

impl std::ops::Deref for SignedIn {
    type Target = Who;

    fn deref(&self) -> &Who {
        &self.0
    }
}

impl FromRequestParts<Web> for SignedIn {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, RestError> {
        let Credential(Some(secret)) = Credential::from_request_parts(parts, web).await? else {
            return Err(RestError::unauthorized());
        };
        let found = sessions::find(web.store(), &secret, SignInKind::Token, web.lifetime()).await?;
        match found {
            Some(session) => Ok(Self(Who(session))),
            None => Err(RestError::unauthorized()),
        }
    }
}

/// Proof that an owner, admin or auditor asks: they read everything of their tenant.
#[derive(Clone, Debug)]
pub struct ReaderSession(SignedIn);

/// Proof that an owner or admin asks: they change things.
#[derive(Clone, Debug)]
pub struct AdminSession(SignedIn);

narrower!(ReaderSession: SignedIn, admits reads_everything, or else RestError: "owner, admin or auditor");
narrower!(AdminSession: SignedIn, admits Role::is_admin, or else RestError: "owner or admin");

/// The credential of a request, from `Authorization: Bearer` or `X-API-Key`, unjudged. Two that differ are refused.
#[derive(Debug)]
pub struct Credential(pub Option<SecretString>);

impl<S: Sync> FromRequestParts<S> for Credential {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, RestError> {
        edge::credential(&parts.headers)
            .map(|text| Self(text.map(SecretString::from)))
            .map_err(|refused| RestError::new(Refused::TWO_CREDENTIALS, refused.to_string()))
    }
}
