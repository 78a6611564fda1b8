//! When a step that failed is tried again.

use std::time::Duration;

/// Pauses before the second attempt, the third, and so on: from a receiver that restarts to one that is repaired within the
/// hour (catalogue.md §3.5: 5 times, 10 s … 1 h).
const PAUSES: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(20 * 60),
    Duration::from_secs(60 * 60),
];

/// The pause after `attempts` attempts, up to a tenth longer by `random`, so that what failed together is not tried together
/// again. `None`: there are no more.
pub fn after(attempts: u32, random: u8) -> Option<Duration> {
    let at = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let pause = PAUSES.get(at).copied()?;
    Some(pause + pause.mul_f64(0.1 * f64::from(random) / 255.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_more_attempts_from_ten_seconds_to_an_hour() {
        let pauses: Vec<_> = (1..).map_while(|attempts| after(attempts, 0)).collect();
        assert_eq!(pauses.len(), 5);
        assert!(pauses.is_sorted());
        assert_eq!(pauses.first(), Some(&Duration::from_secs(10)));
        assert_eq!(pauses.last(), Some(&Duration::from_secs(3600)));
        assert_eq!(after(1, 255), Some(Duration::from_secs(11)));
        assert_eq!((after(0, 0), after(u32::MAX, 0)), (None, None));
    }
}
