//! SECURITY.md names the test behind each defence; a name that is nobody's fails here.

use std::{collections::BTreeSet, fs, path::Path};

fn functions(folder: &Path, out: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let named = text
                .lines()
                .filter_map(|line| line.trim_start().split_once("fn "));
            out.extend(named.map(|(_, rest)| rest.split(['(', '<']).next().unwrap().to_owned()));
        }
    }
}

#[test]
fn every_defence_names_a_test_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    for folder in ["src", "tests"] {
        functions(&root.join(folder), &mut known);
    }
    let text = fs::read_to_string(root.join("../SECURITY.md")).unwrap();
    let table = text
        .lines()
        .filter(|line| line.starts_with('|') && line.contains("`"));
    let mut named = 0;
    for row in table {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for test in tests.split('`').skip(1).step_by(2) {
            named += 1;
            assert!(
                known.contains(test),
                "SECURITY.md names `{test}`, which is no test"
            );
        }
    }
    assert!(named > 25, "{named}");
}
