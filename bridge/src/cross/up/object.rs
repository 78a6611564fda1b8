//! A JSON object taken apart into its members and put together again, values untouched.
//!
//! Whoever adds or removes a member of a stranger's object does it here: what is not named keeps its bytes and its order.

use std::borrow::Cow;
use std::fmt;

use footbridge_protocol::jsonrpc::write_string;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of one object, in order. Keys are compared as the text they spell.
#[derive(Clone, Debug, Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Object<'a> {
    /// Reads the text of an object; `None` for any other value.
    pub(super) fn read(text: &'a str) -> Option<Object<'a>> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let object = deserializer.deserialize_map(Members).ok()?;
        deserializer.end().ok()?;
        Some(object)
    }

    /// The text of a member; of several with this name the last, which is the one most readers take.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_ref())
    }

    /// A member that is a string, as the text it spells.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?).ok()
    }

    /// A member that is an object. Empty if it is absent or something else.
    pub(super) fn object(&self, key: &str) -> Object<'_> {
        self.get(key).and_then(Object::read).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// Takes out every member with one of these names.
    pub(super) fn remove(&mut self, keys: &[&str]) {
        self.0.retain(|(name, _)| !keys.contains(&name.as_ref()));
    }

    /// Puts a member in the place of every one of this name. `value` must be the text of one JSON value.
    pub(super) fn set(&mut self, key: &'a str, value: impl Into<Cow<'a, str>>) {
        self.remove(&[key]);
        self.0.push((Cow::Borrowed(key), value.into()));
    }

    /// Changes the text of a member that is there.
    pub(super) fn replace(&mut self, key: &str, value: impl Into<Cow<'a, str>>) {
        if let Some((_, old)) = self.0.iter_mut().rev().find(|(name, _)| name == key) {
            *old = value.into();
        }
    }

    /// Appends the object's text.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, (key, value)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_string(out, key);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
        out.push(b'}');
    }

    /// The object's text.
    pub(super) fn to_text(&self) -> String {
        let mut out = Vec::with_capacity(
            self.0
                .iter()
                .map(|(key, value)| key.len() + value.len() + 8)
                .sum(),
        );
        self.write(&mut out);
        // Invariant: keys and values are text, and what joins them is ASCII.
        String::from_utf8(out).expect("the parts are text")
    }
}

/// The elements of an array, as they are written. `None` for any other value.
pub(super) fn elements(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    // Invariant: a serialised string is text.
    String::from_utf8(out).expect("a serialised string is text")
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            members.push((Cow::Owned(key), Cow::Borrowed(value.get())));
        }
        Ok(Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_keeps_its_bytes_and_its_order() {
        let mut object = Object::read(r#" {"z": 1.50, "a\u0062":[1 ,2],"c":{"d" : 1e400}} "#).unwrap();
        assert_eq!(object.get("ab"), Some("[1 ,2]"));
        assert_eq!(object.object("c").get("d"), Some("1e400"));
        object.set("new", "true");
        object.remove(&["z"]);
        assert_eq!(object.to_text(), r#"{"ab":[1 ,2],"c":{"d" : 1e400},"new":true}"#);
        assert!(!object.is_empty() && Object::default().is_empty());
        assert_eq!(object.iter().count(), 3);
    }

    #[test]
    fn replacing_keeps_the_place_and_adds_nothing() {
        let mut object = Object::read(r#"{"a":1,"b":2}"#).unwrap();
        object.replace("a", "3");
        object.replace("c", "4");
        assert_eq!(object.to_text(), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn other_values_are_no_objects() {
        for text in ["[]", "1", "\"x\"", "null", "{", "{} {}"] {
            assert!(Object::read(text).is_none(), "{text}");
        }
        assert_eq!(elements("[1, {\"a\":2}]").unwrap().len(), 2);
        assert!(elements("{}").is_none());
        assert_eq!(quoted("a\"b"), r#""a\"b""#);
    }
}
