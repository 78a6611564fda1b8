//! The hall: one function that walks a `tools/call` through the rooms in order, and the same questions asked
//! for a `tools/list`. The only file that knows all the rooms.
//!
//! An edge hands in what it decoded, era-free; the hall hands back an outcome or the first refusal. Whoever adds
//! a door (console, job, stdio) comes in here: there is no second path to a handler (security.md rule 2).

mod answer;
mod consent;
mod converse;
mod discover;
mod doors;
mod fare;
mod house;
mod offers;
mod questions;
mod redeem;
mod refused;
mod replies;
mod run;
mod sessions;
mod tasks;
mod watch;

use bytes::Bytes;
use footbridge_protocol::headers::Mismatch;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, value::RawValue};
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use answer::{Answer, CallError, SignInError};
pub use house::{BoundEdition, House, HouseBuilder, HouseError};
pub use offers::Suggestions;
pub use questions::{Answered, AskClient, ClientAnswer, NoAnswer, OpenQuestion, Stoppable};
pub use refused::{REFUSED, Refused, refused};
pub use replies::Said;
pub use sessions::{ClientFacts, ClientSession};
pub use tasks::{ReviewStands, TASK_SAYS_SO, Task};
pub use watch::{MOST_WATCHED, Watched};

use fare::Fare;

use crate::{
    access::{Denial, Principal, PrincipalFacts, judge},
    audit::{Draft, RequestFacts},
    catalogue::{
        Edition, ListKey, Shape, TOKEN_ARGUMENT, Tool, ToolSet, UnknownToolset, discovery, read_arguments,
    },
    domain::{Call, Handler, Outcome, Progress, Round},
    limits::{OverLimit, RateState, Slot, Usage},
    policy::{self, Decision},
    store::{AuditStatus, StoreError},
    telemetry::{Arrival, Room},
    vocabulary::{Consent, Listing, Timestamp, canonical},
};

/// A decoded `tools/call`, the same in both eras.
pub struct ToolCall<'a> {
    /// The tool's name in either spelling.
    pub name: &'a str,
    /// The raw arguments.
    pub arguments: Option<&'a RawValue>,
    /// `inputResponses` of a retry.
    pub input_responses: Option<&'a RawValue>,
    /// `requestState` of a retry.
    pub request_state: Option<&'a str>,
    /// What the client declared it can do.
    pub capabilities: Map<String, Value>,
    /// How the client can be asked.
    pub asking: Asking<'a>,
    /// Where a person approves a call in a browser: a URL that a code is put behind.
    pub approve_at: Option<&'a str>,
    /// Gate row 18: compares `Mcp-Param-*` with the arguments, once the tool is known.
    pub check_headers: &'a (dyn Fn(&Tool) -> Result<(), Mismatch> + Send + Sync),
    /// Where progress goes.
    pub progress: Progress,
    /// Fires when the client went away.
    pub cancelled: CancellationToken,
    /// Facts for the log.
    pub facts: RequestFacts,
}

/// How a client can be asked something that its call needs.
#[derive(Clone, Copy)]
pub enum Asking<'a> {
    /// Not at all.
    Never,
    /// In a result, which it comes back from with the answers.
    InResult,
    /// While the call runs.
    Directly(&'a dyn AskClient),
}

impl ToolCall<'_> {
    /// The same call, without what it brought along from a round before.
    fn again(&self) -> ToolCall<'_> {
        ToolCall {
            name: self.name,
            arguments: self.arguments,
            input_responses: None,
            request_state: None,
            capabilities: self.capabilities.clone(),
            asking: self.asking,
            approve_at: self.approve_at,
            check_headers: self.check_headers,
            progress: self.progress.clone(),
            cancelled: self.cancelled.clone(),
            facts: RequestFacts {
                // The request came once; each of its rounds begins for itself.
                arrival: Arrival::default(),
                ..self.facts.clone()
            },
        }
    }
}

/// What a call names: all of it walks through the same rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Tool,
    Prompt,
    /// By its URI.
    Resource,
}

