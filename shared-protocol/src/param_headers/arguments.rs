//! Finds the values at given paths in raw arguments, in one pass, without copying or converting them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::members::Kind;

/// What is at one path.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) value: Option<&'a RawValue>,
    /// A key on the path occurs more than once, or a key beside it spells no text, so that two readers may see two
    /// values.
    pub(super) ambiguous: bool,
}

/// Looks the paths up, in their order.
pub(super) fn find<'a, 'p>(
    arguments: &'a RawValue,
    paths: impl ExactSizeIterator<Item = &'p [String]>,
) -> Vec<Found<'a>> {
    let mut found = vec![Found::default(); paths.len()];
    let mut root = Node::default();
    for (index, path) in paths.enumerate() {
        let mut node = &mut root;
        for key in path {
            node = node.children.entry(key).or_default();
        }
        node.marks.push(index);
    }
    root.search(arguments, &mut found);
    found
}

/// Paths that share a beginning.
#[derive(Default)]
struct Node<'p> {
    marks: Vec<usize>,
    children: BTreeMap<&'p str, Node<'p>>,
}

impl<'p> Node<'p> {
    /// Recursion is bounded by the length of the paths.
    fn search<'a>(&self, value: &'a RawValue, found: &mut [Found<'a>]) {
        for &mark in &self.marks {
            if let Some(found) = found.get_mut(mark) {
                found.value = Some(value);
            }
        }
        if self.children.is_empty() || Kind::of(value) != Kind::Object {
            return;
        }
        let mut deserializer = serde_json::Deserializer::from_str(value.get());
        let mut members: BTreeMap<&'p str, &'a RawValue> = BTreeMap::new();
        let mut doubled = Vec::new();
        let visitor = Picker {
            node: self,
            members: &mut members,
            doubled: &mut doubled,
        };
        // A raw value is JSON already; the only error left is a key whose escapes spell no text.
        if deserializer.deserialize_map(visitor).is_err() {
            self.mark_ambiguous(found);
        }
        for (key, child) in &self.children {
            if let Some(value) = members.get(key) {
                child.search(value, found);
            }
        }
        for key in doubled {
            if let Some(child) = self.children.get(key) {
                child.mark_ambiguous(found);
            }
        }
    }

    fn mark_ambiguous(&self, found: &mut [Found<'_>]) {
        for &mark in &self.marks {
            if let Some(found) = found.get_mut(mark) {
                found.ambiguous = true;
            }
        }
        self.children
            .values()
            .for_each(|child| child.mark_ambiguous(found));
    }
}

struct Picker<'m, 'p, 'a> {
    node: &'m Node<'p>,
    members: &'m mut BTreeMap<&'p str, &'a RawValue>,
    doubled: &'m mut Vec<&'p str>,
}

impl<'de> Visitor<'de> for Picker<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(known) = map.next_key_seed(Key(self.node))? {
            match known {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(key) => {
                    let value: &'de RawValue = map.next_value()?;
                    if self.members.insert(key, value).is_some() {
                        self.doubled.push(key);
                    }
                }
            }
        }
        Ok(())
    }
}

struct Key<'m, 'p>(&'m Node<'p>);

impl<'de, 'p> DeserializeSeed<'de> for Key<'_, 'p> {
    type Value = Option<&'p str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Key<'_, 'p> {
    type Value = Option<&'p str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.children.get_key_value(key).map(|(key, _)| *key))
    }
}
