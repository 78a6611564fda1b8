//! A JSON object taken apart into its members and put together again, values untouched.
//!
//! Whoever adds or removes a member of a stranger's object does it here: what is not named keeps its bytes and its order.
//! Reading is one pass, and nothing is copied before the new text is written.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use footbridge_protocol::jsonrpc::write_string;
use footbridge_protocol::scan::{self, Spot};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::splice::Holes;

/// The members of one object, in order. Keys are compared as the text they spell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// The outer object of a message: one member of it taken apart, and its `error`.
#[derive(Debug, Default)]
pub(crate) struct Within<'a> {
    /// The member asked for. `None` if it is absent or no object.
    pub(crate) object: Option<Object<'a>>,
    /// The raw `error`.
    pub(crate) error: Option<&'a RawValue>,
}

impl<'a> Object<'a> {
    /// Reads the text of an object; `None` for any other value.
    pub(crate) fn read(text: &'a str) -> Option<Object<'a>> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let object = Nested.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        object
    }

    /// The members at `spots` of `message`. `None` if one of them lies elsewhere.
    pub(crate) fn at(message: &'a [u8], spots: &[Spot]) -> Option<Object<'a>> {
        let text = scan::text(message)?;
        let part = |range: &Range<usize>| text.get(range.clone()).map(Cow::Borrowed);
        let members = spots
            .iter()
            .map(|spot| Some((part(&spot.key)?, part(&spot.value)?)));
        members.collect::<Option<Vec<_>>>().map(Object)
    }

    /// Takes the member `name` of the message `line` apart, in one pass over the line.
    pub(crate) fn within(line: &'a [u8], name: &'static str) -> Option<Within<'a>> {
        if let Some(inside) = scan::text(line).and_then(|text| scan::inside(text, name)) {
            let borrowed = |(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value));
            return Some(Within {
                object: inside
                    .object
                    .map(|members| Object(members.into_iter().map(borrowed).collect())),
                error: inside.error.and_then(|error| serde_json::from_str(error).ok()),
            });
        }
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let within = deserializer.deserialize_map(OuterVisitor { name }).ok()?;
        deserializer.end().ok()?;
        Some(within)
    }

    /// The text of a member; of several with this name the last, which is the one most readers take.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_ref())
    }

    /// A member that is a string, as the text it spells.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?).ok()
    }

    /// A member that is an object. Empty if it is absent or something else.
    pub(crate) fn object(&self, key: &str) -> Object<'_> {
        self.get(key).and_then(Object::read).unwrap_or_default()
    }

    /// Says whether a member is there and `true`.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }

    /// Says whether a member is there and an object.
    pub(crate) fn has_object(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.starts_with('{'))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// The members, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// Takes out every member with one of these names; says whether there was one.
    pub(crate) fn remove(&mut self, keys: &[&str]) -> bool {
        let before = self.0.len();
        self.0.retain(|(name, _)| !keys.contains(&name.as_ref()));
        self.0.len() < before
    }

    /// Puts a member in the place of the one of this name, or at the end. `value` must be the text of one JSON value.
    pub(crate) fn set(&mut self, key: &'a str, value: impl Into<Cow<'a, str>>) {
        let value = value.into();
        match self.0.iter_mut().rev().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((Cow::Borrowed(key), value)),
        }
    }

    /// Appends the object's members with commas between them, without braces.
    pub(crate) fn write_members(&self, out: &mut Vec<u8>) {
        self.write_around(out, &mut Holes::default());
    }

    fn write_around(&self, out: &mut Vec<u8>, holes: &mut Holes<'_>) {
        for (at, (key, value)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match key {
                // A borrowed key has no escapes, so it needs none.
                Cow::Borrowed(key) => {
                    out.push(b'"');
                    out.extend_from_slice(key.as_bytes());
                    out.push(b'"');
                }
                Cow::Owned(key) => write_string(out, key),
            }
            out.push(b':');
            holes.write(out, value);
        }
    }

    /// Appends the object's text, large values left out.
    pub(crate) fn write(&self, out: &mut Vec<u8>, holes: &mut Holes<'_>) {
        out.push(b'{');
        self.write_around(out, holes);
        out.push(b'}');
    }

    /// The object's text.
    pub(crate) fn to_text(&self) -> String {
        let mut out = Vec::with_capacity(
            self.0
                .iter()
                .map(|(key, value)| key.len() + value.len() + 8)
                .sum(),
        );
        self.write(&mut out, &mut Holes::default());
        text_of(out)
    }
}

