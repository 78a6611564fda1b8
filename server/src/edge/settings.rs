//! Every size and time of the HTTP side, with its default and its reason.

use std::{net::SocketAddr, time::Duration};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// `[edge]` of the configuration. All of it is tested at the limit and one past it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeSettings {
    /// What the server calls itself towards clients.
    pub server_name: String,
    /// Host names under which clients reach this server, `name` or `name:port`. Any other `Host` is refused; bound
    /// to loopback, the loopback names with the bound port are accepted besides (protocol.md S-05).
    pub public_names: Vec<String>,
    /// Scheme and authority of the URLs in discovery documents, e.g. `https://mcp.example.com`. When absent, the
    /// first public name or else the bound address is used; never the `Host` of a request (protocol.md A-02).
    pub public_url: Option<String>,
    /// Browser origins that may call, e.g. `https://app.example.com`. None by default: MCP clients are no browsers.
    pub allowed_origins: Vec<String>,
    /// Bearer token that opens `/metrics` to others than loopback.
    #[serde(deserialize_with = "secret")]
    #[schemars(with = "Option<String>")]
    pub operator_token: Option<SecretString>,

    /// Largest request body. Documents travel as arguments; anything larger should travel as a reference.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub body_bytes: usize,
    /// Largest mail that a channel takes in, attachments included; what exceeds `body_bytes` is read without being held in
    /// memory. Mail servers commonly send up to 35 MB.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub mail_bytes: usize,
    /// Largest request head. Mirrored parameters live here, so it is more than browsers send.
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub head_bytes: usize,
    /// Most header fields of one request. Mirrored parameters included, no client comes near.
    #[schemars(range(min = 16, max = 4096))]
    pub headers: usize,
    /// From accepting a connection, or from the first byte of a later request, to the end of the head; also for the
    /// TLS handshake. A silent connection goes as well.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub head_timeout_ms: u64,
    /// From the end of the head to the end of the body.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub body_timeout_ms: u64,
    /// A connection without a request. Below the 75 s at which common proxies drop theirs, so that we, who know
    /// what is under way, are the ones to close.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub idle_timeout_ms: u64,
    /// A peer that takes no byte of its answer for so long is gone.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub write_timeout_ms: u64,
    /// Connections open at once. At 14 KB each this is 140 MB.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: usize,
    /// Requests under way at once, on all connections together. What comes on top is told to come back.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_in_flight: usize,
    /// Requests a minute that one address may send before its credential is looked at. Loopback is exempt: it is the
    /// operator's own proxy, and what stands behind it is counted by its key.
    #[schemars(range(min = 1))]
    pub requests_per_minute_per_address: u32,
    /// HTTP/2: requests under way on one connection.
    #[schemars(range(min = 1, max = 10_000))]
    pub http2_streams: u32,
    /// HTTP/2: requests that the peer opened and took back before they were looked at. Honest clients cancel a few.
    #[schemars(range(min = 1, max = 10_000))]
    pub http2_resets: usize,

    /// How long the session of a legacy client lasts, which makes questions on open streams, log levels and streams of
    /// notices possible for it. It is sealed into its id, and nothing is stored for it; a client whose session is over
    /// begins another. 0: none are given out.
    #[schemars(range(max = 604_800_000))]
    pub session_ms: u64,
    /// How long the client of a running call has to answer a question. A person reads it; after that a preview with a
    /// token is shown instead, where there is one.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub answer_ms: u64,
    /// A call of a client with a session answers with a stream once it takes so long: streams stay alive through
    /// proxies, and what is said on them can be asked for again.
    #[schemars(range(min = 10, max = 600_000))]
    pub stream_after_ms: u64,
    /// How long what was said on such a stream can be asked for again.
    #[schemars(range(min = 1000, max = 86_400_000))]
    pub reply_kept_ms: u64,
    /// A call that may become a task becomes one once it takes so long; one that ends before is answered at once.
    #[schemars(range(min = 10, max = 600_000))]
    pub task_after_ms: u64,
    /// How long a task is kept, from its beginning: for clients that come back the next day.
    #[schemars(range(min = 60_000, max = 604_800_000))]
    pub task_kept_ms: u64,
    /// How long a client waits before it asks for the rest of a stream that ended early.
    #[schemars(range(min = 10, max = 600_000))]
    pub retry_ms: u64,
    /// Listen streams that one principal may hold open.
    #[schemars(range(min = 1, max = 10_000))]
    pub listen_streams: u32,
    /// Longest life of a listen stream: rights and routes are looked at anew at least this often.
    #[schemars(range(min = 1000, max = 86_400_000))]
    pub listen_ms: u64,
    /// Shortest time between two notices on a listen stream; what happens between is folded into one.
    #[schemars(range(min = 10, max = 600_000))]
    pub listen_fold_ms: u64,
    /// How often a stream looks at the files that its client subscribed to: nobody says when they change.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub file_look_ms: u64,
    /// Quiet streams send a comment this often. Below the 30 s at which the strictest proxies cut a quiet answer.
    #[schemars(range(min = 100, max = 600_000))]
    pub keep_alive_ms: u64,
    /// Progress notices of one call that pass at once.
    pub progress_burst: u32,
    /// Progress notices of one call that pass in a second once the burst is spent. More tells a person nothing.
    pub progress_per_second: u32,

    /// From being told to stop to refusing new work. In between `/health/ready` says no and connections close after
    /// their answer, but everything is served: time for a load balancer to notice. Set it to a little more than its
    /// probes need to take a replica out; without a balancer that probes there is nothing to wait for.
    #[schemars(range(max = 600_000))]
    pub drain_delay_ms: u64,
    /// Longest wait for running calls when the server is told to stop. Orchestrators commonly kill at 30 s.
    #[schemars(range(max = 3_600_000))]
    pub drain_ms: u64,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self {
            server_name: "footbridge".to_owned(),
            public_names: Vec::new(),
            public_url: None,
            allowed_origins: Vec::new(),
            operator_token: None,
            body_bytes: 4 * 1024 * 1024,
            mail_bytes: 48 * 1024 * 1024,
            head_bytes: 32 * 1024,
            headers: 100,
            head_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            idle_timeout_ms: 60_000,
            write_timeout_ms: 60_000,
            connections: 10_000,
            requests_in_flight: 4096,
            requests_per_minute_per_address: 6000,
            http2_streams: 100,
            http2_resets: 50,
            session_ms: 24 * 60 * 60 * 1000,
            answer_ms: 120_000,
            stream_after_ms: 5000,
            reply_kept_ms: 5 * 60 * 1000,
            task_after_ms: 1000,
            task_kept_ms: 24 * 60 * 60 * 1000,
            retry_ms: 1000,
            listen_streams: 32,
            listen_ms: 60 * 60 * 1000,
            listen_fold_ms: 1000,
            file_look_ms: 2000,
            keep_alive_ms: 20_000,
            progress_burst: 4,
            progress_per_second: 4,
            drain_delay_ms: 0,
            drain_ms: 28_000,
        }
    }
}

