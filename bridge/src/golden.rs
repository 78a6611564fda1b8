//! Texts kept in files, for tests.

use std::path::Path;

/// Compares `text` with the file at `path` below this crate. `UPDATE_GOLDEN=1` rewrites the file instead.
pub(crate) fn check(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == text,
        "{path} is out of date: UPDATE_GOLDEN=1 renews it\n{text}"
    );
}
