//! What went wrong at an API, in the vocabulary of catalogue.md §2.10.

use std::fmt;

use crate::catalogue::http::FaultCode;

/// Characters of an API's own words that are passed on: enough to mend a call, too few to smuggle a page.
const LONGEST_MESSAGE: usize = 500;

/// A refusal or failure of a REST API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamFault {
    /// What it means to the caller.
    pub code: FaultCode,
    /// What it says, for the caller to read.
    pub message: String,
    /// The API's status; absent when there was no answer.
    pub status: Option<u16>,
    /// When to come back.
    pub retry_after_seconds: Option<u64>,
}

impl UpstreamFault {
    /// The API answered, but not with what can be used.
    pub(super) fn broken(message: impl Into<String>) -> Self {
        Self {
            code: FaultCode::UpstreamError,
            message: message.into(),
            status: Some(200),
            retry_after_seconds: None,
        }
    }

    /// There was no answer.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self {
            status: None,
            ..Self::broken(message)
        }
    }

    /// The answer did not come in time.
    pub(super) fn timeout(seconds: u64) -> Self {
        Self {
            code: FaultCode::Timeout,
            ..Self::unreachable(format!("upstream did not answer within {seconds} s"))
        }
    }
}

impl fmt::Display for UpstreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UpstreamFault {}

/// An API's own words, fit to be read by a model and a person: one line, bounded, nothing invisible.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().filter(|c| !c.is_control()));
    }
    match out.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => {
            out.truncate(end);
            out.push('…');
            out
        }
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_api_become_one_bounded_line() {
        assert_eq!(plain(" a\n\tb\u{1b}[31m "), "a b[31m");
        assert_eq!(plain(&"x".repeat(900)).chars().count(), LONGEST_MESSAGE + 1);
    }
}
