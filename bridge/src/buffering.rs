//! A reverse proxy that holds an event stream back, found out by when its messages come (clients.md §6, FB142).
//!
//! Nothing in a reply says that somebody on the way gathers it. Time does: a stream that a server begins at once has not
//! begun, or messages of different moments of a long call come together when it ends. In go those moments, out comes one line
//! on stderr in the life of the process; what is carried stays as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::diagnosis::Diagnosis;
use crate::log;

/// Silence that is taken for a proxy's. A server that is only slow has begun its stream long before.
const HELD: Duration = Duration::from_secs(30);
/// Messages this close to each other have come together.
const TOGETHER: Duration = Duration::from_secs(1);
/// So many of them do so by no accident: a last word before the response is what servers do.
const MESSAGES: usize = 3;

/// What is known about the way of the replies.
#[derive(Debug, Default)]
pub(crate) struct Buffering {
    was_said: AtomicBool,
}

/// A wait for the beginning of a stream, over when it is dropped.
#[derive(Debug)]
pub(crate) struct Watch(AbortHandle);

/// When the messages of one reply came.
#[derive(Debug)]
pub(crate) struct Arrivals {
    asked: Instant,
    /// The first, the last, and how many there were.
    came: Option<(Instant, Instant, usize)>,
}

/// The words for a reply that was held back for so long.
pub(crate) fn remark(held: Duration) -> String {
    format!(
        "The reply was buffered for {} s: a reverse proxy holds back the event stream. nginx: proxy_buffering off;",
        held.as_secs()
    )
}

impl Buffering {
    /// Waits for the beginning of a stream that begins as soon as it is asked for.
    pub(crate) fn watch(self: &Arc<Buffering>) -> Watch {
        let buffering = Arc::clone(self);
        let waiting = tokio::spawn(async move {
            tokio::time::sleep(HELD).await;
            buffering.say(HELD);
        });
        Watch(waiting.abort_handle())
    }

    /// Looks at the messages of a reply that is over.
    pub(crate) fn judge(&self, arrivals: &Arrivals) {
        if let Some(held) = arrivals.held() {
            self.say(held);
        }
    }

    fn say(&self, held: Duration) {
        if !self.was_said.swap(true, Ordering::Relaxed) {
            log::warn(format_args!("{} ({})", remark(held), Diagnosis::Buffered.code()));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Arrivals {
    /// Those of a request that was sent at `asked`.
    pub(crate) fn since(asked: Instant) -> Arrivals {
        Arrivals { asked, came: None }
    }

    /// A message has come.
    pub(crate) fn add(&mut self, now: Instant) {
        let (first, count) = self.came.map_or((now, 0), |(first, _, count)| (first, count));
        self.came = Some((first, now, count + 1));
    }

    /// For how long they were held back, if they were.
    fn held(&self) -> Option<Duration> {
        let (first, last, count) = self.came?;
        let held = first.duration_since(self.asked);
        (held >= HELD && last.duration_since(first) <= TOGETHER && count >= MESSAGES).then_some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(test);
    }

    #[test]
    fn fb142_messages_that_come_together_after_a_long_silence_were_held_back() {
        paused(async {
            let asked = Instant::now();
            for (moments_ms, held_s) in [
                (&[31_000, 31_000, 31_400][..], Some(31)),
                (&[90_500, 90_500, 90_500, 90_501], Some(90)),
                // One word before the response, and a response alone.
                (&[31_000, 31_000], None),
                (&[31_000], None),
                (&[], None),
                // They came as they were made.
                (&[31_000, 40_000, 50_000], None),
                (&[1_000, 1_000, 1_100], None),
            ] {
                let mut arrivals = Arrivals::since(asked);
                for ms in moments_ms {
                    arrivals.add(asked + Duration::from_millis(*ms));
                }
                assert_eq!(
                    arrivals.held().map(|held| held.as_secs()),
                    held_s,
                    "{moments_ms:?}"
                );
            }
        });
    }

    #[test]
    fn fb142_a_stream_that_does_not_begin_is_spoken_of_once_and_one_that_does_is_not() {
        paused(async {
            let buffering = Arc::new(Buffering::default());
            let watch = buffering.watch();
            tokio::time::sleep(HELD - Duration::from_millis(1)).await;
            drop(watch);
            tokio::time::sleep(HELD * 2).await;
            assert!(!buffering.was_said.load(Ordering::Relaxed));
            let watch = buffering.watch();
            tokio::time::sleep(HELD + Duration::from_millis(1)).await;
            assert!(buffering.was_said.load(Ordering::Relaxed));
            drop(watch);
        });
    }

    #[test]
    fn fb142_says_what_to_write_into_the_proxy() {
        assert_eq!(
            remark(HELD),
            "The reply was buffered for 30 s: a reverse proxy holds back the event stream. nginx: proxy_buffering off;"
        );
    }
}
