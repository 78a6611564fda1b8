//! Spans on their way to a collector: OTLP over HTTP, from a thread of its own, with a bounded queue whose overflow is
//! dropped. A collector that is away costs a call nothing.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
        TraceState, Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span},
};

use super::{Room, TelemetryError, TelemetrySettings, Trace};
use crate::{
    store::{AuditRecord, AuditStatus},
    vocabulary::TenantId,
};

/// Longest wait for a collector, at each sending and when the process ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// Set once, before the first call: a span asks it for nothing else than itself.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// What sends the spans.
#[derive(Debug)]
pub(super) struct Exporter(SdkTracerProvider);

impl Exporter {
    pub(super) fn start(url: &str, settings: &TelemetrySettings) -> Result<Self, TelemetryError> {
        // The exporter's client asks for the process's own; there is one for all of it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| TelemetryError::Exporter(error.to_string()))?;
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        // A second server in one process sends its spans with the first one's.
        let _ = TRACER.set(provider.tracer("footbridge-server"));
        Ok(Self(provider))
    }

    pub(super) fn stop(self) {
        if let Err(error) = self.0.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(error = %error, "the last spans were not sent");
        }
    }
}

/// A span whose call is under way.
#[derive(Debug)]
pub(super) struct Open(Span);

impl Open {
    pub(super) fn begin(caller: Option<Trace>, seen: Option<Seen>) -> Option<Self> {
        let tracer = TRACER.get()?;
        let above = match caller {
            None => Context::new(),
            Some(trace) => {
                let flags = if trace.sampled {
                    TraceFlags::SAMPLED
                } else {
                    TraceFlags::default()
                };
                let (id, parent) = (
                    TraceId::from_bytes(trace.id.to_be_bytes()),
                    SpanId::from_bytes(trace.parent.to_be_bytes()),
                );
                let remote = SpanContext::new(id, parent, flags, true, TraceState::default());
                Context::new().with_remote_span_context(remote)
            }
        };
        let mut builder = tracer.span_builder("tools/call").with_kind(SpanKind::Server);
        builder.start_time = seen.map(|seen| seen.came);
        let open = Self(tracer.build_with_context(builder, &above));
        if let (Some(above), Some(seen)) = (open.above(), seen) {
            seen.tell(&above);
        }
        Some(open)
    }

    /// What rooms are entered below; nothing where the call is not traced.
    pub(super) fn above(&self) -> Option<Above> {
        let context = || Above(self.0.span_context().clone());
        self.0.is_recording().then(context)
    }

    pub(super) fn trace_id(&self) -> String {
        self.0.span_context().trace_id().to_string()
    }

    /// Names are those of the log and of its fields.
    pub(super) fn tell(&mut self, tenant: &TenantId, record: &AuditRecord) {
        let Self(span) = self;
        if !span.is_recording() {
            return;
        }
        if let Some(tool) = &record.tool_name {
            span.update_name(format!("tools/call {tool}"));
            span.set_attribute(KeyValue::new("tool.name", tool.to_string()));
        }
        span.set_attribute(KeyValue::new("tenant.id", tenant.to_string()));
        span.set_attribute(KeyValue::new("call.status", record.status.as_str()));
        let texts = [
            ("edition", record.edition.as_ref().map(ToString::to_string)),
            ("request.id", record.request_id.as_deref().map(str::to_owned)),
            ("client.name", record.client_name.as_deref().map(str::to_owned)),
            (
                "protocol.version",
                record.protocol_version.as_deref().map(str::to_owned),
            ),
            ("error.type", record.error_class.as_deref().map(str::to_owned)),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                span.set_attribute(KeyValue::new(name, text));
            }
        }
        let numbers = [
            ("http.response.status_code", record.http_status.map(i64::from)),
            (
                "duration_ms",
                record.latency_ms.and_then(|ms| i64::try_from(ms).ok()),
            ),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                span.set_attribute(KeyValue::new(name, number));
            }
        }
        if failed(record.status) {
            // What went wrong is in the log, under the request's id: a collector is another's system.
            span.set_status(Status::error(record.status.as_str()));
        }
    }
}

/// A span that others are opened below.
#[derive(Clone, Debug)]
pub(super) struct Above(SpanContext);

impl Above {
    pub(super) fn enter(&self, room: Room) -> Option<OpenRoom> {
        self.enter_at(room, None)
    }

    fn enter_at(&self, room: Room, at: Option<SystemTime>) -> Option<OpenRoom> {
        let tracer = TRACER.get()?;
        let above = Context::new().with_remote_span_context(self.0.clone());
        let mut builder = tracer.span_builder(room.as_str());
        builder.start_time = at;
        Some(OpenRoom(Box::new(tracer.build_with_context(builder, &above))))
    }
}

/// A room that a call is in. Boxed: it stands in the futures of calls, which are moved about.
#[derive(Debug)]
pub(super) struct OpenRoom(Box<Span>);

impl OpenRoom {
    pub(super) fn above(&self) -> Above {
        Above(self.0.span_context().clone())
    }
}

/// What a request went through before it was known to be a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    came: SystemTime,
    asked: Option<SystemTime>,
    admitted: Option<SystemTime>,
}

impl Seen {
    /// Nothing in a process that sends no spans: the clock is not asked.
    pub(super) fn now() -> Option<Self> {
        TRACER.get().map(|_| Self {
            came: SystemTime::now(),
            asked: None,
            admitted: None,
        })
    }

    pub(super) fn asked(&mut self) {
        self.asked = Some(SystemTime::now());
    }

    pub(super) fn admitted(&mut self) {
        self.admitted = Some(SystemTime::now());
    }

    fn tell(self, call: &Above) {
        let Some(edge) = call.enter_at(Room::Edge, Some(self.came)) else {
            return;
        };
        if let (Some(asked), Some(admitted)) = (self.asked, self.admitted)
            && let Some(mut access) = edge.above().enter_at(Room::Access, Some(asked))
        {
            access.0.end_with_timestamp(admitted);
        }
    }
}

/// Whether a call failed by somebody else's doing than its caller's.
fn failed(status: AuditStatus) -> bool {
    matches!(
        status,
        AuditStatus::Exception | AuditStatus::Upstream5xx | AuditStatus::NetworkError
    )
}
