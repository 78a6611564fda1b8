//! Calls that wait for the host's answer, under handles nobody can guess (protocol.md ).
//!
//! A handle is good for one retry with the same parameters and for [`LIMIT`]. A parked call is read on by a task of its own,
//! so that the server's pings are answered and its connection does not fill up.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::ask::Question;
use super::call::Call;
use crate::log;

/// How long the host may take to answer.
const LIMIT: Duration = Duration::from_secs(600);
/// Calls that may wait at once. A host that never comes back must not fill the memory.
const PLACES: usize = 64;

/// What waits.
pub(super) enum Parked {
    /// A call the server has begun.
    Call(Box<Call>),
    /// Pages to visit before the call is made (−32042): the server has done nothing yet.
    Visits(Vec<Question>),
}

/// Why a handle is not redeemed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Never given out, redeemed already, or too old.
    Unknown,
    /// Given out for other parameters.
    Params,
}

/// All that waits.
#[derive(Default)]
pub(super) struct Parking(Mutex<HashMap<String, Place>>);

struct Place {
    digest: u64,
    until: Instant,
    what: Waiting,
}

enum Waiting {
    /// Dropping the first end of this ends the task and with it the call.
    Call(oneshot::Sender<()>, JoinHandle<Option<Box<Call>>>),
    Visits(Vec<Question>),
}

impl Parking {
    fn places(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parks a call under a fresh handle. False if too many wait already: the call is then dropped. Needs the runtime.
    pub(super) fn park(&self, handle: String, digest: u64, parked: Parked) -> bool {
        let mut places = self.places();
        places.retain(|_, place| place.until > Instant::now());
        if places.len() >= PLACES {
            return false;
        }
        let place = Place {
            digest,
            until: Instant::now() + LIMIT,
            what: match parked {
                Parked::Call(call) => {
                    let (wake, woken) = oneshot::channel();
                    Waiting::Call(wake, tokio::spawn(sleep(call, woken)))
                }
                Parked::Visits(visits) => Waiting::Visits(visits),
            },
        };
        places.insert(handle, place);
        true
    }

    /// Redeems a handle. One that does not fit the parameters stays good.
    pub(super) async fn redeem(&self, handle: &str, digest: u64) -> Result<Parked, Wrong> {
        let waiting = {
            let mut places = self.places();
            let place = places.get(handle).filter(|place| place.until > Instant::now());
            if place.ok_or(Wrong::Unknown)?.digest != digest {
                return Err(Wrong::Params);
            }
            places.remove(handle).ok_or(Wrong::Unknown)?.what
        };
        match waiting {
            Waiting::Visits(visits) => Ok(Parked::Visits(visits)),
            Waiting::Call(wake, task) => {
                // If the task is over, so is the call.
                let _ = wake.send(());
                task.await.ok().flatten().map(Parked::Call).ok_or(Wrong::Unknown)
            }
        }
    }
}

/// Keeps a call until it is wanted or its time is up.
async fn sleep(mut call: Box<Call>, woken: oneshot::Receiver<()>) -> Option<Box<Call>> {
    let wanted = tokio::select! {
        woken = woken => woken.is_ok(),
        () = call.doze() => false,
        () = tokio::time::sleep(LIMIT) => {
            log::info(format_args!(
                "the client has not answered a question for {} s; its call is called off", LIMIT.as_secs()
            ));
            false
        }
    };
    wanted.then_some(call)
}

/// 128 random bits in hexadecimal. `None` if the system has none to give.
pub(super) fn handle() -> Option<String> {
    let mut bytes = [0; 16];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visits() -> Parked {
        Parked::Visits(Vec::new())
    }

    fn park(parking: &Parking, digest: u64) -> Option<String> {
        let handle = handle().unwrap();
        parking.park(handle.clone(), digest, visits()).then_some(handle)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_handle_is_good_once_and_for_its_parameters_only() {
        let parking = Parking::default();
        let handle = park(&parking, 7).unwrap();
        assert_eq!(handle.len(), 32);
        assert_eq!(parking.redeem(&handle, 8).await.err(), Some(Wrong::Params));
        assert!(parking.redeem(&handle, 7).await.is_ok());
        assert_eq!(parking.redeem(&handle, 7).await.err(), Some(Wrong::Unknown));
        assert_eq!(parking.redeem("", 7).await.err(), Some(Wrong::Unknown));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn places_are_counted_and_handles_differ() {
        let parking = Parking::default();
        let handles: Vec<String> = (0..PLACES).map(|_| park(&parking, 1).unwrap()).collect();
        assert!(park(&parking, 1).is_none());
        assert!(parking.redeem(&handles[0], 1).await.is_ok());
        assert!(park(&parking, 1).is_some());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_handle_grows_too_old() {
        let parking = Parking::default();
        let handle = park(&parking, 1).unwrap();
        if let Some(place) = parking.places().get_mut(&handle) {
            place.until = Instant::now();
        }
        assert_eq!(parking.redeem(&handle, 1).await.err(), Some(Wrong::Unknown));
    }
}
