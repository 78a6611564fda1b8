//! The words every room shares: identifiers, names, effects and moments in time.
//!
//! Nothing here imports anything of ours, so any room may import it.

mod canonical;
mod comment;
mod consent;
mod listing;

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use canonical::{canonical, hexadecimal, sha256};
pub use comment::prose;
pub use consent::Consent;
pub use listing::Listing;

/// Why a text is not a valid identifier of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}` is not valid: {rule}")]
pub struct InvalidName {
    /// Which kind of name was expected, e.g. `tenant`.
    pub what: &'static str,
    /// The text that was given, cut at 80 characters.
    pub value: String,
    /// What is accepted.
    pub rule: &'static str,
}

fn checked(
    what: &'static str,
    value: &str,
    rule: &'static str,
    accepts: impl Fn(&str) -> bool,
) -> Result<Arc<str>, InvalidName> {
    if accepts(value) {
        Ok(Arc::from(value))
    } else {
        Err(InvalidName {
            what,
            value: value.chars().take(80).collect(),
            rule,
        })
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text against the rule of this kind of name.
            pub fn new(value: &str) -> Result<Self, InvalidName> {
                checked($what, value, $rule, $accepts).map(Self)
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                Self::new(&value)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

fn is_slug(value: &str) -> bool {
    (1..=63).contains(&value.len())
        && value
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !value.starts_with('-')
}

/// Printable ASCII without spaces: what may stand in a log line or a header unescaped.
fn is_token(value: &str, most: usize) -> bool {
    (1..=most).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic())
}

name_type!(
    /// The customer whose rows these are. It leads every primary key in the store.
    TenantId, "tenant", "1-63 of a-z, 0-9 and -, not starting with -", is_slug
);
name_type!(
    /// A person or service inside a tenant, `usr_<ULID>`.
    UserId, "user id", "1-64 printable characters without spaces", |v| is_token(v, 64)
);
name_type!(
    /// An API key's row, `key_<ULID>`. Never the key itself.
    KeyId, "key id", "1-64 printable characters without spaces", |v| is_token(v, 64)
);
name_type!(
    /// A named group of tools on one endpoint (design.md D1).
    EditionName, "edition", "1-63 of a-z, 0-9 and -, not starting with -", is_slug
);
name_type!(
    /// One right a credential holds, an opaque lower-case string (catalogue.md §2.3).
    Scope, "scope", "1-64 of a-z, 0-9 and : . _ - *", |v: &str| {
        (1..=64).contains(&v.len())
            && v.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b":._-*".contains(&b))
    }
);
name_type!(
    /// A tool's canonical (native) name: 1-128 of `A-Za-z0-9_-.` (protocol.md L-06).
    ToolName, "tool name", "1-128 of A-Z, a-z, 0-9, _ - and .", |v: &str| {
        (1..=128).contains(&v.len())
            && v.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
    }
);

impl ToolName {
    /// The spelling for clients that refuse dots: `task.claim` becomes `task_claim` (catalogue.md §2.19).
    pub fn to_underscored(&self) -> String {
        self.as_str().replace('.', "_")
    }
}

/// What running a tool does (design.md D2). MCP hints are derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Reads and changes nothing.
    Read,
    /// Adds a record.
    Create,
    /// Changes a record; the old value stays in its history.
    Update,
    /// Deletes, revokes, stops for good or overwrites without history.
    Delete,
    /// Runs arbitrary text on an outside system.
    Execute,
}

impl Effect {
    /// The letter of catalogue.md §2.6, with `o` for an open world, as the audit log writes it.
    pub fn kind(self, open_world: bool) -> &'static str {
        match (self, open_world) {
            (Self::Read, false) => "R",
            (Self::Read, true) => "Ro",
            (Self::Create, false) => "C",
            (Self::Create, true) => "Co",
            (Self::Update, false) => "U",
            (Self::Update, true) => "Uo",
            (Self::Delete, _) => "D",
            (Self::Execute, _) => "X",
        }
    }
}

