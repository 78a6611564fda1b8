//! Figures for Prometheus. Labels come from the catalogue and from our own tables, never from a caller: a stranger
//! cannot make the set of series grow.

use std::{sync::atomic::AtomicI64, time::Duration};

use http::StatusCode;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::vocabulary::{EditionName, ToolName};

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
struct StatusLabel {
    status: u16,
}

/// The figures, and the registry that prints them.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    calls: Family<CallLabels, Counter>,
    call_seconds: Histogram,
    refusals: Family<StatusLabel, Counter>,
    /// Connections open now.
    pub(super) connections: Gauge<i64, AtomicI64>,
    /// Requests under way now.
    pub(super) in_flight: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("footbridge");
        let requests = Family::default();
        let calls = Family::default();
        let call_seconds = Histogram::new(BUCKETS);
        let refusals = Family::default();
        let (connections, in_flight) = (Gauge::default(), Gauge::default());
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
            connections,
            in_flight,
        }
    }
}

impl Metrics {
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

    /// Notes the time that a call took.
    pub(super) fn took(&self, time: Duration) {
        self.call_seconds.observe(time.as_secs_f64());
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
    pub(super) fn refusal(&self, status: StatusCode) {
        self.refusals
            .get_or_create(&StatusLabel {
                status: status.as_u16(),
            })
            .inc();
    }

    /// Everything in the OpenMetrics text format.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        // Invariant: writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_print_with_their_labels() {
        let metrics = Metrics::default();
        let (edition, tool) = (
            EditionName::new("context").unwrap(),
            ToolName::new("memory.put").unwrap(),
        );
        metrics.request(&edition, "tools/call", StatusCode::OK);
        metrics.answered(&edition, "tools/call").inc();
        metrics.went_well(&edition, &tool).inc();
        metrics.tool_call(&edition, Some(&tool), WENT_WELL);
        metrics.tool_call(&edition, None, "unknown_tool");
        metrics.took(Duration::from_millis(3));
        metrics.refusal(StatusCode::FORBIDDEN);
        let text = metrics.to_text();
        for line in [
            r#"footbridge_requests_total{edition="context",method="tools/call",status="200"} 2"#,
            r#"footbridge_tool_calls_total{edition="context",tool="memory.put",outcome="ok"} 2"#,
            r#"footbridge_tool_calls_total{edition="context",tool="unknown",outcome="unknown_tool"} 1"#,
            r#"footbridge_refusals_total{status="403"} 1"#,
            "footbridge_tool_call_duration_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
