//! Every client that `setup` writes a file for, on every system, over files of every manner: the entry goes in, everything
//! else keeps every byte, and removing it leaves what was there before.

use std::path::Path;

use crate::harness::KEY;
use crate::setup::Home;

/// A client as the data file has it.
struct Known {
    id: String,
    format: String,
    key: String,
    file: String,
}

/// Those with a user file on a system, and the path below the home directory that it has when nothing exists.
fn clients(system: &str) -> Vec<Known> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients.toml");
    let table: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let text = |client: &toml::Value, key: &str| client[key].as_str().unwrap().to_owned();
    let mut known = Vec::new();
    for client in table["client"].as_array().unwrap() {
        let templates = client.get(system).and_then(toml::Value::as_array);
        if text(client, "how") != "file" || templates.is_none() {
            continue;
        }
        let template = templates
            .unwrap()
            .iter()
            .map(|template| template.as_str().unwrap());
        let template = template
            .clone()
            .find(|template| !template.contains(['$', '*']))
            .unwrap();
        let file = template
            .replace("~/", "")
            .replace("%APPDATA%", "AppData/Roaming")
            .replace("%LOCALAPPDATA%", "AppData/Local");
        known.push(Known {
            id: text(client, "id"),
            format: text(client, "format"),
            key: client["key_path"][0].as_str().unwrap().to_owned(),
            file,
        });
    }
    assert!(known.len() > 15, "{}", known.len());
    known
}

/// Files as people have them. None: there is no file.
fn files(format: &str, key: &str) -> Vec<Option<String>> {
    let mut files = match format {
        "json" | "jsonc" => vec![
            "{}".to_owned(),
            "{\n}\n".to_owned(),
            "\u{feff}{}".to_owned(),
            "\n".to_owned(),
            format!("{{\"{key}\":{{}}}}"),
            format!("{{\"{key}\": {{\"other\": {{\"command\": \"x\"}}}}, \"z\": [1, 2.50, null]}}"),
            format!("{{\n  \"{key}\": {{\n    \"other\": {{ \"command\": \"x\", \"unknown\": 1e3 }}\n  }},\n  \"z\": \"\\u00e4\"\n}}"),
            format!("\u{feff}{{\r\n\t\"{key}\": {{\r\n\t\t\"other\": {{}}\r\n\t}}\r\n}}\r\n"),
            "{\n    \"first\": true,\n    \"theme\": \"dark\"\n}\n\n".to_owned(),
        ],
        "toml" => vec![
            "# only a comment\n".to_owned(),
            "\u{feff}model = \"x\"\r\n\r\n[mcp_servers.other]\r\ncommand = 'c:\\x'\r\n".to_owned(),
            "model = \"x\" # why\n\n[mcp_servers.other]\ncommand = \"x\"\n\n[mcp_servers.other.env]\n\tA = \"1\"\n\n[[list]]\nd = 1979-05-27\n".to_owned(),
            "model = \"no end of line\"".to_owned(),
        ],
        "yaml" => vec![
            "# only a comment\n".to_owned(),
            format!("a: b # why\n{key}:\n  other:\n    cmd: x\n    list:\n    - 1\n    text: |\n      more # no comment\n\nz: 'it''s'\n"),
            format!("\u{feff}{key}:\r\n    other: {{type: builtin}}\r\n"),
            "a: no end of line".to_owned(),
            "GOOSE_PROVIDER: x\n".to_owned(),
        ],
        other => panic!("{other}"),
    };
    if format == "jsonc" {
        files.push(format!(
            "// top\n{{\n\t// inside\n\t\"{key}\": {{\n\t\t\"other\": {{}}, // last\n\t}}, /* end */\n}}\n"
        ));
        files.push(format!("{{ \"{key}\": {{ /* none yet */ }} }}"));
    }
    files.push(String::new());
    files.into_iter().map(Some).chain([None]).collect()
}

/// Says that `new` is `old` with text put in, at most two pieces of it: the entry and the comma before it. An empty object or
/// value may have made room.
fn check_kept(old: &str, new: &str, context: &str) {
    let common = |one: &mut dyn Iterator<Item = char>, other: &mut dyn Iterator<Item = char>| {
        one.zip(other)
            .take_while(|(one, other)| one == other)
            .map(|(letter, _)| letter.len_utf8())
            .sum::<usize>()
    };
    let start = common(&mut old.chars(), &mut new.chars());
    let (rest, rest_new) = (&old[start..], &new[start..]);
    let end = common(&mut rest.chars().rev(), &mut rest_new.chars().rev());
    let gone = &rest[..rest.len() - end];
    let came = &rest_new[..rest_new.len() - end];
    let mut letters = came.chars();
    let kept = gone.trim().is_empty()
        || came.strip_prefix(',').is_some_and(|came| came.starts_with(gone))
        // The editor's question for the key is a second piece.
        || (new.contains("${input:") && gone.chars().all(|letter| letters.any(|other| other == letter)));
    assert!(kept, "{context}: {gone:?} is gone\n{new}");
}

fn without_comments(text: &str) -> String {
    let mut text = text.trim_start_matches('\u{feff}').to_owned();
    for comment in ["// top", "// inside", "// last", "/* end */", "/* none yet */"] {
        text = text.replace(comment, "");
    }
    // The file with comments has trailing commas, too.
    let squeezed: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    squeezed.replace(",}", "}")
}

