//! The end: what is in flight may finish, what cannot is called off, the session is closed (protocol.md B-05).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use footbridge_protocol::era::Era;
use hyper::Method;
use hyper::header::HeaderMap;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Flight, Forward};
use crate::exchange::{Kind, Shared, cancel_upstream};
use crate::log;
use crate::seconds::Seconds;

/// What the goodbyes to the server (cancellations, the end of a session) may take.
const GOODBYE_LIMIT: Duration = Duration::from_millis(500);

impl Forward {
    /// After the last line: lets what is in flight finish for at most `grace`, then takes leave of the server (B-05).
    pub(crate) async fn finish(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        if self.is_busy() {
            log::debug(format_args!(
                "waiting for what is in flight, at most {} s",
                Seconds(grace)
            ));
        }
        while self.is_busy() {
            match tokio::time::timeout_at(deadline, self.tasks.join_next_with_id()).await {
                Ok(Some(ended)) => self.settle(ended).await,
                Ok(None) | Err(_) => break,
            }
        }
        let mut goodbyes = JoinSet::new();
        for (id, flight) in self.flights.drain() {
            // If it is the bridge that stops, the host is still there and waits for an answer.
            let stopped = self.shared.stop.get().cloned();
            let Flight::Running(running) = flight else {
                if let Some(error) = stopped {
                    let _ = self.shared.output.send(error.to_line(Some(id.as_id()))).await;
                }
                continue;
            };
            if running.task.is_finished() {
                continue;
            }
            // An array of answers goes out without those that will not come.
            self.shared.output.forget(&id).await;
            // Dropping a modern exchange cancels it; a legacy one has to be told.
            running.task.abort();
            let left = running.flags.sent.load(Ordering::Relaxed);
            if let (Some(error), false) = (stopped, running.flags.cancelled.load(Ordering::Relaxed)) {
                let line = error.with_sent(left).to_line(Some(id.as_id()));
                let _ = self.shared.output.send(line).await;
            }
            if running.era == Era::Legacy && running.kind != Kind::Initialize && left {
                goodbyes.spawn(cancel_upstream(Arc::clone(&self.shared), id));
            }
        }
        self.tasks.abort_all();
        if let Some(up) = &self.shared.up {
            up.say_goodbye(&self.shared, &mut goodbyes);
        }
        if goodbyes.is_empty() && !self.shared.legacy.has_session() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let goodbye = async move {
            while goodbyes.join_next().await.is_some() {}
            end_session(&shared).await;
        };
        let _ = tokio::time::timeout(GOODBYE_LIMIT, goodbye).await;
    }

    /// Says whether anything is left that an end of input should wait for. A listen stream never ends by itself.
    fn is_busy(&self) -> bool {
        let listening = self
            .flights
            .values()
            .filter(|flight| matches!(flight, Flight::Running(running) if running.kind == Kind::Listen))
            .count();
        self.tasks.len() > listening || !self.held.is_empty() || !self.waiting.is_empty()
    }
}

/// Ends the legacy session, if there is one. Servers may refuse that; the session then ends by itself some day.
async fn end_session(shared: &Shared) {
    if !shared.legacy.has_session() {
        return;
    }
    let mut headers = HeaderMap::new();
    shared.legacy.stamp(&mut headers);
    match shared
        .upstream
        .send(&Method::DELETE, &headers, &Bytes::new())
        .await
    {
        Ok(reply) => log::debug(format_args!("ended the session: {}", reply.status)),
        Err(error) => log::debug(format_args!("the session was not ended: {}", error.message())),
    }
}
