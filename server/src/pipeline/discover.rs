//! Finding and describing tools: calls like any other, counted and logged, over what the caller may call.

use serde_json::{Value, json, value::RawValue};

use super::{Answer, CallError, House, fare::Fare};
use crate::{
    access::Principal,
    audit::{Draft, RequestFacts},
    catalogue::{
        ArgumentError, Edition, ListedNames, Shape,
        discovery::{self, Describe, Search},
        read_arguments,
    },
    domain::{DomainError, ToolResult},
    policy,
    telemetry::Room,
    vocabulary::{Timestamp, canonical},
};

impl House {
    /// Answers `search_tools` or `describe_tool`.
    ///
    /// # Errors
    /// As for the call of a tool. `call_tool` comes this far only with arguments that name no tool.
    pub async fn discover(
        &self,
        principal: &Principal,
        name: &str,
        arguments: Option<&RawValue>,
        facts: RequestFacts,
    ) -> Result<Answer, CallError> {
        let now = self.clock.now();
        self.keyring
            .note_call(principal, facts.client_name.as_deref(), now);
        let mut draft = Draft::open(self.store.clone(), self.audit, principal, name, facts, now);
        let result = self.found(principal, name, arguments, now, &mut draft).await;
        if let Err(error) = &result {
            draft.refuse(error.status(), error.http_twin(), error.code());
        }
        draft.close().await?;
        result
    }

    async fn found(
        &self,
        principal: &Principal,
        name: &str,
        arguments: Option<&RawValue>,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<Answer, CallError> {
        let limits = draft.enter(Room::Limits);
        let _slot = self.limits.enter(principal)?;
        let fare = Fare::new(self.limits.reserve(principal, now).await);
        fare.check()?;
        limits.leave();
        let _catalogue = draft.enter(Room::Catalogue);
        let unknown = || CallError::UnknownTool(name.to_owned());
        let bound = self.edition_of(principal).ok_or_else(unknown)?;
        let input = discovery::input(name).ok_or_else(unknown)?;
        let value = read_arguments(arguments)?;
        draft.arguments(&canonical(&value));
        let arguments = input.check(value)?;
        fare.pay()?;
        let found = match name {
            discovery::SEARCH => search(&bound.edition, principal, &arguments.parse()?),
            discovery::DESCRIBE => self.describe(&bound.edition, principal, &arguments.parse()?)?,
            _ => return Err(ArgumentError::one("name: must be the name of a tool").into()),
        };
        Ok(Answer::Done(ToolResult::structured(&found)?))
    }

    fn describe(
        &self,
        edition: &Edition,
        principal: &Principal,
        asked: &Describe,
    ) -> Result<Value, CallError> {
        let tool = edition.find(&asked.name);
        // What may not be called looks like what is not there.
        let tool = tool
            .filter(|tool| principal.visible().contains(tool.index))
            .ok_or_else(|| DomainError::not_found("tool", &asked.name))?;
        let rules = self.rules.of(principal.tenant());
        let consent = policy::consent(edition, tool, principal, &rules);
        Ok(json!({ "tool": tool.definition(Shape::Full, ListedNames::Native, consent) }))
    }
}

fn search(edition: &Edition, principal: &Principal, asked: &Search) -> Value {
    let (found, total) = discovery::search(edition, principal.visible(), &asked.query, asked.limit);
    let tools: Vec<_> = found
        .iter()
        .map(|tool| json!({ "name": tool.name, "title": tool.title, "description": tool.description }))
        .collect();
    json!({ "tools": tools, "total": total })
}
