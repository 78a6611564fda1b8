//! Somebody at the pages of the workspace, as the hall sees them. What these pages show of records and do to them goes
//! through the tools, in the rooms of every call: rights, consent and the log are the tools' own.

use std::time::Instant;

use axum::extract::FromRequestParts;
use futures_util::FutureExt;
use http::{StatusCode, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, value::to_raw_value};
use tokio_util::sync::CancellationToken;

use super::{
    PageError, Person,
    page::{ROLES_THAT_ACT, needs_role},
    person::HoldsForm,
    text,
};
use crate::{
    access::{Denial, Principal, session_principal},
    audit::RequestFacts,
    domain::{DomainError, Progress, workspace::OwnField},
    edge::{self, Visit},
    pipeline::{Answer, Asking, CallError, ToolCall},
    telemetry::Arrival,
    web::Web,
};

/// The edition whose pages these are.
const EDITION: &str = "workspace";

/// Proof of a session, and of the workspace being served here.
pub(super) struct Teammate {
    person: Person,
    principal: Principal,
    visit: Visit,
    web: Web,
}

impl std::ops::Deref for Teammate {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.person
    }
}

impl HoldsForm for Teammate {
    /// The longest article, and what forms make of its letters: no more than the edge lets in.
    const MOST_BYTES: usize = 1024 * 1024;

    fn form(&self) -> &str {
        self.person.form()
    }
}

impl FromRequestParts<Web> for Teammate {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, PageError> {
        let person = Person::from_request_parts(parts, web).await?;
        let visit = parts.extensions.get::<Visit>().cloned();
        let visit = visit.ok_or_else(|| PageError::internal(&"a request without a visit"))?;
        let editions = web.editions();
        let edition = editions.iter().find(|edition| edition.name.as_str() == EDITION);
        let edition =
            edition.ok_or_else(|| PageError::not_found("The workspace edition is not served here."))?;
        let principal = session_principal(edition, person.session(), web.house().usual_rate());
        Ok(Self {
            person,
            principal,
            visit,
            web: web.clone(),
        })
    }
}

/// Why a page cannot show or do what was asked.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    fn new(error: &CallError, reference: &str) -> Self {
        let status = StatusCode::from_u16(error.http_twin()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = match error {
            CallError::Denied(Denial::ReadOnly) => needs_role(ROLES_THAT_ACT),
            _ if status.is_server_error() => error.text(reference),
            _ => text::sentence(&error.to_string()),
        };
        Self { status, text }
    }

    /// Whether there is nothing of that name.
    pub(super) fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// What is to be said beside the form that was sent, if other words in it would help.
    pub(super) fn mendable(self) -> Result<String, PageError> {
        match self.status {
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                Ok(self.text)
            }
            _ => Err(self.into()),
        }
    }
}

impl From<Refusal> for PageError {
    fn from(refusal: Refusal) -> Self {
        let title = match refusal.status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Not for your role",
            StatusCode::TOO_MANY_REQUESTS => "One moment",
            status if status.is_server_error() => "Something went wrong here",
            _ => "That cannot be done",
        };
        Self::refused(refusal.status, title, refusal.text)
    }
}

impl Teammate {
    /// Calls a tool by their hand.
    ///
    /// # Errors
    /// As any call, in words for pages.
    pub(super) async fn call(&self, tool: &str, arguments: &Value) -> Result<Value, Refusal> {
        let reference = edge::request_id();
        let result = self.walk(tool, arguments, &reference).await;
        result.map_err(|error| {
            edge::log(&error, &reference);
            Refusal::new(&error, &reference)
        })
    }

