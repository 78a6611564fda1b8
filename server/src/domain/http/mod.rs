//! Tools that are calls to REST APIs (catalogue.md §2.21).
//!
//! A judged [`HttpCall`] comes in and a [`Handler`] goes out. When it runs, its arguments fill the holes of an address
//! that the operator fixed; the answer is data, shaped as the row says, and never an instruction (security.md H1–H3).

mod answer;
mod credential;
mod fault;
mod paging;
mod plan;
mod remote;
mod request;
mod shape;
mod vault;

use std::sync::Arc;

use futures_util::FutureExt;
use jsonschema::Validator;
use serde_json::{Map, Value};
use tracing::warn;

pub use fault::UpstreamFault;
pub use remote::{Remote, RemoteError, Remotes};

use super::{Apply, Call, DomainError, Handler, HandlerResult, Handlers, Outcome, TenantStore, ToolResult};
use crate::{
    access::Principal,
    catalogue::{Tool, http::HttpCall, offers::Variables},
    store::StoreError,
    vocabulary::{Effect, Timestamp},
};

/// One tool's way to its API.
struct HttpTool {
    call: Arc<HttpCall>,
    remote: Arc<Remote>,
    title: String,
    effect: Effect,
    /// Clients refuse results that do not satisfy the published schema, so ours does too.
    output: Option<Validator>,
}

/// The handler of a tool that is a REST call. A read runs at once; anything else plans first, so that a policy can ask
/// for a yes, and has its intent in the log, because its effect lands outside the store (design.md D9).
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
        title: tool.title.clone(),
        effect: tool.effect,
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
        let planner = Arc::clone(&http);
        handlers.planned_remote(
            name,
            move |work| {
                let http = Arc::clone(&planner);
                Box::pin(async move { http.plan(work).await })
            },
            move |store, work| {
                let http = Arc::clone(&http);
                Box::pin(async move { http.apply(store, work).await })
            },
        );
    }
    let made = handlers.find(name).cloned();
    Ok(made.expect("registered three lines above"))
}

impl HttpTool {
    async fn run(&self, work: Call) -> HandlerResult {
        let principal = work.permit.principal();
        tokio::select! {
            result = self.send(work.arguments.as_map(), principal, work.now, None) => Outcome::structured(&result?),
            () = work.cancelled.cancelled() => Err(DomainError::Cancelled),
        }
    }

    /// A change that was begun is brought to its end although nobody waits for it any more.
    async fn apply(&self, store: TenantStore, work: Apply) -> Result<ToolResult, DomainError> {
        let plan::Payload { arguments, etag } = work.plan.payload()?;
        let principal = work.permit.principal();
        let result = self
            .send(&arguments, principal, work.now, etag.as_deref())
            .await?;
        self.tell(store, &arguments).await;
        let structured = serde_json::value::to_raw_value(&result).map_err(DomainError::internal)?;
        Ok(ToolResult {
            structured: Some(structured),
            ..ToolResult::default()
        })
    }

    /// Tells whoever subscribed to what the call changed. The change stands whether or not they hear of it.
    async fn tell(&self, store: TenantStore, arguments: &Map<String, Value>) {
        if self.call.changes.is_empty() {
            return;
        }
        let values: Variables = arguments
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => (name.clone(), text.clone()),
                other => (name.clone(), other.to_string()),
            })
            .collect();
        let uris: Vec<String> = self.call.changes.iter().map(|uri| uri.fill(&values)).collect();
        let told = store.write(move |tx| {
            async move {
                for uri in &uris {
                    tx.resources().touch(uri).await?;
                }
                Ok::<_, StoreError>(())
            }
            .boxed()
        });
        if let Err(error) = told.await {
            warn!(tool = self.title, error = %error, "failed to tell subscribers of a changed resource");
        }
    }

    async fn send(
        &self,
        arguments: &Map<String, Value>,
        principal: &Principal,
        now: Timestamp,
        etag: Option<&str>,
    ) -> Result<Value, DomainError> {
        let mut prepared = request::prepare(&self.call, arguments, principal.facts(), now)?;
        if let Some(etag) = etag {
            prepared.only_if(etag)?;
        }
        let answer = self.remote.send(&self.call, prepared, principal.tenant()).await?;
        self.shaped(&answer, arguments)
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
