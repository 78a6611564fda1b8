//! Who works here: users of the tenant, with what the workspace knows of them besides.

use super::{
    kinds::{channel::Channel, member::Member},
    record::{self, Kind, Stored, Who, fold},
};
use crate::{
    domain::DomainError,
    store::{FieldValue, TenantTx, User},
};

/// Somebody who was invited has come: they get the name and the channels that were meant for them.
///
/// # Errors
/// When the store fails.
pub async fn arrived(tx: &mut TenantTx<'_>, user: &User) -> Result<(), DomainError> {
    let address = FieldValue::from(fold(&user.email));
    let known = tx.records(Member::NAME).find_unique("email", &address).await?;
    let Some(known) = known.as_ref().map(Stored::<Member>::of).transpose()? else {
        return Ok(());
    };
    let who = Who::person(user.id.as_str());
    for id in &known.fields().channels {
        let Some(channel) = record::find::<Channel>(&mut tx.reading(), id).await? else {
            continue;
        };
        let mut doc = channel.doc.clone();
        if !doc.fields.members.iter().any(|member| member == user.id.as_str()) {
            doc.fields.members.push(user.id.to_string());
            record::update(tx, id, &doc, Some(channel.version), &who).await?;
        }
    }
    record::delete::<Member>(tx, &known.id, None, &who).await?;
    Ok(())
}