/// What a member may do in a tenant (catalogue.md §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds every right in the tenant.
    Owner,
    /// Manages members, keys and settings.
    Admin,
    /// Reads everything, changes nothing.
    Auditor,
    /// Works with the tools.
    Member,
    /// A registered worker of the context edition.
    Agent,
}

impl Role {
    /// The lower-case word used in files, tables and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Member => "member",
            Self::Agent => "agent",
        }
    }

    /// Whether somebody of this role may give the other one, and change people who have it: owners all, admins all but owners.
    pub fn commands(self, other: Self) -> bool {
        self == Self::Owner || (self == Self::Admin && other != Self::Owner)
    }

    /// Whether the role passes a gate for administrators.
    pub fn is_admin(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

impl std::str::FromStr for Role {
    type Err = InvalidName;
    fn from_str(value: &str) -> Result<Self, InvalidName> {
        Ok(match value {
            "owner" => Self::Owner,
            "admin" => Self::Admin,
            "auditor" => Self::Auditor,
            "member" => Self::Member,
            "agent" => Self::Agent,
            _ => {
                return Err(InvalidName {
                    what: "role",
                    value: value.chars().take(80).collect(),
                    rule: "one of owner, admin, auditor, member, agent",
                });
            }
        })
    }
}

/// How names are listed (catalogue.md §2.19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NameStyle {
    /// Underscored for clients known to be strict, native otherwise.
    #[default]
    Auto,
    /// As in the catalogue.
    Native,
    /// Dots replaced by underscores.
    Underscore,
}

impl NameStyle {
    /// The lower-case word used in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Underscore => "underscore",
        }
    }
}

/// A moment: milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 UTC with milliseconds and `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Milliseconds since the epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment moved by a number of milliseconds, saturating at the ends of time.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// The calendar month of UTC that it lies in, as counters name it: `2026-11`.
    pub fn month(self) -> String {
        self.to_string().chars().take("2026-11".len()).collect()
    }

    /// Reads RFC 3339, or a date alone as 00:00Z (catalogue.md §2.14).
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Some(Self(moment.as_millisecond()));
        }
        let date = text.parse::<jiff::civil::Date>().ok()?;
        let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Self(zoned.timestamp().as_millisecond()))
    }
}

impl Timestamp {
    /// Its text, in the years 0 to 9999. Every row of a log has one and so has every record in an answer, so it goes
    /// without the machinery of formatting.
    fn spelled(self) -> Option<[u8; 24]> {
        let moment = jiff::Timestamp::from_millisecond(self.0).ok()?;
        let at = jiff::tz::Offset::UTC.to_datetime(moment);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let numbers: [(usize, usize, i16); 7] = [
            (0, 4, at.year()),
            (5, 7, at.month().into()),
            (8, 10, at.day().into()),
            (11, 13, at.hour().into()),
            (14, 16, at.minute().into()),
            (17, 19, at.second().into()),
            (20, 23, at.millisecond()),
        ];
        for (start, end, mut number) in numbers {
            for digit in text.get_mut(start..end)?.iter_mut().rev() {
                // No digit is negative: a year before 0 ends here.
                *digit = b'0' + u8::try_from(number % 10).ok()?;
                number /= 10;
            }
        }
        Some(text)
    }

    fn with_text<T>(self, read: impl FnOnce(&str) -> T) -> T {
        match self.spelled() {
            Some(text) => read(std::str::from_utf8(&text).unwrap_or_default()),
            None => match jiff::Timestamp::from_millisecond(self.0) {
                Ok(moment) => read(&format!("{moment:.3}")),
                // Out of the calendar's range: only reachable through arithmetic, and still readable.
                Err(_) => read(&format!("{} ms", self.0)),
            },
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected an RFC 3339 timestamp"))
    }
}

/// Where the time comes from. Tests hold the hands themselves.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that moves only when told to.
    Manual(Arc<std::sync::atomic::AtomicI64>),
}

