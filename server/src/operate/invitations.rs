//! Invitations by link: whoever holds the token becomes a person of the tenant, once, with the role it was made for.
//!
//! The token is shown when the invitation is made and never again; the store keeps its hash. Whether the inviter may
//! still give that role is asked a second time when somebody accepts.

use futures_util::FutureExt;
use secrecy::SecretString;
use serde::Serialize;

use super::{
    Actor, OperateError, Standing, logged, note, passwords,
    people::{NewPerson, PersonView, insert},
};
use crate::{
    domain::workspace::team,
    outbox::{InvitationToken, hash_of_token},
    store::{Invitation, NewInvitation, Store, TenantTx, User},
    vocabulary::{Role, TenantId, Timestamp, UserId, new_id},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Days an invitation is good for when nothing is said: a week of holidays fits.
pub const DEFAULT_DAYS: u32 = 7;
/// What the token of an invitation begins with.
pub const TOKEN_BEGINS: &str = "fbi_";
/// Longest life of an invitation in days.
pub const LONGEST_DAYS: u32 = 30;
/// Most open invitations of a tenant.
const MOST_OPEN: usize = 500;
/// Days for which an ended invitation is kept, for those who ask what became of it.
const KEPT_DAYS: i64 = 90;

/// Whom to invite.
#[derive(Clone, Debug)]
pub struct InviteRequest {
    /// Their e-mail address.
    pub email: String,
    /// The role they get.
    pub role: Role,
    /// The groups they are put into.
    pub groups: Vec<String>,
    /// Days until the link is worth nothing, 1 to 30; absent: 7.
    pub expires_in_days: Option<u32>,
}

/// The reply that shows an invitation's token, once.
#[derive(Clone, Serialize)]
pub struct Invited {
    /// Its row.
    #[serde(flatten)]
    pub invitation: InvitationView,
    /// What the link carries. It is not stored and cannot be shown again.
    pub token: String,
}

/// An invitation as lists show it.
#[derive(Clone, Debug, Serialize)]
pub struct InvitationView {
    /// Identity. Never the token.
    pub id: String,
    /// Whom it is for.
    pub email: String,
    /// The role it gives.
    pub role: Role,
    /// The groups it puts them into.
    pub groups: Vec<String>,
    /// Who invited; absent: the operator.
    pub invited_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

impl From<Invitation> for InvitationView {
    fn from(row: Invitation) -> Self {
        Self {
            id: row.id,
            email: row.email,
            role: row.role,
            groups: row.groups,
            invited_by: row.invited_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

/// Invites somebody. An open invitation for the same address stops working: one link at a time.
///
/// # Errors
/// When the actor may not give that role, the person is in the tenant already, or too many invitations are open.
pub async fn invite(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    request: InviteRequest,
) -> Result<Invited, OperateError> {
    let token = InvitationToken::new()?;
    let (actor, hash) = (actor.clone(), token.hash());
    let invitation = store
        .write(tenant, move |tx| {
            async move { invite_within(tx, &actor, request, hash).await }.boxed()
        })
        .await?;
    Ok(Invited {
        invitation,
        token: token.text().to_owned(),
    })
}

/// The same inside a transaction, for a token with that hash.
pub(super) async fn invite_within(
    tx: &mut TenantTx<'_>,
    actor: &Actor,
    request: InviteRequest,
    hash: [u8; 32],
) -> Result<InvitationView, OperateError> {
    let days = request.expires_in_days.unwrap_or(DEFAULT_DAYS);
    if !(1..=LONGEST_DAYS).contains(&days) {
        return Err(OperateError::Invalid(format!(
            "expires_in_days: an invitation lives 1 to {LONGEST_DAYS} days"
        )));
    }
    let person = NewPerson {
        email: request.email,
        name: String::new(),
        role: request.role,
        groups: request.groups,
    }
    .checked()?;
    tx.users().lock().await?;
    let by = actor.standing(tx).await?;
    by.must_command(person.role)?;
    if tx.users().find_by_email(&person.email).await?.is_some() {
        return Err(OperateError::Conflict(format!(
            "`{}` is in this tenant already",
            person.email
        )));
    }
    if tx.invitations().list_open().await?.len() >= MOST_OPEN {
        return Err(OperateError::Rule(format!(
            "{MOST_OPEN} invitations are open; take some back first"
        )));
    }
    let new = NewInvitation {
        id: new_id("inv", tx.now()),
        hash,
        email: person.email,
        role: person.role,
        groups: person.groups,
        invited_by: by.user().map(|user| user.id.clone()),
        expires_at: tx.now().plus_millis(i64::from(days) * DAY_MS),
    };
    let made = tx.invitations().insert(&new).await?;
    let made = InvitationView::from(made);
    note(tx, &by, "invitation.make", &made.id, None, logged(&made));
    Ok(made)
}

/// The open invitations of a tenant, newest first.
///
/// # Errors
/// When the actor does not see everybody.
pub async fn list(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
) -> Result<Vec<InvitationView>, OperateError> {
    let actor = actor.clone();
    store
        .read(tenant, move |tx| {
            async move {
                if !actor.standing(tx).await?.sees_everybody() {
                    return Err(OperateError::Forbidden("admin access required".to_owned()));
                }
                let open = tx.invitations().list_open().await?;
                Ok(open.into_iter().map(InvitationView::from).collect())
            }
            .boxed()
        })
        .await
}

/// Takes an open invitation back.
///
/// # Errors
/// When there is no open one of that id, or the actor may not give its role.
pub async fn revoke(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    id: &str,
) -> Result<InvitationView, OperateError> {
    let (actor, id) = (actor.clone(), id.to_owned());
    store
        .write(tenant, move |tx| {
            async move {
                let by = actor.standing(tx).await?;
                by.must_manage()?;
                let Some(gone) = tx.invitations().revoke(&id).await? else {
                    let id: String = id.chars().take(80).collect();
                    return Err(OperateError::NotFound(format!(
                        "there is no open invitation `{id}`"
                    )));
                };
                let gone = InvitationView::from(gone);
                note(tx, &by, "invitation.revoke", &gone.id, logged(&gone), None);
                Ok(gone)
            }
            .boxed()
        })
        .await
}

/// What a link stands for, for the page that asks for a password. Unknown, used, taken back and expired look alike.
///
/// # Errors
/// When it stands for nothing.
pub async fn look(store: &Store, token: &str) -> Result<(TenantId, InvitationView), OperateError> {
    let hash = hash_of_token(token);
    let found = store
        .system_read(move |tx| {
            async move { Ok::<_, OperateError>(tx.invitations().find_open(&hash).await?) }.boxed()
        })
        .await?;
    let (tenant, invitation) = found.ok_or_else(worthless)?;
    Ok((tenant, invitation.into()))
}

/// Accepts an invitation: makes the person, with the password they chose. Works once; of two that try, one gets in.
///
/// # Errors
/// When the invitation is worth nothing any more, the password is too weak, the inviter may no longer give that role,
/// or somebody of that address came in by another way.
pub async fn accept(
    store: &Store,
    token: &str,
    name: &str,
    password: SecretString,
) -> Result<(TenantId, User), OperateError> {
    // Looked at first, so that a stranger without a token costs no hash.
    let (_, open) = look(store, token).await?;
    passwords::check(&password, &[&open.email, name])?;
    let person = NewPerson {
        email: open.email,
        name: name.to_owned(),
        role: open.role,
        groups: open.groups,
    }
    .checked()?;
    let password_hash = passwords::hash(password).await?;
    let hash = hash_of_token(token);
    store
        .system_write(move |tx| {
            async move {
                let (tenant, invitation) = tx.invitations().redeem(&hash).await?.ok_or_else(worthless)?;
                let mut tx = tx.within(&tenant);
                tx.users().lock().await?;
                if !tx.users().tenant_is_active().await? {
                    return Err(worthless());
                }
                let inviter = match &invitation.invited_by {
                    None => Actor::Operator,
                    Some(id) => Actor::Person(id.clone()),
                };
                let inviter = inviter.standing(&mut tx).await.and_then(|standing| {
                    standing.must_command(invitation.role)?;
                    Ok(standing)
                });
                match inviter {
                    Err(OperateError::Forbidden(_)) => return Err(worthless()),
                    inviter => inviter.map(drop)?,
                }
                let user = insert(&mut tx, person, Some(password_hash)).await?;
                team::arrived(&mut tx, &user).await?;
                let by = Standing::Person(Box::new(user.clone()));
                let after = logged(&PersonView::from(&user));
                note(&mut tx, &by, "user.join", user.id.as_str(), None, after);
                Ok((tenant, user))
            }
            .boxed()
        })
        .await
}

/// Forgets invitations that ended long ago. Called now and then.
///
/// # Errors
/// When the store refuses.
pub async fn tidy(store: &Store) -> Result<(), OperateError> {
    store
        .system_write(|tx| {
            async move {
                let before = tx.now().plus_millis(-KEPT_DAYS * DAY_MS);
                tx.invitations().purge(before).await?;
                Ok(())
            }
            .boxed()
        })
        .await
}

fn worthless() -> OperateError {
    OperateError::NotFound(
        "this invitation is not valid: it was used, taken back or has expired; ask for a new one".to_owned(),
    )
}
