//! A lead: somebody who may become a customer.

use serde::{Deserialize, Serialize};

use super::words::words;
use crate::{
    domain::{
        DomainError,
        workspace::{
            record::{Index, Kind, Link, phone_digits},
            state,
        },
    },
    vocabulary::Timestamp,
};

words! {
    /// Where a lead stands.
    LeadStatus { New = "new", Working = "working", Qualified = "qualified", Disqualified = "disqualified", Converted = "converted" }
}
words! {
    /// Where a lead came from.
    LeadSource { Mcp = "mcp", Manual = "manual", Web = "web", Email = "email", Bot = "bot", Import = "import", Api = "api" }
}

/// A lead.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Lead {
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) company: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) status: LeadStatus,
    pub(crate) source: LeadSource,
    /// A user's id; empty for nobody's.
    pub(crate) owner: String,
    pub(crate) value_cents: Option<i64>,
    pub(crate) currency: String,
    /// The contact it became.
    pub(crate) converted_to: Option<String>,
}

impl Kind for Lead {
    const NAME: &'static str = "lead";
    const PREFIX: &'static str = "lead";
    const READ: &'static str = "crm:read";
    const KEYS: &'static [&'static str] = &["email", "name"];
    const LINKS: &'static [(&'static str, Link)] =
        &[("owner", Link::Person), ("converted_to", Link::Record("contact"))];
    const DUPLICATES: &'static [(&'static str, &'static str)] = &[("lead", "email"), ("contact", "email")];
    const APART: &'static [(&'static str, &'static str)] =
        &[("owner", "value_cents"), ("status", "value_cents")];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn subtitle(&self) -> String {
        self.company.clone().unwrap_or_default()
    }

    fn index(&self, index: &mut Index) {
        index.text("name", &self.name);
        index.word("status", self.status.as_str());
        index.word("source", self.source.as_str());
        index.word("owner", &self.owner);
        index.optional_text("email", self.email.as_deref());
        index.phone(self.phone.as_deref());
        index.put("value_cents", self.value_cents.unwrap_or(-1));
    }

    fn words(&self) -> Option<(String, String)> {
        let digits = self.phone.as_deref().and_then(phone_digits);
        let rest = [&self.email, &self.phone, &digits, &self.company, &self.title];
        Some((self.name.clone(), join(&rest)))
    }

    fn settle(&mut self, before: Option<&Self>, _: Timestamp) -> Result<(), DomainError> {
        if self.currency.is_empty() {
            "USD".clone_into(&mut self.currency);
        }
        let Some(before) = before else { return Ok(()) };
        if before.status == LeadStatus::Converted {
            return Err(DomainError::Rule(
                "lead is converted and read-only; change its contact, account or opportunity".to_owned(),
            ));
        }
        state::LEAD.check("lead", before.status, self.status)
    }

    fn events(before: Option<&Self>, after: &Self) -> Vec<&'static str> {
        match before {
            None => vec!["lead.created"],
            Some(before) if before.status != after.status && after.status == LeadStatus::Converted => {
                vec!["lead.converted"]
            }
            Some(_) => Vec::new(),
        }
    }
}

/// The texts that are there, with blanks between them.
pub(super) fn join(texts: &[&Option<String>]) -> String {
    let there: Vec<&str> = texts.iter().filter_map(|text| text.as_deref()).collect();
    there.join(" ")
}
