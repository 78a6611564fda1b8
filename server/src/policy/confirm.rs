//! The yes to a call: tokens, what is remembered beside them, and the table that says what a token is worth now.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StateError;
use crate::{
    store::{Pending, PendingState},
    vocabulary::{Consent, EditionName, TenantId, Timestamp, ToolName, UserId, hexadecimal, sha256},
};

const PREFIX: &str = "cft_";

/// A confirmation token: 256 random bits. Only its hash is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn new() -> Result<Self, StateError> {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).map_err(|_| StateError)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))))
    }

    /// What a caller sent.
    pub fn from_caller(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The token itself, for the one reply that carries it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the store knows it by.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A code that a person can type: `7Q2K-M4PX`. Forty random bits in an alphabet in which no two look alike. It opens
/// nothing by itself: whoever uses it has signed in.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn new_code() -> Result<String, StateError> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(|_| StateError)?;
    let mut code: String = random
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)).copied().map(char::from))
        .collect();
    code.insert(4, '-');
    Ok(code)
}

/// What a row's sealed parts are bound to.
pub fn row_binding(tenant: &TenantId, token_hash: &[u8; 32]) -> String {
    format!("pending call\n{tenant}\n{}", hexadecimal(token_hash))
}

/// What is sealed beside a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remembered<P> {
    /// The arguments, as they were checked.
    pub arguments: Value,
    /// What was shown.
    pub preview: P,
    /// The moment that the plan was made for, in milliseconds.
    pub planned_ms: i64,
}

/// Who comes back with a yes, and how.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who.
    pub user: UserId,
    /// Through which edition.
    pub edition: EditionName,
    /// For which tool.
    pub tool: ToolName,
    /// With which arguments; `None` when the token came alone.
    pub args_digest: Option<[u8; 32]>,
    /// What the tool asks for now.
    pub need: Consent,
    /// Whether the yes came from the person in front of the client, who was asked by the client itself.
    pub elicited: bool,
}

/// What a token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call may be taken and run.
    Ready,
    /// A person has not answered yet.
    Waiting,
    /// A person said no.
    Declined,
    /// It ran before: its result is given again.
    Replay,
    /// It was begun, and nobody knows yet how it ended.
    Begun,
    /// Never seen, or somebody else's, or another tool's: the three look the same.
    Unknown,
    /// Used up.
    Used,
    /// Too late.
    Expired,
    /// The arguments are not those that were previewed.
    ArgumentsChanged,
}

impl Verdict {
    /// Why there is a new preview (catalogue.md §2.8).
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Unknown => Some("token_unknown"),
            Self::Used => Some("token_used"),
            Self::Expired => Some("token_expired"),
            Self::ArgumentsChanged => Some("arguments_changed"),
            Self::Ready | Self::Waiting | Self::Declined | Self::Replay | Self::Begun => None,
        }
    }
}

