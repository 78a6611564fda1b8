//! An opportunity: a deal with an account.

use serde::{Deserialize, Serialize};

use super::words::words;
use crate::{
    domain::{
        DomainError,
        workspace::{
            listing,
            record::{Index, Kind, Link},
            state,
        },
    },
    vocabulary::Timestamp,
};

words! {
    /// How far a deal is.
    Stage { Qualification = "qualification", Proposal = "proposal", Negotiation = "negotiation", Won = "won", Lost = "lost" }
}

impl Stage {
    /// How likely a deal in this stage is, in percent, when nobody says otherwise.
    pub(crate) fn probability(self) -> i64 {
        match self {
            Self::Qualification => 10,
            Self::Proposal => 40,
            Self::Negotiation => 70,
            Self::Won => 100,
            Self::Lost => 0,
        }
    }
}

/// A deal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Opportunity {
    pub(crate) name: String,
    pub(crate) account_id: String,
    pub(crate) contact_ids: Vec<String>,
    pub(crate) stage: Stage,
    pub(crate) amount_cents: i64,
    pub(crate) currency: String,
    /// Percent; that of the stage unless somebody said otherwise.
    pub(crate) probability: Option<i64>,
    /// A date, `2026-11-30`.
    pub(crate) close_date: Option<String>,
    pub(crate) lost_reason: Option<String>,
    pub(crate) owner: String,
    pub(crate) stage_changed_at: Option<Timestamp>,
}

impl Kind for Opportunity {
    const NAME: &'static str = "opportunity";
    const PREFIX: &'static str = "opp";
    const READ: &'static str = "crm:read";
    const KEYS: &'static [&'static str] = &["name"];
    const LINKS: &'static [(&'static str, Link)] = &[
        ("account_id", Link::Record("account")),
        ("contact_ids", Link::Record("contact")),
        ("owner", Link::Person),
    ];
    const QUIET: &'static [&'static str] = &["stage_changed_at"];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn subtitle(&self) -> String {
        self.stage.to_string()
    }

    fn index(&self, index: &mut Index) {
        index.text("name", &self.name);
        index.word("account_id", &self.account_id);
        for contact in &self.contact_ids {
            index.word("contact_id", contact);
        }
        index.word("stage", self.stage.as_str());
        index.word("owner", &self.owner);
        index.put("amount_cents", self.amount_cents);
        index.word("close_date", self.close_date.as_deref().unwrap_or_default());
        index.put("stage_changed_at", self.stage_changed_at.unwrap_or_default());
    }

    fn words(&self) -> Option<(String, String)> {
        Some((self.name.clone(), String::new()))
    }

    fn settle(&mut self, before: Option<&Self>, now: Timestamp) -> Result<(), DomainError> {
        if let Some(close) = &mut self.close_date {
            *close = listing::date("close_date", close)?;
        }
        if self.currency.is_empty() {
            "USD".clone_into(&mut self.currency);
        }
        let moved = before.is_none_or(|before| before.stage != self.stage);
        if let Some(before) = before {
            state::OPPORTUNITY.check("opportunity", before.stage, self.stage)?;
            // A probability that was the stage's own moves with the stage.
            if moved && before.probability == self.probability {
                self.probability = None;
            }
        }
        if self.probability.is_none() {
            self.probability = Some(self.stage.probability());
        }
        if self.stage == Stage::Lost && self.lost_reason.is_none() {
            return Err(DomainError::Rule("lost_reason is required".to_owned()));
        }
        if moved {
            self.stage_changed_at = Some(now);
        }
        Ok(())
    }

    fn events(before: Option<&Self>, after: &Self) -> Vec<&'static str> {
        if before.is_none_or(|before| before.stage == after.stage) {
            return Vec::new();
        }
        match after.stage {
            Stage::Won => vec!["opportunity.stage_changed", "opportunity.won"],
            Stage::Lost => vec!["opportunity.stage_changed", "opportunity.lost"],
            _ => vec!["opportunity.stage_changed"],
        }
    }
}
