//! How long to wait before the next attempt.

use std::time::Duration;

/// After the first attempt, the second, and so on: seconds for a receiver that restarts, a night for one that is broken.
/// Together with the six attempts, a day (catalogue.md §3.1).
const PAUSES: [Duration; 5] = [
    Duration::from_secs(30),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(20 * 60 * 60),
];

/// The pause after `attempt` attempts, up to a tenth longer, so that what failed together is not tried together again.
pub(super) fn after(attempt: u32, random: u8) -> Duration {
    let at = usize::try_from(attempt.max(1) - 1).unwrap_or(usize::MAX);
    let pause = PAUSES.get(at).or(PAUSES.last()).copied().unwrap_or_default();
    pause + pause.mul_f64(0.1 * f64::from(random) / 255.0)
}

/// A byte for [`after`]. Where the machine gives none, all wait the shortest pause.
pub(super) fn random() -> u8 {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    u8::from_le_bytes(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_fill_a_day_and_never_overflow() {
        let pauses: Vec<_> = (1..6).map(|attempt| after(attempt, 0)).collect();
        assert!(pauses.is_sorted());
        let day = pauses.iter().sum::<Duration>();
        assert!((22..25).contains(&(day.as_secs() / 3600)), "{day:?}");
        assert_eq!(after(u32::MAX, 0), after(5, 0));
        assert_eq!(after(0, 0), after(1, 0));
        assert_eq!(after(1, 255), Duration::from_secs(33));
    }
}
