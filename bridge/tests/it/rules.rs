//! Every rule of the bridge has a test that bears its name.

use std::path::Path;

/// The rules of protocol.md §3.1, §3.3, §3.4 and §3.5, as test names begin.
const RULES: &[&str] = &[
    "b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b09", // process and framing
    "b11", "b12", "b13", "b14", "b15", "b16", // every POST
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10", "m11", "m12", "m13", "m14", "m15", "m16",
    "m17", "m18", "m19", // the mapping table
    "b31", "b32", "b33", "b34", "b35", "b36", "b37", // behind the table
    "b41", "b43", "b44", "b45", "b46", "b47", "b48",
];

#[test]
fn every_rule_has_a_test_of_its_name() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(here).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = std::fs::read_to_string(path).unwrap();
        // A function counts only below the attribute that makes it run.
        for test in source.split("#[test]\nfn ").skip(1) {
            names.push(test.split('(').next().unwrap().to_owned());
        }
    }
    let missing: Vec<_> = RULES
        .iter()
        .filter(|rule| !names.iter().any(|name| name.starts_with(&format!("{rule}_"))))
        .collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}