/// The elements of an array, as they are written. `None` for any other value.
pub(crate) fn elements(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// The text of an array of these elements.
pub(crate) fn array<'e>(elements: impl IntoIterator<Item = &'e str>) -> String {
    let mut text = String::from("[");
    for (at, element) in elements.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(element);
    }
    text.push(']');
    text
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    text_of(out)
}

fn text_of(bytes: Vec<u8>) -> String {
    // Invariant: what is put together here is text, and what joins it is ASCII.
    String::from_utf8(bytes).expect("the parts are text")
}

/// A key, borrowed unless it is spelled with escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor<'a>(PhantomData<&'a ()>);
        impl<'de> Visitor<'de> for KeyVisitor<'de> {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor(PhantomData))
    }
}

struct OuterVisitor {
    name: &'static str,
}

impl<'de> Visitor<'de> for OuterVisitor {
    type Value = Within<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut within = Within::default();
        while let Some(Key(key)) = map.next_key()? {
            if key == self.name {
                within.object = map.next_value_seed(Nested)?;
            } else if key == "error" {
                within.error = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(within)
    }
}

/// Reads an object's members; any other value is `None`.
struct Nested;

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Option<Object<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Option<Object<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            members.push((key, Cow::Borrowed(value.get())));
        }
        Ok(Some(Object(members)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_keeps_its_bytes_and_its_order() {
        let mut object =
            Object::read(r#" {"z": 1.50, "a\u0022b":[1 ,2],"c":{"d" : 1e400}, "t":true} "#).unwrap();
        assert_eq!(object.get("a\"b"), Some("[1 ,2]"));
        assert_eq!(object.object("c").get("d"), Some("1e400"));
        assert!(object.is_true("t") && object.has_object("c") && !object.contains("x"));
        object.set("new", "true");
        object.set("c", "3");
        assert!(object.remove(&["z", "t"]) && !object.remove(&["z"]));
        assert_eq!(object.to_text(), r#"{"a\"b":[1 ,2],"c":3,"new":true}"#);
        assert!(!object.is_empty() && Object::default().is_empty());
        assert_eq!(object.iter().count(), 3);
    }

    #[test]
    fn a_member_of_a_message_is_read_on_the_way_through_it() {
        let line = br#"{"jsonrpc":"2.0","id":1,"result":{"a":[{}],"b":"x"}}"#;
        let within = Object::within(line, "result").unwrap();
        assert_eq!(within.object.unwrap().to_text(), r#"{"a":[{}],"b":"x"}"#);
        let within = Object::within(br#"{"error":{"code":1.0},"result":null}"#, "result").unwrap();
        assert!(within.object.is_none());
        assert_eq!(within.error.unwrap().get(), r#"{"code":1.0}"#);
        for value in ["[1,[2]]", "1", "-1", "1.5", "\"x\"", "null", "true", "\"\\n\""] {
            let line = format!(r#"{{"result":{value}}}"#);
            assert!(
                Object::within(line.as_bytes(), "result")
                    .unwrap()
                    .object
                    .is_none(),
                "{value}"
            );
        }
        assert!(Object::within(b"[]", "result").is_none());
        assert!(Object::within(b"{", "result").is_none());
    }

    #[test]
    fn other_values_are_no_objects() {
        for text in ["[]", "1", "\"x\"", "null", "{", "{} {}"] {
            assert!(Object::read(text).is_none(), "{text}");
        }
        assert_eq!(elements("[1, {\"a\":2}]").unwrap().len(), 2);
        assert!(elements("{}").is_none());
        assert_eq!(quoted("a\"b"), r#""a\"b""#);
        assert_eq!(array(["1", "{}"]), "[1,{}]");
    }
}
