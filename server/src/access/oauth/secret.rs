//! Secrets by reference: the store holds where a secret is, never the secret.

use std::io;

use secrecy::SecretString;

/// Longest secret in bytes.
const LONGEST: u64 = 4096;

/// Checks a reference that somebody typed: `env:NAME` or `file:PATH`.
///
/// # Errors
/// What is accepted.
pub fn check_reference(text: &str) -> Result<(), String> {
    match text.split_once(':') {
        Some(("env" | "file", rest)) if !rest.is_empty() => Ok(()),
        // The text may be the secret itself: it is not repeated.
        _ => Err(
            "a secret is given as env:NAME or file:PATH, so that it stands in no process list and no store"
                .to_owned(),
        ),
    }
}

/// The secret behind a reference.
///
/// # Errors
/// When it is not there.
pub fn read_secret(reference: &str) -> io::Result<SecretString> {
    use io::Read as _;
    match reference.split_once(':') {
        Some(("env", name)) => std::env::var(name)
            .map(SecretString::from)
            .map_err(|_| io::Error::other(format!("the environment has no {name}"))),
        Some(("file", path)) => {
            let mut text = String::new();
            std::fs::File::open(path)?
                .take(LONGEST)
                .read_to_string(&mut text)?;
            Ok(SecretString::from(text.trim_end().to_owned()))
        }
        _ => Err(io::Error::other("no reference to a secret")),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_is_read_where_it_is_and_never_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "s3cret\n").unwrap();
        let read = read_secret(&format!("file:{}", path.display())).unwrap();
        assert_eq!(read.expose_secret(), "s3cret");
        assert!(read_secret("env:FOOTBRIDGE_NO_SUCH_VARIABLE").is_err());
        for good in ["env:A", "file:/a"] {
            check_reference(good).unwrap();
        }
        for bad in ["hunter2", "env:", "vault:x"] {
            assert!(!check_reference(bad).unwrap_err().contains("hunter2"), "{bad}");
        }
    }
}
