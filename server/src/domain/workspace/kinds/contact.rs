//! A contact: a person of an account.

use serde::{Deserialize, Serialize};

use super::lead::join;
use crate::{
    domain::{
        DomainError,
        workspace::record::{Index, Kind, Link, phone_digits},
    },
    vocabulary::Timestamp,
};

/// A person.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Contact {
    pub(crate) name: String,
    pub(crate) account_id: String,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) owner: String,
    pub(crate) last_seen_at: Option<Timestamp>,
}

impl Kind for Contact {
    const NAME: &'static str = "contact";
    const PREFIX: &'static str = "ctc";
    const READ: &'static str = "crm:read";
    const KEYS: &'static [&'static str] = &["email", "name"];
    const LINKS: &'static [(&'static str, Link)] =
        &[("account_id", Link::Record("account")), ("owner", Link::Person)];
    const QUIET: &'static [&'static str] = &["last_seen_at"];
    const DUPLICATES: &'static [(&'static str, &'static str)] = &[("contact", "email"), ("lead", "email")];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn subtitle(&self) -> String {
        join(&[&self.title, &self.email])
    }

    fn index(&self, index: &mut Index) {
        index.text("name", &self.name);
        index.word("account_id", &self.account_id);
        index.word("owner", &self.owner);
        index.optional_text("email", self.email.as_deref());
        index.phone(self.phone.as_deref());
        index.put("last_seen_at", self.last_seen_at.unwrap_or_default());
    }

    fn words(&self) -> Option<(String, String)> {
        let digits = self.phone.as_deref().and_then(phone_digits);
        Some((
            self.name.clone(),
            join(&[&self.email, &self.phone, &digits, &self.title]),
        ))
    }

    fn settle(&mut self, _: Option<&Self>, _: Timestamp) -> Result<(), DomainError> {
        if self.account_id.is_empty() {
            return Err(DomainError::Rule("a contact needs an account_id".to_owned()));
        }
        Ok(())
    }

    fn events(before: Option<&Self>, after: &Self) -> Vec<&'static str> {
        match before {
            None => vec!["customer.created"],
            // Being seen is no change that anybody made.
            Some(before) if before.last_seen_at != after.last_seen_at => Vec::new(),
            Some(_) => vec!["contact.updated"],
        }
    }
}
