//! An account: a company.

use serde::{Deserialize, Serialize};

use super::{lead::join, words::words};
use crate::{
    domain::{
        DomainError,
        workspace::record::{Index, Kind, Link},
    },
    vocabulary::Timestamp,
};

words! {
    /// How far along a company is.
    LifecycleStage { Prospect = "prospect", Active = "active", AtRisk = "at_risk", Churned = "churned" }
}

/// A company.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) domain: Option<String>,
    pub(crate) website: Option<String>,
    pub(crate) industry: Option<String>,
    pub(crate) lifecycle_stage: LifecycleStage,
    /// 0..=100.
    pub(crate) health_score: Option<i64>,
    pub(crate) owner: String,
    pub(crate) stage_changed_at: Option<Timestamp>,
}

impl Kind for Account {
    const NAME: &'static str = "account";
    const PREFIX: &'static str = "acc";
    const READ: &'static str = "crm:read";
    const KEYS: &'static [&'static str] = &["domain", "name"];
    const LINKS: &'static [(&'static str, Link)] = &[("owner", Link::Person)];
    const DUPLICATES: &'static [(&'static str, &'static str)] = &[("account", "domain")];
    const QUIET: &'static [&'static str] = &["stage_changed_at"];

    fn title(&self) -> String {
        self.name.clone()
    }

    fn subtitle(&self) -> String {
        self.domain.clone().unwrap_or_default()
    }

    fn index(&self, index: &mut Index) {
        index.text("name", &self.name);
        index.optional_text("domain", self.domain.as_deref());
        index.word("lifecycle_stage", self.lifecycle_stage.as_str());
        index.word("owner", &self.owner);
        index.put("health_score", self.health_score.unwrap_or(-1));
    }

    fn words(&self) -> Option<(String, String)> {
        Some((
            self.name.clone(),
            join(&[&self.domain, &self.website, &self.industry]),
        ))
    }

    fn settle(&mut self, before: Option<&Self>, now: Timestamp) -> Result<(), DomainError> {
        if let Some(domain) = &mut self.domain {
            *domain = domain.to_lowercase();
        }
        if before.is_none_or(|before| before.lifecycle_stage != self.lifecycle_stage) {
            self.stage_changed_at = Some(now);
        }
        Ok(())
    }

    fn events(before: Option<&Self>, after: &Self) -> Vec<&'static str> {
        let Some(before) = before else {
            return vec!["account.created"];
        };
        if before.lifecycle_stage == after.lifecycle_stage {
            return Vec::new();
        }
        match after.lifecycle_stage {
            LifecycleStage::AtRisk => vec!["account.stage_changed", "account.went_at_risk"],
            _ => vec!["account.stage_changed"],
        }
    }
}
