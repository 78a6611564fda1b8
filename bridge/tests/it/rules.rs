//! Every rule of the bridge has a test that bears its name and runs the program.

use std::path::Path;

/// The rules of protocol.md for the bridge, as test names begin: a letter, and the numbers that have it.
const RULES: &[(char, &[std::ops::RangeInclusive<u32>])] = &[
    // Process and framing, every POST, behind the table, the upstream's era.
    ('b', &[1..=9, 11..=16, 31..=37, 41..=41, 43..=48, 51..=53]),
    // The mapping table.
    ('m', &[1..=19]),
    // Signing in.
    ('c', &[1..=13]),
    // Crossing the eras: both ways, a legacy host before a modern server, a modern host before a legacy server.
    ('x', &[1..=14, 21..=36, 40..=47]),
];

/// The names of the tests in a folder and below it.
fn tests_in(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_in(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(path).unwrap();
            // A function counts only below the attribute that makes it run.
            let tests = source.split("#[test]\nfn ").skip(1);
            names.extend(tests.filter_map(|test| test.split('(').next().map(str::to_owned)));
        }
    }
}

/// The rules that a test is named after: `x10_x32_progress_grows` is about two.
fn rules_of(name: &str) -> impl Iterator<Item = &str> {
    name.split('_').take_while(|word| {
        let number = word.get(1..).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[test]
fn every_rule_has_a_test_of_its_name() {
    let mut names = Vec::new();
    tests_in(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"),
        &mut names,
    );
    let tested: Vec<&str> = names.iter().flat_map(|name| rules_of(name)).collect();
    let mut missing = Vec::new();
    for (letter, ranges) in RULES {
        for number in ranges.iter().cloned().flatten() {
            let (plain, padded) = (format!("{letter}{number}"), format!("{letter}{number:02}"));
            if !tested.iter().any(|rule| **rule == plain || **rule == padded) {
                missing.push(padded);
            }
        }
    }
    assert!(missing.is_empty(), "no test for {missing:?}");
}