impl House {
    /// Counts one request of a principal against its rate (room 4).
    ///
    /// # Errors
    /// When this minute's requests are used up.
    pub fn count_request(&self, principal: &Principal) -> Result<RateState, OverLimit> {
        self.limits.count_request(principal)
    }

    /// How much of its month's calls a principal has used; `None` without a cap.
    pub fn monthly_usage(&self, principal: &Principal) -> Option<Usage> {
        principal.facts().monthly_cap?;
        self.limits.usage(principal, self.clock.now())
    }

    /// Writes the row of a call that was refused before it could walk, for one of its limits.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub async fn refuse_call(
        &self,
        principal: &Principal,
        name: &str,
        facts: RequestFacts,
        limit: OverLimit,
    ) -> Result<(), StoreError> {
        let error = CallError::OverLimit(limit);
        let mut draft = Draft::open(
            self.store.clone(),
            self.audit,
            principal,
            name,
            facts,
            self.clock.now(),
        );
        draft.refuse(error.status(), error.http_twin(), error.code());
        draft.close().await
    }

    /// The `tools` array that this principal sees. `listing` is what the URL asks for, on top of what the key does.
    ///
    /// # Errors
    /// When a toolset is asked for that is not there.
    pub fn list_tools(
        &self,
        principal: &Principal,
        client: Option<&str>,
        shape: Shape,
        listing: &Listing,
    ) -> Result<Bytes, UnknownToolset> {
        let Some(edition) = self.edition_of(principal) else {
            return Ok(Bytes::from_static(b"[]"));
        };
        self.keyring.note_use(principal, client, self.clock.now());
        let own = &principal.facts().listing;
        if edition.edition.discover || own.discover || listing.discover {
            let three = discovery::definitions(&edition.edition, principal.visible(), shape);
            return Ok(Bytes::from(three.to_string()));
        }
        let mut visible = principal.visible().clone();
        for toolsets in [&own.toolsets, &listing.toolsets] {
            if !toolsets.is_empty() {
                visible = visible.and(&edition.edition.toolsets(toolsets)?);
            }
        }
        let style = match principal.facts().names {
            crate::vocabulary::NameStyle::Auto => edition.edition.names,
            chosen => chosen,
        };
        let names = self.strict_clients.spelling(style, client);
        let rules = self.rules.of(principal.tenant());
        let mut confirming = ToolSet::default();
        for tool in edition.edition.tools() {
            if policy::consent(&edition.edition, tool, principal, &rules) > Consent::Auto {
                confirming.insert(tool.index);
            }
        }
        let key = ListKey {
            visible,
            confirming,
            shape,
            names,
        };
        Ok(edition.lists.get(&edition.edition, key))
    }

    /// Walks one call through rooms 4 to 10.
    ///
    /// # Errors
    /// The first refusal; each refusal of a known principal has its audit event.
    pub fn call<'c>(
        &'c self,
        principal: &'c Principal,
        call: ToolCall<'c>,
    ) -> BoxFuture<'c, Result<Answer, CallError>> {
        self.call_for(Wanted::Tool, principal, call)
    }

    /// No `async fn`, and boxed: every future around this one would be as large as it, and is moved once for each of them.
    fn call_for<'c>(
        &'c self,
        wanted: Wanted,
        principal: &'c Principal,
        call: ToolCall<'c>,
    ) -> BoxFuture<'c, Result<Answer, CallError>> {
        match call.asking {
            Asking::Directly(client) => Box::pin(self.converse(wanted, principal, call, client)),
            Asking::InResult | Asking::Never => Box::pin(self.call_once(wanted, principal, call)),
        }
    }

    async fn call_once(
        &self,
        wanted: Wanted,
        principal: &Principal,
        mut call: ToolCall<'_>,
    ) -> Result<Answer, CallError> {
        let now = self.clock.now();
        self.keyring
            .note_call(principal, call.facts.client_name.as_deref(), now);
        let facts = std::mem::take(&mut call.facts);
        let mut draft = Draft::open(self.store.clone(), self.audit, principal, call.name, facts, now);
        let result = self.walk(wanted, principal, &mut call, now, &mut draft).await;
        if let Err(error) = &result {
            draft.refuse(error.status(), error.http_twin(), error.code());
        }
        let acted = draft
            .has_acted()
            .then(|| draft.reference().unwrap_or_default().to_owned());
        match (draft.close().await, acted) {
            (Ok(()), _) => result,
            // What was begun outside is not undone by a row that cannot be written.
            (Err(error), Some(reference)) => Err(unknown_outcome(&error, &reference).into()),
            (Err(error), None) => Err(error.into()),
        }
    }

    async fn walk(
        &self,
        wanted: Wanted,
        principal: &Principal,
        call: &mut ToolCall<'_>,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<Answer, CallError> {
        let limits = draft.enter(Room::Limits);
        let slot: Slot = self.limits.enter(principal)?;
        // Counted when the call is let through; whatever refuses it before brings it back.
        let fare = Fare::new(self.limits.reserve(principal, now).await);
        if !may_confirm(call) {
            fare.check()?;
        }
        limits.leave();
        let catalogue = draft.enter(Room::Catalogue);
        let bound = self
            .edition_of(principal)
            .ok_or_else(|| CallError::UnknownTool(call.name.to_owned()))?;
        let edition: &Edition = &bound.edition;
        let (tool, handler) = bound
            .find(wanted, call.name)
            .ok_or_else(|| CallError::UnknownTool(call.name.to_owned()))?;
        draft.tool(tool);
        (call.check_headers)(tool).map_err(CallError::Headers)?;
        let grant = judge(edition, tool, principal)?;
        let value = read_arguments(call.arguments)?;
        catalogue.leave();
        let deciding = draft.enter(Room::Policy);
        let rules = self.rules.of(principal.tenant());
        let mut need = policy::consent(edition, tool, principal, &rules);
        let decision = policy::decide(grant.clone(), edition, &rules);
        if let Handler::Planned(planned) = handler {
            let mut open_by = None;
            if need == Consent::Review && tool.review.jit_seconds.is_some() {
                open_by = Box::pin(self.opened_by_review(principal, tool)).await?;
                if open_by.is_some() {
                    need = policy::consent_while_open(edition, tool, principal, &rules);
                }
            }
            deciding.leave();
            let visit = consent::Visit::new(
                self,
                draft.rooms(),
                &bound.edition,
                &grant,
                planned,
                need,
                open_by,
                call,
                fare,
                now,
            );
            // Boxed, as are all the ways that few calls take: a future is as large as the longest of its ways, and every
            // call is moved about and kept in memory with it.
            return Box::pin(self.consent(visit, decision, value, call, draft, slot)).await;
        }
        deciding.leave();
        let checking = draft.enter(Room::Arguments);
        let canonical = canonical(&value);
        draft.arguments(&canonical);
        let binding = || binding(principal.facts(), tool, &canonical);
        let round = self.open_round(binding, call, now)?;
        let arguments = tool.input.check(value)?;
        checking.leave();
        let Decision::Run(permit) = decision else {
            return Err(CallError::NoPreview);
        };
        let work = Call {
            permit,
            arguments,
            capabilities: std::mem::take(&mut call.capabilities),
            round,
            progress: std::mem::take(&mut call.progress),
            cancelled: call.cancelled.clone(),
            now,
        };
        let asked = Asked {
            capabilities: work.capabilities.clone(),
            can_ask: !matches!(call.asking, Asking::Never),
            round: work.round.number,
        };
        fare.pay()?;
        let outcome = self.run(handler, tool, work, draft, slot).await?;
        match outcome {
            Outcome::Done(result) => Ok(Answer::Done(result)),
            Outcome::InputRequired(questions) => {
                draft.status(AuditStatus::Preview);
                let state = questions.state.clone();
                asked.check(&questions)?;
                let sealed = match state {
                    None => None,
                    Some(state) => Some(
                        self.seal_key
                            .seal(&binding(), asked.round + 1, state, now)
                            .map_err(|e| CallError::Domain(crate::domain::DomainError::internal(e)))?,
                    ),
                };
                Ok(Answer::InputRequired {
                    requests: questions.requests,
                    request_state: sealed,
                })
            }
        }
    }

    /// The review that has opened a tool to a principal for a while.
    async fn opened_by_review(
        &self,
        principal: &Principal,
        tool: &Tool,
    ) -> Result<Option<String>, StoreError> {
        let facts = principal.facts();
        let (user, edition, tool) = (facts.user.clone(), facts.edition.clone(), tool.name.clone());
        self.store
            .read(&facts.tenant, move |tx| {
                Box::pin(async move { policy::review::find_standing(tx, &user, &edition, &tool).await })
            })
            .await
    }

    /// What came before in a call of several rounds. `binding` is what a sealed state must be bound to.
    fn open_round(
        &self,
        binding: impl Fn() -> String,
        call: &ToolCall<'_>,
        now: Timestamp,
    ) -> Result<Round, CallError> {
        let answers = match call.input_responses {
            None => Map::new(),
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| {
                CallError::Params("inputResponses must be an object of answers by key".to_owned())
            })?,
        };
        let Some(text) = call.request_state else {
            return Ok(Round {
                number: 0,
                state: None,
                answers,
            });
        };
        let (number, state) = self
            .seal_key
            .open(&binding(), text, now)
            .map_err(|e| CallError::Params(e.to_string()))?;
        Ok(Round {
            number,
            state: Some(state),
            answers,
        })
    }
}

