//! Who wants something done, and what their role lets them do.
//!
//! | May | owner | admin | auditor | member | agent |
//! |---|---|---|---|---|---|
//! | see everybody, all keys, open invitations | yes | yes | yes | themselves, their own keys | – |
//! | add, invite, change, disable people | yes | all but owners | – | – | – |
//! | give a role | any | any but owner | – | – | – |
//! | mint and rotate keys | anybody's | all but owners', and their own | – | their own | – |
//! | narrow and revoke keys | anybody's | anybody's | their own | their own | – |
//!
//! A key acts with its owner's role, so whoever could mint or rotate an owner's key would be an owner: admins cannot.
//! Stopping something is always allowed to more people than starting it.

use super::OperateError;
use crate::{
    store::{self, TenantTx, User},
    vocabulary::{Role, UserId},
};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The person with the data folder, at the command line. No role bounds them.
    Operator,
    /// Somebody who signed in to the tenant. Their role is not taken from the sign-in: it is looked up when they act.
    Person(UserId),
}

/// An actor as the transaction finds them.
pub(super) enum Standing {
    Operator,
    Person(Box<User>),
}

impl Actor {
    /// Looks the actor up. Whoever changes people calls `tx.users().lock()` before.
    pub(super) async fn standing(&self, tx: &mut TenantTx<'_>) -> Result<Standing, OperateError> {
        let Self::Person(id) = self else {
            return Ok(Standing::Operator);
        };
        let active = tx.users().tenant_is_active().await?;
        let user = tx.users().find(id).await?;
        match user.filter(|user| active && user.disabled_at.is_none()) {
            Some(user) => Ok(Standing::Person(Box::new(user))),
            None => Err(OperateError::Forbidden(
                "this account is suspended; an owner or admin of the tenant can enable it again".to_owned(),
            )),
        }
    }
}

impl Standing {
    /// The person, if it is one.
    pub(super) fn user(&self) -> Option<&User> {
        match self {
            Self::Operator => None,
            Self::Person(user) => Some(user),
        }
    }

    /// As the change log names them.
    pub(super) fn as_logged(&self) -> store::Actor {
        match self {
            Self::Operator => store::Actor::operator(),
            Self::Person(user) => store::Actor::person(user.id.clone()),
        }
    }

    fn role(&self) -> Option<Role> {
        self.user().map(|user| user.role)
    }

    /// Whether this is that person.
    pub(super) fn is(&self, id: &UserId) -> bool {
        self.user().is_some_and(|user| user.id == *id)
    }

    /// Whether other people's rows are shown to them.
    pub(super) fn sees_everybody(&self) -> bool {
        self.role()
            .is_none_or(|role| matches!(role, Role::Owner | Role::Admin | Role::Auditor))
    }

    /// For owners and admins.
    pub(super) fn must_manage(&self) -> Result<(), OperateError> {
        if self.role().is_none_or(Role::is_admin) {
            Ok(())
        } else {
            Err(OperateError::Forbidden("admin access required".to_owned()))
        }
    }

    /// For whoever may give this role, or take it from somebody.
    pub(super) fn must_command(&self, role: Role) -> Result<(), OperateError> {
        self.must_manage()?;
        if self.role().is_some_and(|mine| !mine.commands(role)) {
            return Err(OperateError::Forbidden(
                "owner access required: only an owner makes, changes or acts for an owner".to_owned(),
            ));
        }
        Ok(())
    }

    /// For whoever may hold a key of this owner in their hands, since the key acts with the owner's role.
    pub(super) fn must_mint_for(&self, owner: &User) -> Result<(), OperateError> {
        match self.role() {
            Some(Role::Auditor | Role::Agent) => Err(OperateError::Forbidden(
                "the roles auditor and agent mint no keys; ask an admin of the tenant".to_owned(),
            )),
            _ if self.is(&owner.id) => Ok(()),
            _ => self.must_command(owner.role),
        }
    }

    /// For whoever may take rights from a key of this owner.
    pub(super) fn must_restrain(&self, owner: &UserId) -> Result<(), OperateError> {
        if self.is(owner) && self.role() != Some(Role::Agent) {
            return Ok(());
        }
        self.must_manage()
    }
}
