//! What is promised, and when time counts: the channel's word, else the tenant's, else the defaults (catalogue.md §3.6).

use serde_json::{Map, Value};
use tracing::warn;

use super::{BusinessHours, Calendar, Promises, Sla, clock::Goals};
use crate::{
    catalogue::{ArgumentError, typed},
    domain::{
        DomainError,
        workspace::{
            kinds::{channel::Channel, ticket::Priority},
            record,
        },
    },
    store::ReadTx,
    vocabulary::Timestamp,
};

/// The tenant's setting with promises by priority.
pub(crate) const SLA_SETTING: &str = "workspace.sla";
/// The tenant's setting with opening hours.
pub(crate) const HOURS_SETTING: &str = "workspace.business_hours";

/// What holds for the records of one channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    promises: Promises,
    /// When time counts.
    pub(crate) calendar: Calendar,
}

impl Rules {
    /// Two clocks that begin now.
    pub(crate) fn start(&self, priority: Priority, now: Timestamp) -> Sla {
        Sla::start(Goals::chosen(&self.promises, priority), now, &self.calendar)
    }

    /// Gives clocks the goals of another priority.
    pub(crate) fn retarget(&self, sla: &mut Sla, priority: Priority, now: Timestamp) {
        sla.retarget(Goals::chosen(&self.promises, priority), now, &self.calendar);
    }
}

/// Judges what somebody writes as a channel's `sla`.
///
/// # Errors
/// What of it cannot be used.
pub(crate) fn promises(value: &Value) -> Result<Promises, DomainError> {
    let promise = |(name, goals): (&String, &Value)| {
        let named = |error: ArgumentError| ArgumentError::one(format!("{name}: {error}"));
        let priority = typed(Value::from(name.as_str())).map_err(named)?;
        Ok((priority, typed(goals).map_err(named)?))
    };
    typed(value)
        .and_then(|said: Map<String, Value>| said.iter().map(promise).collect())
        .map_err(|error| {
            DomainError::argument(format!(
                "sla: {error}; write for example {{\"urgent\":{{\"first_response_minutes\":60,\"resolution_minutes\":480}}}}"
            ))
        })
}

/// Judges what somebody writes as `business_hours`.
///
/// # Errors
/// What of it cannot be used.
pub(crate) fn calendar(value: &Value) -> Result<Calendar, DomainError> {
    let hours: BusinessHours = typed(value).map_err(|error| {
        DomainError::argument(format!(
            "business_hours: {error}; write for example {{\"time_zone\":\"Europe/Berlin\",\"weekly\":{{\"mon\":[\"09:00-17:00\"]}}}}"
        ))
    })?;
    hours
        .calendar()
        .map_err(|error| DomainError::argument(error.to_string()))
}

/// What holds for a channel; without one, what the tenant says.
///
/// # Errors
/// When the store fails.
pub(crate) async fn of(tx: &mut ReadTx<'_>, channel: Option<&str>) -> Result<Rules, DomainError> {
    let channel = match channel {
        Some(id) => record::find::<Channel>(tx, id).await?,
        None => None,
    };
    of_channel(tx, channel.as_ref().map(|channel| &channel.doc.fields)).await
}

/// Judges what a channel says of its service levels.
///
/// # Errors
/// What of it cannot be used.
pub(crate) fn judge(channel: &Channel) -> Result<(), DomainError> {
    said(channel.sla.as_ref())
        .map(|value| promises(&value))
        .transpose()?;
    said(channel.business_hours.as_ref())
        .map(|value| calendar(&value))
        .transpose()?;
    Ok(())
}

/// When time counts in a channel that has hours of its own.
pub(crate) fn own_hours(channel: &Channel) -> Option<Calendar> {
    let said = said(channel.business_hours.as_ref())?;
    Some(usable(Some(calendar(&said))))
}

/// What is said; an empty object says nothing.
fn said(value: Option<&Value>) -> Option<Value> {
    value
        .filter(|value| value.as_object().is_none_or(|map| !map.is_empty()))
        .cloned()
}

/// The same where the channel is at hand.
///
/// # Errors
/// When the store fails.
pub(crate) async fn of_channel(tx: &mut ReadTx<'_>, channel: Option<&Channel>) -> Result<Rules, DomainError> {
    let sla = match channel.and_then(|channel| said(channel.sla.as_ref())) {
        Some(value) => Some(value),
        None => tx.settings().get::<Value>(SLA_SETTING).await?,
    };
    let hours = match channel.and_then(|channel| said(channel.business_hours.as_ref())) {
        Some(value) => Some(value),
        None => tx.settings().get::<Value>(HOURS_SETTING).await?,
    };
    Ok(Rules {
        promises: usable(sla.as_ref().map(promises)),
        calendar: usable(hours.as_ref().map(calendar)),
    })
}

/// What was judged when it was written. A later version may judge otherwise: then the defaults hold, and the log says so.
fn usable<T: Default>(read: Option<Result<T, DomainError>>) -> T {
    match read {
        None => T::default(),
        Some(Ok(value)) => value,
        Some(Err(error)) => {
            warn!("stored service levels cannot be used, so the defaults hold: {error}");
            T::default()
        }
    }
}
