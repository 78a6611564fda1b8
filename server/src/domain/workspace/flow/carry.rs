//! The steps of a run that change records or write mails: carried out one after the other in the transaction that notes them.

use super::{
    act::{Scene, act},
    gather::Seen,
    run::{Orders, Run},
    step::Step,
};
use crate::{
    domain::{DomainError, workspace::record::Who},
    store::{StoreError, TenantTx},
};

/// Why a transaction with local steps was taken back.
pub(super) enum Stopped {
    /// The step breaks a rule.
    Broken(usize, String),
    /// Something else failed, and may not fail the next time.
    Failed(DomainError),
}

impl Stopped {
    fn of(at: usize, error: DomainError) -> Self {
        match error {
            DomainError::Store(StoreError::Conflict { what }) => Self::Broken(at, format!("{what} is taken")),
            DomainError::Store(_) | DomainError::Internal(_) => Self::Failed(error),
            DomainError::NotFound { what, id } => Self::Broken(at, format!("there is no {what} {id}")),
            other => Self::Broken(at, other.to_string()),
        }
    }
}

impl From<DomainError> for Stopped {
    fn from(error: DomainError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// The step that is next, its texts filled.
pub(super) fn next(run: &Run, orders: &Orders) -> Option<(usize, Step)> {
    let at = run.position()?;
    Some((at, orders.steps.get(at)?.filled(&orders.facts)))
}

/// Carries out the local steps that come next. With `broken` it stops at that step and notes why.
///
/// # Errors
/// What stopped a step. Whatever the steps did then has to be taken back.
pub(super) async fn carry(
    tx: &mut TenantTx<'_>,
    run: &mut Run,
    orders: &Orders,
    seen: &mut Seen,
    broken: Option<&(usize, String)>,
) -> Result<(), Stopped> {
    while let Some((at, step)) = next(run, orders) {
        if matches!(step, Step::Wait { .. } | Step::Webhook { .. }) {
            break;
        }
        run.attempt(at, step.redacted());
        if let Some((place, why)) = broken
            && *place == at
        {
            run.fail(at, why, tx.now());
            break;
        }
        let who = Who::flow(&run.flow_id, run.cause.depth + 1);
        let scene = Scene {
            facts: &orders.facts,
            cause: &run.cause,
            who: &who,
            flow: &run.flow_name,
        };
        let output = act(tx, &scene, seen, &step)
            .await
            .map_err(|error| Stopped::of(at, error))?;
        run.succeed(at, output, tx.now());
    }
    Ok(())
}
