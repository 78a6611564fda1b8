//! A client's files as they are → what keeps our entry from working, as far as reading shows it (clients.md §6, FB151 to
//! FB157). `doctor` and the end of `setup` say the same.

mod program;
mod secrecy;

use super::document::{self, Node};
use super::entry::{self, Entry};
use super::{Client, Format, Mode, Place, Scope, Shape, Surroundings};
use crate::brand;
pub(crate) use program::is_executable;
use program::startable;
pub(crate) use secrecy::is_in_work_tree;
use secrecy::readers;

/// Something that is wrong with a file or an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The code of the check.
    pub(crate) code: &'static str,
    /// Without this being put right it cannot work. Otherwise it should be looked at.
    pub(crate) is_failure: bool,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

/// An entry of ours and its file.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) place: Place,
    pub(crate) entry: Entry,
}

/// What a client's files hold.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// Our entries, in the files that the client reads.
    pub(crate) entries: Vec<Located>,
    pub(crate) findings: Vec<Finding>,
}

impl Inspection {
    fn add(&mut self, code: &'static str, is_failure: bool, message: String) {
        self.findings.push(Finding {
            code,
            is_failure,
            message,
        });
    }
}

/// Looks at everything that a client reads here. Ours are entries that start this program or lead to `url`, and whatever is
/// called `name`.
pub(crate) fn inspect(client: &Client, around: &Surroundings, name: &str, url: Option<&str>) -> Inspection {
    let mut inspection = Inspection::default();
    let used = client.user_places(around);
    let project = client
        .project_place(around, name)
        .filter(|place| place.path.is_file());
    for place in used.iter().cloned().chain(project) {
        match super::open(&place.path, client.format) {
            Ok(opened) => {
                let found = super::entries(client, &opened).into_iter();
                let ours = found.filter(|found| found.name == name || entry::is_ours(&found.node, url));
                inspection.entries.extend(ours.map(|entry| Located {
                    place: place.clone(),
                    entry,
                }));
            }
            Err(problem) => inspection.add(
                "FB151",
                true,
                format!(
                    "{problem}. {} ignores the whole file until this is corrected",
                    client.name
                ),
            ),
        }
    }
    strays(&mut inspection, client, around, &used, url);
    twice(&mut inspection, client);
    for located in inspection.entries.clone() {
        let shown = around.show(&located.place.path);
        for complaint in complaints_of_shape(client, &located.entry.node) {
            let (line, column) = located.entry.position;
            let advice = format!("Run `{} setup {}`", brand::NAME, client.id);
            inspection.add(
                "FB153",
                true,
                format!("{shown}:{line}:{column} {complaint}. {advice}"),
            );
        }
        startable(&mut inspection, client, around, &located.entry.node);
        readers(&mut inspection, &located, &shown);
    }
    inspection
}

/// FB152: entries in files that the client does not look into.
fn strays(
    inspection: &mut Inspection,
    client: &Client,
    around: &Surroundings,
    used: &[Place],
    url: Option<&str>,
) {
    for place in client.all_user_places(around) {
        if used.contains(&place) {
            continue;
        }
        let Ok(opened) = super::open(&place.path, client.format) else {
            continue;
        };
        let is_stray = super::entries(client, &opened)
            .iter()
            .any(|entry| entry::is_ours(&entry.node, url));
        if let (true, Some(read)) = (is_stray, used.first()) {
            let message = format!(
                "An entry was found in {}, but this {} reads {}",
                around.show(&place.path),
                client.name,
                around.show(&read.path)
            );
            inspection.add("FB152", inspection.entries.is_empty(), message);
        }
    }
}

/// FB157: the same server in the user's file and in the project's.
fn twice(inspection: &mut Inspection, client: &Client) {
    let has = |scope| {
        inspection
            .entries
            .iter()
            .any(|located| located.place.scope == scope)
    };
    if has(Scope::User) && has(Scope::Project) {
        let message = format!(
            "{} has the server in the user's file and in this project's; remove one of them",
            client.name
        );
        inspection.add("FB157", false, message);
    }
}

