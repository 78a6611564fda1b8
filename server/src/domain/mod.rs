//! What the tools do. A handler takes a [`Permit`] and its arguments and produces an [`Outcome`] or a
//! [`DomainError`]; it knows no JSON-RPC, no HTTP and no era.
//!
//! There are six kinds of handler, told apart by where their effect lands:
//!
//! | Kind | Runs | Its audit event |
//! |------|------|-----------------|
//! | [`Handler::Read`] | in a read-only transaction of one tenant | queued, group-committed |
//! | [`Handler::Lookup`] | the same, for a few rows by their keys | queued, group-committed |
//! | [`Handler::Write`] | in a write transaction of one tenant | in that same transaction |
//! | [`Handler::Task`] | outside any transaction, opening its own | an intent row before, an outcome row after |
//! | [`Handler::Plain`] | without the store | queued, group-committed |
//! | [`Handler::Planned`] | in two steps: a plan that only reads, and what carries it out | as `Write` or `Task` |
//!
//! Only a planned handler can show what it would do, so only it can be confirmed. Tools that change something are
//! planned unless their effect cannot be foretold.
//!
//! A domain registers its handlers by name (`nouns::verb`) in a [`Handlers`] table; a catalogue row names one.

pub mod command;
pub mod context;
pub mod http;
pub mod offers;
pub mod workspace;

mod error;
mod outcome;
mod plan;
mod preview;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use error::DomainError;
pub use outcome::{Content, InputRequest, InputRequired, Outcome, ToolResult};
pub(crate) use plan::{Applier, PlanSource};
pub use plan::{Apply, Change, Op, Plan, PlanCall, Planned, Reader, Shown};
pub use preview::Preview;

use crate::{
    catalogue::Arguments,
    policy::Permit,
    store::{ReadTx, Store, StoreError, TenantTx},
    vocabulary::{TenantId, Timestamp},
};

/// What a handler works on.
#[derive(Debug)]
pub struct Call {
    /// Proof that this call may run; names the principal and the tool.
    pub permit: Permit,
    /// Validated arguments.
    pub arguments: Arguments,
    /// What the client can do, as this request declared it. For asking, never for rights.
    pub capabilities: Map<String, Value>,
    /// Answers to what an earlier round asked.
    pub round: Round,
    /// Where to report how far the work is.
    pub progress: Progress,
    /// Fires when nobody waits for the answer any more.
    pub cancelled: CancellationToken,
    /// When the call arrived.
    pub now: Timestamp,
}

/// Where a multi-round call stands.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// Rounds of questions that went before; 0 on the first call.
    pub number: u32,
    /// What the handler sealed in the round before.
    pub state: Option<Value>,
    /// Answers by key, unjudged: each is a client's claim of what a person said.
    pub answers: Map<String, Value>,
}

/// How far a call is.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressUpdate {
    /// Work done, growing.
    pub done: f64,
    /// All the work, when known.
    pub total: Option<f64>,
    /// A short text for a person.
    pub message: Option<String>,
}

/// How severe a log message is, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Of use to whoever looks for a fault.
    Debug,
    /// Of use to whoever wonders.
    Info,
    /// Normal and worth a look.
    Notice,
    /// Odd.
    Warning,
    /// Something failed.
    Error,
    /// Something failed that much depends on.
    Critical,
    /// Somebody must act now.
    Alert,
    /// Nothing works.
    Emergency,
}

impl LogLevel {
    /// Every level, the least severe first.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// The protocol's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// The level of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

/// What a running call tells its caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// How far it is.
    Progress(ProgressUpdate),
    /// A log message.
    Log(LogLevel, Value),
    /// It takes so long that its caller need not hold a connection for it.
    LetGo,
}

/// Where reports go: to the caller's stream, or nowhere when the caller did not ask.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<mpsc::Sender<Report>>);

impl Progress {
    /// Reports into a channel. What finds it full is dropped: newer reports follow.
    pub fn to(sender: mpsc::Sender<Report>) -> Self {
        Self(Some(sender))
    }

    /// Reports that `done` of `total` is finished.
    pub fn report(&self, done: f64, total: Option<f64>, message: Option<String>) {
        self.send(|| Report::Progress(ProgressUpdate { done, total, message }));
    }

    /// Says something to callers whose revision has log messages and who want to hear ones as severe as this.
    pub fn log(&self, level: LogLevel, data: impl Into<Value>) {
        self.send(|| Report::Log(level, data.into()));
    }

    /// Lets the caller go, where it can come back for the answer on another connection.
    pub fn let_go(&self) {
        self.send(|| Report::LetGo);
    }

    fn send(&self, report: impl FnOnce() -> Report) {
        if let Some(sender) = &self.0 {
            let _ = sender.try_send(report());
        }
    }
}

/// The store as a [`Handler::Task`] sees it: bound to one tenant.
#[derive(Clone, Debug)]
pub struct TenantStore {
    store: Store,
    tenant: TenantId,
}

