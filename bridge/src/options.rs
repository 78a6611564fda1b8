//! Flags and environment → [`Settings`], from one table.
//!
//! [`TABLE`] is the only list of options: it is what the parser accepts, what `--help` prints and what `OPTIONS.md`
//! documents. Hosts pass settings through the environment of their entry, so every option has a variable; a flag wins over
//! it. The key has no flag, because a command line can be read by every user of the machine (security.md B9).

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::log::Level;

/// The variable a person sets to say where the server is.
pub(crate) const URL_VARIABLE: &str = "FOOTBRIDGE_URL";
/// The variable that holds the key.
pub(crate) const KEY_VARIABLE: &str = "FOOTBRIDGE_KEY";
/// The variable that names a file with the key.
pub(crate) const KEY_FILE_VARIABLE: &str = "FOOTBRIDGE_KEY_FILE";
/// The variable that allows plain HTTP to other machines.
pub(crate) const ALLOW_HTTP_VARIABLE: &str = "FOOTBRIDGE_ALLOW_HTTP";

/// One option.
struct Row {
    /// The flag without its dashes. Empty: there is none.
    flag: &'static str,
    /// The environment variable. Empty: there is none.
    variable: &'static str,
    /// What stands for the value in `--help`. Empty: the flag is a switch.
    value: &'static str,
    /// The value taken when nothing is set.
    default: &'static str,
    help: &'static str,
}

const TABLE: [Row; 13] = [
    Row {
        flag: "url",
        variable: URL_VARIABLE,
        value: "URL",
        default: "",
        help: "The server's MCP address, for example https://mcp.example.com/mcp",
    },
    Row {
        flag: "",
        variable: KEY_VARIABLE,
        value: "KEY",
        default: "",
        help: "The access key, sent to the server as a bearer token. Never a flag: command lines are public",
    },
    Row {
        flag: "key-file",
        variable: KEY_FILE_VARIABLE,
        value: "PATH",
        default: "",
        help: "A file that holds the key instead; only its owner may have access to it",
    },
    Row {
        flag: "ca-file",
        variable: "FOOTBRIDGE_CA_FILE",
        value: "PATH",
        default: "",
        help: "Certificates (PEM) to trust besides the built-in ones; SSL_CERT_FILE means the same",
    },
    Row {
        flag: "allow-http",
        variable: ALLOW_HTTP_VARIABLE,
        value: "",
        default: "",
        help: "Allow plain http:// to other machines. The key then travels unencrypted",
    },
    Row {
        flag: "connect-timeout",
        variable: "FOOTBRIDGE_CONNECT_TIMEOUT",
        value: "SECONDS",
        default: "10",
        help: "Longest wait for a connection, TLS included",
    },
    Row {
        flag: "response-timeout",
        variable: "FOOTBRIDGE_RESPONSE_TIMEOUT",
        value: "SECONDS",
        default: "120",
        help: "Longest wait for the server to begin its reply",
    },
    Row {
        flag: "call-timeout",
        variable: "FOOTBRIDGE_CALL_TIMEOUT",
        value: "SECONDS",
        default: "900",
        help: "Longest time for one request from start to end, progress or not",
    },
    Row {
        flag: "max-message",
        variable: "FOOTBRIDGE_MAX_MESSAGE",
        value: "BYTES",
        default: "67108864",
        help: "Largest message carried, each way",
    },
    Row {
        flag: "max-in-flight",
        variable: "FOOTBRIDGE_MAX_IN_FLIGHT",
        value: "COUNT",
        default: "64",
        help: "Requests in flight at once; more wait in order",
    },
    Row {
        flag: "log",
        variable: "FOOTBRIDGE_LOG",
        value: "LEVEL",
        default: "warn",
        help: "What stderr is told: off, warn, info or debug. Never a body, a header value or the key",
    },
    Row {
        flag: "help",
        variable: "",
        value: "",
        default: "",
        help: "Print this and exit",
    },
    Row {
        flag: "version",
        variable: "",
        value: "",
        default: "",
        help: "Print the version and exit",
    },
];

/// Everything the bridge can be told, checked as far as it can be without touching the world.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The server's address as given. None: nobody said.
    pub(crate) url: Option<String>,
    /// Where the key comes from.
    pub(crate) key: KeySource,
    /// More certificates to trust, PEM.
    pub(crate) ca_file: Option<PathBuf>,
    /// Plain HTTP to other machines is allowed.
    pub(crate) allow_http: bool,
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

/// A text that never shows itself.
pub(crate) struct Secret(String);

impl Secret {
    /// The text, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
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

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Bridge.
    Connect(Box<Settings>),
    /// Print [`help`].
    Help,
    /// Print the version.
    Version,
}

