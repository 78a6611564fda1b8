//! The rooms keep to the directions of the house: a `use crate::` line leads only where the table allows.

use std::{collections::BTreeMap, fs, path::Path};

/// Which rooms a room may name. What it may name besides is `vocabulary`, and itself.
///
/// The hall knows all rooms; the doors know the hall. A room takes from an earlier one its proof type.
const ALLOWED: &[(&str, &[&str])] = &[
    ("vocabulary", &[]),
    ("store", &[]),
    ("outgoing", &[]),
    ("telemetry", &["store"]),
    ("catalogue", &[]),
    ("access", &["catalogue", "outgoing", "store"]),
    ("limits", &["access", "store"]),
    ("outbox", &["catalogue", "outgoing", "store"]),
    ("policy", &["access", "catalogue", "outbox", "store"]),
    (
        "domain",
        &["access", "catalogue", "outbox", "outgoing", "policy", "store"],
    ),
    ("audit", &["access", "catalogue", "domain", "store", "telemetry"]),
    (
        "pipeline",
        &[
            "access",
            "audit",
            "catalogue",
            "domain",
            "limits",
            "policy",
            "store",
            "telemetry",
        ],
    ),
    (
        "edge",
        &[
            "access",
            "audit",
            "catalogue",
            "domain",
            "limits",
            "pipeline",
            "store",
            "telemetry",
        ],
    ),
    ("config", &["access", "edge", "outbox", "store", "telemetry"]),
    ("lib", &[]),
    (
        "operate",
        &[
            "access",
            "audit",
            "catalogue",
            "config",
            "domain",
            "edge",
            "limits",
            "outbox",
            "outgoing",
            "pipeline",
            "policy",
            "store",
        ],
    ),
    (
        "web",
        &[
            "access",
            "audit",
            "catalogue",
            "config",
            "domain",
            "edge",
            "limits",
            "operate",
            "pipeline",
            "store",
            "telemetry",
        ],
    ),
];

fn rust_files(folder: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The rooms named after `crate::` in a text, those inside one `use crate::{…}` group included.
fn rooms_named(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (position, _) in text.match_indices("crate::") {
        let rest = &text[position + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            let mut at_start = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => {
                        rooms.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                        at_start = true;
                    }
                    c if depth == 1 && at_start && (c.is_alphanumeric() || c == '_') => word.push(c),
                    ':' if depth == 1 && !word.is_empty() => {
                        rooms.push(std::mem::take(&mut word));
                        at_start = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            rooms.extend((!word.is_empty()).then_some(word));
        } else {
            rooms.push(
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    rooms
}

#[test]
fn every_room_opens_only_where_the_table_allows() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut broken = Vec::new();
    let mut checked = 0;
    for file in files {
        let inside = file.strip_prefix(&source).unwrap();
        let room = inside
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        // The binary's own files speak to the library from outside.
        if room == "main" || room == "cli" {
            continue;
        }
        let may = allowed
            .get(room.as_str())
            .unwrap_or_else(|| panic!("room `{room}` is not in the table"));
        let text = fs::read_to_string(&file).unwrap();
        for named in rooms_named(&text) {
            checked += 1;
            if named != room && named != "vocabulary" && !may.contains(&named.as_str()) {
                broken.push(format!("{} names crate::{named}", inside.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(checked > 50, "the test reads too little: {checked} names");
}

#[test]
fn the_reader_of_use_lines_sees_groups_and_single_paths() {
    let text =
        "use crate::{\n    access::{A, B},\n    store,\n    vocabulary::X,\n};\nlet x = crate::edge::run();";
    assert_eq!(rooms_named(text), ["access", "store", "vocabulary", "edge"]);
}

#[test]
fn nothing_that_ships_opens_the_door_without_credentials() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let named: Vec<_> = files
        .iter()
        .filter(|file| fs::read_to_string(file).unwrap().contains("without_credentials"))
        .map(|file| file.strip_prefix(&source).unwrap().display().to_string())
        .collect();
    // Defined there, for the conformance fixture under examples/; used by nothing else.
    assert_eq!(named, ["access/keyring.rs"]);
}