impl EdgeSettings {
    /// Scheme and authority of the URLs in documents, without a slash at the end. `bound` is where the server listens.
    pub fn base_url(&self, bound: SocketAddr, tls: bool) -> String {
        self.named_url(tls)
            .unwrap_or_else(|| format!("{}://{bound}", scheme(tls)))
    }

    /// The same for links that people follow. `bound` is where this process listens, if it does; `None`: whatever is known
    /// of the server would lead nowhere.
    pub fn link_url(&self, bound: Option<SocketAddr>, tls: bool) -> Option<String> {
        self.named_url(tls).or_else(|| {
            // `0.0.0.0` is every address of this machine, and none of another.
            let bound = bound.filter(|bound| !bound.ip().is_unspecified() && bound.port() != 0)?;
            Some(format!("{}://{bound}", scheme(tls)))
        })
    }

    /// What the operator calls the server.
    fn named_url(&self, tls: bool) -> Option<String> {
        if let Some(url) = &self.public_url {
            return Some(url.trim_end_matches('/').to_owned());
        }
        let name = self.public_names.first()?;
        Some(format!("{}://{name}", scheme(tls)))
    }

    pub(super) fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout_ms)
    }

    pub(super) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    pub(super) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    pub(super) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }

    pub(super) fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

#[cfg(test)]
mod tests {
    use super::EdgeSettings;

    #[test]
    fn a_link_leads_to_what_is_named_or_listened_on_and_else_there_is_none() {
        let bound = |text: &str| Some(text.parse().unwrap());
        let plain = EdgeSettings::default();
        let named = EdgeSettings {
            public_names: vec!["desk.example:8443".to_owned()],
            ..EdgeSettings::default()
        };
        let public = EdgeSettings {
            public_url: Some("https://desk.example/".to_owned()),
            ..named.clone()
        };
        for (settings, bound, tls, link) in [
            (
                &plain,
                bound("127.0.0.1:4711"),
                false,
                Some("http://127.0.0.1:4711"),
            ),
            (&plain, bound("[::1]:4711"), true, Some("https://[::1]:4711")),
            (&plain, bound("0.0.0.0:4711"), false, None),
            (&plain, bound("127.0.0.1:0"), false, None),
            (&plain, None, false, None),
            (&named, None, true, Some("https://desk.example:8443")),
            (
                &public,
                bound("0.0.0.0:4711"),
                false,
                Some("https://desk.example"),
            ),
        ] {
            assert_eq!(settings.link_url(bound, tls).as_deref(), link, "{bound:?}");
        }
    }

    #[test]
    fn settings_read_from_toml_and_never_print_their_secret() {
        let settings: EdgeSettings = toml::from_str("body_bytes = 10\noperator_token = \"hunter2\"").unwrap();
        assert_eq!(settings.body_bytes, 10);
        assert_eq!(settings.head_bytes, 32 * 1024);
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(toml::from_str::<EdgeSettings>("body_size = 10").is_err());
    }
}
