//! Tools that are calls to REST APIs (catalogue.md §2.21).
//!
//! A judged [`HttpCall`] comes in and a [`Handler`] goes out. When it runs, its arguments fill the holes of an address
//! that the operator fixed; the answer is data, shaped as the row says, and never an instruction (security.md H1–H3).

mod answer;
mod credential;
mod fault;
mod paging;
mod remote;
mod request;
mod shape;

use std::sync::Arc;

use jsonschema::Validator;
use serde_json::{Map, Value};

pub use fault::UpstreamFault;
pub use remote::{Remote, RemoteError, Remotes};

use super::{Call, DomainError, Handler, HandlerResult, Handlers, Outcome};
use crate::{
    catalogue::{Tool, http::HttpCall},
    vocabulary::Effect,
};

/// One tool's way to its API.
struct HttpTool {
    call: Arc<HttpCall>,
    remote: Arc<Remote>,
    /// Clients refuse results that do not satisfy the published schema, so ours does too.
    output: Option<Validator>,
}

/// The handler of a tool that is a REST call: a read needs no intent in the log, anything else has one, because its
/// effect lands outside the store (design.md D9).
///
/// # Errors
/// When the API's credential or authorities cannot be read.
pub fn handler(tool: &Tool, call: &Arc<HttpCall>, remotes: &mut Remotes) -> Result<Handler, RemoteError> {
    let output = tool
        .output
        .as_ref()
        .and_then(|schema| jsonschema::draft202012::new(schema).ok());
    let http = Arc::new(HttpTool {
        call: Arc::clone(call),
        remote: remotes.open(&call.upstream)?,
        output,
    });
    let mut handlers = Handlers::default();
    let name = "http";
    if tool.effect == Effect::Read {
        handlers.plain(name, move |work| {
            let http = Arc::clone(&http);
            Box::pin(async move { http.run(work).await })
        });
    } else {
        handlers.task(name, move |_, work| {
            let http = Arc::clone(&http);
            Box::pin(async move { http.run(work).await })
        });
    }
    let made = handlers.find(name).cloned();
    Ok(made.expect("registered three lines above"))
}

impl HttpTool {
    async fn run(&self, work: Call) -> HandlerResult {
        let arguments = work.arguments.as_map();
        let principal = work.permit.principal();
        let prepared = request::prepare(&self.call, arguments, principal.facts(), work.now)?;
        let cancelled = work.cancelled.clone();
        let answer = tokio::select! {
            answer = self.remote.send(&self.call, prepared, principal.tenant()) => answer?,
            () = cancelled.cancelled() => return Err(DomainError::Cancelled),
        };
        let result = self.shaped(&answer, arguments)?;
        Outcome::structured(&result)
    }

    fn shaped(&self, answer: &answer::Answer, arguments: &Map<String, Value>) -> Result<Value, DomainError> {
        let next = self
            .call
            .paging
            .as_ref()
            .map(|paging| paging::next(paging, answer, arguments));
        let mut value = shape::apply(&self.call, answer.value.clone());
        if let (Some(next), Some(object)) = (next, value.as_object_mut()) {
            object.insert("next_cursor".to_owned(), next.map_or(Value::Null, Value::String));
        }
        match &self.output {
            Some(schema) => match schema.validate(&value) {
                Ok(()) => Ok(value),
                Err(mismatch) => {
                    let place = mismatch.instance_path().to_string();
                    Err(UpstreamFault::broken(format!(
                        "upstream's answer is not what this tool promises{}{place}",
                        if place.is_empty() { "" } else { ": see " },
                    ))
                    .into())
                }
            },
            None => Ok(value),
        }
    }
}
