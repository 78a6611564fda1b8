//! Command line and environment → what to do, and the [`Settings`] to do it with.
//!
//! [`table`] is the only list of commands and options. Hosts pass settings through the environment of their entry, so every
//! option of the bridge has a variable; a flag wins over it. The key has no flag, because a command line can be read by
//! every user of the machine (security.md B9).

#[cfg(test)]
mod completions;
mod help;
#[cfg(test)]
mod manual;
mod settings;
#[cfg(feature = "setup")]
mod setup;
mod sign_in;
mod source;
mod table;

use std::collections::HashMap;
use std::ffi::OsString;

pub(crate) use help::{help, version};
pub(crate) use settings::{KeySource, Settings};
#[cfg(feature = "setup")]
pub(crate) use setup::SetupOptions;
#[cfg(feature = "sign-in")]
pub(crate) use sign_in::{SignInMode, SignInSettings};
use source::Source;
#[cfg(any(test, feature = "setup"))]
pub(crate) use table::KEY_ENV_VARIABLE;
pub(crate) use table::{
    ALLOW_HTTP_VARIABLE, CA_FILE_VARIABLE, CLIENT_CERT_VARIABLE, CLIENT_KEY_VARIABLE, KEY_FILE_VARIABLE,
    KEY_VARIABLE, SIGN_IN_VARIABLE, TRANSLATE_VARIABLE, URL_VARIABLE, Verb,
};
#[cfg(feature = "sign-in")]
pub(crate) use table::{CLIENT_ID_VARIABLE, CLIENT_SECRET_VARIABLE};
use table::{COMMANDS, TABLE};

use crate::brand;

/// A text that never shows itself.
#[derive(Clone)]
pub(crate) struct Secret(String);

#[cfg(feature = "sign-in")]
impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl Secret {
    /// The text, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Bridge.
    Connect(Box<Settings>),
    /// Write a client's entry.
    #[cfg(feature = "setup")]
    Setup(Box<Settings>, SetupOptions),
    /// Check the way to the server; the client whose entry is meant, if any, and whether a program reads along.
    #[cfg(feature = "setup")]
    Doctor {
        settings: Box<Settings>,
        client: Option<String>,
        json: bool,
    },
    /// Sign in now.
    #[cfg(feature = "sign-in")]
    Login(Box<Settings>),
    /// Forget the sign-in.
    #[cfg(feature = "sign-in")]
    Logout(Box<Settings>),
    /// Print [`help()`].
    Help(Verb),
    /// Print the version.
    Version,
}

impl Command {
    /// What was said about the server and the key, if this has to do with either.
    pub(crate) fn settings(&self) -> Option<&Settings> {
        match self {
            Command::Connect(settings) => Some(settings),
            #[cfg(feature = "setup")]
            Command::Setup(settings, _) | Command::Doctor { settings, .. } => Some(settings),
            #[cfg(feature = "sign-in")]
            Command::Login(settings) | Command::Logout(settings) => Some(settings),
            Command::Help(_) | Command::Version => None,
        }
    }
}

