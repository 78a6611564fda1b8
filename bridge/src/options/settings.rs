//! The way to the server, as told: read for every command, checked as far as it can be without touching the world.

use std::path::PathBuf;
use std::time::Duration;

use super::sign_in::SignInSettings;
use super::source::Source;
use super::table::{CLIENT_CERT_VARIABLE, CLIENT_KEY_VARIABLE, KEY_ENV_VARIABLE, KEY_VARIABLE};
use super::{OptionError, Secret};
use crate::brand::variable;
use crate::log::Level;
use crate::probe::Choice;
use crate::upstream::{Identity, Proxies, Way};

/// Longest name of a variable. What is longer is no name.
const NAME_BYTES: usize = 128;

/// Everything that can be said about the server and the way to it.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The server's address as given. None: nobody said.
    pub(crate) url: Option<String>,
    /// Where the key comes from.
    pub(crate) key: KeySource,
    /// The variable that was said to hold it. With [`KeySource::None`] it is not set, which nobody who named it meant.
    pub(crate) key_variable: Option<&'static str>,
    /// What connections are made with.
    pub(crate) way: Way,
    /// Plain HTTP to other machines is allowed.
    pub(crate) allow_http: bool,
    /// What the server speaks.
    pub(crate) upstream: Choice,
    /// Modern clients are carried to a handshake-era server.
    pub(crate) translate: bool,
    /// Longest wait for a connection, TLS included.
    pub(crate) connect_limit: Duration,
    /// Longest wait for response headers.
    pub(crate) response_limit: Duration,
    /// Longest time for one request.
    pub(crate) call_limit: Duration,
    /// Largest message in bytes, each way.
    pub(crate) message_bytes: usize,
    /// Requests in flight at once.
    pub(crate) in_flight: usize,
    /// What stderr is told.
    pub(crate) level: Level,
    /// How to sign in.
    #[cfg_attr(
        not(feature = "sign-in"),
        allow(dead_code, reason = "read for its errors alone")
    )]
    pub(crate) sign_in: SignInSettings,
}

/// Where the key is.
pub(crate) enum KeySource {
    /// There is none.
    None,
    /// This is it.
    Value(Secret),
    /// In this file.
    File(PathBuf),
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeySource::None => f.write_str("None"),
            KeySource::Value(_) => f.write_str("Value(…)"),
            KeySource::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Settings {
    /// Reads what was said, with the table's defaults for the rest.
    pub(super) fn read(source: &Source<'_>) -> Result<Settings, OptionError> {
        let key_variable = key_variable(source)?;
        let name = key_variable.unwrap_or(KEY_VARIABLE);
        let key = match (source.standard(name), source.path("key-file")) {
            (Some(key), _) => KeySource::Value(Secret::from(key.into_string().map_err(|_| {
                OptionError::Value {
                    name,
                    value: "…".to_owned(),
                    expected: "text",
                }
            })?)),
            (None, Some(path)) => KeySource::File(path),
            (None, None) => KeySource::None,
        };
        Ok(Settings {
            url: source.text("url"),
            key,
            key_variable,
            way: way(source)?,
            allow_http: source.switch("allow-http")?,
            upstream: source.parsed("upstream", "one of auto, modern, legacy", Choice::find)?,
            translate: source.switch("translate")?,
            connect_limit: source.seconds("connect-timeout")?,
            response_limit: source.seconds("response-timeout")?,
            call_limit: source.seconds("call-timeout")?,
            message_bytes: source.count("max-message")?,
            in_flight: source.count("max-in-flight")?,
            level: source.level("log")?,
            sign_in: SignInSettings::read(source)?,
        })
    }
}

/// The variable that was said to hold the key.
fn key_variable(source: &Source<'_>) -> Result<Option<&'static str>, OptionError> {
    let Some((option, name)) = source.find("key-env") else {
        return Ok(None);
    };
    let name = name.to_str().map(str::trim).filter(|name| {
        name.len() <= NAME_BYTES
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit())
    });
    match name {
        // As lasting as the names it stands beside: it is read once in a process.
        Some(name) => Ok(Some(Box::leak(name.into()))),
        None => Err(OptionError::Value {
            name: if option == KEY_ENV_VARIABLE {
                option
            } else {
                "--key-env"
            },
            // Somebody may have put the key itself there.
            value: "…".to_owned(),
            expected: "the name of a variable, such as WORK_KEY, which then holds the key",
        }),
    }
}

/// Reads what connections are made with.
fn way(source: &Source<'_>) -> Result<Way, OptionError> {
    let alone = |name: &'static str, expected: &'static str| OptionError::Value {
        name,
        value: "…".to_owned(),
        expected,
    };
    Ok(Way {
        ca_file: source
            .path("ca-file")
            .or_else(|| source.standard("SSL_CERT_FILE").map(PathBuf::from)),
        identity: match (source.path("client-cert"), source.path("client-key")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (Some(_), None) => {
                let expected = concat!("of use without ", variable!("CLIENT_KEY"));
                return Err(alone(CLIENT_CERT_VARIABLE, expected));
            }
            (None, Some(_)) => {
                let expected = concat!("of use without ", variable!("CLIENT_CERT"));
                return Err(alone(CLIENT_KEY_VARIABLE, expected));
            }
        },
        proxies: Proxies::read(|variable| Some(source.standard(variable)?.to_string_lossy().into_owned())),
    })
}
