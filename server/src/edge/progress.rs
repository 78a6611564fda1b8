//! What a running call reports, from the handler to notifications ahead of the answer.

use std::time::Duration;

use footbridge_protocol::jsonrpc::{Id, write_notification};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{line::Line, settings::EdgeSettings, tape::Tape};
use crate::{
    domain::{LogLevel, ProgressUpdate, Report},
    pipeline::{Answer, CallError},
};

/// Where the reports of one call go.
pub(super) struct Reports<'a> {
    pub(super) line: &'a Line,
    /// For clients that can come back for what they missed.
    pub(super) tape: Option<&'a Tape>,
    /// When the caller asked for progress.
    pub(super) progress: Option<ProgressNotes<'a>>,
    /// When the caller has log messages.
    pub(super) log: Option<LogNotes<'a>>,
    /// After how long a call with a tape answers with a stream, whatever it reports.
    pub(super) stream_after: Duration,
}

impl Reports<'_> {
    /// Waits for a call and passes on what it reports.
    pub(super) async fn relay(
        mut self,
        call: impl Future<Output = Result<Answer, CallError>>,
        mut reports: mpsc::Receiver<Report>,
    ) -> Result<Answer, CallError> {
        let mut call = std::pin::pin!(call);
        let mut quiet = std::pin::pin!(sleep(self.stream_after));
        let mut quiet_ends = self.tape.is_some();
        loop {
            tokio::select! {
                biased;
                Some(report) = reports.recv() => self.pass(report).await,
                result = &mut call => {
                    // What was reported before the end still comes before the answer.
                    while let Ok(report) = reports.try_recv() {
                        self.pass(report).await;
                    }
                    return result;
                }
                () = &mut quiet, if quiet_ends => {
                    quiet_ends = false;
                    if let Some(tape) = self.tape {
                        tape.open(self.line).await;
                    }
                }
            }
        }
    }

    async fn pass(&mut self, report: Report) {
        let note = match &report {
            Report::Progress(update) => self.progress.as_mut().and_then(|notes| notes.write(update)),
            Report::Log(level, data) => self.log.as_mut().and_then(|notes| notes.write(*level, data)),
            Report::LetGo => {
                if let Some(tape) = self.tape {
                    tape.open(self.line).await;
                    self.line.let_go();
                }
                None
            }
        };
        match (note, self.tape) {
            (Some(note), Some(tape)) => tape.pass(self.line, note).await,
            (Some(note), None) => self.line.send(note),
            (None, _) => {}
        }
    }
}

/// No more notices than a person can read (protocol.md S-106): some at once, and some a second from then on.
struct Allowance {
    left: f64,
    burst: f64,
    per_second: f64,
    refilled: Instant,
}

impl Allowance {
    fn new(settings: &EdgeSettings) -> Self {
        let burst = f64::from(settings.progress_burst);
        Self {
            left: burst,
            burst,
            per_second: f64::from(settings.progress_per_second),
            refilled: Instant::now(),
        }
    }

    fn take(&mut self) -> bool {
        let now = Instant::now();
        let earned = (now - self.refilled).as_secs_f64() * self.per_second;
        self.left = (self.left + earned).min(self.burst);
        self.refilled = now;
        let taken = self.left >= 1.0;
        if taken {
            self.left -= 1.0;
        }
        taken
    }
}

/// Turns progress into notifications: strictly increasing, and no more than a person can read.
pub(super) struct ProgressNotes<'a> {
    token: Id<'a>,
    last: f64,
    allowance: Allowance,
}

impl<'a> ProgressNotes<'a> {
    pub(super) fn new(token: Id<'a>, settings: &EdgeSettings) -> Self {
        Self {
            token,
            last: f64::NEG_INFINITY,
            allowance: Allowance::new(settings),
        }
    }

    fn write(&mut self, update: &ProgressUpdate) -> Option<Vec<u8>> {
        let sound = update.done.is_finite() && update.total.is_none_or(f64::is_finite);
        if !sound || update.done <= self.last || !self.allowance.take() {
            return None;
        }
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
        Some(out)
    }
}

/// Turns log messages into notifications, those that the client wants to hear.
pub(super) struct LogNotes<'a> {
    least: LogLevel,
    /// Who speaks: the tool, as the caller spells it.
    logger: &'a str,
    allowance: Allowance,
}

impl<'a> LogNotes<'a> {
    /// `least` is the client's word for the least severe; without one it hears what people want to know.
    pub(super) fn new(least: Option<&str>, logger: &'a str, settings: &EdgeSettings) -> Self {
        Self {
            least: least.and_then(LogLevel::parse).unwrap_or(LogLevel::Info),
            logger,
            allowance: Allowance::new(settings),
        }
    }

    fn write(&mut self, level: LogLevel, data: &Value) -> Option<Vec<u8>> {
        if level < self.least || !self.allowance.take() {
            return None;
        }
        let params = json!({ "level": level.as_str(), "logger": self.logger, "data": data }).to_string();
        let mut out = Vec::with_capacity(params.len() + 64);
        write_notification(&mut out, "notifications/message", Some(params.as_bytes()));
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use footbridge_protocol::jsonrpc::OwnedId;

    use super::*;

    fn update(done: f64) -> ProgressUpdate {
        ProgressUpdate {
            done,
            total: None,
            message: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn notes_grow_and_come_no_faster_than_a_person_reads() {
        let token = OwnedId::from_string("p");
        let mut notes = ProgressNotes::new(token.as_id(), &EdgeSettings::default());
        let mut told = |updates: &mut dyn Iterator<Item = f64>| {
            updates
                .filter(|done| notes.write(&update(*done)).is_some())
                .count()
        };
        let uneven = [1.0, 1.0, 0.5, f64::NAN, f64::INFINITY, 2.0];
        assert_eq!(told(&mut uneven.into_iter()), 2, "what does not grow is not told");
        assert_eq!(told(&mut (3..100).map(f64::from)), 2, "a burst of four");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            told(&mut (100..200).map(f64::from)),
            4,
            "and four a second from then on"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_hears_what_is_as_severe_as_it_wants() {
        let heard = |least: Option<&str>| {
            let settings = EdgeSettings {
                progress_burst: 100,
                ..EdgeSettings::default()
            };
            let mut notes = LogNotes::new(least, "t", &settings);
            LogLevel::ALL
                .into_iter()
                .filter(|level| notes.write(*level, &json!("x")).is_some())
                .count()
        };
        assert_eq!(
            [None, Some("debug"), Some("error"), Some("emergency")].map(heard),
            [7, 8, 4, 1]
        );
    }
}
