//! The inner side of a crossed exchange: what it brings is kept for the crossing instead of being written to the host.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use hyper::StatusCode;
use memchr::memmem;
use tokio::sync::mpsc;

use crate::cross::object::Object;
use crate::error::BridgeError;
use crate::exchange::{Seen, Shared};
use crate::stdio::{HostGone, Line};

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The server's response, a result or an error.
    Response(Vec<u8>),
    /// The bridge's own error.
    Failed(BridgeError),
}

/// Takes what an exchange brings.
#[derive(Debug)]
pub(crate) struct Lane {
    outcome: Mutex<Option<Outcome>>,
    /// What was seen of the response.
    seen: Mutex<Seen>,
    /// The HTTP status of a refusal; 200 otherwise.
    status: AtomicU16,
    notices: Notices,
}

/// What becomes of messages before the response.
#[derive(Debug)]
enum Notices {
    /// Nobody wants them.
    Drop,
    /// They belong to a call of the host. With the progress passed last, which must grow over all rounds (X-32).
    Host(Mutex<f64>),
    /// They are what the exchange is for.
    Queue(mpsc::Sender<Vec<u8>>),
}

impl Lane {
    fn new(notices: Notices) -> Lane {
        Lane {
            outcome: Mutex::new(None),
            seen: Mutex::default(),
            status: AtomicU16::new(StatusCode::OK.as_u16()),
            notices,
        }
    }

    /// For a request of the bridge's own.
    pub(super) fn quiet() -> Lane {
        Self::new(Notices::Drop)
    }

    /// For a request of the host.
    pub(super) fn of_host() -> Lane {
        Self::new(Notices::Host(Mutex::new(f64::NEG_INFINITY)))
    }

    /// For a stream of notifications.
    pub(super) fn queue(sender: mpsc::Sender<Vec<u8>>) -> Lane {
        Self::new(Notices::Queue(sender))
    }

    /// Notes the status of a refusal.
    pub(crate) fn refused(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// Takes the response, with what was seen of it.
    pub(crate) fn answer(&self, response: Vec<u8>, seen: Seen) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        self.end(Outcome::Response(response));
    }

    /// Hands on what was seen.
    pub(super) fn take_seen(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the end of the exchange.
    pub(crate) fn end(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// Hands the outcome on, with the status it came under. `None`: the host is gone.
    pub(super) fn take(&self) -> Option<(StatusCode, Outcome)> {
        let outcome = self
            .outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        let status = self.status.swap(StatusCode::OK.as_u16(), Ordering::Relaxed);
        Some((StatusCode::from_u16(status).unwrap_or_default(), outcome))
    }

    /// Takes a message before the response.
    pub(crate) async fn pass(&self, shared: &Shared, data: Vec<u8>) -> Result<(), HostGone> {
        match &self.notices {
            Notices::Drop => Ok(()),
            Notices::Host(last) => {
                if is_stale(last, &data) {
                    return Ok(());
                }
                shared.output.send(Line::new(data)).await
            }
            Notices::Queue(sender) => {
                let _ = sender.send(data).await;
                Ok(())
            }
        }
    }

    /// A progress value beyond all that have passed, as JSON.
    pub(super) fn next_progress(&self) -> String {
        let Notices::Host(last) = &self.notices else {
            return "0".to_owned();
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = if last.is_finite() { last.floor() + 1.0 } else { 0.0 };
        // serde_json's way with floating point is in the program anyway, the standard library's would be 15 KB more.
        let text = serde_json::to_string(&*last).unwrap_or_default();
        text.trim_end_matches(".0").to_owned()
    }
}

/// Says whether `data` is progress that goes back; remembers it otherwise.
fn is_stale(last: &Mutex<f64>, data: &[u8]) -> bool {
    if memmem::find(data, b"notifications/progress").is_none() {
        return false;
    }
    let value = Object::within(data, "params").and_then(|within| {
        within
            .object?
            .get("progress")
            .and_then(|value| serde_json::from_str(value).ok())
    });
    let Some(value) = value else { return false };
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if value <= *last {
        return true;
    }
    *last = value;
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x32_progress_only_grows() {
        let lane = Lane::of_host();
        let Notices::Host(last) = &lane.notices else {
            panic!()
        };
        let progress = |value: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":1,"progress":{value}}}}}"#
            )
        };
        for (value, stale) in [
            ("0", false),
            ("1.5", false),
            ("1.5", true),
            ("1", true),
            ("2e0", false),
        ] {
            assert_eq!(is_stale(last, progress(value).as_bytes()), stale, "{value}");
        }
        assert_eq!(lane.next_progress(), "3");
        assert!(!is_stale(
            last,
            br#"{"jsonrpc":"2.0","method":"notifications/message"}"#
        ));
    }
}
