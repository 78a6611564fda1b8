//! What a record is: a typed document with what all have in common, found by declared fields, changed only together with
//! its history, the change log and the news of it.

mod keep;
mod who;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    domain::{DomainError, context::words::index_text},
    store::{Draft, Field, FieldValue, Record, StoreError, within},
    vocabulary::Timestamp,
};
pub(crate) use keep::{delete, find, get, insert, insert_as, update};
pub(crate) use who::Who;

/// What a field that names something names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// A user of the tenant.
    Person,
    /// A record of this kind.
    Record(&'static str),
}

/// A kind of record: its document, and what is declared of it.
pub(crate) trait Kind:
    Clone + Default + std::fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Its word in the store, in previews, events and answers.
    const NAME: &'static str;
    /// How its ids begin.
    const PREFIX: &'static str;
    /// The scope that shows it.
    const READ: &'static str;
    /// Indexed fields by which people name one, the most exact first.
    const KEYS: &'static [&'static str] = &[];
    /// Fields that name other records or people, single or in a list.
    const LINKS: &'static [(&'static str, Link)] = &[];
    /// Kinds and their fields of which no other record should have the value that this one's field of that name has.
    const DUPLICATES: &'static [(&'static str, &'static str)] = &[];
    /// Fields left out where many are listed.
    const BODIES: &'static [&'static str] = &[];
    /// Fields that follow from others and are no news in a preview.
    const QUIET: &'static [&'static str] = &[];
    /// Fields that no answer shows.
    const SECRETS: &'static [&'static str] = &[];
    /// Kinds whose words are found as this one's, and their field that names it.
    const SPOKEN_IN: &'static [(&'static str, &'static str)] = &[];
    /// Sort orders whose index has another name.
    const SORTS: &'static [(&'static str, &'static str)] = &[];
    /// Fields filtered by, each with one sorted by: of the records of each word, the values of the other field are an index of
    /// their own, so that few among many are listed as fast as all are.
    const APART: &'static [(&'static str, &'static str)] = &[];

    /// What people call it.
    fn title(&self) -> String;

    /// What a search shows beside the title.
    fn subtitle(&self) -> String {
        String::new()
    }

    /// Kind and title, for sentences.
    fn label(&self) -> String {
        format!("{} \"{}\"", Self::NAME, self.title())
    }

    /// Declares by what it is found, filtered and sorted.
    fn index(&self, index: &mut Index);

    /// Title and text for the full-text index, as people write them.
    fn words(&self) -> Option<(String, String)> {
        None
    }

    /// Judges a change of it, and fills in what follows from the other fields.
    ///
    /// # Errors
    /// The rule that the change breaks.
    fn settle(&mut self, _before: Option<&Self>, _now: Timestamp) -> Result<(), DomainError> {
        Ok(())
    }

    /// The events of catalogue.md §3.5 that a change is.
    fn events(_before: Option<&Self>, _after: &Self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// By what a record is found.
#[derive(Debug, Default)]
pub(crate) struct Index(Vec<Field>);

/// Longest text in an index, in bytes; longer ones are found by their beginning.
const MOST_KEY: usize = 200;

impl Index {
    /// A value.
    pub(crate) fn put(&mut self, name: &str, value: impl Into<FieldValue>) {
        self.0.push(Field::new(name, value));
    }

    /// A word as it is: a state, an id. Empty for none, so that what has none can be asked for.
    pub(crate) fn word(&mut self, name: &str, value: &str) {
        self.put(name, value);
    }

    /// Text that is compared without regard to case.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.put(name, fold(value));
    }

    /// The same, if there is any.
    pub(crate) fn optional_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A telephone number, by its digits.
    pub(crate) fn phone(&mut self, value: Option<&str>) {
        if let Some(digits) = value.and_then(phone_digits) {
            self.put("phone", digits);
        }
    }

    /// A value that names one record of the kind.
    pub(crate) fn unique(&mut self, name: &str, value: impl Into<FieldValue>) {
        self.0.push(Field::unique(name, value));
    }

    /// The same for text that is compared without regard to case.
    pub(crate) fn unique_text(&mut self, name: &str, value: &str) {
        self.unique(name, fold(value));
    }
}

