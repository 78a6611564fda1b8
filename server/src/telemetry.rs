//! Traces: a call comes in with the trace it belongs to; a span of it goes out to a collector that speaks OpenTelemetry, and
//! below it one for each room it was in.
//!
//! Only a program built with the feature `otel` sends any. Without it, and without a collector in the configuration, a
//! span is an empty value: calls pay nothing.

#[cfg(feature = "otel")]
mod export;
mod rooms;
mod trace;

use schemars::JsonSchema;
use serde::Deserialize;

pub use rooms::{Arrival, Room, RoomSpan, Rooms};
pub use trace::Trace;

use crate::{store::AuditRecord, vocabulary::TenantId};

/// `[telemetry]`: where traces of calls go. Only a program built with the feature `otel` has this.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// The collector, as `http://127.0.0.1:4318`: spans go to `/v1/traces` there (OTLP over HTTP). Headers that it asks for
    /// are read from `OTEL_EXPORTER_OTLP_HEADERS`. Absent, none are sent.
    pub otlp_endpoint: Option<String>,
    /// What this server is called among others.
    pub service_name: String,
    /// The share of calls that are traced, where their caller does not say: 1 is all of them. Callers that do say are heeded.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            service_name: "footbridge-server".to_owned(),
            sample_ratio: 1.0,
        }
    }
}

/// Why no traces are sent.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The program cannot.
    #[error(
        "telemetry.otlp_endpoint: this program was built without traces; build it with `--features otel`, or take the line out"
    )]
    NotBuilt,
    /// The address is none.
    #[error("telemetry.otlp_endpoint: `{0}` is not an address like http://127.0.0.1:4318")]
    Endpoint(String),
    /// The exporter cannot be made.
    #[error("the exporter of traces cannot be made: {0}")]
    Exporter(String),
}

impl TelemetrySettings {
    /// Where spans are sent; `None`: nowhere.
    ///
    /// # Errors
    /// When this program cannot send any, or there is no such place.
    pub fn traces_url(&self) -> Result<Option<String>, TelemetryError> {
        self.traces_url_of(cfg!(feature = "otel"))
    }

    fn traces_url_of(&self, can_send: bool) -> Result<Option<String>, TelemetryError> {
        let Some(endpoint) = &self.otlp_endpoint else {
            return Ok(None);
        };
        if !can_send {
            return Err(TelemetryError::NotBuilt);
        }
        let bad = || TelemetryError::Endpoint(endpoint.clone());
        let url = url::Url::parse(endpoint).map_err(|_| bad())?;
        let good = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.query().is_none();
        if !good {
            return Err(bad());
        }
        Ok(Some(format!("{}/v1/traces", endpoint.trim_end_matches('/'))))
    }
}

/// Whatever sends traces, for as long as the process serves.
#[derive(Debug)]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    exporter: Option<export::Exporter>,
}

impl Telemetry {
    /// Begins to send spans where the settings say.
    ///
    /// # Errors
    /// Why that is not possible.
    pub fn start(settings: &TelemetrySettings) -> Result<Self, TelemetryError> {
        let _url = settings.traces_url()?;
        #[cfg(feature = "otel")]
        let exporter = _url
            .map(|url| export::Exporter::start(&url, settings))
            .transpose()?;
        Ok(Self {
            #[cfg(feature = "otel")]
            exporter,
        })
    }

    /// Sends what is left. Waits a few seconds for a collector that is slow, on a thread of its own.
    pub async fn stop(self) {
        #[cfg(feature = "otel")]
        if let Some(exporter) = self.exporter {
            // A panic in it has told its story already.
            let _ = tokio::task::spawn_blocking(move || exporter.stop()).await;
        }
    }
}

/// The span of one call, from its first room to its row in the log.
#[derive(Debug)]
pub struct CallSpan {
    #[cfg(feature = "otel")]
    open: Option<export::Open>,
}

impl CallSpan {
    /// Opens a span, below the one that the caller named, which began when the request came. The rooms before this moment are
    /// its first.
    #[cfg_attr(
        not(feature = "otel"),
        expect(unused_variables, reason = "there is nothing to open")
    )]
    pub fn begin(caller: Option<Trace>, arrival: Arrival) -> Self {
        Self {
            #[cfg(feature = "otel")]
            open: export::Open::begin(caller, arrival.seen),
        }
    }

    /// The trace it is in, as 32 hexadecimal digits; `None` where no spans are made.
    pub fn trace_id(&self) -> Option<String> {
        #[cfg(feature = "otel")]
        return self.open.as_ref().map(export::Open::trace_id);
        #[cfg(not(feature = "otel"))]
        None
    }

    /// Where rooms of the call are entered.
    pub fn rooms(&self) -> Rooms {
        #[cfg(feature = "otel")]
        return Rooms::below(self.open.as_ref().and_then(export::Open::above));
        #[cfg(not(feature = "otel"))]
        Rooms::default()
    }

    /// Says what became of the call.
    #[cfg_attr(
        not(feature = "otel"),
        expect(unused_variables, reason = "there is nothing to say it of")
    )]
    pub fn tell(&mut self, tenant: &TenantId, record: &AuditRecord) {
        #[cfg(feature = "otel")]
        if let Some(open) = &mut self.open {
            open.tell(tenant, record);
        }
    }

    /// Closes it. Only the first close counts; one that is dropped is closed too.
    pub fn end(&mut self) {
        #[cfg(feature = "otel")]
        drop(self.open.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_spans_go_is_said_in_full_or_refused() {
        let sent_by = |can_send: bool, endpoint: &str| {
            let settings = TelemetrySettings {
                otlp_endpoint: Some(endpoint.to_owned()),
                ..TelemetrySettings::default()
            };
            settings
                .traces_url_of(can_send)
                .map_err(|error| error.to_string())
        };
        let of = |endpoint: &str| sent_by(true, endpoint);
        for can_send in [false, true] {
            assert!(matches!(
                TelemetrySettings::default().traces_url_of(can_send),
                Ok(None)
            ));
        }
        let refused = sent_by(false, "http://127.0.0.1:4318").unwrap_err();
        assert!(refused.contains("--features otel"), "{refused}");
        for good in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/"] {
            assert_eq!(
                of(good).unwrap().as_deref(),
                Some("http://127.0.0.1:4318/v1/traces")
            );
        }
        assert_eq!(
            of("https://otel.example.com/in").unwrap().as_deref(),
            Some("https://otel.example.com/in/v1/traces")
        );
        for bad in ["127.0.0.1:4318", "grpc://a", "", "http://a:b@c", "http://a?b=c"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
