//! Figures for Prometheus. Labels come from the catalogue and from our own tables, never from a caller: a stranger
//! cannot make the set of series grow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::FutureExt;
use http::StatusCode;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
        info::Info,
    },
    registry::Registry,
};
use tokio_util::sync::CancellationToken;

use super::{refusal::Refusal, settings::EdgeSettings};
use crate::{
    access::AuthError,
    limits::OverLimit,
    pipeline::House,
    store::StoreError,
    vocabulary::{EditionName, ToolName},
};

/// Upper bounds in seconds: from a call answered out of memory to one that ran into its time limit.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0, 60.0,
];

/// The outcome of a call that did what it was asked to.
pub(super) const WENT_WELL: &str = "ok";

/// A catalogue's name as a label. Cloning one counts a reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Label {
    Edition(EditionName),
    Tool(ToolName),
    /// A name that the catalogue does not know, whatever it was.
    Unknown,
}

impl prometheus_client::encoding::EncodeLabelValue for Label {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        let text = match self {
            Self::Edition(name) => name.as_str(),
            Self::Tool(name) => name.as_str(),
            Self::Unknown => "unknown",
        };
        prometheus_client::encoding::EncodeLabelValue::encode(&text, encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    edition: Label,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    edition: Label,
    tool: Label,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ToolLabels {
    edition: Label,
    tool: Label,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    status: u16,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
}

/// Queues are named by our own code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: String,
}

/// The figures, and the registry that prints them.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<ToolLabels, Histogram, fn() -> Histogram>,
    refusals: Family<RefusalLabels, Counter>,
    sign_in_failures: Family<ReasonLabel, Counter>,
    limits_reached: Family<LimitLabel, Counter>,
    jobs_waiting: Family<QueueLabel, Gauge>,
    jobs_late: Family<QueueLabel, Gauge<f64, AtomicU64>>,
    /// Connections open now.
    pub(super) connections: Gauge<i64, AtomicI64>,
    /// Requests under way now.
    pub(super) in_flight: Gauge<i64, AtomicI64>,
    /// Listen streams open now.
    pub(super) listen_streams: Gauge<i64, AtomicI64>,
}

impl Metrics {
    /// The figures of `house`. `leaving` says that it wants no more calls.
    pub(super) fn new(house: &Arc<House>, settings: &EdgeSettings, leaving: CancellationToken) -> Self {
        let mut registry = Registry::with_prefix("footbridge");
        let requests = Family::default();
        let calls = Family::default();
        let call_seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        let (refusals, sign_in_failures, limits_reached) =
            (Family::default(), Family::default(), Family::default());
        let (jobs_waiting, jobs_late) = (Family::default(), Family::default());
        registry.register(
            "jobs_waiting",
            "Webhooks, mails and other work that waits or is being done, by queue",
            jobs_waiting.clone(),
        );
        registry.register(
            "jobs_late_seconds",
            "By how much the longest due job of a queue is late",
            jobs_late.clone(),
        );
        let (connections, in_flight, listen_streams) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register(
            "build",
            "The program that runs",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        let started: Gauge<f64, AtomicU64> = Gauge::default();
        started.set(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64()),
        );
        registry.register(
            "start_time_seconds",
            "When the process started, since 1970",
            started,
        );
        let limit: Gauge<i64, AtomicI64> = Gauge::default();
        limit.set(i64::try_from(settings.connections).unwrap_or(i64::MAX));
        registry.register("connections_limit", "Connections that may be open at once", limit);
        let durations = house.store().durations();
        registry.register(
            "store_read_duration_seconds",
            "Time of a reading transaction",
            durations.reads.clone(),
        );
        registry.register(
            "store_write_duration_seconds",
            "Time of a writing transaction until it is durable",
            durations.writes.clone(),
        );
        registry.register_collector(Box::new(Now {
            house: Arc::clone(house),
            leaving,
        }));
        registry.register(
            "sign_in_failures",
            "Credentials that opened nothing, by reason",
            sign_in_failures.clone(),
        );
        registry.register(
            "limits_reached",
            "Requests and calls refused because a limit was reached",
            limits_reached.clone(),
        );
        // There from the start, so that the first one shows as a rise from nothing.
        for limit in ["rate", "concurrency", "cap"] {
            drop(Family::<LimitLabel, Counter>::get_or_create(
                &limits_reached,
                &LimitLabel { limit },
            ));
        }
        registry.register("listen_streams", "Listen streams open", listen_streams.clone());
        registry.register("requests", "JSON-RPC requests answered", requests.clone());
        registry.register("tool_calls", "Tool calls by outcome", calls.clone());
        registry.register(
            "tool_call_duration_seconds",
            "Time a tool call took",
            call_seconds.clone(),
        );
        registry.register(
            "refusals",
            "HTTP requests refused before a message was read",
            refusals.clone(),
        );
        registry.register("connections", "Connections open", connections.clone());
        registry.register("requests_in_flight", "Requests under way", in_flight.clone());
        Self {
            registry,
            requests,
            calls,
            call_seconds,
            refusals,
            sign_in_failures,
            limits_reached,
            jobs_waiting,
            jobs_late,
            connections,
            in_flight,
            listen_streams,
        }
    }

