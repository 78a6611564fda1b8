//! Passwords of people who sign in: the rules, and their hashes (argon2id).
//!
//! A password comes in as a [`SecretString`] and never leaves this file; what leaves is a hash in its text form, or
//! a yes or no. Hashing is slow on purpose, so it runs away from the runtime's threads and only a few at a time: a
//! flood of sign-ins waits in line and does not take the machine.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{Error as HashError, PasswordHasher, PasswordVerifier},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Semaphore, time::timeout};

use super::OperateError;

/// Memory of one hash in KiB. With the two below, OWASP's first recommendation for argon2id (Password Storage Cheat
/// Sheet): 19 MiB, two passes, one lane. About 20 ms of one core.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
const PASSES: u32 = 2;
/// Lanes of one hash: parallel logins share the cores, one login need not.
const LANES: u32 = 1;
/// Shortest password in characters. Guessing online is bounded by `sign_in.rs`; this bounds guessing offline.
const SHORTEST: usize = 12;
/// Longest password in bytes: a passphrase fits, a flood of megabytes does not.
const LONGEST_BYTES: usize = 512;
/// Different characters that a password has at least; `aaaaaaaaaaaa` is none.
const DIFFERENT: usize = 5;
/// Sign-ins that may wait for a place. At 20 ms each, the last of them waits about half a second per core.
const MOST_WAITING: usize = 32;
/// Longest wait for a place.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Half of the cores may hash at once, and at least one: calls go on beside a flood of sign-ins.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(1, usize::from);
    Semaphore::new((cores / 2).max(1))
});
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// A hash that no password has: checked when there is no account, so that its absence takes as long as its presence.
static NOBODYS: LazyLock<Option<String>> =
    LazyLock::new(|| hash_now(&SecretString::from(ulid::Ulid::generate().to_string())).ok());

fn argon2() -> Result<Argon2<'static>, OperateError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| OperateError::Hash(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &SecretString) -> Result<String, OperateError> {
    let hash = argon2()?
        .hash_password(password.expose_secret().as_bytes())
        .map_err(|e| OperateError::Hash(e.to_string()))?;
    Ok(hash.to_string())
}

/// What a password must be like. `about` is what everybody knows of its owner: address and name.
///
/// # Errors
/// What is wrong with it, without repeating it.
pub fn check(password: &SecretString, about: &[&str]) -> Result<(), OperateError> {
    let text = password.expose_secret();
    let invalid = |why: String| Err(OperateError::Invalid(format!("password: {why}")));
    if text.chars().count() < SHORTEST {
        return invalid(format!(
            "at least {SHORTEST} characters; a few words in a row are easy to remember"
        ));
    }
    if text.len() > LONGEST_BYTES {
        return invalid(format!("at most {LONGEST_BYTES} bytes"));
    }
    let mut seen: Vec<char> = text.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() < DIFFERENT {
        return invalid(format!("at least {DIFFERENT} different characters"));
    }
    if about.iter().any(|known| known.eq_ignore_ascii_case(text)) {
        return invalid("something else than the e-mail address or the name".to_owned());
    }
    Ok(())
}

/// Hashes a password that [`check`] accepted.
///
/// # Errors
/// [`OperateError::Busy`] when too many others are in line.
pub async fn hash(password: SecretString) -> Result<String, OperateError> {
    in_line(move || hash_now(&password)).await
}

/// Whether this password has that hash. Without a hash the answer is no, after the same time.
///
/// # Errors
/// [`OperateError::Busy`] when too many others are in line; [`OperateError::Hash`] when the stored text is no hash.
pub async fn verify(password: SecretString, hash: Option<String>) -> Result<bool, OperateError> {
    // Longer than any password can be: not worth a hash, and the caller learns nothing that is secret.
    if password.expose_secret().len() > LONGEST_BYTES {
        return Ok(false);
    }
    in_line(move || {
        let known = hash.is_some();
        let Some(hash) = hash.or_else(|| NOBODYS.clone()) else {
            return Ok(false);
        };
        // The hash names its own parameters, so hashes made under older ones go on working.
        match argon2()?.verify_password(password.expose_secret().as_bytes(), hash.as_str()) {
            Ok(()) => Ok(known),
            Err(HashError::PasswordInvalid) => Ok(false),
            Err(error) => Err(OperateError::Hash(error.to_string())),
        }
    })
    .await
}

/// Runs `work` on a thread that may block, when a place is free.
async fn in_line<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OperateError> + Send + 'static,
) -> Result<T, OperateError> {
    let waiting = Waiting::join()?;
    let place = timeout(LONGEST_WAIT, PLACES.acquire())
        .await
        .map_err(|_| OperateError::Busy)?
        .map_err(|_| OperateError::Busy)?;
    drop(waiting);
    // The place travels into the thread: a caller who goes away does not free it before the hash is done.
    let worked = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    worked
        .await
        .unwrap_or_else(|error| Err(OperateError::Hash(error.to_string())))
}

/// One of those in line.
struct Waiting;

impl Waiting {
    fn join() -> Result<Self, OperateError> {
        let joined = Self;
        if WAITING.fetch_add(1, Ordering::AcqRel) >= MOST_WAITING {
            drop(joined);
            return Err(OperateError::Busy);
        }
        Ok(joined)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn weak_passwords_are_refused_without_being_repeated() {
        let about = ["ada.lovelace@example.com", "Ada Lovelace the First"];
        for bad in [
            "short",
            "abababababab",
            "aaaaaaaaaaaaaaaaaaaa",
            "ADA.LOVELACE@example.com",
            "ada lovelace the first",
            &"long enough ".repeat(50),
        ] {
            let error = check(&secret(bad), &about).unwrap_err().to_string();
            assert!(error.starts_with("password: ") && !error.contains(bad), "{error}");
        }
        check(&secret("correct horse battery"), &about).unwrap();
        check(&secret("пароль подлиннее"), &about).unwrap();
    }

    #[tokio::test]
    async fn a_password_opens_its_own_hash_and_a_flood_is_told_to_come_back() {
        let hash = hash(secret("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(
            verify(secret("correct horse battery"), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(!verify(secret("correct horse batterz"), Some(hash)).await.unwrap());
        assert!(!verify(secret("correct horse battery"), None).await.unwrap());
        assert!(matches!(
            verify(secret("correct horse battery"), Some("plain".to_owned())).await,
            Err(OperateError::Hash(_))
        ));

        // In the same test, because the line is one for the whole process.
        let flood: Vec<_> = (0..MOST_WAITING * 3)
            .map(|_| tokio::spawn(verify(secret("correct horse battery"), None)))
            .collect();
        let mut busy = 0;
        for one in flood {
            match one.await.unwrap() {
                Ok(opened) => assert!(!opened),
                Err(OperateError::Busy) => busy += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(busy > 0, "everybody was let in at once");
        assert!(!verify(secret("correct horse battery"), None).await.unwrap());
    }
}
