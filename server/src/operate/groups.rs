//! Groups: free names that people are put into (catalogue.md §2.4). Reviews name them as those who decide, and access tokens
//! may bring them along. A group exists as long as somebody is in it.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use serde::Serialize;

use super::{
    Actor, OperateError, logged, note,
    people::{PersonView, person},
    words,
};
use crate::{
    store::{Store, User},
    vocabulary::TenantId,
};

/// A group as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// People in it, those who are shut out among them.
    pub members: usize,
}

/// The groups of these people, by name.
pub fn of<'u>(people: impl IntoIterator<Item = &'u User>) -> Vec<GroupView> {
    let mut counted = BTreeMap::<&str, usize>::new();
    for group in people.into_iter().flat_map(|user| &user.groups) {
        *counted.entry(group).or_default() += 1;
    }
    let view = |(name, members): (&str, usize)| GroupView {
        name: name.to_owned(),
        members,
    };
    counted.into_iter().map(view).collect()
}

/// Puts a person into a group, or takes them out of it; their other groups stay, whoever changes those meanwhile.
///
/// # Errors
/// When there is nobody of that name, the group cannot be called that, or the actor may not command them.
pub async fn set_member(
    store: &Store,
    actor: &Actor,
    tenant: &TenantId,
    group: &str,
    who: &str,
    inside: bool,
) -> Result<User, OperateError> {
    let (actor, group, who) = (actor.clone(), group.trim().to_owned(), who.to_owned());
    store
        .write(tenant, move |tx| {
            async move {
                tx.users().lock().await?;
                let by = actor.standing(tx).await?;
                by.must_manage()?;
                let user = person(tx, &who).await?;
                by.must_command(user.role)?;
                let mut groups = user.groups.clone();
                groups.retain(|known| *known != group);
                if inside {
                    groups.push(group);
                    groups = words::groups(&groups)?;
                }
                if groups.len() == user.groups.len() {
                    return Ok(user);
                }
                tx.users().set_groups(&user.id, &groups).await?;
                let now = User {
                    groups,
                    ..user.clone()
                };
                let (before, after) = (PersonView::from(&user), PersonView::from(&now));
                note(
                    tx,
                    &by,
                    "user.groups",
                    user.id.as_str(),
                    logged(&before),
                    logged(&after),
                );
                Ok(now)
            }
            .boxed()
        })
        .await
}