/// FB153: what an entry lacks for this client, in words.
fn complaints_of_shape(client: &Client, node: &Node) -> Vec<String> {
    let mode = if entry::entry_command(node).is_some() {
        Mode::Bridge
    } else {
        Mode::Direct
    };
    let shape = client
        .shape(mode)
        .and_then(|Shape { entry, .. }| document::parse(entry, Format::Json).ok());
    let Some(shape) = shape else {
        return vec![match mode {
            Mode::Direct => format!("{} does not use an entry with an address", client.name),
            Mode::Bridge => format!("{} does not start programs", client.name),
        }];
    };
    let mut complaints = Vec::new();
    if mode == Mode::Direct {
        let names = ["url", "serverUrl", "httpUrl", "uri"];
        let written = names.iter().find(|name| node.get(name).is_some());
        let read = names.iter().find(|name| shape.get(name).is_some());
        match (written, read) {
            (None, Some(read)) => complaints.push(format!("the entry has neither a command nor `{read}`")),
            (Some(&"httpUrl"), Some(&"url")) => {
                complaints.push("`httpUrl` is deprecated: the name is `url`, with `type`".to_owned());
            }
            (Some(written), Some(read)) if written != read => {
                complaints.push(format!(
                    "`{written}` is not read by {}: the name is `{read}`",
                    client.name
                ));
            }
            _ => {}
        }
    }
    let wanted = shape.get("type").and_then(Node::as_text);
    let written = node.get("type").and_then(Node::as_text);
    // Programs are what a missing type means everywhere, unless the client has a word of its own for them.
    let may_be_missing = mode == Mode::Bridge && wanted == Some("stdio");
    match (wanted, written) {
        (Some(wanted), None) if !may_be_missing => {
            complaints.push(format!("the entry has no `type`: it should be \"{wanted}\""));
        }
        (Some(wanted), Some(written)) if wanted != written => {
            complaints.push(format!("`type` is \"{written}\": it should be \"{wanted}\""));
        }
        _ => {}
    }
    if shape.get("tools").is_some() && node.get("tools").is_none() {
        complaints.push("the entry has no `tools`, so nothing is offered".to_owned());
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::System;
    use crate::clients::find;

    /// The codes that a client's files give rise to.
    fn codes(system: System, id: &str, files: &[(&str, &str)]) -> Vec<&'static str> {
        let home = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            }
        }
        let directory = home.path().join("project");
        let root = home.path().as_os_str().to_owned();
        let around = Surroundings::new(system, directory, move |name| match name {
            "HOME" | "USERPROFILE" => Some(root.clone()),
            "PATH" => Some("/usr/bin:/bin".into()),
            _ => None,
        });
        let inspection = inspect(find(id).unwrap(), &around, "footbridge", Some("https://s/mcp"));
        inspection.findings.iter().map(|finding| finding.code).collect()
    }

    const CURSOR: &str = ".cursor/mcp.json";

    #[test]
    fn fb151_a_broken_file() {
        assert_eq!(codes(System::Linux, "cursor", &[(CURSOR, "{,}")]), ["FB151"]);
        assert!(codes(System::Linux, "cursor", &[(CURSOR, "{}")]).is_empty());
        assert!(codes(System::Linux, "cursor", &[]).is_empty());
    }

    #[test]
    fn fb152_an_entry_where_the_client_does_not_look() {
        let old = "Library/Application Support/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json";
        let entry = r#"{"mcpServers":{"footbridge":{"type":"streamableHttp","url":"https://s/mcp"}}}"#;
        let new = ".cline/data/settings/cline_mcp_settings.json";
        assert_eq!(
            codes(System::Macos, "cline", &[(old, entry), (new, "{}")]),
            ["FB152"]
        );
        assert!(codes(System::Macos, "cline", &[(new, entry)]).is_empty());
    }

    #[test]
    fn fb153_a_shape_the_client_does_not_read() {
        let direct = |member: &str| format!(r#"{{"mcpServers":{{"footbridge":{{{member}}}}}}}"#);
        for (id, path, member, is_wrong) in [
            (
                "cline",
                ".cline/data/settings/cline_mcp_settings.json",
                r#""url":"https://s/mcp""#,
                true,
            ),
            (
                "claude-desktop",
                ".config/Claude/claude_desktop_config.json",
                r#""url":"https://s/mcp""#,
                true,
            ),
            (
                "windsurf",
                ".codeium/windsurf/mcp_config.json",
                r#""url":"https://s/mcp""#,
                true,
            ),
            (
                "windsurf",
                ".codeium/windsurf/mcp_config.json",
                r#""serverUrl":"https://s/mcp""#,
                false,
            ),
            ("cursor", CURSOR, r#""command":"/bin/sh","args":[]"#, false),
            ("cursor", CURSOR, r#""disabled":true"#, true),
            (
                "copilot-cli",
                ".copilot/mcp-config.json",
                r#""type":"http","url":"https://s/mcp""#,
                true,
            ),
        ] {
            let found = codes(System::Linux, id, &[(path, &direct(member))]);
            assert_eq!(
                found,
                if is_wrong { &["FB153"][..] } else { &[] },
                "{id} {member}"
            );
        }
    }

    #[test]
    fn fb154_a_command_that_cannot_be_started() {
        for (command, is_wrong) in [("/nowhere/footbridge", true), ("footbridge", true), ("sh", false)] {
            let text = format!(r#"{{"mcpServers":{{"footbridge":{{"command":"{command}","args":[]}}}}}}"#);
            let found = codes(System::Macos, "cursor", &[(CURSOR, &text)]);
            assert_eq!(found, if is_wrong { &["FB154"][..] } else { &[] }, "{command}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn fb155_another_version() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("footbridge");
        std::fs::write(&program, "#!/bin/sh\necho footbridge 0.0.1\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let text = format!(
            r#"{{"mcpServers":{{"footbridge":{{"command":{:?}}}}}}}"#,
            program.display().to_string()
        );
        assert_eq!(codes(System::Linux, "cursor", &[(CURSOR, &text)]), ["FB155"]);
    }

    #[cfg(unix)]
    #[test]
    fn fb156_a_key_in_a_project_that_git_hands_on() {
        let with = |value: &str| {
            format!(
                r#"{{"mcpServers":{{"footbridge":{{"url":"https://s/mcp","headers":{{"Authorization":"{value}"}}}}}}}}"#
            )
        };
        let project = "project/.cursor/mcp.json";
        let git = ("project/.git/HEAD", "");
        assert_eq!(
            codes(System::Linux, "cursor", &[(project, &with("Bearer k")), git]),
            ["FB156"]
        );
        for value in ["Bearer ${env:X}", ""] {
            assert!(codes(System::Linux, "cursor", &[(project, &with(value)), git]).is_empty());
        }
    }

    #[test]
    fn fb157_twice_configured() {
        let entry = r#"{"mcpServers":{"footbridge":{"url":"https://s/mcp"}}}"#;
        assert_eq!(
            codes(
                System::Linux,
                "cursor",
                &[(CURSOR, entry), ("project/.cursor/mcp.json", entry)]
            ),
            ["FB157"]
        );
    }
}