impl Clock {
    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(start.0.into()))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp(jiff::Timestamp::now().as_millisecond()),
            Self::Manual(millis) => Timestamp(millis.load(std::sync::atomic::Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock; the machine's clock stays as it is.
    pub fn advance(&self, millis: i64) {
        if let Self::Manual(hands) = self {
            hands.fetch_add(millis, std::sync::atomic::Ordering::SeqCst);
        }
    }
}

/// A fresh identifier `<kind>_<ULID>` (catalogue.md §2.14): 48 bits of time, 80 random bits.
pub fn new_id(kind: &str, now: Timestamp) -> String {
    format!("{kind}_{}", fresh(now))
}

fn fresh(now: Timestamp) -> ulid::Ulid {
    let millis = u64::try_from(now.0).unwrap_or(0);
    let mut random = [0_u8; 16];
    // A machine that cannot give random bytes cannot mint anything; ids then repeat only within one
    // millisecond and the store's primary keys refuse the second.
    let _ = getrandom::fill(&mut random);
    ulid::Ulid::from_parts(millis, u128::from_le_bytes(random))
}

/// Identifiers of what is made at one moment, as in one transaction: they sort in the order in which they were asked for.
#[derive(Debug, Default)]
pub struct Ids {
    last: Option<ulid::Ulid>,
}

impl Ids {
    /// The next identifier, as [`new_id`] would give one.
    pub fn next(&mut self, kind: &str, now: Timestamp) -> String {
        let fresh = fresh(now);
        let after = |last: &ulid::Ulid| last.timestamp_ms() == fresh.timestamp_ms();
        // Of 80 random bits none are left about once in 2^80 moments.
        let next = self.last.filter(after).and_then(|last| last.increment().ok());
        let id = next.unwrap_or(fresh);
        self.last = Some(id);
        format!("{kind}_{id}")
    }
}

/// Whether a character hides text from the person who reads it while a model still sees it: control,
/// bidirectional, zero-width and tag characters (security.md P1).
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x2069 | 0xFEFF | 0xE0000..=0xE007F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_moment_sort_as_they_were_made() {
        let mut ids = Ids::default();
        let made: Vec<String> = (0..100).map(|n| ids.next("evt", Timestamp(n / 50))).collect();
        assert!(made.is_sorted_by(|one, other| one < other), "{made:?}");
        assert_ne!(Ids::default().next("evt", Timestamp(0)), made[0]);
    }

    #[test]
    fn names_keep_to_their_rules() {
        assert!(TenantId::new("acme-2").is_ok());
        for bad in ["", "-a", "Acme", "a b", "ä", &"x".repeat(64)] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
        assert!(Scope::new("crm:read").is_ok() && Scope::new("memory.*").is_ok());
        assert!(Scope::new("CRM:read").is_err());
        assert_eq!(
            ToolName::new("task.claim").unwrap().to_underscored(),
            "task_claim"
        );
    }

    #[test]
    fn timestamps_are_utc_with_milliseconds() {
        let moment = Timestamp::parse("2026-11-20T16:15:00Z").unwrap();
        assert_eq!(moment.to_string(), "2026-11-20T16:15:00.000Z");
        assert_eq!(
            Timestamp::parse("2026-11-20").unwrap().to_string(),
            "2026-11-20T00:00:00.000Z"
        );
        assert_eq!(moment.month(), "2026-11");
        assert_eq!(Timestamp::parse("tomorrow"), None);
    }

    #[test]
    fn every_moment_is_written_as_the_calendar_writes_it() {
        // A prime number of milliseconds: every hour, day, month and leap year comes by.
        let moments = (-70_000_000_000_000_i64..253_402_000_000_000).step_by(33_999_999_937);
        for moment in moments.chain([-1, 0, 1, 951_782_400_000]) {
            let calendar = jiff::Timestamp::from_millisecond(moment).unwrap();
            assert_eq!(
                Timestamp(moment).to_string(),
                format!("{calendar:.3}"),
                "{moment}"
            );
        }
        assert_eq!(Timestamp(i64::MAX).to_string(), format!("{} ms", i64::MAX));
    }

    #[test]
    fn ids_carry_their_kind_and_differ() {
        let now = Timestamp(1_700_000_000_000);
        let (first, second) = (new_id("key", now), new_id("key", now));
        assert!(first.starts_with("key_") && first.len() == 30);
        assert_ne!(first, second);
    }
}
