//! Prompts and resources: the same rooms as for tools, and the lists of what a principal may ask for.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Answer, BoundEdition, CallError, House, ToolCall, Wanted};
use crate::{
    access::{Principal, judge},
    catalogue::offers::{Input, Prompt, Resource},
};

/// Most values in one answer (the protocol's own limit).
const MOST_SUGGESTIONS: usize = 100;

/// Values that would complete what somebody types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestions {
    /// The first of them.
    pub values: Vec<String>,
    /// How many there are.
    pub total: usize,
}

impl House {
    /// The prompts that this principal may get, in catalogue order.
    pub fn prompts(&self, principal: &Principal) -> Vec<Arc<Prompt>> {
        self.offered(
            principal,
            |bound| bound.edition.offers.prompts(),
            |prompt| &prompt.row,
        )
    }

    /// The resources and templates that this principal may read, in catalogue order.
    pub fn resources(&self, principal: &Principal) -> Vec<Arc<Resource>> {
        self.offered(
            principal,
            |bound| bound.edition.offers.resources(),
            |resource| &resource.row,
        )
    }

    fn offered<T>(
        &self,
        principal: &Principal,
        all: impl for<'b> Fn(&'b BoundEdition) -> &'b [Arc<T>],
        row: impl Fn(&T) -> &Arc<crate::catalogue::Tool>,
    ) -> Vec<Arc<T>> {
        let Some(bound) = self.edition_of(principal) else {
            return Vec::new();
        };
        let may = |offer: &&Arc<T>| judge(&bound.edition, row(offer), principal).is_ok();
        all(&bound).iter().filter(may).cloned().collect()
    }

    /// Gets a prompt: `call.name` is its name. What comes back holds a message in each block.
    ///
    /// # Errors
    /// The first refusal, as for a tool; [`CallError::UnknownTool`] for an unknown prompt.
    pub async fn get_prompt(&self, principal: &Principal, call: ToolCall<'_>) -> Result<Answer, CallError> {
        self.call_for(Wanted::Prompt, principal, call).await
    }

    /// Reads a resource: `call.name` is its URI. What comes back holds the resource's parts.
    ///
    /// # Errors
    /// The first refusal, as for a tool; [`CallError::UnknownTool`] for a URI that nothing is read at.
    pub async fn read_resource(
        &self,
        principal: &Principal,
        call: ToolCall<'_>,
    ) -> Result<Answer, CallError> {
        let variables = self
            .edition_of(principal)
            .and_then(|bound| Some(bound.edition.offers.resource(call.name)?.1));
        let variables: Map<String, Value> = variables
            .into_iter()
            .flatten()
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        let arguments = serde_json::value::to_raw_value(&variables)
            .map_err(|e| CallError::Domain(crate::domain::DomainError::internal(e)))?;
        let call = ToolCall {
            arguments: Some(&arguments),
            ..call
        };
        self.call_for(Wanted::Resource, principal, call).await
    }

    /// Values for an argument of a prompt that begin with `typed`; `None` when there is no such prompt for this
    /// principal, nothing when the prompt has no such argument.
    pub fn complete_prompt(
        &self,
        principal: &Principal,
        name: &str,
        argument: &str,
        typed: &str,
    ) -> Option<Suggestions> {
        let bound = self.edition_of(principal)?;
        let prompt = bound.edition.offers.prompt(name)?;
        judge(&bound.edition, &prompt.row, principal).ok()?;
        Some(suggest(&prompt.arguments, argument, typed))
    }

    /// The same for a variable of a resource's template.
    pub fn complete_resource(
        &self,
        principal: &Principal,
        template: &str,
        variable: &str,
        typed: &str,
    ) -> Option<Suggestions> {
        let bound = self.edition_of(principal)?;
        let offers = &bound.edition.offers;
        let by_uri = || offers.resource(template).map(|(resource, _)| resource);
        let resource = offers.template(template).or_else(by_uri)?;
        judge(&bound.edition, &resource.row, principal).ok()?;
        Some(suggest(&resource.variables, variable, typed))
    }
}

fn suggest(inputs: &[Input], name: &str, typed: &str) -> Suggestions {
    let Some(input) = inputs.iter().find(|input| input.name == name) else {
        return Suggestions::default();
    };
    let typed = typed.to_lowercase();
    let fits = |value: &&String| value.to_lowercase().starts_with(&typed);
    let found = input.complete.iter().filter(fits);
    Suggestions {
        total: found.clone().count(),
        values: found.take(MOST_SUGGESTIONS).cloned().collect(),
    }
}