    /// One request was answered.
    pub(super) fn request(&self, edition: &EditionName, method: &'static str, status: StatusCode) {
        let labels = RequestLabels {
            edition: Label::Edition(edition.clone()),
            method,
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// The counter of one method's answers with status 200, for whoever would look it up again and again.
    pub(super) fn answered(&self, edition: &EditionName, method: &'static str) -> Counter {
        let labels = RequestLabels {
            edition: Label::Edition(edition.clone()),
            method,
            status: 200,
        };
        self.requests.get_or_create_owned(&labels)
    }

    /// The counter of one tool's calls that went well.
    pub(super) fn went_well(&self, edition: &EditionName, tool: &ToolName) -> Counter {
        let labels = CallLabels {
            edition: Label::Edition(edition.clone()),
            tool: Label::Tool(tool.clone()),
            outcome: WENT_WELL,
        };
        self.calls.get_or_create_owned(&labels)
    }

    /// Where the times of one tool's calls go.
    pub(super) fn times(&self, edition: &EditionName, tool: &ToolName) -> Histogram {
        let labels = ToolLabels {
            edition: Label::Edition(edition.clone()),
            tool: Label::Tool(tool.clone()),
        };
        self.call_seconds.get_or_create_owned(&labels)
    }

    /// A limit kept somebody from something.
    pub(super) fn limit_reached(&self, limit: &OverLimit) {
        let limit = if matches!(limit, OverLimit::Rate { .. }) {
            "rate"
        } else if matches!(limit, OverLimit::Concurrency { .. }) {
            "concurrency"
        } else {
            "cap"
        };
        self.limits_reached.get_or_create(&LimitLabel { limit }).inc();
    }

    /// One tool call ended; `tool` is the catalogue's name, if the catalogue has it.
    pub(super) fn tool_call(&self, edition: &EditionName, tool: Option<&ToolName>, outcome: &'static str) {
        let tool = tool.map_or(Label::Unknown, |name| Label::Tool(name.clone()));
        let labels = CallLabels {
            edition: Label::Edition(edition.clone()),
            tool,
            outcome,
        };
        self.calls.get_or_create(&labels).inc();
    }

    /// One HTTP request was refused at the gate.
    pub(super) fn refusal(&self, refusal: &Refusal) {
        let labels = RefusalLabels {
            status: refusal.status().as_u16(),
            reason: refusal.word(),
        };
        self.refusals.get_or_create(&labels).inc();
        if let Refusal::Credential { error, .. } = refusal {
            let labels = ReasonLabel {
                reason: reason(error),
            };
            self.sign_in_failures.get_or_create(&labels).inc();
        }
    }

    /// Looks how much there is to do. While the store cannot be asked nothing is said of it: a figure that stands still
    /// would look like a queue that does.
    pub(super) async fn look_at_queues(&self, house: &House) {
        let look = house.store().system_read(|tx| {
            async move { Ok::<_, StoreError>((tx.jobs().queues().await?, tx.now())) }.boxed()
        });
        let found = look.await;
        self.jobs_waiting.clear();
        self.jobs_late.clear();
        let Ok((queues, now)) = found else { return };
        for depth in queues {
            let label = QueueLabel { queue: depth.queue };
            self.jobs_waiting.get_or_create(&label).set(depth.jobs);
            let late_ms = now.as_millis().saturating_sub(depth.next_at.as_millis()).max(0);
            #[expect(clippy::cast_precision_loss, reason = "a span of time")]
            self.jobs_late.get_or_create(&label).set(late_ms as f64 / 1000.0);
        }
    }

    /// Everything in the OpenMetrics text format.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        // Invariant: writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

fn reason(error: &AuthError) -> &'static str {
    match error {
        AuthError::Missing => "missing",
        AuthError::NotRecognised(_) => "not_recognised",
        AuthError::Revoked => "revoked",
        AuthError::Expired => "expired",
        AuthError::WrongEdition(_) | AuthError::NoEdition => "wrong_edition",
        AuthError::OtherTenant => "other_tenant",
        AuthError::Suspended => "suspended",
        AuthError::Token(_) => "token",
        AuthError::NoEmail => "no_email",
        AuthError::EmailTaken(_) => "email_taken",
        AuthError::Provider(_) => "provider",
        AuthError::Busy => "busy",
        AuthError::Unavailable(_) => "unavailable",
    }
}

/// What is looked at when somebody asks.
struct Now {
    house: Arc<House>,
    leaving: CancellationToken,
}

impl std::fmt::Debug for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Now")
    }
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let figures = self.house.store().figures();
        // Counts of what waits; a million would be exact still.
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let count = |count: usize| count as f64;
        let flag = |yes: bool| f64::from(u8::from(yes));
        let ready = figures.healthy && !self.leaving.is_cancelled();
        let gauges = [
            ("ready", "Whether it wants calls: 1 or 0", flag(ready)),
            (
                "store_healthy",
                "Whether the store takes writes: 1 or 0",
                flag(figures.healthy),
            ),
            (
                "store_writes_waiting",
                "Writes that wait for their turn",
                count(figures.writes_waiting),
            ),
            (
                "audit_rows_waiting",
                "Rows of the call log that are not durable yet",
                count(figures.audit_rows_waiting),
            ),
            (
                "audit_lag_seconds",
                "How long the oldest of them has waited",
                figures.audit_lag.as_secs_f64(),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let digest = self.house.catalogue_digest();
        let catalogue = Info::new(vec![("digest", digest.as_str())]);
        catalogue.encode(encoder.encode_descriptor(
            "catalogue",
            "The tools that are served",
            None,
            catalogue.metric_type(),
        )?)
    }
}
