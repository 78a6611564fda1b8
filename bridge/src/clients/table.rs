//! The data as documentation: `CLIENTS.md`, with every entry as it is written. The test keeps it from growing old.

use std::fmt::Write as _;

use super::document;
use super::entry::{self, Ingredients, KeyText};
use super::{CLIENTS, Client, Grade, How, Mode, System};
use crate::golden;

/// A cell with code in it.
fn code(text: &str) -> String {
    if text.is_empty() {
        "–".to_owned()
    } else {
        format!("`{text}`")
    }
}

/// Where the user's file is, per system; the same place is named once.
fn places(client: &Client) -> String {
    let by_system = [
        ("macOS", client.macos),
        ("Linux", client.linux),
        ("Windows", client.windows),
    ];
    let shown = |templates: &[&str]| {
        let plain = templates.iter().filter(|template| !template.starts_with("$XDG"));
        plain
            .map(|template| code(template))
            .collect::<Vec<_>>()
            .join(", ")
    };
    // Systems with the same places share a line.
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for (system, templates) in by_system {
        let cell = shown(templates);
        match lines.iter_mut().find(|(known, _)| *known == cell) {
            Some((_, systems)) => systems.push(system),
            None => lines.push((cell, vec![system])),
        }
    }
    lines.retain(|(cell, _)| !cell.is_empty());
    match lines.as_slice() {
        [] => "–".to_owned(),
        [(cell, systems)] if systems.len() == by_system.len() => cell.clone(),
        lines => lines
            .iter()
            .map(|(cell, systems)| format!("{}: {cell}", systems.join(", ")))
            .collect::<Vec<_>>()
            .join("<br>"),
    }
}

fn how(client: &Client) -> String {
    match client.how {
        How::File => "edits the file".to_owned(),
        How::Command => format!("runs `{}`", client.program),
        How::Print if client.own_project_file => "writes the project's file, else prints".to_owned(),
        How::Print => "prints what to paste".to_owned(),
        How::Gone => "says what became of it".to_owned(),
    }
}

/// The entry of a mode, in the client's notation, as a new file would hold it.
fn entry_text(client: &Client, mode: Mode) -> Option<String> {
    let key = if client.input {
        KeyText::Input
    } else {
        KeyText::Literal("YOUR_KEY".to_owned())
    };
    let with = Ingredients {
        name: "footbridge",
        url: "https://mcp.example.com/mcp",
        program: "/usr/local/bin/footbridge",
        key: &key,
        key_variable: None,
        variables: &[],
    };
    let entry = entry::build(client, mode, System::Linux, &with).ok()?;
    let path: Vec<String> = client
        .key_path
        .iter()
        .copied()
        .chain(["footbridge"])
        .map(str::to_owned)
        .collect();
    document::snippet(client.format, &path, &entry).ok()
}

fn markdown() -> String {
    let mut text = String::from(
        "# Clients of `footbridge setup`\n\n\
         Written from `clients.toml`; `UPDATE_GOLDEN=1 cargo test -p footbridge clients` renews it. `~` is the home directory, on \
         Windows `%USERPROFILE%`. Where the table says `~/.config`, `$XDG_CONFIG_HOME` is followed by the clients that follow \
         it.\nGrades: A from the vendor in 2026, B several guides agree, C older or a single source.\n\n\
         | Client | Word | User's file | Project's file | Modes | `setup` | Grade |\n|---|---|---|---|---|---|---|\n",
    );
    for client in CLIENTS.iter() {
        let modes = [(Mode::Direct, "direct"), (Mode::Bridge, "bridge")]
            .into_iter()
            .filter(|(mode, _)| client.shape(*mode).is_some())
            .map(|(_, word)| word)
            .collect::<Vec<_>>();
        let grade = match client.grade {
            Grade::A => "A",
            Grade::B => "B",
            Grade::C => "C",
        };
        let project: Vec<String> = client.project.iter().map(|template| code(template)).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {grade} |",
            client.name,
            code(client.id),
            places(client),
            if project.is_empty() {
                "–".to_owned()
            } else {
                project.join(", ")
            },
            if modes.is_empty() {
                "–".to_owned()
            } else {
                modes.join(", ")
            },
            how(client),
        );
    }
    text.push_str("\n## After it, and what to know\n\n| Client | Next | Note |\n|---|---|---|\n");
    for client in CLIENTS.iter() {
        let text_of = [client.text, client.quirk].join(" ");
        let note = entry::place(
            &text_of,
            &[
                ("{TITLE}", "Footbridge"),
                ("{URL}", "https://mcp.example.com/mcp"),
            ],
        );
        if !client.restart.is_empty() || !note.trim().is_empty() {
            let _ = writeln!(text, "| {} | {} | {} |", client.name, client.restart, note.trim());
        }
    }
    text.push_str("\n## What is written\n\nClients that share an entry are listed together.\n");
    let mut written: Vec<(String, Vec<String>)> = Vec::new();
    for client in CLIENTS.iter().filter(|client| !client.key_path.is_empty()) {
        for (mode, word) in [(Mode::Direct, "direct"), (Mode::Bridge, "bridge")] {
            let Some(entry) = entry_text(client, mode) else {
                continue;
            };
            let name = format!("`{}` {word}", client.id);
            match written.iter_mut().find(|(known, _)| *known == entry) {
                Some((_, names)) => names.push(name),
                None => written.push((entry, vec![name])),
            }
        }
    }
    for (entry, names) in written {
        let fence = match entry.chars().next() {
            Some('{') => "json",
            Some('[') => "toml",
            _ => "yaml",
        };
        let _ = write!(text, "\n{}:\n\n```{fence}\n{entry}```\n", names.join(", "));
    }
    text
}

#[test]
fn the_documentation_is_the_data() {
    golden::check("CLIENTS.md", &markdown());
}

/// Data that no file path leads to would be dead weight, and a client without a way in a broken promise.
#[test]
fn every_client_has_a_way_in() {
    let rows = include_str!("../../clients.toml").matches("[[client]]").count();
    assert_eq!(CLIENTS.len(), rows, "every row is a client");
    for client in CLIENTS.iter() {
        let has_shape = client.direct.is_some() || client.bridge.is_some();
        assert!(has_shape || client.how == How::Gone, "{}", client.id);
        assert!(
            client.how != How::File || !client.restart.is_empty(),
            "{}",
            client.id
        );
        assert!(
            client.how == How::Command || (client.add_direct.is_empty() && client.add_bridge.is_empty()),
            "{}",
            client.id
        );
        assert_eq!(
            client.default_mode() == Mode::Direct,
            client.direct.is_some(),
            "{}",
            client.id
        );
    }
}
