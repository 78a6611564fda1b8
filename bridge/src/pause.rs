//! How long to wait before trying again: growing, capped, and never in step with others.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses of 1 s to 30 s, each twice the last.
pub(crate) struct Backoff(Duration);

impl Backoff {
    /// Starts with the shortest pause.
    pub(crate) fn new() -> Backoff {
        Backoff(FIRST)
    }

    /// The next pause, jittered.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (self.0 * 2).min(LONGEST);
        jittered(pause)
    }
}

/// `pause` and up to a quarter more, so that many bridges whose server restarts do not return at the same moment.
pub(crate) fn jittered(pause: Duration) -> Duration {
    spread(pause, 4)
}

/// `pause` and up to a twentieth more, for a pause that the server has named: it expects us then, not much later.
pub(crate) fn nudged(pause: Duration) -> Duration {
    spread(pause, 20)
}

fn spread(pause: Duration, part: u32) -> Duration {
    // The keys of a hasher are random per process and differ per call: enough for spreading, not for secrets.
    let random = u32::try_from(RandomState::new().hash_one(0_u8) % 1024).unwrap_or_default();
    pause + pause / part * random / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new();
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let (pause, least) = (backoff.next(), Duration::from_secs(seconds));
            assert!(pause >= least && pause <= least * 5 / 4, "{pause:?}");
        }
    }
}
