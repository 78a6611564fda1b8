//! Seconds as people write them, with a decimal point where they need one.
//!
//! A number of our own: reading and printing floating point would be 30 KB of the program, for a few messages.

use std::fmt;
use std::time::Duration;

/// Says a time in seconds, exact to a thousandth, no zero more than needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = self.0.subsec_millis();
        let whole = self.0.as_secs();
        if thousandths == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{thousandths:03}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// Reads a time: digits, and perhaps a point and more digits, of which the first nine count.
pub(crate) fn read(text: &str) -> Option<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !are_digits(whole) || !are_digits(part) {
        return None;
    }
    let seconds = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanoseconds = part
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(Duration::new(seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_said() {
        for (text, ms, said) in [
            ("55", 55_000, "55"),
            ("0.3", 300, "0.3"),
            (".25", 250, "0.25"),
            ("2.", 2_000, "2"),
            ("1.0059999999", 1_005, "1.005"),
            ("000", 0, "0"),
        ] {
            let read = read(text).unwrap();
            assert_eq!(read.as_millis(), ms, "{text}");
            assert_eq!(Seconds(read).to_string(), said);
        }
        for text in [
            "",
            ".",
            "-1",
            "1e3",
            "1.2.3",
            " 1",
            "1s",
            "inf",
            "99999999999999999999",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
