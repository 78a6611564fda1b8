//! What is wrong with a configuration beyond its form: settings that contradict each other, files that are not there,
//! certificates that do not fit, an operator's catalogue that does not load. Reads files, opens no store and no port.

use tracing_subscriber::EnvFilter;

use super::{editions::CatalogueSource, oidc::SignInProvider};
use crate::{
    config::Config,
    edge::{TlsFiles, check_tls},
};

/// Most milliseconds that orchestrators commonly leave between SIGTERM and SIGKILL.
const GRACE_MS: u64 = 30_000;
/// Fewer characters can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// One finding about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// `serve` would refuse to start, or could not do what is asked for.
    Error(String),
    /// It works, but perhaps not as meant.
    Warning(String),
}

/// Everything that is found, errors first.
pub fn findings(config: &Config) -> Vec<Finding> {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    tls(config, &mut errors);
    addresses(config, &mut errors, &mut warnings);
    times(config, &mut errors, &mut warnings);
    if let Err(error) = EnvFilter::try_new(&config.log.filter) {
        errors.push(format!(
            "log.filter `{}`: {error}; write for example `info`",
            config.log.filter
        ));
    }
    if let Err(error) = config.notifications.check() {
        errors.push(error.to_string());
    }
    if let Err(error) = CatalogueSource::of(config, &[]).load() {
        errors.push(format!("server.catalogue, server.editions: {error}"));
    }
    if let Some(data) = config
        .server
        .data
        .as_ref()
        .filter(|data| data.exists() && !data.is_dir())
    {
        errors.push(format!("server.data: {} is no folder", data.display()));
    }
    let errors = errors.into_iter().map(Finding::Error);
    errors.chain(warnings.into_iter().map(Finding::Warning)).collect()
}

fn tls(config: &Config, errors: &mut Vec<String>) {
    match (&config.server.tls_certificate, &config.server.tls_key) {
        (Some(certificate), Some(key)) => {
            let files = TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            };
            if let Err(error) = check_tls(&files) {
                errors.push(format!("server.tls_certificate, server.tls_key: {error}"));
            }
        }
        (None, None) => {}
        _ => errors.push("TLS needs both: set server.tls_certificate and server.tls_key".to_owned()),
    }
    if let Err(error) = SignInProvider::of(&config.sign_in) {
        errors.push(error.to_string());
    }
    if let Err(error) = config.telemetry.traces_url() {
        errors.push(error.to_string());
    }
}

fn addresses(config: &Config, errors: &mut Vec<String>, warnings: &mut Vec<String>) {
    let edge = &config.edge;
    if !config.server.listen.ip().is_loopback() && edge.public_names.is_empty() {
        warnings.push(format!(
            "server.listen is {}, but edge.public_names is empty: requests from other machines will be refused with 403",
            config.server.listen
        ));
    }
    let bare = |text: &str| {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ', '@']))
    };
    if let Some(url) = edge
        .public_url
        .as_deref()
        .filter(|url| !bare(url.trim_end_matches('/')))
    {
        errors.push(format!(
            "edge.public_url `{url}` must be scheme and host alone, e.g. https://mcp.example.com"
        ));
    }
    for origin in edge.allowed_origins.iter().filter(|origin| !bare(origin)) {
        errors.push(format!(
            "edge.allowed_origins: `{origin}` is no origin; write scheme and host alone, e.g. https://app.example.com"
        ));
    }
    for name in edge
        .public_names
        .iter()
        .filter(|name| name.is_empty() || name.contains(['/', ' ', '@']))
    {
        errors.push(format!(
            "edge.public_names: `{name}` must be `name` or `name:port`, without a scheme"
        ));
    }
    let short = |token: &secrecy::SecretString| {
        secrecy::ExposeSecret::expose_secret(token).chars().count() < SHORTEST_TOKEN
    };
    if edge.operator_token.as_ref().is_some_and(short) {
        warnings.push(format!(
            "edge.operator_token is shorter than {SHORTEST_TOKEN} characters and can be guessed"
        ));
    }
}

