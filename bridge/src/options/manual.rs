//! The table → the manual page, kept as `man/footbridge.1` and shipped in every archive. Nothing of this is in the program.

use std::fmt::Write as _;
use std::path::Path;

use super::table::{COMMANDS, Row, STANDARD, TABLE, Verb};
use crate::brand::{self, variable};
use crate::golden;

/// Compares `text` with the kept file at `path`. A vendor's build has its own: `PAPERS=FOLDER` writes it there instead.
pub(super) fn keep(path: &str, text: &str) {
    match std::env::var_os("PAPERS") {
        Some(folder) => {
            let file = Path::new(&folder).join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        None => golden::check(path, text),
    }
}

/// Text that roff prints as it stands, dashes included: people copy options from manual pages.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

fn option(text: &mut String, row: &Row) {
    text.push_str(".TP\n");
    let _ = match (row.flag, row.value) {
        ("", _) => writeln!(text, ".B {}", plain(row.variable)),
        (flag, "") => writeln!(text, ".B \\-\\-{}", plain(flag)),
        (flag, value) => writeln!(text, ".BI \\-\\-{} \" {}\"", plain(flag), plain(value)),
    };
    let _ = writeln!(text, "{}.", plain(row.help.trim_end_matches('.')));
    if !row.default.is_empty() {
        let _ = writeln!(text, "Default: {}.", plain(row.default));
    }
    if !row.variable.is_empty() && !row.flag.is_empty() {
        let _ = writeln!(text, "Variable: {}.", plain(row.variable));
    }
    let words: Vec<&str> = COMMANDS
        .iter()
        .filter(|command| row.of.contains(&command.verb) && !command.word.is_empty())
        .map(|command| command.word)
        .collect();
    let connects = row.of.contains(&Verb::Connect);
    if words.len() + usize::from(connects) < COMMANDS.len() {
        let only = if connects && words.is_empty() {
            "without a command".to_owned()
        } else if connects {
            format!("without a command and with {}", words.join(", "))
        } else {
            format!("with {}", words.join(", "))
        };
        let _ = writeln!(text, "Only {only}.");
    }
}

fn page() -> String {
    let name = plain(brand::NAME);
    let title = brand::NAME.to_ascii_uppercase();
    let mut text = format!(
        ".\\\" Made from the table of options.\n.TH \"{}\" 1 \"\" \"{name}\" \"User commands\"\n.SH NAME\n\
         {name} \\- carries MCP between a client that speaks stdio and a Streamable HTTP server\n.SH SYNOPSIS\n",
        plain(&title)
    );
    for (index, command) in COMMANDS.iter().enumerate() {
        if index > 0 {
            text.push_str(".br\n");
        }
        let words = [brand::NAME, command.word].join(" ");
        let operand = [command.operand, "[OPTION...]"].join(" ");
        let _ = writeln!(
            text,
            ".B {}\n.RI \"{}\"",
            plain(words.trim_end()),
            plain(operand.trim_start())
        );
    }
    let _ = write!(
        text,
        ".SH DESCRIPTION\nWithout a command it carries messages: an MCP client starts it and talks to it on standard input and \
         output,\nand it talks to the server over HTTP.\nDiagnostics go to standard error, each line beginning with the name of \
         the program.\n.PP\nEvery option has an environment variable, because clients pass settings through the environment of \
         their entry;\na flag wins over its variable, and an empty variable counts as unset.\nThe key has no flag: command lines \
         can be read by every user of the machine.\n.SH COMMANDS\n"
    );
    for command in COMMANDS.iter().filter(|command| !command.word.is_empty()) {
        let words = [command.word, command.operand].join(" ");
        let _ = writeln!(
            text,
            ".TP\n.B {}\n{}.",
            plain(words.trim_end()),
            plain(command.help)
        );
    }
    text.push_str(".SH OPTIONS\n");
    for row in TABLE.iter().filter(|row| !row.flag.is_empty()) {
        option(&mut text, row);
    }
    text.push_str(".SH ENVIRONMENT\n");
    for row in TABLE.iter().filter(|row| row.flag.is_empty()) {
        option(&mut text, row);
    }
    for (names, help) in STANDARD {
        let _ = writeln!(text, ".TP\n.B {}\n{}.", plain(names), plain(help));
    }
    let _ = write!(
        text,
        ".SH EXIT STATUS\n.TP\n.B 0\nThe client closed its end or a signal asked for an end, or the command did what it should.\n\
         .TP\n.B 1\nSomething failed; standard error says what.\n.TP\n.B 2\nThe command line is wrong.\n\
         .SH EXAMPLES\nThe entry of a client that only speaks stdio:\n.PP\n.nf\n\
         {{ \"command\": \"{name}\", \"args\": [], \"env\": {{\n    \"{url}\": \"https://mcp.example.com/mcp\", \"{key}\": \"...\" }} }}\n.fi\n",
        url = plain(variable!("URL")),
        key = plain(variable!("KEY")),
    );
    text
}

#[test]
fn the_manual_is_the_table() {
    keep(&format!("man/{}.1", brand::NAME), &page());
}