/// Why the options cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionError {
    /// The command line itself is wrong: a person is at the keyboard, so the program says so and exits.
    #[error("{0}. Run `footbridge --help` for the list of options")]
    CommandLine(String),
    /// A value is wrong. It may come from a host's entry, so every request is answered with this.
    #[error(
        "`{name}` is set to `{value}`, which is not {expected}. Correct it, or remove it to use the default"
    )]
    Value {
        name: &'static str,
        value: String,
        expected: &'static str,
    },
}

/// Reads the command line (without the program's name) and the environment through `variable`.
pub(crate) fn read(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Command, OptionError> {
    let mut given: HashMap<&'static str, OsString> = HashMap::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|error| command_line(&error))? {
        let row = match argument {
            lexopt::Arg::Short('h') => return Ok(Command::Help),
            lexopt::Arg::Short('V') => return Ok(Command::Version),
            lexopt::Arg::Long("help") => return Ok(Command::Help),
            lexopt::Arg::Long("version") => return Ok(Command::Version),
            lexopt::Arg::Long(name) => TABLE.iter().find(|row| !row.flag.is_empty() && row.flag == name),
            _ => None,
        };
        let Some(row) = row else {
            return Err(command_line(&argument.unexpected()));
        };
        let value = if row.value.is_empty() {
            OsString::from("1")
        } else {
            parser.value().map_err(|error| command_line(&error))?
        };
        given.insert(row.flag, value);
    }
    let source = Source { given, variable };
    let key = match (source.find(KEY_VARIABLE), source.find("key-file")) {
        (Some((_, key)), _) => {
            KeySource::Value(Secret(key.into_string().map_err(|_| OptionError::Value {
                name: KEY_VARIABLE,
                value: "…".to_owned(),
                expected: "text",
            })?))
        }
        (None, Some((_, path))) => KeySource::File(path.into()),
        (None, None) => KeySource::None,
    };
    Ok(Command::Connect(Box::new(Settings {
        url: source
            .find("url")
            .map(|(_, url)| url.to_string_lossy().trim().to_owned())
            .filter(|url| !url.is_empty()),
        key,
        ca_file: source
            .find("ca-file")
            .map(|(_, path)| path)
            .or_else(|| (source.variable)("SSL_CERT_FILE").filter(|path| !path.is_empty()))
            .map(PathBuf::from),
        allow_http: source.switch("allow-http")?,
        connect_limit: source.seconds("connect-timeout")?,
        response_limit: source.seconds("response-timeout")?,
        call_limit: source.seconds("call-timeout")?,
        message_bytes: source.count("max-message")?,
        in_flight: source.count("max-in-flight")?,
        level: source.level("log")?,
    })))
}

fn command_line(error: &lexopt::Error) -> OptionError {
    OptionError::CommandLine(error.to_string())
}

/// Flags and variables together, looked up by flag name, or by variable for rows without a flag.
struct Source<V> {
    given: HashMap<&'static str, OsString>,
    variable: V,
}

impl<V: Fn(&str) -> Option<OsString>> Source<V> {
    /// What was said about `option`, with the name it was said under. An empty variable counts as unset: several hosts
    /// write one for every field of a form.
    fn find(&self, option: &str) -> Option<(&'static str, OsString)> {
        let row = TABLE
            .iter()
            .find(|row| row.flag == option || (row.flag.is_empty() && row.variable == option))?;
        if let Some(value) = self.given.get(row.flag) {
            return Some((row.flag, value.clone()));
        }
        (self.variable)(row.variable)
            .filter(|value| !value.is_empty())
            .map(|value| (row.variable, value))
    }