fn times(config: &Config, errors: &mut Vec<String>, warnings: &mut Vec<String>) {
    let edge = &config.edge;
    if edge.keep_alive_ms >= edge.write_timeout_ms {
        errors.push(format!(
            "edge.keep_alive_ms ({}) must be below edge.write_timeout_ms ({}), or quiet streams are taken for dead",
            edge.keep_alive_ms, edge.write_timeout_ms
        ));
    }
    if edge.drain_delay_ms.saturating_add(edge.drain_ms) > GRACE_MS {
        warnings.push(format!(
            "edge.drain_delay_ms and edge.drain_ms are {} ms together: whoever stops the server must wait longer than the \
             usual {} s before killing it",
            edge.drain_delay_ms.saturating_add(edge.drain_ms),
            GRACE_MS / 1000
        ));
    }
    if config.limits.call_seconds.saturating_mul(1000) > edge.drain_ms.saturating_add(GRACE_MS) {
        warnings.push(format!(
            "limits.call_seconds ({}) is much longer than edge.drain_ms ({} ms): a restart gives up calls that may still run",
            config.limits.call_seconds, edge.drain_ms
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let findings = findings(&Config::parse(text).unwrap());
        let shown = |finding| match finding {
            Finding::Error(text) => format!("error: {text}"),
            Finding::Warning(text) => format!("warning: {text}"),
        };
        findings.into_iter().map(shown).collect()
    }

    #[test]
    fn the_defaults_are_in_order() {
        assert!(found("").is_empty());
    }

    #[test]
    fn each_contradiction_has_its_finding() {
        let table = [
            ("[server]\ntls_key = \"k.pem\"", "error: TLS needs both"),
            (
                "[server]\ntls_key = \"none/k.pem\"\ntls_certificate = \"none/c.pem\"",
                "error: server.tls_certificate, server.tls_key: none/c.pem",
            ),
            (
                "[server]\nlisten = \"0.0.0.0:80\"",
                "warning: server.listen is 0.0.0.0:80",
            ),
            (
                "[server]\neditions = [\"none\"]",
                "error: server.catalogue, server.editions: there is no edition `none`",
            ),
            (
                "[server]\ncatalogue = [\"none/a.toml\"]",
                "error: server.catalogue, server.editions: none/a.toml",
            ),
            (
                "[edge]\npublic_url = \"mcp.example.com\"",
                "error: edge.public_url",
            ),
            (
                "[edge]\npublic_url = \"https://mcp.example.com/mcp\"",
                "error: edge.public_url",
            ),
            (
                "[edge]\nallowed_origins = [\"*\"]",
                "error: edge.allowed_origins: `*`",
            ),
            (
                "[edge]\npublic_names = [\"https://a\"]",
                "error: edge.public_names",
            ),
            (
                "[edge]\noperator_token = \"hunter2\"",
                "warning: edge.operator_token is shorter",
            ),
            ("[edge]\nkeep_alive_ms = 60000", "error: edge.keep_alive_ms"),
            (
                "[edge]\ndrain_delay_ms = 5000",
                "warning: edge.drain_delay_ms and edge.drain_ms",
            ),
            (
                "[sign_in]\nissuer = \"https://id.example.com\"",
                "error: signing in at a provider needs both",
            ),
            (
                "[sign_in]\nissuer = \"http://id.example.com\"\nclient_id = \"a\"",
                "error: sign_in.issuer: ",
            ),
            (
                "[sign_in]\nissuer = \"https://id.example.com\"\nclient_id = \"a\"\nclient_secret = \"hunter2\"",
                "error: sign_in.client_secret: ",
            ),
            ("[limits]\ncall_seconds = 600", "warning: limits.call_seconds"),
            ("[log]\nfilter = \"a=b=c\"", "error: log.filter"),
        ];
        for (text, expected) in table {
            let found = found(text);
            assert!(
                found.iter().any(|said| said.starts_with(expected)),
                "{text}: {found:?}"
            );
            assert!(!found.iter().any(|said| said.contains("hunter2")), "{found:?}");
        }
        assert!(found("[edge]\npublic_url = \"https://mcp.example.com/\"").is_empty());
    }
}
