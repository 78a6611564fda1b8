//! Calls that wait for a person: who may answer, and what the log says of it (catalogue.md §2.8, path D).

use futures_util::FutureExt;

use super::{Actor, OperateError, Standing, note};
use crate::{
    store::{Pending, PendingState, Store},
    vocabulary::{TenantId, UserId},
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

/// Calls of a tenant that wait for a person, the oldest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn pending(store: &Store, tenant: &TenantId) -> Result<Vec<Pending>, OperateError> {
    let waiting = store.read(tenant, |tx| {
        async move { tx.pending_calls().waiting(MOST_LISTED).await }.boxed()
    });
    Ok(waiting.await?)
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
) -> Result<Pending, OperateError> {
    let (code, by) = (normal(code), by.cloned());
    store
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
                let standing = match &by {
                    None => Standing::Operator,
                    Some(by) => Actor::Person(by.user.clone()).standing(tx).await?,
                };
                let who = by.map_or_else(|| "operator".to_owned(), |by| by.user.to_string());
                if !tx.pending_calls().decide(&code, approve, &who).await? {
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
        .await
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
