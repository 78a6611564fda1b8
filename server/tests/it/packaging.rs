//! What runs the program elsewhere: the systemd unit and the container file, as far as they can be run by a test. The image
//! itself is built and run by `scripts/container-check`.

use std::{path::Path, process::Command};

use crate::process::Place;

fn text(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// The values of a unit's setting.
fn settings<'t>(unit: &'t str, name: &str) -> Vec<&'t str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn what_the_unit_starts_is_what_the_program_takes() {
    let place = Place::new();
    std::fs::write(place.config(), "[server]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let unit = text("systemd/footbridge-server.service");
    let config = place.config().display().to_string();
    let words = |line: &str| -> Vec<String> {
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("/usr/bin/footbridge-server"), "{line}");
        words
            .map(|word| word.replace("/etc/footbridge/server.toml", &config))
            .collect()
    };
    for line in settings(&unit, "ExecStartPre") {
        let words = words(line);
        place.ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let start = words(settings(&unit, "ExecStart")[0]);
    let help: Vec<_> = start.iter().map(String::as_str).chain(["--help"]).collect();
    place.ok(&help);
    // systemd waits for as long as a drain may take, and a little longer.
    let defaults = place.ok(&["check-config", "--print-defaults"]);
    let number = |name: &str| -> u64 {
        let line = defaults
            .lines()
            .find(|line| line.trim_start_matches("# ").starts_with(&format!("{name} =")))
            .unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let longest_ms = number("drain_delay_ms") + number("drain_ms");
    let patience: u64 = settings(&unit, "TimeoutStopSec")[0].parse().unwrap();
    assert!(
        patience * 1000 >= longest_ms + 2000,
        "{patience} s for {longest_ms} ms"
    );
}

#[test]
fn systemd_finds_nothing_to_say_of_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: systemd-analyze is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("footbridge-server.service");
    // The program need not be installed for the rest to be judged.
    let ours = text("systemd/footbridge-server.service").replace("/usr/bin/footbridge-server", "/bin/true");
    std::fs::write(&unit, ours).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze")
            .args(arguments)
            .arg(&unit)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (good, said) = run(&["verify"]);
    assert!(good && said.is_empty(), "{said}");
    // Its own scale, in tenths: below 2 is what it calls OK.
    let (good, said) = run(&["security", "--offline=true", "--threshold=20"]);
    assert!(good, "{said}");
}

#[test]
fn what_the_container_file_sets_is_what_the_program_takes() {
    let file = text("container/Containerfile");
    let joined = file.replace("\\\n", " ");
    let lines = |word: &str| -> Vec<String> {
        let of = joined.lines().filter_map(|line| line.strip_prefix(word));
        of.map(|rest| rest.trim().to_owned()).collect()
    };
    let place = Place::new();
    let mut command = place.command();
    let mut named = 0;
    for pair in lines("ENV ").iter().flat_map(|line| line.split_whitespace()) {
        let (name, value) = pair.split_once('=').unwrap();
        named += 1;
        if name != "FOOTBRIDGE_DATA" {
            command.env(name, value);
        }
    }
    assert_eq!(named, 3);
    let output = command.arg("check-config").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let server = place.serve();
    let check = joined
        .lines()
        .find(|line| line.trim_start().starts_with("HEALTHCHECK"))
        .unwrap();
    let words: Vec<&str> = check.split('"').skip(1).step_by(2).collect();
    assert_eq!(words[..2], ["/footbridge-server", "healthy"]);
    let url = words[2].replace("127.0.0.1:19850", &server.address);
    place.ok(&["healthy", &url]);
    // It listens where the health check asks, and on the port that the image exposes.
    assert!(lines("ENV ")[0].contains("FOOTBRIDGE_LISTEN=0.0.0.0:19850"));
    assert_eq!(lines("EXPOSE "), ["19850"]);
}
