//! The table → `--help`.

use std::fmt::Write as _;

use super::table::{COMMANDS, Command, Row, STANDARD, TABLE, Verb};
use crate::brand;

/// What `--version` prints.
pub(crate) fn version() -> String {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("BUILD_COMMIT"));
    format!("{} {version}{commit}\n", brand::NAME)
}

/// What `--help` prints for a command; for none of them, everything.
pub(crate) fn help(verb: Verb) -> String {
    let mut text = String::new();
    if verb == Verb::Connect {
        text.push_str("Carries MCP between a client that speaks stdio and a Streamable HTTP server.\n\n");
        let usages = COMMANDS.iter().map(usage).collect::<Vec<_>>();
        let _ = write!(text, "Usage: {}\n\n", usages.join("\n       "));
        text.push_str(
            "Without a command it carries messages: the client starts it and talks to it on stdin and stdout; diagnostics\n\
             go to stderr.\n\nCommands:\n\n",
        );
        for command in COMMANDS.iter().filter(|command| !command.word.is_empty()) {
            let _ = writeln!(text, "  {:<8} {}", command.word, command.help);
        }
        text.push('\n');
    } else if let Some(command) = COMMANDS.iter().find(|command| command.verb == verb) {
        let _ = write!(text, "{}.\n\nUsage: {}\n\n", command.help, usage(command));
    }
    text.push_str("Options, each with the environment variable that means the same (a flag wins):\n");
    for row in TABLE.iter().filter(|row| row.of.contains(&verb)) {
        describe(&mut text, row);
    }
    text.push_str("\nVariables of other programs that are honoured:\n");
    for (names, meaning) in STANDARD {
        let _ = write!(text, "\n  {names}\n      {meaning}\n");
    }
    text
}

fn usage(command: &Command) -> String {
    let words = [brand::NAME, command.word, command.operand, "[options]"];
    words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn describe(text: &mut String, row: &Row) {
    let flag = match (row.flag, row.value) {
        ("", _) => "(variable only)".to_owned(),
        (flag, "") => format!("--{flag}"),
        (flag, value) => format!("--{flag} {value}"),
    };
    let _ = write!(text, "\n  {flag:<27}");
    if row.variable.is_empty() {
        let _ = writeln!(text, "{}", row.help);
        return;
    }
    let _ = writeln!(text, "{}", row.variable);
    let _ = write!(text, "      {}", row.help);
    if !row.default.is_empty() {
        let _ = write!(text, " [{}]", row.default);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    /// The same table as documentation.
    fn markdown() -> String {
        let mut text = String::from(
            "# Options of `footbridge`\n\n\
             Written from the table in `src/options/table.rs`; `UPDATE_GOLDEN=1 cargo test -p footbridge options` renews it.\n\n\
             | Variable | Flag | Default | Meaning |\n|---|---|---|---|\n",
        );
        for row in TABLE {
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
        text.push_str(
            "\nVariables of other programs that are honoured:\n\n| Variable | Meaning |\n|---|---|\n",
        );
        for (names, meaning) in STANDARD {
            let _ = writeln!(text, "| `{}` | {meaning} |", names.replace(", ", "`, `"));
        }
        text
    }

    #[test]
    fn the_documentation_is_the_table() {
        golden::check("OPTIONS.md", &markdown());
    }

    #[test]
    fn help_is_the_table() {
        for (verb, file) in [
            (Verb::Connect, "help"),
            (Verb::Setup, "help-setup"),
            (Verb::Doctor, "help-doctor"),
            (Verb::Login, "help-login"),
            (Verb::Logout, "help-logout"),
        ] {
            golden::check(&format!("tests/golden/{file}.txt"), &help(verb));
        }
    }
}