impl TenantStore {
    /// Invariant: the tenant is the principal's, or the one a job row of that tenant names.
    pub(crate) fn new(store: Store, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// The tenant that every transaction is bound to.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// One write transaction; durable when this returns.
    ///
    /// # Errors
    /// What `work` returned, or the store's own failure.
    pub async fn write<T, E>(
        &self,
        work: impl for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.store.write(&self.tenant, work).await
    }

    /// One read-only transaction.
    ///
    /// # Errors
    /// What `work` returned, or the store's own failure.
    pub async fn read<T, E>(
        &self,
        work: impl for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.store.read(&self.tenant, work).await
    }
}

/// What every handler resolves to.
pub type HandlerResult = Result<Outcome, DomainError>;

type InTransaction = dyn for<'t> Fn(&'t mut TenantTx<'_>, Call) -> BoxFuture<'t, HandlerResult> + Send + Sync;

/// The function behind a tool.
#[derive(Clone)]
pub enum Handler {
    /// Reads in a read-only transaction.
    Read(Arc<InTransaction>),
    /// Reads a few rows by their keys in a read-only transaction: over within microseconds, so it may run on the thread
    /// that serves connections.
    Lookup(Arc<InTransaction>),
    /// Writes in a transaction that also carries the audit event.
    Write(Arc<InTransaction>),
    /// Works outside the store's transactions: files, processes, other systems.
    Task(Arc<dyn Fn(TenantStore, Call) -> BoxFuture<'static, HandlerResult> + Send + Sync>),
    /// Needs no store.
    Plain(Arc<dyn Fn(Call) -> BoxFuture<'static, HandlerResult> + Send + Sync>),
    /// Plans first, then carries the plan out.
    Planned(Planned),
}

/// The handlers by name.
#[derive(Clone, Default)]
pub struct Handlers {
    by_name: HashMap<&'static str, Handler>,
    runner: Option<PathBuf>,
}

impl Handlers {
    /// Registers a reading handler.
    pub fn read<F>(&mut self, name: &'static str, run: F)
    where
        F: for<'t> Fn(&'t mut TenantTx<'_>, Call) -> BoxFuture<'t, HandlerResult> + Send + Sync + 'static,
    {
        self.by_name.insert(name, Handler::Read(Arc::new(run)));
    }

    /// Registers a handler that reads a few rows by their keys.
    pub fn lookup<F>(&mut self, name: &'static str, run: F)
    where
        F: for<'t> Fn(&'t mut TenantTx<'_>, Call) -> BoxFuture<'t, HandlerResult> + Send + Sync + 'static,
    {
        self.by_name.insert(name, Handler::Lookup(Arc::new(run)));
    }

    /// Registers a writing handler.
    pub fn write<F>(&mut self, name: &'static str, run: F)
    where
        F: for<'t> Fn(&'t mut TenantTx<'_>, Call) -> BoxFuture<'t, HandlerResult> + Send + Sync + 'static,
    {
        self.by_name.insert(name, Handler::Write(Arc::new(run)));
    }

    /// Registers a handler that works outside the store's transactions.
    pub fn task<F>(&mut self, name: &'static str, run: F)
    where
        F: Fn(TenantStore, Call) -> BoxFuture<'static, HandlerResult> + Send + Sync + 'static,
    {
        self.by_name.insert(name, Handler::Task(Arc::new(run)));
    }

    /// Registers a handler that needs no store.
    pub fn plain<F>(&mut self, name: &'static str, run: F)
    where
        F: Fn(Call) -> BoxFuture<'static, HandlerResult> + Send + Sync + 'static,
    {
        self.by_name.insert(name, Handler::Plain(Arc::new(run)));
    }

    /// Registers a handler that plans on what it reads, and carries the plan out in the same transaction.
    pub fn planned<P, A>(&mut self, name: &'static str, plan: P, apply: A)
    where
        P: for<'t> Fn(&'t mut ReadTx<'_>, PlanCall) -> BoxFuture<'t, Result<Plan, DomainError>>
            + Send
            + Sync
            + 'static,
        A: for<'t> Fn(&'t mut TenantTx<'_>, Apply) -> BoxFuture<'t, Result<ToolResult, DomainError>>
            + Send
            + Sync
            + 'static,
    {
        let planned = Planned::in_transaction(Arc::new(plan), Arc::new(apply));
        self.by_name.insert(name, Handler::Planned(planned));
    }

    /// Registers a handler that plans on what it reads, and carries the plan out outside the store's transactions.
    pub fn planned_task<P, A>(&mut self, name: &'static str, plan: P, apply: A)
    where
        P: for<'t> Fn(&'t mut ReadTx<'_>, PlanCall) -> BoxFuture<'t, Result<Plan, DomainError>>
            + Send
            + Sync
            + 'static,
        A: Fn(TenantStore, Apply) -> BoxFuture<'static, Result<ToolResult, DomainError>>
            + Send
            + Sync
            + 'static,
    {
        let planned = Planned::outside(Arc::new(plan), Arc::new(apply));
        self.by_name.insert(name, Handler::Planned(planned));
    }

    /// Registers a handler that asks another system what it would change, and has that system change it.
    pub fn planned_remote<P, A>(&mut self, name: &'static str, plan: P, apply: A)
    where
        P: Fn(PlanCall) -> BoxFuture<'static, Result<Plan, DomainError>> + Send + Sync + 'static,
        A: Fn(TenantStore, Apply) -> BoxFuture<'static, Result<ToolResult, DomainError>>
            + Send
            + Sync
            + 'static,
    {
        let planned = Planned::remote(Arc::new(plan), Arc::new(apply));
        self.by_name.insert(name, Handler::Planned(planned));
    }

    /// Has another program than this one run the programs behind tools: a test is not the server's own binary.
    pub fn run_programs_with(&mut self, runner: PathBuf) {
        self.runner = Some(runner);
    }

    /// What runs the programs behind tools: this program, even when its file was replaced.
    pub fn runner(&self) -> PathBuf {
        self.runner
            .clone()
            .unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
    }

    /// The handler of that name.
    pub fn find(&self, name: &str) -> Option<&Handler> {
        self.by_name.get(name)
    }

    /// Every registered name.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }
}