/// Text as indexes compare it.
pub(crate) fn fold(text: &str) -> String {
    let folded = text.trim().to_lowercase();
    let end = folded.floor_char_boundary(MOST_KEY);
    folded.get(..end).unwrap_or_default().to_owned()
}

/// The digits of a telephone number, if there are enough to be one.
pub(crate) fn phone_digits(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).take(20).collect();
    let others = text.chars().filter(|c| c.is_alphabetic() || *c == '@').count();
    (digits.len() >= 3 && others == 0).then_some(digits)
}

/// A record's document: the fields of its kind, and what every record has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Document<K> {
    /// The kind's own.
    #[serde(flatten)]
    pub(crate) fields: K,
    /// Words to filter by.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// The tenant's own fields.
    #[serde(default)]
    pub(crate) custom: Map<String, Value>,
    /// Who made it: a user's id, or what acted for nobody.
    #[serde(default)]
    pub(crate) created_by: String,
}

impl<K: Kind> Document<K> {
    /// A document without tags and custom fields.
    pub(crate) fn new(fields: K) -> Self {
        Self {
            fields,
            tags: Vec::new(),
            custom: Map::new(),
            created_by: String::new(),
        }
    }

    /// As JSON, fields without a value left out.
    ///
    /// # Errors
    /// When it has no JSON form, which is our fault.
    pub(crate) fn to_map(&self) -> Result<Map<String, Value>, DomainError> {
        match serde_json::to_value(self).map_err(DomainError::internal)? {
            Value::Object(map) => Ok(map.into_iter().filter(|(_, value)| !value.is_null()).collect()),
            _ => Ok(Map::new()),
        }
    }

    /// By what it is found.
    pub(crate) fn index(&self) -> Index {
        let mut index = Index::default();
        self.fields.index(&mut index);
        for tag in &self.tags {
            index.text("tag", tag);
        }
        let mut apart = Vec::new();
        for (field, sort) in K::APART {
            let of = |name: &'static str| index.0.iter().filter(move |one| one.name == name);
            for (filtered, sorted) in of(field).flat_map(|one| of(sort).map(move |other| (one, other))) {
                if let FieldValue::Text(word) = &filtered.value {
                    apart.push(Field::new(&within(field, word, sort), sorted.value.clone()));
                }
            }
        }
        index.0.extend(apart);
        index
    }

    pub(super) fn draft(&self) -> Result<Draft, DomainError> {
        let mut draft = Draft::of(self)?;
        draft.fields = self.index().0;
        if let Some((title, text)) = self.fields.words() {
            draft = draft.with_words(&index_text(&title), &index_text(&text));
        }
        Ok(draft)
    }
}

/// A record that is in the store.
#[derive(Clone, Debug)]
pub(crate) struct Stored<K> {
    pub(crate) id: String,
    pub(crate) version: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) doc: Document<K>,
}

impl<K: Kind> Stored<K> {
    /// Reads a row.
    ///
    /// # Errors
    /// When its document is of another kind.
    pub(crate) fn of(record: &Record) -> Result<Self, StoreError> {
        Ok(Self {
            id: record.id.clone(),
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
            doc: record.parse()?,
        })
    }

    /// Its own fields.
    pub(crate) fn fields(&self) -> &K {
        &self.doc.fields
    }

    /// As answers show it.
    ///
    /// # Errors
    /// When it has no JSON form, which is our fault.
    pub(crate) fn view(&self) -> Result<Value, DomainError> {
        self.view_without(&[])
    }

    /// As lists show it: without bodies.
    ///
    /// # Errors
    /// When it has no JSON form, which is our fault.
    pub(crate) fn summary(&self) -> Result<Value, DomainError> {
        self.view_without(K::BODIES)
    }

    fn view_without(&self, bodies: &[&str]) -> Result<Value, DomainError> {
        let mut out = Map::new();
        out.insert("id".to_owned(), self.id.clone().into());
        let hidden = |name: &str| bodies.contains(&name) || K::SECRETS.contains(&name);
        out.extend(self.doc.to_map()?.into_iter().filter(|(name, _)| !hidden(name)));
        for (name, at) in [("created_at", self.created_at), ("updated_at", self.updated_at)] {
            out.insert(name.to_owned(), at.to_string().into());
        }
        out.insert("version".to_owned(), self.version.into());
        Ok(Value::Object(out))
    }
}
