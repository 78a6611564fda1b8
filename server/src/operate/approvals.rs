//! Calls that wait for a person: who may answer, and what the log says of it (catalogue.md §2.8, path D).

use futures_util::FutureExt;
use serde::Serialize;

use super::{Actor, OperateError, note};
use crate::{
    domain::Preview,
    policy::{self, Remembered, SealKey},
    store::{PENDING_LIFETIME_MS, Pending, PendingState, Store},
    vocabulary::{Consent, EditionName, TenantId, Timestamp, ToolName, UserId},
};

/// Waiting calls that are listed at once.
const MOST_LISTED: u32 = 200;

/// A person who answers, signed in.
#[derive(Clone, Debug)]
pub struct Approver {
    /// Who.
    pub user: UserId,
    /// Whether they may answer for others.
    pub is_admin: bool,
}

/// A call that waits, as whoever answers sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    /// What it is answered by.
    pub code: String,
    /// Whose call it is.
    pub user: UserId,
    /// Through which edition.
    pub edition: EditionName,
    /// Which tool.
    pub tool: ToolName,
    /// Who may say yes.
    pub need: Consent,
    /// What it would do. Nothing when the server's sealing key was changed since; then it cannot be approved.
    pub preview: Option<Preview>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when a yes counts.
    pub expires_at: Timestamp,
}

impl Waiting {
    pub(super) fn of(row: Pending, tenant: &TenantId, key: &SealKey) -> Self {
        let binding = policy::row_binding(tenant, &row.token_hash);
        let remembered: Option<Remembered<Preview>> = key.open_row(&binding, &row.sealed).ok();
        Self {
            code: row.code,
            user: row.user,
            edition: row.edition,
            tool: row.tool,
            need: row.need,
            preview: remembered.map(|remembered| remembered.preview),
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

/// Calls of a tenant that wait for a person, the oldest first. With `by`, only those that they may answer.
///
/// # Errors
/// When the store cannot be read.
pub async fn pending(
    store: &Store,
    tenant: &TenantId,
    key: &SealKey,
    by: Option<&Approver>,
) -> Result<Vec<Waiting>, OperateError> {
    let waiting = store.read(tenant, |tx| {
        async move { tx.pending_calls().waiting(MOST_LISTED).await }.boxed()
    });
    let rows = waiting.await?.into_iter();
    Ok(rows
        .filter(|row| by.is_none_or(|by| by.is_admin || by.user == row.user))
        .map(|row| Waiting::of(row, tenant, key))
        .collect())
}

/// Answers one call by its code. `by` is `None` for the operator, who has the data folder.
///
/// # Errors
/// When no call of that code waits, or it is not theirs to answer.
pub async fn decide(
    store: &Store,
    tenant: &TenantId,
    code: &str,
    approve: bool,
    by: Option<&Approver>,
    key: &SealKey,
) -> Result<Waiting, OperateError> {
    let (code, by) = (normal(code), by.cloned());
    let row = store
        .write(tenant, move |tx| {
            async move {
                let unknown = || {
                    OperateError::NotFound(format!(
                        "no call waits for the code {code}; a call waits 10 minutes, then it must be made again"
                    ))
                };
                let row = tx.pending_calls().find_code(&code).await?.ok_or_else(unknown)?;
                if let Some(by) = &by
                    && !by.is_admin
                    && by.user != row.user
                {
                    return Err(OperateError::Rule(
                        "only its caller or an admin may answer for this call".to_owned(),
                    ));
                }
                if row.need == Consent::Review {
                    return Err(OperateError::Rule(format!(
                        "this call is under review: answer it with `footbridge-server review approve {}`",
                        row.code
                    )));
                }
                let actor = by.as_ref().map_or(Actor::Operator, |by| Actor::Person(by.user.clone()));
                let standing = actor.standing(tx).await?;
                let who = by.map_or_else(|| "operator".to_owned(), |by| by.user.to_string());
                if !tx.pending_calls().decide(&code, approve, &who, PENDING_LIFETIME_MS).await? {
                    return Err(match row.state {
                        PendingState::Approved => {
                            OperateError::Rule("this call was approved before".to_owned())
                        }
                        PendingState::Declined => {
                            OperateError::Rule("this call was declined before".to_owned())
                        }
                        _ => unknown(),
                    });
                }
                let command = if approve { "call.approve" } else { "call.decline" };
                note(tx, &standing, command, &code, None, None);
                Ok(row)
            }
            .boxed()
        })
        .await?;
    Ok(Waiting::of(row, tenant, key))
}

/// A code as it was given out, however it is typed.
fn normal(code: &str) -> String {
    let mut code: String = code
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| match c.to_ascii_uppercase() {
            // The alphabet has none of these; whoever reads one means the other.
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        })
        .collect();
    if code.len() > 4 {
        code.insert(4, '-');
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_taken_however_it_is_typed() {
        for typed in ["7q2k-m4p1", "7Q2KM4P1", " 7q2k m4pl "] {
            assert_eq!(normal(typed), "7Q2K-M4P1");
        }
        assert_eq!(normal("../"), "");
    }
}
