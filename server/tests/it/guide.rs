//! The commands of the operator's guide run as they stand there. Those of other programs (systemd, PostgreSQL) are left out,
//! and paths of the machine become a test's own.

use std::process::{Command, Stdio};

use crate::process::Place;

const GUIDE: &str = include_str!("../../OPERATIONS.md");

/// Programs whose lines are another's to test.
const OTHERS: [&str; 8] = [
    "install",
    "systemctl",
    "journalctl",
    "createuser",
    "pg_dump",
    "pg_restore",
    "curl",
    "FOOTBRIDGE_STORE=postgres:",
];

/// The lines of the guide's shell blocks, block by block.
fn blocks() -> Vec<Vec<&'static str>> {
    let mut found = Vec::new();
    let mut open: Option<Vec<&str>> = None;
    for line in GUIDE.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(Vec::new()),
            (Some(_), "```") => found.extend(open.take()),
            (Some(block), line) => block.push(line),
            (None, _) => {}
        }
    }
    found
}

#[test]
fn every_command_of_the_guide_runs_as_it_stands() {
    let place = Place::new();
    place.key("memory.write");
    for folder in ["etc", "backups"] {
        std::fs::create_dir(place.path().join(folder)).unwrap();
    }
    let ours = std::path::Path::new(env!("CARGO_BIN_EXE_footbridge-server"));
    let path = format!(
        "{}:{}",
        ours.parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut run = 0;
    for line in blocks().into_iter().flatten() {
        if OTHERS.iter().any(|other| line.starts_with(other)) {
            continue;
        }
        let root = place.path().display();
        let local = line
            .replace("/etc/footbridge/", &format!("{root}/etc/"))
            .replace("/backups/", &format!("{root}/backups/"));
        let output = Command::new("sh")
            .args(["-euc", &local])
            .env("PATH", &path)
            .env("FOOTBRIDGE_DATA", place.data())
            .env_remove("FOOTBRIDGE_STORE")
            .env_remove("FOOTBRIDGE_CONFIG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{line}`: {said}");
        run += 1;
    }
    assert!(run >= 7, "only {run} commands of the guide are ours");
    // What they left is what the guide says.
    let printed = std::fs::read_to_string(place.path().join("etc/server.toml")).unwrap();
    assert!(printed.contains("retention_days"), "{printed}");
    let exported = std::fs::read_to_string(place.path().join("backups/changes.ndjson")).unwrap();
    assert!(exported.contains("key.mint"), "{exported}");
}