    async fn walk(&self, tool: &str, arguments: &Value, reference: &str) -> Result<Value, CallError> {
        let internal = |error: serde_json::Error| CallError::Domain(DomainError::internal(error));
        let raw = to_raw_value(arguments).map_err(internal)?;
        let cancelled = CancellationToken::new();
        // Dropped with this future, that is when the browser went away.
        let _cancel = cancelled.clone().drop_guard();
        let started = Instant::now();
        let call = ToolCall {
            name: tool,
            arguments: Some(&raw),
            input_responses: None,
            request_state: None,
            capabilities: Map::new(),
            asking: Asking::Never,
            approve_at: self.visit.approve_at(),
            check_headers: &|_| Ok(()),
            progress: Progress::default(),
            cancelled,
            facts: RequestFacts {
                request_id: reference.to_owned(),
                client_name: Some("console".to_owned()),
                client_version: None,
                protocol_version: "console",
                address: Some(self.visit.address),
                trace: None,
                arrival: Arrival::default(),
            },
        };
        let result = self.web.house().call(&self.principal, call).await;
        let edition = &self.principal.facts().edition;
        if let Some(edition) = self.web.editions().iter().find(|served| served.name == *edition) {
            self.visit.count_call(edition, tool, &result, started.elapsed());
        }
        match result? {
            Answer::Done(result) => {
                let structured = result.structured.map(|json| serde_json::from_str(json.get()));
                Ok(structured.transpose().map_err(internal)?.unwrap_or_default())
            }
            // Invariant: a caller that cannot ask is never asked.
            Answer::InputRequired { .. } => Err(CallError::CannotAsk),
        }
    }

    /// What a reading tool answers, for a page to show.
    ///
    /// # Errors
    /// As [`Teammate::call`].
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        tool: &str,
        arguments: &Value,
    ) -> Result<T, Refusal> {
        Self::parsed(self.call(tool, arguments).await?)
    }

    /// An answer of a tool, or a part of it, as a page knows it.
    ///
    /// # Errors
    /// When it is of another shape, which is our fault.
    pub(super) fn parsed<T: DeserializeOwned>(answer: Value) -> Result<T, Refusal> {
        serde_json::from_value(answer).map_err(|error| {
            let reference = edge::request_id();
            let error = CallError::Domain(DomainError::internal(error));
            edge::log(&error, &reference);
            Refusal::new(&error, &reference)
        })
    }

    /// The fields that the tenant added to a kind of record.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn own_fields(&self, kind: &str) -> Result<Vec<OwnField>, PageError> {
        let Some(workspace) = self.web.workspace() else {
            return Ok(Vec::new());
        };
        let mut fields = workspace
            .own_fields(self.tenant())
            .await
            .map_err(|error| match error {
                DomainError::Store(error) => error.into(),
                error => PageError::internal(&error),
            })?;
        fields.retain(|field| field.kind == kind);
        Ok(fields)
    }

    /// Who works here.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn team(&self) -> Result<Team, PageError> {
        let users = self
            .web
            .store()
            .read(self.tenant(), |tx| async move { tx.users().list().await }.boxed())
            .await?;
        let people = users.into_iter().map(|user| Colleague {
            name: text::name_or(&user.name, &user.email),
            id: user.id.to_string(),
            works: user.disabled_at.is_none(),
        });
        Ok(Team(people.collect()))
    }
}

struct Colleague {
    id: String,
    name: String,
    works: bool,
}

/// The people of a tenant, as records name them.
pub(super) struct Team(Vec<Colleague>);

impl Team {
    /// What somebody is called whom a record names by id; empty for nobody.
    pub(super) fn name(&self, id: Option<&str>) -> String {
        match id.filter(|id| !id.is_empty()) {
            None => String::new(),
            Some(id) => {
                let known = self.0.iter().find(|one| one.id == id);
                // Not everybody is a user: the bot and flows act too.
                known.map_or_else(|| id.to_owned(), |one| one.name.clone())
            }
        }
    }

    /// Those who can be given work, by id and name.
    pub(super) fn choices(&self) -> Vec<(String, String)> {
        let working = self.0.iter().filter(|one| one.works);
        working.map(|one| (one.id.clone(), one.name.clone())).collect()
    }
}
