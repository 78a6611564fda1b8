//! Somebody who signed in, whichever door they came by, and the proofs that their role is enough.

use crate::{
    operate::Actor,
    store::SignIn,
    vocabulary::{Role, TenantId, UserId},
};

/// Whose session it is. A door makes one of a session that it found good, and hands it out inside its own proof.
#[derive(Clone, Debug)]
pub struct Who(pub(super) SignIn);

impl Who {
    /// Whose rows they may see.
    pub fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    /// Who it is.
    pub fn user(&self) -> &UserId {
        &self.0.user
    }

    /// Their role, as of this request.
    pub fn role(&self) -> Role {
        self.0.role
    }

    /// Whether they see what others of their tenant do.
    pub fn sees_everybody(&self) -> bool {
        reads_everything(self.role())
    }

    /// Whoever acts when they do something.
    pub fn actor(&self) -> Actor {
        Actor::Person(self.0.user.clone())
    }

    /// The session itself.
    pub fn session(&self) -> &SignIn {
        &self.0
    }
}

/// Whether this role reads everything of its tenant.
pub(super) fn reads_everything(role: Role) -> bool {
    role.is_admin() || role == Role::Auditor
}

/// A proof that is another one, of somebody whose role is enough.
macro_rules! narrower {
    ($name:ident: $whole:ty, admits $admits:expr, or else $refusal:ty: $needs:literal) => {
        impl std::ops::Deref for $name {
            type Target = $whole;

            fn deref(&self) -> &$whole {
                &self.0
            }
        }

        impl axum::extract::FromRequestParts<$crate::web::Web> for $name {
            type Rejection = $refusal;

            async fn from_request_parts(
                parts: &mut http::request::Parts,
                web: &$crate::web::Web,
            ) -> Result<Self, $refusal> {
                let whole = <$whole>::from_request_parts(parts, web).await?;
                if $admits(whole.role()) {
                    Ok(Self(whole))
                } else {
                    Err(<$refusal>::role_required($needs))
                }
            }
        }
    };
}

pub(super) use narrower;
