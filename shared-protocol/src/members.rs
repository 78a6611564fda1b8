//! Picks named members out of a JSON object in one pass, without copying their values.
//!
//! In: the text of a value. Out: the raw value of each name asked for, and the names that occurred twice. An
//! object inside the object can be read in the same pass ([`Inner`]); everything else is checked to be JSON and
//! skipped. serde_json skips iteratively, so hostile nesting costs no stack.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What was found under each of `N` names, at most 32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members<'a, const N: usize> {
    values: [Option<&'a RawValue>; N],
    /// Bit `i` is set when name `i` was seen.
    seen: u32,
    /// Bit `i` is set when name `i` was seen twice; nobody should use such a value.
    doubled: u32,
}

impl<const N: usize> Members<'_, N> {
    pub(crate) const EMPTY: Self = Members {
        values: [None; N],
        seen: 0,
        doubled: 0,
    };
}

impl<'a, const N: usize> Members<'a, N> {
    /// Reads one object. Fails on what is not JSON, and on any value that is not an object.
    pub(crate) fn read(text: &'a str, names: &'static [&'static str; N]) -> serde_json::Result<Self> {
        let mut members = Members::EMPTY;
        members.fill(text, names, &mut NoInner)?;
        Ok(members)
    }

    /// As [`Members::read`], but what was found before an error stays in `self`, and one member is handed to
    /// `inner` instead of being kept.
    pub(crate) fn fill<I: Inner<'a>>(
        &mut self,
        text: &'a str,
        names: &'static [&'static str; N],
        inner: &mut I,
    ) -> serde_json::Result<()> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        deserializer.deserialize_map(ObjectVisitor {
            names,
            members: self,
            inner,
        })?;
        deserializer.end()
    }

    /// The first of the names that occurred twice.
    pub(crate) fn doubled(&self) -> Option<usize> {
        (self.doubled != 0).then_some(self.doubled.trailing_zeros() as usize)
    }

    /// True when the name at `index` occurred twice.
    pub(crate) fn is_doubled(&self, index: usize) -> bool {
        self.doubled & (1 << index) != 0
    }

    /// The raw value at `index`, an index into the names that were asked for. `None` for the member that an
    /// [`Inner`] has read.
    pub(crate) fn at(&self, index: usize) -> Option<&'a RawValue> {
        self.values.get(index).copied().flatten()
    }

    /// Reads the members of an object in the middle of another; a value of any other type has none.
    pub(crate) fn nested<'m, I: Inner<'a>>(
        &'m mut self,
        names: &'static [&'static str; N],
        inner: &'m mut I,
    ) -> impl DeserializeSeed<'a, Value = Kind> {
        ObjectVisitor {
            names,
            members: self,
            inner,
        }
    }
}

/// Reads one member of an object while the object is being read.
pub(crate) trait Inner<'de> {
    /// Which of the names; beyond their number for none.
    const INDEX: usize;

    /// Must take exactly one value.
    fn take<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error>;
}

/// No member is read on the way.
pub(crate) struct NoInner;

impl<'de> Inner<'de> for NoInner {
    const INDEX: usize = usize::MAX;

    fn take<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        map.next_value::<IgnoredAny>().map(drop)
    }
}

struct ObjectVisitor<'m, 'a, const N: usize, I> {
    names: &'static [&'static str; N],
    members: &'m mut Members<'a, N>,
    inner: &'m mut I,
}

impl<'de, const N: usize, I: Inner<'de>> DeserializeSeed<'de> for ObjectVisitor<'_, 'de, N, I> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, const N: usize, I: Inner<'de>> Visitor<'de> for ObjectVisitor<'_, 'de, N, I> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let members = self.members;
        while let Some(known) = map.next_key_seed(NameIndex(self.names))? {
            let Some(index) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let bit = 1 << index;
            members.doubled |= members.seen & bit;
            members.seen |= bit;
            if index == I::INDEX {
                self.inner.take(&mut map)?;
                continue;
            }
            let value: &'de RawValue = map.next_value()?;
            if let Some(slot) = members.values.get_mut(index) {
                *slot = Some(value);
            }
        }
        Ok(Kind::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Kind::Array)
    }

    fn visit_str<E>(self, _: &str) -> Result<Kind, E> {
        Ok(Kind::Text)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Boolean)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
        Ok(Kind::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Kind, E> {
        Ok(Kind::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Number)
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }
}

/// Turns a key into its index among the names. The key is compared as the text it spells, so `"\u006eame"` is
/// `name`.
struct NameIndex<const N: usize>(&'static [&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for NameIndex<N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for NameIndex<N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}

/// The JSON type of a raw value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Text,
    Number,
    Boolean,
    Null,
}

impl Kind {
    pub(crate) fn of(raw: &RawValue) -> Self {
        match raw.get().as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// For messages: "must be a string, not {phrase}".
    pub(crate) fn phrase(self) -> &'static str {
        match self {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::Text => "a string",
            Kind::Number => "a number",
            Kind::Boolean => "a boolean",
            Kind::Null => "null",
        }
    }
}

/// What to call a raw value that is none of the ids or texts that were expected.
pub(crate) fn unreadable(raw: &RawValue) -> &'static str {
    match Kind::of(raw) {
        Kind::Number => "a number with a fraction or exponent",
        kind => unreadable_text(kind),
    }
}

/// As [`unreadable`], where no number would do.
pub(crate) fn unreadable_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a string with an unpaired surrogate",
        kind => kind.phrase(),
    }
}

/// The text a raw JSON string spells; borrowed unless it has escapes. `None` for other types and for escapes that
/// spell no text (a lone surrogate).
pub(crate) fn spelled(raw: &RawValue) -> Option<Cow<'_, str>> {
    spelled_by(raw.get())
}

/// As [`spelled`], for the spelling of a value that is known to be JSON.
pub(crate) fn spelled_by(spelling: &str) -> Option<Cow<'_, str>> {
    let inner = spelling.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(spelling).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}