/// The store failed after something outside it was begun: nobody can say "not run" any more. The cause is for the log.
fn unknown_outcome(error: &StoreError, reference: &str) -> StoreError {
    error!(
        request.id = reference,
        "a call took effect, and its end could not be written: {error}"
    );
    StoreError::OutcomeUnknown
}

/// Whether a call brings something that may confirm an earlier one, which was counted when its preview was shown.
fn may_confirm(call: &ToolCall<'_>) -> bool {
    let token = || {
        call.arguments
            .is_some_and(|raw| raw.get().contains(TOKEN_ARGUMENT))
    };
    call.request_state.is_some() || token()
}

/// What a sealed state is bound to (protocol.md S-84).
fn binding(facts: &PrincipalFacts, tool: &Tool, canonical: &str) -> String {
    format!(
        "{}\n{}\n{}\n{}\n{canonical}",
        facts.tenant, facts.user, facts.edition, tool.name
    )
}

/// What may be asked of a client.
struct Asked {
    capabilities: Map<String, Value>,
    can_ask: bool,
    round: u32,
}

/// Rounds of questions before a call is given up: a handler that asks on and on helps nobody (protocol.md X-26).
const MOST_ROUNDS: u32 = 10;

impl Asked {
    /// Only what this very request declared may be asked (protocol.md S-82); all that is missing is named at once.
    fn check(&self, questions: &crate::domain::InputRequired) -> Result<(), CallError> {
        if !self.can_ask {
            return Err(CallError::CannotAsk);
        }
        if self.round >= MOST_ROUNDS {
            return Err(CallError::Params(format!(
                "the call asked {MOST_ROUNDS} times without coming to an end"
            )));
        }
        let mut missing = Map::new();
        for (_, request) in &questions.requests {
            let (capability, mode) = request.capability();
            let declared = self.capabilities.get(capability);
            let has_mode = mode.is_none_or(|mode| declared.is_some_and(|d| d.get(mode).is_some()));
            if declared.is_none() || !has_mode {
                let need = mode.map_or_else(Map::new, |mode| {
                    Map::from_iter([(mode.to_owned(), Value::Object(Map::new()))])
                });
                missing.insert(capability.to_owned(), Value::Object(need));
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(CallError::Domain(crate::domain::DomainError::MissingCapability(
                missing,
            )))
        }
    }
}

impl From<Denial> for CallError {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}