/// Why the options cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionError {
    /// The command line itself is wrong: a person is at the keyboard, so the program says so and exits.
    #[error("{0}. Run `{name} --help` for the list of options", name = brand::NAME)]
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
    let mut verb = None;
    let mut operand: Option<String> = None;
    let (mut wants_help, mut wants_version) = (false, false);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|error| command_line(&error))? {
        let row = match &argument {
            lexopt::Arg::Short('h') => TABLE.iter().find(|row| row.flag == "help"),
            lexopt::Arg::Short('V') => TABLE.iter().find(|row| row.flag == "version"),
            lexopt::Arg::Long(name) => TABLE.iter().find(|row| !row.flag.is_empty() && row.flag == *name),
            lexopt::Arg::Value(word) if verb.is_none() => {
                let word = word.to_string_lossy();
                let command = COMMANDS
                    .iter()
                    .find(|command| !command.word.is_empty() && command.word == word);
                let Some(command) = command else {
                    return Err(OptionError::CommandLine(format!("There is no command `{word}`")));
                };
                verb = Some(command);
                continue;
            }
            lexopt::Arg::Value(word)
                if operand.is_none() && verb.is_some_and(|command| !command.operand.is_empty()) =>
            {
                operand = Some(word.to_string_lossy().into_owned());
                continue;
            }
            _ => None,
        };
        let Some(row) = row else {
            return Err(command_line(&argument.unexpected()));
        };
        match row.flag {
            "help" => wants_help = true,
            "version" => wants_version = true,
            flag => {
                let value = if row.value.is_empty() {
                    OsString::from("1")
                } else {
                    parser.value().map_err(|error| command_line(&error))?
                };
                given.insert(flag, value);
            }
        }
    }
    let verb = verb.map_or(Verb::Connect, |command| command.verb);
    if wants_help {
        return Ok(Command::Help(verb));
    }
    if wants_version {
        return Ok(Command::Version);
    }
    let misplaced = TABLE
        .iter()
        .find(|row| given.contains_key(row.flag) && !row.of.contains(&verb));
    if let Some(row) = misplaced {
        return Err(OptionError::CommandLine(format!(
            "`--{}` does not belong to this command",
            row.flag
        )));
    }
    let source = Source {
        given,
        variable: &variable,
    };
    let settings = Settings::read(&source).map_err(|error| match (verb, error) {
        // Only a host gets its requests answered with the error; of a command it is the end.
        (Verb::Setup | Verb::Doctor | Verb::Login | Verb::Logout, error @ OptionError::Value { .. }) => {
            OptionError::CommandLine(error.to_string())
        }
        (_, error) => error,
    });
    let settings = Box::new(settings?);
    match verb {
        Verb::Connect => Ok(Command::Connect(settings)),
        #[cfg(feature = "setup")]
        Verb::Setup => {
            let options = SetupOptions::read(operand, &source, &settings)?;
            Ok(Command::Setup(settings, options))
        }
        #[cfg(feature = "setup")]
        Verb::Doctor => Ok(Command::Doctor {
            settings,
            client: operand,
            json: source.given.contains_key("json"),
        }),
        #[cfg(not(feature = "setup"))]
        Verb::Setup | Verb::Doctor => Err(OptionError::CommandLine(
            "This build has no such command".to_owned(),
        )),
        #[cfg(feature = "sign-in")]
        Verb::Login => Ok(Command::Login(settings)),
        #[cfg(feature = "sign-in")]
        Verb::Logout => Ok(Command::Logout(settings)),
        #[cfg(not(feature = "sign-in"))]
        Verb::Login | Verb::Logout => Err(OptionError::CommandLine(
            "This build cannot sign in: it was made without the feature `sign-in`. Use a key".to_owned(),
        )),
    }
}

fn command_line(error: &lexopt::Error) -> OptionError {
    OptionError::CommandLine(error.to_string())
}

#[cfg(feature = "setup")]
fn command_line_text(text: &str) -> OptionError {
    OptionError::CommandLine(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::table::ALLOW_HTTP_VARIABLE;
    use super::*;
    use crate::log::Level;
    use std::time::Duration;

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

    #[test]
    fn defaults_are_those_of_the_specification() {
        let settings = settings(&[], &[]).unwrap();
        assert!(settings.url.is_none() && matches!(settings.key, KeySource::None) && !settings.allow_http);
        assert_eq!(settings.connect_limit, Duration::from_secs(10));
        assert_eq!(settings.response_limit, Duration::from_secs(120));
        assert_eq!(settings.call_limit, Duration::from_secs(900));
        assert_eq!(settings.message_bytes, 64 << 20);
        assert_eq!(settings.in_flight, 1024);
        assert_eq!(settings.level, Level::Warn);
        assert_eq!(settings.upstream, crate::probe::Choice::Auto);
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
    fn the_key_is_in_the_variable_that_is_named() {
        let work = ("WORK_KEY", "fbk_work");
        for (arguments, variables) in [
            (
                &["--key-env", "WORK_KEY"][..],
                &[work, (KEY_VARIABLE, "fbk_x")][..],
            ),
            (&[], &[work, (KEY_ENV_VARIABLE, "WORK_KEY")]),
        ] {
            let settings = settings(arguments, variables).unwrap();
            assert!(matches!(&settings.key, KeySource::Value(key) if key.expose() == "fbk_work"));
            assert_eq!(settings.key_variable, Some("WORK_KEY"));
        }
        // Nobody who names a variable means another one.
        let settings = settings(&["--key-env", "WORK_KEY"], &[(KEY_VARIABLE, "fbk_x")]).unwrap();
        assert!(matches!(settings.key, KeySource::None) && settings.key_variable.is_some());
    }

    #[test]
    fn a_key_in_the_place_of_its_variables_name_is_not_repeated() {
        for name in ["fbk-planted", "1st", "a=b", &"x".repeat(200)] {
            let error = settings(&["--key-env", name], &[]).unwrap_err().to_string();
            assert!(error.contains("--key-env") && !error.contains(name), "{error}");
        }
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
            ("FOOTBRIDGE_UPSTREAM", "new"),
            (ALLOW_HTTP_VARIABLE, "maybe"),
        ] {
            let error = settings(&[], &[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
