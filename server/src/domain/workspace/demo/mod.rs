//! A workspace for a first walk (catalogue.md §3.1): three months of a small support and sales team, played through the same
//! rules as real ones, one event after the other. The same moment makes the same workspace.

mod dice;
mod play;
mod schedule;
mod text;

use futures_util::FutureExt;
use serde::Serialize;

use super::{engine::Desk, kinds::account::Account, record::Kind, sla::timers, start};
use crate::{
    domain::DomainError,
    store::{NewUser, TenantTx},
    vocabulary::{Clock, Role, TenantId, Timestamp, UserId},
};

/// How many records there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filled {
    /// Companies.
    pub accounts: usize,
    /// People of theirs.
    pub contacts: usize,
    /// People who may become customers.
    pub leads: usize,
    /// Deals.
    pub opportunities: usize,
    /// Tickets.
    pub tickets: usize,
    /// Conversations.
    pub conversations: usize,
    /// Articles.
    pub articles: usize,
}

/// The people who work there besides the owner.
const TEAM: [(&str, &str); 4] = [
    ("mara", "Mara Lindqvist"),
    ("tom", "Tom Okafor"),
    ("ida", "Ida Fontana"),
    ("paul", "Paul Weber"),
];
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Fills an empty workspace with what happened in the ninety days before `until`. The store's clock is set by hand, so that
/// records are as old as they say.
///
/// # Errors
/// When the workspace is not empty, or the store's clock goes by itself.
pub(super) async fn fill(desk: &Desk, tenant: &TenantId, until: Timestamp) -> Result<Filled, DomainError> {
    let store = &desk.store;
    let clock = store.clock().clone();
    if matches!(clock, Clock::System) {
        return Err(DomainError::Rule(
            "the demo plays in a time of its own: its store needs a clock that is set by hand".to_owned(),
        ));
    }
    let begin = until.plus_millis(-schedule::DAYS * DAY_MS);
    clock.advance(begin.as_millis() - clock.now().as_millis());
    let team = store
        .write(tenant, |tx| async move { prepare(tx).await }.boxed())
        .await?;
    let mut world = play::World::new(team);
    let mut day = 0;
    for (at, step) in schedule::of(begin) {
        clock.advance(at.as_millis() - clock.now().as_millis());
        world = store
            .write(tenant, move |tx| {
                async move {
                    let mut world = world;
                    world.play(tx, step).await?;
                    Ok::<_, DomainError>(world)
                }
                .boxed()
            })
            .await?;
        // Clocks of service levels ring each day, as they would in a server that runs.
        let today = (at.as_millis() - begin.as_millis()) / DAY_MS;
        if today > day {
            day = today;
            while timers::run_due(store).await? > 0 {}
        }
    }
    clock.advance(until.as_millis() - clock.now().as_millis());
    while timers::run_due(store).await? > 0 {}
    Ok(world.filled())
}

/// The first records, and the people; gives the team's ids, the owner first.
async fn prepare(tx: &mut TenantTx<'_>) -> Result<Vec<String>, DomainError> {
    if tx.records(Account::NAME).count(&[], 1).await? > 0 {
        return Err(DomainError::Conflict(
            "the workspace is not empty; choose another tenant".to_owned(),
        ));
    }
    start::ensure(tx).await?;
    let owner = tx
        .users()
        .list()
        .await?
        .into_iter()
        .find(|user| user.role == Role::Owner);
    let owner = owner.ok_or_else(|| DomainError::Rule("the tenant has no owner".to_owned()))?;
    let mut team = vec![owner.id.to_string()];
    for (name, full) in TEAM {
        let id = UserId::new(&format!("usr_{name}")).map_err(DomainError::internal)?;
        let user = NewUser {
            id: id.clone(),
            email: format!("{name}@demo.test"),
            name: full.to_owned(),
            role: Role::Member,
            groups: Vec::new(),
            password_hash: None,
        };
        tx.users().insert(&user).await?;
        team.push(id.to_string());
    }
    Ok(team)
}
