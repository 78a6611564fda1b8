//! Every setting of the server, with its default, its unit and its reason.
//!
//! A TOML file comes in, refused with line and column where it says something unknown; flags and environment
//! win over it. Nothing here opens a file of its own accord.
//!
//! The structs below are the one table of settings: a field's name, type, comment, range and default are what the file
//! is judged by ([`read`]) and what `CONFIG.md` and `check-config --print-defaults` are made from ([`mod@reference`]).
//! A new setting is a field with a comment; `UPDATE_GOLDEN=1 cargo test -p footbridge-server config::` writes it out.

pub mod read;
pub mod reference;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use read::{ConfigError, Fault};

use crate::{
    access::oauth::OAuthLimits,
    edge::EdgeSettings,
    outbox::NotificationSettings,
    store::{StoreSettings, StoreUrl},
    telemetry::TelemetrySettings,
    vocabulary::EditionName,
};

/// The whole configuration.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[server]`: where it listens and what it serves.
    pub server: ServerSettings,
    /// `[limits]`: how often and how many at once.
    pub limits: LimitSettings,
    /// `[edge]`: sizes and times of the HTTP side.
    pub edge: EdgeSettings,
    /// `[oauth]`: sizes and times of access tokens.
    pub oauth: OAuthLimits,
    /// `[console]`: the pages for people, and how long they stay signed in.
    pub console: ConsoleSettings,
    /// `[sign_in]`: the identity provider that people of the console may sign in at.
    pub sign_in: SignInSettings,
    /// `[audit]`: what the logs keep, and for how long.
    pub audit: AuditSettings,
    /// `[notifications]`: where reviews and other events are told.
    pub notifications: NotificationSettings,
    /// `[workspace]`: what the workspace edition does by itself.
    pub workspace: WorkspaceConfig,
    /// `[store]`: how the store works.
    pub store: StoreConfig,
    /// `[log]`: what is logged, and how.
    pub log: LogSettings,
    /// `[telemetry]`: where traces of calls go. Only a program built with the feature `otel` has this.
    pub telemetry: TelemetrySettings,
}

/// `[server]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// Address to listen on. Loopback until somebody decides otherwise (protocol.md S-06).
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Folder of the embedded store, the inbox and other files. When absent, the user's data folder.
    pub data: Option<PathBuf>,
    /// Editions to serve; empty means `context` and those of the own catalogue. `workspace` is served where it is named.
    /// Of two that claim one bare path, the first in the order of `catalogue list` has it.
    #[schemars(with = "Vec<String>")]
    pub editions: Vec<EditionName>,
    /// The operator's own catalogue: files, or folders of `*.toml` files, read in the order of their names. Each file
    /// brings one edition. Read again at SIGHUP and at `catalogue reload`.
    pub catalogue: Vec<PathBuf>,
    /// Whether catalogue files may name local programs as tools (`[tool.command]`). Such a file says what runs on this
    /// machine, so a file that came from somewhere else does nothing of the kind until this is set.
    pub command_tools: bool,
    /// PEM file of the certificate chain; with `tls_key` the server speaks TLS itself.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the private key.
    pub tls_key: Option<PathBuf>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            // The port that the context edition's clients expect (catalogue.md §7.1).
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 19850)),
            data: None,
            editions: Vec::new(),
            catalogue: Vec::new(),
            command_tools: false,
            tls_certificate: None,
            tls_key: None,
        }
    }
}

/// `[limits]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Requests that a key whose mint says nothing may send in any minute. A person with an assistant stays below it; a
    /// loop that went wrong does not (catalogue.md §2.11).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute_per_key: u32,
    /// Calls one key may have running at once. More is one client's flood (catalogue.md §2.11).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub running_per_key: u32,
    /// Seconds a call may take when its tool says nothing. Below the 60 s at which proxies cut quiet connections.
    #[schemars(range(min = 1, max = 3600))]
    pub call_seconds: u64,
    /// Failed sign-ins a minute from one address before they are answered 429. Valid keys are not held up.
    #[schemars(range(min = 1))]
    pub failed_sign_ins_per_minute: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            requests_per_minute_per_key: 60,
            running_per_key: 8,
            call_seconds: 55,
            failed_sign_ins_per_minute: 60,
        }
    }
}

/// `[workspace]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkspaceConfig {
    /// Runs of flows that a tenant may have in an hour; those above it are skipped and say so. A flow that sets off many
    /// others ends there (catalogue.md §3.5).
    #[schemars(range(min = 1))]
    pub flow_runs_per_hour: u32,
    /// Whether webhooks of flows and channels may be at loopback and private addresses, by plain `http` too. Off, so that
    /// nobody who may write a flow reaches what stands behind the server.
    pub allow_private: bool,
}

impl Default for WorkspaceConfig {
    fn default() -> Self {
        Self {
            flow_runs_per_hour: 1_000,
            allow_private: false,
        }
    }
}

