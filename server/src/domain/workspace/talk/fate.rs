//! What became of what went out: written on the message or comment that it was.

use futures_util::{FutureExt, future::BoxFuture};
use secrecy::SecretString;

use super::outbound::signing_secret;
use crate::{
    domain::{
        DomainError,
        workspace::{
            engine::Desk,
            kinds::{
                comment::Comment,
                message::{Delivery, DeliveryStatus, Message},
            },
            record::{self, Kind, Who},
        },
    },
    outbox::{Dispatch, Dispatcher, Fate},
    store::{StoreError, TenantTx},
    vocabulary::{TenantId, Timestamp},
};

impl Dispatcher for Desk {
    fn signing_secret(&self, tenant: &TenantId) -> SecretString {
        signing_secret(self, tenant)
    }

    fn report<'t>(
        &'t self,
        tx: &'t mut TenantTx<'_>,
        dispatch: &'t Dispatch,
        attempt: u32,
        fate: Fate,
    ) -> BoxFuture<'t, Result<(), StoreError>> {
        async move {
            let (kind, id) = (&dispatch.about.0, &dispatch.about.1);
            let (status, error) = match fate {
                Fate::Sent => (DeliveryStatus::Sent, None),
                Fate::Delivered => (DeliveryStatus::Delivered, None),
                Fate::Waits(why) => (DeliveryStatus::Queued, Some(why)),
                Fate::Failed(why) => (DeliveryStatus::Failed, Some(why)),
            };
            let write = |delivery: &mut Option<Delivery>| {
                let delivery = delivery.get_or_insert_default();
                (delivery.status, delivery.attempts, delivery.error) = (status, attempt, error);
            };
            let done = match kind.as_str() {
                Message::NAME => change(tx, id, |message: &mut Message| write(&mut message.delivery)).await,
                Comment::NAME => change(tx, id, |comment: &mut Comment| write(&mut comment.delivery)).await,
                _ => Ok(()),
            };
            done.map_err(|error| match error {
                DomainError::Store(error) => error,
                other => StoreError::Row(other.to_string()),
            })
        }
        .boxed()
    }
}

/// Changes a record that may be gone by now.
async fn change<K: Kind>(
    tx: &mut TenantTx<'_>,
    id: &str,
    change: impl FnOnce(&mut K) + Send,
) -> Result<(), DomainError> {
    let Some(mut found) = record::find::<K>(&mut tx.reading(), id).await? else {
        return Ok(());
    };
    change(&mut found.doc.fields);
    record::update(tx, id, &found.doc, None, &Who::system("outbox"))
        .await
        .map(|_| ())
}

/// A mail of ours came back: the message was not delivered after all.
///
/// # Errors
/// When the store fails.
pub(crate) async fn bounced(tx: &mut TenantTx<'_>, id: &str, now: Timestamp) -> Result<(), DomainError> {
    change(tx, id, |message: &mut Message| {
        let delivery = message.delivery.get_or_insert_default();
        delivery.status = DeliveryStatus::Failed;
        delivery.error = Some(format!("the mail came back on {now}"));
    })
    .await
}
