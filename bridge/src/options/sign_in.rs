//! What was said about signing in.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::source::Source;
use super::table::CLIENT_SECRET_VARIABLE;
use super::{KeySource, OptionError, Secret};

/// Everything about signing in that is not about the way to the server.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "sign-in"),
    allow(dead_code, reason = "read for its errors alone")
)]
pub(crate) struct SignInSettings {
    /// Whether and how.
    pub(crate) mode: SignInMode,
    /// The client's own credentials are the sign-in; nobody is asked.
    pub(crate) own_credentials: bool,
    /// The client id that was agreed on beforehand.
    pub(crate) client_id: Option<String>,
    /// Where its secret is.
    pub(crate) client_secret: KeySource,
    /// The address of the document about this program.
    pub(crate) client_document: Option<String>,
    /// The scopes to ask for instead of those the server names.
    pub(crate) scopes: Option<String>,
    /// The port the browser comes back to. Zero: any.
    pub(crate) callback_port: u16,
    /// Longest wait for the person.
    pub(crate) limit: Duration,
    /// `$BROWSER`.
    pub(crate) browser: Option<OsString>,
    /// Variables that say where data of this user are kept, by name.
    pub(crate) places: Vec<(&'static str, OsString)>,
}

/// How far signing in may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignInMode {
    /// A browser may open when a server asks for it.
    Auto,
    /// What is kept is used and renewed; no browser opens.
    Kept,
    /// Not at all.
    Never,
}

/// The variables that say where a user's data are kept.
const PLACES: [&str; 3] = ["HOME", "XDG_DATA_HOME", "LOCALAPPDATA"];

impl SignInSettings {
    pub(super) fn read(source: &Source<'_>) -> Result<SignInSettings, OptionError> {
        let client_secret = match (
            source.find(CLIENT_SECRET_VARIABLE),
            source.find("client-secret-file"),
        ) {
            (Some((name, secret)), _) => {
                let secret = secret.into_string().map_err(|_| OptionError::Value {
                    name,
                    value: "…".to_owned(),
                    expected: "text",
                })?;
                KeySource::Value(Secret::from(secret.trim().to_owned()))
            }
            (None, Some((_, path))) => KeySource::File(PathBuf::from(path)),
            (None, None) => KeySource::None,
        };
        Ok(SignInSettings {
            mode: source.parsed("sign-in", "one of auto, kept, never", |text| match text {
                "auto" => Some(SignInMode::Auto),
                "kept" => Some(SignInMode::Kept),
                "never" => Some(SignInMode::Never),
                _ => None,
            })?,
            own_credentials: source.parsed("grant", "authorization_code or client_credentials", |text| {
                match text {
                    "authorization_code" => Some(false),
                    "client_credentials" => Some(true),
                    _ => None,
                }
            })?,
            client_id: source.text("client-id"),
            client_secret,
            client_document: source
                .find("client-metadata-url")
                .map(|_| {
                    source.parsed("client-metadata-url", "an https:// address", |text| {
                        text.starts_with("https://").then(|| text.to_owned())
                    })
                })
                .transpose()?,
            scopes: source.text("scopes"),
            callback_port: source.parsed("callback-port", "a port number, or 0 for any", |text| {
                text.parse().ok()
            })?,
            limit: source.seconds("sign-in-timeout")?,
            browser: source.standard("BROWSER"),
            places: PLACES
                .into_iter()
                .filter_map(|name| Some((name, source.standard(name)?)))
                .collect(),
        })
    }
}
