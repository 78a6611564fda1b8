//! Proof that somebody signed in, for REST: the bearer token of a session comes in, a [`SignedIn`] goes out.

use axum::extract::FromRequestParts;
use http::{StatusCode, request::Parts};
use secrecy::SecretString;

use super::{RestError, Web};
use crate::{
    edge,
    operate::sessions,
    store::{SignIn, SignInKind},
    vocabulary::{Role, TenantId, UserId},
};

/// Proof that the request carries the token of a session that is good now.
#[derive(Clone, Debug)]
pub struct SignedIn {
    session: SignIn,
}

impl SignedIn {
    /// Whose rows they may see.
    pub fn tenant(&self) -> &TenantId {
        &self.session.tenant
    }

    /// Who it is.
    pub fn user(&self) -> &UserId {
        &self.session.user
    }

    /// Their role, as of this request.
    pub fn role(&self) -> Role {
        self.session.role
    }

    /// The session itself.
    pub fn session(&self) -> &SignIn {
        &self.session
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
            Some(session) => Ok(Self { session }),
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

/// Whether this role reads everything of its tenant.
pub(super) fn reads_everything(role: Role) -> bool {
    role.is_admin() || role == Role::Auditor
}

macro_rules! narrower {
    ($name:ident, $admits:expr, $needs:literal) => {
        impl std::ops::Deref for $name {
            type Target = SignedIn;

            fn deref(&self) -> &SignedIn {
                &self.0
            }
        }

        impl FromRequestParts<Web> for $name {
            type Rejection = RestError;

            async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, RestError> {
                let signed_in = SignedIn::from_request_parts(parts, web).await?;
                if $admits(signed_in.role()) {
                    Ok(Self(signed_in))
                } else {
                    Err(RestError::role_required($needs))
                }
            }
        }
    };
}

narrower!(ReaderSession, reads_everything, "owner, admin or auditor");
narrower!(AdminSession, Role::is_admin, "owner or admin");

/// The credential of a request, from `Authorization: Bearer` or `X-API-Key`, unjudged. Two that differ are refused.
#[derive(Debug)]
pub struct Credential(pub Option<SecretString>);

impl<S: Sync> FromRequestParts<S> for Credential {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, RestError> {
        edge::credential(&parts.headers)
            .map(|text| Self(text.map(SecretString::from)))
            .map_err(|refused| {
                RestError::new(StatusCode::BAD_REQUEST, "two_credentials", refused.to_string())
            })
    }
}