    /// The same, or the default of the table, read by `parse`.
    fn parsed<T>(
        &self,
        option: &str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, OptionError> {
        let default = TABLE
            .iter()
            .find(|row| row.flag == option)
            .map_or("", |row| row.default);
        let (name, value) = self.find(option).unwrap_or(("", default.into()));
        let text = value.to_string_lossy();
        parse(text.trim()).ok_or_else(|| OptionError::Value {
            name,
            value: crate::log::cut(&text, 64).to_owned(),
            expected,
        })
    }

    fn seconds(&self, option: &str) -> Result<Duration, OptionError> {
        self.parsed(option, "a number of seconds greater than zero", |text| {
            let seconds: f64 = text.parse().ok()?;
            let limit = Duration::try_from_secs_f64(seconds).ok()?;
            (!limit.is_zero() && seconds < 1e9).then_some(limit)
        })
    }

    fn count(&self, option: &str) -> Result<usize, OptionError> {
        self.parsed(option, "a whole number greater than zero", |text| {
            text.parse().ok().filter(|count| *count > 0)
        })
    }

    fn level(&self, option: &str) -> Result<Level, OptionError> {
        self.parsed(option, "one of off, warn, info, debug", Level::find)
    }

    fn switch(&self, option: &str) -> Result<bool, OptionError> {
        self.parsed(option, "1 or 0", |text| match text {
            "1" | "true" | "yes" => Some(true),
            "" | "0" | "false" | "no" => Some(false),
            _ => None,
        })
    }
}

/// What `--version` prints.
pub(crate) fn version() -> String {
    format!("footbridge {}\n", env!("CARGO_PKG_VERSION"))
}

/// What `--help` prints.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "Carries MCP between a client that speaks stdio and a Streamable HTTP server.\n\n\
         Usage: footbridge [options]\n\n\
         The client starts it and talks to it on stdin and stdout; diagnostics go to stderr.\n\n\
         Options, each with the environment variable that means the same (a flag wins):\n",
    );
    for row in &TABLE {
        let flag = match (row.flag, row.value) {
            ("", _) => "(variable only)".to_owned(),
            (flag, "") => format!("--{flag}"),
            (flag, value) => format!("--{flag} {value}"),
        };
        let _ = write!(text, "\n  {flag:<27}");
        if row.variable.is_empty() {
            let _ = writeln!(text, "{}", row.help);
            continue;
        }
        let _ = writeln!(text, "{}", row.variable);
        let _ = write!(text, "      {}", row.help);
        if !row.default.is_empty() {
            let _ = write!(text, " [{}]", row.default);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn settings(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Settings, OptionError> {
        let variables: HashMap<String, OsString> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        match read(arguments.iter().map(OsString::from), |name| {
            variables.get(name).cloned()
        })? {
            Command::Connect(settings) => Ok(*settings),
            other => panic!("{other:?}"),
        }
    }

    /// The same table as documentation.
    fn markdown() -> String {
        let mut text = String::from(
            "# Options of `footbridge`\n\n\
             Written from the table in `src/options.rs`; `UPDATE_GOLDEN=1 cargo test -p footbridge options` renews it.\n\n\
             | Variable | Flag | Default | Meaning |\n|---|---|---|---|\n",
        );
        for row in &TABLE {
            let code = |text: String| {
                if text.is_empty() {
                    "–".to_owned()
                } else {
                    format!("`{text}`")
                }
            };
            let flag = match (row.flag, row.value) {
                ("", _) => String::new(),
                (flag, "") => format!("--{flag}"),
                (flag, value) => format!("--{flag} {value}"),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                code(row.variable.to_owned()),
                code(flag),
                code(row.default.to_owned()),
                row.help
            );
        }
        text
    }

    #[test]
    fn the_documentation_is_the_table() {
        golden::check("OPTIONS.md", &markdown());
    }

    #[test]
    fn help_is_the_table() {
        golden::check("tests/golden/help.txt", &help());
    }

    #[test]
    fn defaults_are_those_of_the_specification() {
        let settings = settings(&[], &[]).unwrap();
        assert!(settings.url.is_none() && matches!(settings.key, KeySource::None) && !settings.allow_http);
        assert_eq!(settings.connect_limit, Duration::from_secs(10));
        assert_eq!(settings.response_limit, Duration::from_secs(120));
        assert_eq!(settings.call_limit, Duration::from_secs(900));
        assert_eq!(settings.message_bytes, 64 << 20);
        assert_eq!(settings.in_flight, 64);
        assert_eq!(settings.level, Level::Warn);
    }

    #[test]
    fn a_flag_wins_over_its_variable_and_an_empty_variable_is_unset() {
        let settings = settings(
            &["--url", "https://flag/mcp", "--call-timeout=0.5"],
            &[
                (URL_VARIABLE, "https://variable/mcp"),
                ("FOOTBRIDGE_CALL_TIMEOUT", "7"),
                ("FOOTBRIDGE_LOG", ""),
            ],
        )
        .unwrap();
        assert_eq!(settings.url.as_deref(), Some("https://flag/mcp"));
        assert_eq!(settings.call_limit, Duration::from_millis(500));
        assert_eq!(settings.level, Level::Warn);
    }

    #[test]
    fn the_key_is_no_flag_and_never_shows_itself() {
        assert!(matches!(
            settings(&["--key", "fbk_x"], &[]),
            Err(OptionError::CommandLine(_))
        ));
        let settings = settings(&[], &[(KEY_VARIABLE, "fbk_planted")]).unwrap();
        assert!(!format!("{settings:?}").contains("planted"));
    }

    #[test]
    fn a_bad_value_names_itself_and_what_is_accepted() {
        for (name, value) in [
            ("FOOTBRIDGE_CALL_TIMEOUT", "0"),
            ("FOOTBRIDGE_CALL_TIMEOUT", "soon"),
            ("FOOTBRIDGE_CALL_TIMEOUT", "NaN"),
            ("FOOTBRIDGE_MAX_IN_FLIGHT", "0"),
            ("FOOTBRIDGE_MAX_MESSAGE", "-1"),
            ("FOOTBRIDGE_LOG", "loud"),
            (ALLOW_HTTP_VARIABLE, "maybe"),
        ] {
            let error = settings(&[], &[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
