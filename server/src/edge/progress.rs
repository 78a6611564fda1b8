//! Progress of a running call, from the handler's reports to notifications ahead of the answer.

use footbridge_protocol::jsonrpc::{Id, write_notification};
use serde_json::json;
use tokio::{sync::mpsc, time::Instant};

use super::{line::Line, settings::EdgeSettings};
use crate::{
    domain::ProgressUpdate,
    pipeline::{Answer, CallError},
};

/// Waits for a call and passes its progress on.
pub(super) async fn relay(
    call: impl Future<Output = Result<Answer, CallError>>,
    mut updates: mpsc::Receiver<ProgressUpdate>,
    mut notes: ProgressNotes<'_>,
    line: &Line,
) -> Result<Answer, CallError> {
    let mut call = std::pin::pin!(call);
    loop {
        tokio::select! {
            biased;
            Some(update) = updates.recv() => notes.pass(&update, line),
            result = &mut call => {
                // What was reported before the end still comes before the answer.
                while let Ok(update) = updates.try_recv() {
                    notes.pass(&update, line);
                }
                return result;
            }
        }
    }
}

/// Turns progress into notifications: strictly increasing, and no more than a person can read (protocol.md S-106).
pub(super) struct ProgressNotes<'a> {
    token: Id<'a>,
    last: f64,
    allowance: f64,
    burst: f64,
    per_second: f64,
    refilled: Instant,
}

impl<'a> ProgressNotes<'a> {
    pub(super) fn new(token: Id<'a>, settings: &EdgeSettings) -> Self {
        let burst = f64::from(settings.progress_burst);
        Self {
            token,
            last: f64::NEG_INFINITY,
            allowance: burst,
            burst,
            per_second: f64::from(settings.progress_per_second),
            refilled: Instant::now(),
        }
    }

    fn pass(&mut self, update: &ProgressUpdate, line: &Line) {
        let sound = update.done.is_finite() && update.total.is_none_or(f64::is_finite);
        if !sound || update.done <= self.last {
            return;
        }
        let now = Instant::now();
        let earned = (now - self.refilled).as_secs_f64() * self.per_second;
        self.allowance = (self.allowance + earned).min(self.burst);
        self.refilled = now;
        if self.allowance < 1.0 {
            return;
        }
        self.allowance -= 1.0;
        self.last = update.done;
        let mut params = format!(r#"{{"progressToken":{},"progress":{}"#, self.token, update.done);
        if let Some(total) = update.total {
            params.push_str(&format!(r#","total":{total}"#));
        }
        if let Some(message) = &update.message {
            params.push_str(&format!(r#","message":{}"#, json!(message)));
        }
        params.push('}');
        let mut out = Vec::with_capacity(params.len() + 64);
        write_notification(&mut out, "notifications/progress", Some(params.as_bytes()));
        line.send(out);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use footbridge_protocol::jsonrpc::OwnedId;

    use super::*;
    use crate::edge::line::Events;

    fn update(done: f64) -> ProgressUpdate {
        ProgressUpdate {
            done,
            total: None,
            message: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn notes_grow_and_come_no_faster_than_a_person_reads() {
        let (line, token) = (Line::new(Events::Welcome), OwnedId::from_string("p"));
        let mut notes = ProgressNotes::new(token.as_id(), &EdgeSettings::default());
        for done in [1.0, 1.0, 0.5, f64::NAN, f64::INFINITY, 2.0] {
            notes.pass(&update(done), &line);
        }
        assert_eq!(line.waiting(), 2, "what does not grow is not told");
        for step in 3..100 {
            notes.pass(&update(f64::from(step)), &line);
        }
        assert_eq!(line.waiting(), 4, "a burst of four");
        tokio::time::advance(Duration::from_secs(1)).await;
        for step in 100..200 {
            notes.pass(&update(f64::from(step)), &line);
        }
        assert_eq!(line.waiting(), 8, "and four a second from then on");
    }
}
