//! The ends of what is in flight: by itself, by a fault of ours, or because the host cancels it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use footbridge_protocol::era::Era;
use footbridge_protocol::params::Params;
use tokio::task::{Id as TaskId, JoinError};

use super::{Barrier, Ended, Flight, Forward};
use crate::error::BridgeError;
use crate::log;

/// How long a cancelled legacy request is still read: servers need not answer it, nor end its stream.
const CANCELLED_LINGER: Duration = Duration::from_secs(10);

impl Forward {
    /// A task has ended, by itself, by a cancellation, or by a fault of ours.
    pub(super) async fn settle(&mut self, ended: Result<(TaskId, Ended), JoinError>) {
        let (task, id, panicked) = match ended {
            Ok((task, Ended::Request(id))) => (task, Some(id), false),
            Ok((task, Ended::Delivery)) => (task, None, false),
            Err(error) => {
                let flight = self.flights.iter().find(|(_, flight)| flight.is_task(error.id()));
                (error.id(), flight.map(|(id, _)| id.clone()), error.is_panic())
            }
        };
        if let Some(id) = id {
            // The id may be in use again, by a request that came after a cancellation.
            if self.flights.get(&id).is_some_and(|flight| flight.is_task(task)) {
                self.flights.remove(&id);
                self.running -= 1;
                if panicked {
                    let error = BridgeError::reply_lost(
                        "The bridge failed while it carried this request; whether it took effect is unknown",
                    );
                    self.say(error.to_line(Some(id.as_id()))).await;
                }
            }
        }
        if self.barrier == Some(Barrier::Task(task)) {
            self.barrier = None;
        }
        self.pump().await;
    }

    /// The host cancels a request. Returns whether the server must be told by a message.
    pub(super) fn cancel(&mut self, params: &Params<'_>) -> bool {
        let Ok(Some(id)) = params.request_id() else {
            log::warn(format_args!("dropped a cancellation that names no request"));
            return false;
        };
        let id = id.to_owned();
        match self.flights.get(&id) {
            // Unknown or answered already: both are normal (B-36).
            None => false,
            Some(Flight::Waiting) => {
                for queue in [&mut self.held, &mut self.waiting] {
                    queue.retain(|held| {
                        let keep = held.id.as_ref() != Some(&id);
                        if !keep {
                            self.waiting_bytes -= held.line.len();
                        }
                        keep
                    });
                }
                if self
                    .barrier
                    .as_ref()
                    .is_some_and(|barrier| *barrier == Barrier::Initialize(id.clone()))
                {
                    self.barrier = None;
                }
                self.flights.remove(&id);
                false
            }
            Some(Flight::Running(running)) => {
                let left = running.flags.sent.load(Ordering::Relaxed);
                let task = running.task.clone();
                if running.era == Era::Legacy && left {
                    running.flags.cancelled.store(true, Ordering::Relaxed);
                    tokio::spawn(async move {
                        tokio::time::sleep(CANCELLED_LINGER).await;
                        task.abort();
                    });
                    return true;
                }
                task.abort();
                self.flights.remove(&id);
                self.running -= 1;
                false
            }
        }
    }
}
