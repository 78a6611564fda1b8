//! How commands speak: results on stdout, as aligned columns for people or one JSON value for programs.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use serde::Serialize;

/// One line to stdout. A reader that went away ends the program quietly, as pipes are meant to.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", printable(text))
}

/// A value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line_raw(&serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// A value as JSON on one line.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    line_raw(&serde_json::to_string(value)?)?;
    Ok(())
}

/// Text to stdout as it is, control characters and all: for a file that is sent there.
pub(crate) fn line_raw(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Rows under a heading, each column as wide as its widest cell.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    let mut widths = heading.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let show = |cells: [&str; N]| {
        let padded = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    line(&show(heading))?;
    for row in rows {
        line(&show(row.each_ref().map(String::as_str)))?;
    }
    Ok(())
}

/// Names come from strangers: what would move a terminal's cursor is shown as a dot.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { '·' } else { c })
        .collect()
}

/// A secret from the terminal, where it is not shown, or else the first line of stdin.
pub(crate) fn ask_secret(question: &str) -> anyhow::Result<String> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(question).context("failed to read from the terminal");
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A new password: from FOOTBRIDGE_PASSWORD, else asked for. Never an argument: the process list is public.
pub(crate) fn password() -> anyhow::Result<SecretString> {
    if let Ok(password) = std::env::var("FOOTBRIDGE_PASSWORD") {
        return Ok(password.into());
    }
    let password = ask_secret("New password (12 characters or more): ")?;
    if io::stdin().is_terminal() && ask_secret("The same again: ")? != password {
        bail!("the two differ; nothing was changed");
    }
    Ok(password.into())
}