/// Reads the file as its client does, and finds the entry.
fn check_entry(known: &Known, old: &str, new: &str, context: &str) {
    match known.format.as_str() {
        "json" | "jsonc" => {
            let read = |text: &str| -> serde_json::Value {
                if text.trim_start_matches('\u{feff}').trim().is_empty() {
                    return serde_json::json!({});
                }
                serde_json::from_str(&without_comments(text))
                    .unwrap_or_else(|error| panic!("{context}: {error}\n{text}"))
            };
            let mut tree = read(new);
            let entry = tree[&known.key].as_object_mut().unwrap().remove("footbridge");
            assert!(entry.is_some_and(|entry| entry.is_object()), "{context}\n{new}");
            let mut before = read(old);
            if before.get(&known.key).is_none() {
                before[&known.key] = serde_json::json!({});
            }
            tree.as_object_mut().unwrap().remove("inputs");
            assert_eq!(tree, before, "{context}");
        }
        "toml" => {
            let read = |text: &str| -> toml::Table { text.trim_start_matches('\u{feff}').parse().unwrap() };
            let mut tree = read(new);
            let servers = tree[&known.key].as_table_mut().unwrap();
            assert!(servers.remove("footbridge").is_some_and(|entry| entry.is_table()));
            if servers.is_empty() {
                tree.remove(&known.key);
            }
            assert_eq!(tree, read(old), "{context}");
        }
        _ => assert!(
            new.contains("footbridge:") && new.contains(&format!("{}:", known.key)),
            "{context}\n{new}"
        ),
    }
}

fn visit(system: &'static str) {
    for known in clients(system) {
        for mode in ["--bridge", "--direct"] {
            if (known.id == "claude-desktop" || known.id == "junie") && mode == "--direct" {
                continue;
            }
            for old in files(&known.format, &known.key) {
                let context = format!("{system} {} {mode} {old:?}", known.id);
                let home = Home::of(system);
                let path = home.path(&known.file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                if let Some(old) = &old {
                    std::fs::write(&path, old).unwrap();
                }
                home.ok(&[&known.id, mode, "--yes"]);
                let new = home.read(&known.file);
                let before = old.clone().unwrap_or_default();
                check_kept(&before, &new, &context);
                check_entry(&known, &before, &new, &context);
                let others = if before.contains("\r\n") {
                    new.replace("\r\n", "").contains('\n')
                } else {
                    new.contains('\r')
                };
                assert!(!others, "{context}: line ends are the file's own\n{new}");
                assert_eq!(
                    new.starts_with('\u{feff}'),
                    before.starts_with('\u{feff}'),
                    "{context}"
                );
                let holds_key = new.contains(KEY);
                assert!(
                    holds_key || new.contains("FOOTBRIDGE_KEY") || new.contains("${input:"),
                    "{context}\n{new}"
                );
                home.ok(&[&known.id, "--remove", "--yes"]);
                let after = std::fs::read_to_string(&path).ok();
                assert_eq!(after, old, "{context}");
                if old.is_none() {
                    let said = home.ok(&[&known.id, "--remove", "--yes"]);
                    assert!(said.contains("no entry of ours"), "{context}: {said}");
                }
            }
        }
    }
}

#[test]
fn every_client_on_macos() {
    visit("macos");
}

#[test]
fn every_client_on_linux() {
    visit("linux");
}

#[test]
fn every_client_on_windows() {
    visit("windows");
}

/// The same without the backups: the entry is cut out of the text.
#[test]
fn removal_without_a_backup_leaves_the_neighbours_alone() {
    for known in clients("linux") {
        for old in files(&known.format, &known.key).into_iter().flatten() {
            let home = Home::of("linux");
            let path = home.write(&known.file, &old);
            home.ok(&[&known.id, "--bridge", "--yes"]);
            let directory = path.parent().unwrap();
            for entry in std::fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap().path();
                if entry.extension().is_some_and(|end| end == "bak") {
                    std::fs::remove_file(entry).unwrap();
                }
            }
            home.ok(&[&known.id, "--remove", "--yes"]);
            let after = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(!after.contains("footbridge"), "{after}");
            if old.contains("other") {
                assert_eq!(after, old, "{}", known.id);
            }
        }
    }
}

/// Every client's entry works when it is started as that client would.
#[test]
fn what_setup_writes_is_found_and_started_by_doctor() {
    let stub = crate::doctor::listing();
    let url = stub.url();
    let program = crate::harness::program();
    let variables = [
        ("FOOTBRIDGE_URL", url.as_str()),
        ("FOOTBRIDGE_PROGRAM", program.as_str()),
    ];
    for system in ["macos", "linux", "windows"] {
        for known in clients(system) {
            let home = Home::of(system);
            let path = home.path(&known.file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let said = home.run_with(&[&known.id, "--bridge", "--yes"], &variables);
            assert_eq!(
                said.code, 0,
                "{system} {}: {}{}",
                known.id, said.stdout, said.stderr
            );
            let (is_content, report) = home.doctor(&known.id, &variables);
            assert!(is_content, "{system} {}: {report}", known.id);
            let asks_itself = report.to_string().contains("asks for the key itself");
            assert!(
                asks_itself || report.to_string().contains("2 tools"),
                "{system} {}: {report}",
                known.id
            );
        }
    }
}

#[test]
fn doctor_says_which_client_has_no_entry_and_which_there_is_none_of() {
    let home = Home::of("linux");
    let (is_content, report) = home.doctor("cursor", &[]);
    assert!(
        !is_content && report.to_string().contains("setup cursor"),
        "{report}"
    );
    let (is_content, report) = home.doctor("no-such-client", &[]);
    assert!(
        !is_content && report.to_string().contains("setup --list"),
        "{report}"
    );
}
