//! How much consent a call needs before it runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much consent a call needs, from none to that of other people. The order is the strictness of catalogue.md
/// §2.7: of several rules the greatest holds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Consent {
    /// Runs at once.
    #[default]
    Auto,
    /// Shows a preview and runs when the caller comes back with a yes.
    Confirm,
    /// The same, and the yes must be a person's: a token in an argument is none.
    Human,
    /// Other people must approve.
    Review,
}

impl Consent {
    /// Every kind, from the laxest to the strictest.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Confirm, Self::Human, Self::Review];

    /// The lower-case word used in files, tables and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Confirm => "confirm",
            Self::Human => "human",
            Self::Review => "review",
        }
    }

    /// Reads what [`Consent::as_str`] writes.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|consent| consent.as_str() == word)
    }
}