/// Judges a token by its row.
pub fn verdict(row: Option<&Pending>, asked: &Asked, now: Timestamp) -> Verdict {
    let Some(row) = row else {
        return Verdict::Unknown;
    };
    if row.user != asked.user || row.edition != asked.edition || row.tool != asked.tool {
        return Verdict::Unknown;
    }
    let other_arguments = asked.args_digest.is_some_and(|digest| digest != row.args_digest);
    match row.state {
        PendingState::Done if other_arguments => Verdict::Used,
        PendingState::Done => Verdict::Replay,
        PendingState::Running => Verdict::Begun,
        PendingState::Superseded => Verdict::Used,
        PendingState::Declined if row.need == Consent::Confirm => Verdict::Used,
        PendingState::Declined => Verdict::Declined,
        PendingState::Pending | PendingState::Approved if now >= row.expires_at => Verdict::Expired,
        PendingState::Pending | PendingState::Approved if other_arguments => Verdict::ArgumentsChanged,
        // One person's yes is no review, should the tool ask for one by now.
        PendingState::Approved if asked.need == Consent::Review && row.need != Consent::Review => {
            Verdict::Waiting
        }
        PendingState::Approved => Verdict::Ready,
        // What the tool asks for may have become stricter since the preview.
        PendingState::Pending => match row.need.max(asked.need) {
            Consent::Auto | Consent::Confirm => Verdict::Ready,
            Consent::Human if asked.elicited => Verdict::Ready,
            Consent::Human | Consent::Review => Verdict::Waiting,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn row(state: PendingState, need: Consent) -> Pending {
        Pending {
            token_hash: [1; 32],
            code: "AAAA-BBBB".to_owned(),
            user: UserId::new("usr_1").unwrap(),
            edition: EditionName::new("context").unwrap(),
            tool: ToolName::new("memory_put").unwrap(),
            args_digest: [2; 32],
            plan_digest: [3; 32],
            need,
            state,
            sealed: Vec::new(),
            created_at: NOW,
            expires_at: NOW.plus_millis(1),
            decided_by: None,
            result: None,
        }
    }

    fn asked() -> Asked {
        Asked {
            user: UserId::new("usr_1").unwrap(),
            edition: EditionName::new("context").unwrap(),
            tool: ToolName::new("memory_put").unwrap(),
            args_digest: Some([2; 32]),
            need: Consent::Confirm,
            elicited: false,
        }
    }

    #[test]
    fn the_table_of_what_a_token_is_worth() {
        use Consent::{Confirm, Human};
        use PendingState::{Approved, Declined, Done, Pending, Running, Superseded};
        let table = [
            (Pending, Confirm, Verdict::Ready),
            (Approved, Confirm, Verdict::Ready),
            (Declined, Confirm, Verdict::Used),
            (Superseded, Confirm, Verdict::Used),
            (Running, Confirm, Verdict::Begun),
            (Done, Confirm, Verdict::Replay),
            (Pending, Human, Verdict::Waiting),
            (Approved, Human, Verdict::Ready),
            (Declined, Human, Verdict::Declined),
            (Done, Human, Verdict::Replay),
        ];
        for (state, need, expected) in table {
            let found = verdict(Some(&row(state, need)), &asked(), NOW);
            assert_eq!(found, expected, "{state:?} {need:?}");
        }
        assert_eq!(verdict(None, &asked(), NOW), Verdict::Unknown);
    }

    #[test]
    fn whoever_is_not_the_caller_learns_nothing() {
        let others = [
            Asked {
                user: UserId::new("usr_2").unwrap(),
                ..asked()
            },
            Asked {
                edition: EditionName::new("other").unwrap(),
                ..asked()
            },
            Asked {
                tool: ToolName::new("sync").unwrap(),
                ..asked()
            },
        ];
        for asked in others {
            for state in PendingState::ALL {
                let found = verdict(Some(&row(state, Consent::Confirm)), &asked, NOW);
                assert_eq!(found, Verdict::Unknown, "{asked:?}");
            }
        }
    }

    #[test]
    fn time_arguments_and_a_stricter_rule_are_looked_at_before_a_yes_counts() {
        let open = row(PendingState::Pending, Consent::Confirm);
        assert_eq!(verdict(Some(&open), &asked(), open.expires_at), Verdict::Expired);
        let other = Asked {
            args_digest: Some([9; 32]),
            ..asked()
        };
        assert_eq!(verdict(Some(&open), &other, NOW), Verdict::ArgumentsChanged);
        assert_eq!(
            verdict(Some(&row(PendingState::Done, Consent::Confirm)), &other, NOW),
            Verdict::Used
        );
        let alone = Asked {
            args_digest: None,
            ..asked()
        };
        assert_eq!(verdict(Some(&open), &alone, NOW), Verdict::Ready);
        let stricter = Asked {
            need: Consent::Human,
            ..asked()
        };
        assert_eq!(verdict(Some(&open), &stricter, NOW), Verdict::Waiting);
        let person = Asked {
            elicited: true,
            ..stricter
        };
        assert_eq!(verdict(Some(&open), &person, NOW), Verdict::Ready);
        let review = Asked {
            need: Consent::Review,
            ..person
        };
        assert_eq!(verdict(Some(&open), &review, NOW), Verdict::Waiting);
        let approved = |need| verdict(Some(&row(PendingState::Approved, need)), &review, NOW);
        assert_eq!(approved(Consent::Human), Verdict::Waiting);
        assert_eq!(approved(Consent::Review), Verdict::Ready);
    }

    #[test]
    fn tokens_and_codes_differ_and_tokens_stay_out_of_logs() {
        let (one, two) = (Token::new().unwrap(), Token::new().unwrap());
        assert_ne!(one.hash(), two.hash());
        assert_eq!(one.hash(), Token::from_caller(one.reveal()).hash());
        assert_eq!(format!("{one:?}"), "Token(…)");
        let code = new_code().unwrap();
        assert_eq!((code.len(), code.find('-')), (9, Some(4)), "{code}");
    }
}