/// `[console]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleSettings {
    /// Minutes after which a session that nobody uses ends: a screen left alone is nobody's (security.md C1).
    #[schemars(range(min = 1, max = 1440))]
    pub idle_minutes: u64,
    /// Hours after which a session ends in any case: a working day.
    #[schemars(range(min = 1, max = 720))]
    pub session_hours: u64,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            idle_minutes: 30,
            session_hours: 12,
        }
    }
}

/// `[sign_in]`: the identity provider that people of the console may sign in at, besides their passwords. Both `issuer` and
/// `client_id` are needed; register `<public_url>/console/sign-in/callback` there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SignInSettings {
    /// The OpenID provider, as its tokens write it, e.g. `https://id.example.com`. Whoever signs in there for the first time
    /// becomes a member of the tenant: let it admit the people you mean.
    pub issuer: Option<String>,
    /// This server, as the provider knows it.
    pub client_id: Option<String>,
    /// Where its secret is: `env:NAME` or `file:PATH`. Absent for a public client, which PKCE alone proves.
    pub client_secret: Option<String>,
    /// The tenant that its people belong to.
    pub tenant: String,
    /// The claim that holds a person's groups; absent, `groups`.
    pub groups_claim: Option<String>,
    /// What people call it: "Sign in with …".
    pub title: String,
}

impl Default for SignInSettings {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: None,
            client_secret: None,
            tenant: "local".to_owned(),
            groups_claim: None,
            title: "your identity provider".to_owned(),
        }
    }
}

/// `[audit]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// Days that rows of the call log and the change log are kept. Whole months go, once their last day is older; what
    /// stays still verifies. The default covers a year and the month in which it is audited.
    #[schemars(range(min = 1, max = 36_500))]
    pub retention_days: u32,
    /// What the call log keeps of arguments: `none`, their digest alone; `redacted`, the arguments without whatever looks
    /// like a secret, at most 16 KiB. People's words then stand in the log for as long as its rows.
    pub args: KeptArguments,
    /// Calls that read are answered only once their row is durable, as those that change something always are. It costs
    /// each of them a wait for the disk.
    pub strict: bool,
}

/// What of arguments is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeptArguments {
    #[default]
    /// Their digest alone.
    None,
    /// All that looks like no secret.
    Redacted,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            retention_days: 400,
            args: KeptArguments::None,
            strict: false,
        }
    }
}

/// `[store]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Another store than the embedded one: `postgres://user@host/database`. A password belongs in the environment, as
    /// `FOOTBRIDGE_STORE`.
    #[schemars(with = "Option<String>")]
    pub url: Option<StoreUrl>,
    /// Embedded store: threads that read. More than cores only helps slow disks.
    #[schemars(range(min = 1, max = 64))]
    pub readers: usize,
    /// PostgreSQL: connections held open, of the 100 that a server allows by default.
    #[schemars(range(min = 2, max = 1000))]
    pub connections: usize,
    /// PostgreSQL: seconds one statement may take before it is given up.
    #[schemars(range(min = 1, max = 3600))]
    pub statement_seconds: u64,
    /// Seconds to wait for a lock that another process holds.
    #[schemars(range(min = 1, max = 600))]
    pub lock_seconds: u64,
    /// Embedded store: MiB that the file may grow to; absent, the disk is the limit.
    #[schemars(range(min = 1))]
    pub most_mib: Option<u64>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        let settings = StoreSettings::default();
        Self {
            url: None,
            readers: settings.readers,
            connections: settings.connections,
            statement_seconds: settings.statement_timeout.as_secs(),
            lock_seconds: settings.lock_timeout.as_secs(),
            most_mib: None,
        }
    }
}

impl StoreConfig {
    /// The settings that the store is opened with.
    pub fn settings(&self) -> StoreSettings {
        StoreSettings {
            readers: self.readers.max(1),
            connections: self.connections.max(2),
            statement_timeout: Duration::from_secs(self.statement_seconds),
            lock_timeout: Duration::from_secs(self.lock_seconds),
            most_bytes: self.most_mib.map(|mib| mib.saturating_mul(1024 * 1024)),
            ..StoreSettings::default()
        }
    }
}

/// `[log]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Filter in `tracing` syntax, e.g. `info` or `footbridge_server=debug`.
    pub filter: String,
    /// One JSON object a line instead of text for people.
    pub json: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            json: false,
        }
    }
}

impl Config {
    /// Reads a configuration file's text.
    ///
    /// # Errors
    /// Everything that is wrong, with line and column.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        read::read("configuration", text, [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults_on_loopback() {
        let config = Config::parse("").unwrap();
        assert!(config.server.listen.ip().is_loopback());
        assert_eq!(config.limits.running_per_key, 8);
    }

    #[test]
    fn an_unknown_setting_is_named_with_its_line() {
        let error = Config::parse("[server]\nlisten = \"127.0.0.1:1\"\nport = 5\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 3") && error.contains("port"), "{error}");
    }
}
