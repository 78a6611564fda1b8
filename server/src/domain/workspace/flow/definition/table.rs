//! An object of a definition, read key by key; whatever is wrong is written down with its place.

use serde_json::{Map, Value};

use super::super::template::Template;

/// An object of a definition, and where faults in it are written down.
pub(super) struct Table<'v, 'f> {
    /// What a key holds that is no text.
    pub(super) table: &'v Map<String, Value>,
    place: &'v str,
    faults: &'f mut Vec<String>,
}

impl<'v, 'f> Table<'v, 'f> {
    pub(super) fn new(
        table: &'v Map<String, Value>,
        place: &'v str,
        known: &[&str],
        faults: &'f mut Vec<String>,
    ) -> Self {
        for name in table.keys().filter(|name| !known.contains(&name.as_str())) {
            let name: String = name.chars().take(40).collect();
            faults.push(format!(
                "{place}{name}: not known here; there are {}",
                known.join(", ")
            ));
        }
        Self { table, place, faults }
    }

    pub(super) fn of(
        value: &'v Value,
        place: &'v str,
        known: &[&str],
        faults: &'f mut Vec<String>,
    ) -> Option<Self> {
        match value.as_object() {
            Some(table) => Some(Self::new(table, place, known, faults)),
            None => {
                faults.push(format!("{}: must be an object", place.trim_end_matches('.')));
                None
            }
        }
    }

    pub(super) fn fault(&mut self, name: &str, what: &str) {
        self.faults.push(format!("{}{name}: {what}", self.place));
    }

    /// A text that must be there, of at most `longest` characters; empty when it is not in order.
    pub(super) fn text(&mut self, name: &str, longest: usize) -> String {
        match self.table.get(name) {
            Some(Value::String(text)) if text.trim().is_empty() => self.fault(name, "must not be empty"),
            Some(Value::String(text)) if text.chars().count() > longest => {
                self.fault(name, &format!("must have at most {longest} characters"));
            }
            Some(Value::String(text)) => return text.trim().to_owned(),
            Some(_) => self.fault(name, "must be a text"),
            None => self.fault(name, "is missing"),
        }
        String::new()
    }

    pub(super) fn line(&mut self, name: &str, longest: usize) -> String {
        let text = self.text(name, longest);
        if text.chars().any(char::is_control) {
            self.fault(name, "must be one line");
        }
        text
    }

    pub(super) fn template(&mut self, name: &str, longest: usize) -> String {
        let text = self.text(name, longest);
        if let Err(what) = Template::parse(&text) {
            self.fault(name, &what);
        }
        text
    }

    pub(super) fn optional_template(&mut self, name: &str, longest: usize) -> String {
        if self.table.contains_key(name) {
            self.template(name, longest)
        } else {
            String::new()
        }
    }

    pub(super) fn list(&mut self, name: &str, fewest: usize, most: usize) -> &'v [Value] {
        match self.table.get(name) {
            Some(Value::Array(items)) if (fewest..=most).contains(&items.len()) => return items,
            Some(Value::Array(items)) => {
                self.fault(
                    name,
                    &format!("has {} entries, {fewest} to {most} are accepted", items.len()),
                );
            }
            Some(_) => self.fault(name, "must be a list"),
            None if fewest > 0 => self.fault(name, "is missing"),
            None => {}
        }
        &[]
    }
}
