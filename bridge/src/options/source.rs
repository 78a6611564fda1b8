//! Where a value was said: on the command line, in the environment, or nowhere.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::OptionError;
use super::table::TABLE;
use crate::log::Level;
use crate::seconds;

/// A time limit this long is a mistake: some thirty years.
const FAR: Duration = Duration::from_secs(1_000_000_000);

/// Flags and variables together, looked up by flag name, or by variable for rows without a flag.
pub(super) struct Source<'a> {
    pub(super) given: HashMap<&'static str, OsString>,
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Source<'_> {
    /// What was said about `option`, with the name it was said under. An empty variable counts as unset: several hosts
    /// write one for every field of a form.
    pub(super) fn find(&self, option: &str) -> Option<(&'static str, OsString)> {
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

    /// A text, or the table's default; `None` if that is empty too.
    pub(super) fn text(&self, option: &str) -> Option<String> {
        let said = self
            .find(option)
            .map(|(_, text)| text.to_string_lossy().trim().to_owned());
        said.or_else(|| {
            TABLE
                .iter()
                .find(|row| row.flag == option)
                .map(|row| row.default.to_owned())
        })
        .filter(|text| !text.is_empty())
    }

    /// A path.
    pub(super) fn path(&self, option: &str) -> Option<PathBuf> {
        self.find(option).map(|(_, path)| path.into())
    }

    /// A variable that other programs use as well, so that it stands in no table of ours.
    pub(super) fn standard(&self, variable: &str) -> Option<OsString> {
        (self.variable)(variable).filter(|value| !value.is_empty())
    }

    /// What was said or the default of the table, read by `parse`.
    pub(super) fn parsed<T>(
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

    pub(super) fn seconds(&self, option: &str) -> Result<Duration, OptionError> {
        self.parsed(option, "a number of seconds greater than zero", |text| {
            seconds::read(text).filter(|limit| !limit.is_zero() && *limit < FAR)
        })
    }

    pub(super) fn count(&self, option: &str) -> Result<usize, OptionError> {
        self.parsed(option, "a whole number greater than zero", |text| {
            text.parse().ok().filter(|count| *count > 0)
        })
    }

    pub(super) fn level(&self, option: &str) -> Result<Level, OptionError> {
        self.parsed(option, "one of off, warn, info, debug", Level::find)
    }

    pub(super) fn switch(&self, option: &str) -> Result<bool, OptionError> {
        self.parsed(option, "1 or 0", |text| match text {
            "1" | "true" | "yes" => Some(true),
            "" | "0" | "false" | "no" => Some(false),
            _ => None,
        })
    }
}
