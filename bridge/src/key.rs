//! The key as a person configured it → the key that is sent, or what is wrong with it (clients.md §6, FB112 to FB117).
//!
//! Most sign-ins that fail do so here: a placeholder the client did not expand, the sample text of a page, a key that lost
//! characters when it was copied. All of that can be said before anything is sent.

use std::path::Path;
use std::sync::OnceLock;

use crate::brand::{self, variable};
use crate::diagnosis::Diagnosis;
use crate::error::BridgeError;
use crate::options::{KEY_FILE_VARIABLE, KEY_VARIABLE, Secret};

/// A key file is a line; anything larger is the wrong file.
const FILE_BYTES: u64 = 64 * 1024;
/// Random digits of a key of our servers, and the digits that check them (base 62).
const RANDOM_DIGITS: usize = 43;
const CHECK_DIGITS: usize = 6;
/// Characters after the prefix that may be shown.
const SHOWN_DIGITS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What the texts of guides and forms put where the key belongs.
const SAMPLES: [&str; 9] = [
    "YOUR_KEY",
    "YOUR_API_KEY",
    "YOUR-KEY",
    "YOUR-API-KEY",
    "YOUR_TOKEN",
    "API_KEY",
    "KEY",
    "CHANGEME",
    "XXX",
];

/// The variable that holds the key of this process, once that is known.
static SETTING: OnceLock<&str> = OnceLock::new();

/// The variable that holds the key. Texts about a key that does not do come from many places, down to what a server's
/// refusal is made into; all of them name what this process was told to read.
pub(crate) fn setting() -> &'static str {
    SETTING.get().copied().unwrap_or(KEY_VARIABLE)
}

/// Settles what [`setting`] says, before the first text.
pub(crate) fn settle(variable: &'static str) {
    // Only the first word counts, and there is one a process.
    let _ = SETTING.set(variable);
}

/// A key fit to be sent, and what should be corrected about the setting all the same.
pub(crate) struct Key {
    pub(crate) secret: Secret,
    pub(crate) remark: Option<String>,
}

/// Looks at the text of a key for the server at `origin`, which is named where a better key comes from.
///
/// # Errors
/// −31006: what is wrong with it. The text itself is never repeated beyond its prefix and a few characters.
pub(crate) fn examine(text: &str, origin: &str) -> Result<Key, BridgeError> {
    let bare = undress(text);
    let setting = setting();
    let remark = (bare != text.trim()).then(|| {
        format!(
            "{setting} begins with \"Bearer \" or has quotes or blanks around the key. Using the key without them; \
             please correct the entry"
        )
    });
    if let Some(form) = placeholder(bare) {
        return Err(refuse(
            Diagnosis::KeyPlaceholder,
            format!(
                "{setting} is the literal text `{form}`: this client does not expand variables here. Put the key \
                 itself there, or use the client's own way to name a secret"
            ),
        ));
    }
    let plain = bare.trim_matches(['<', '>', '{', '}', '[', ']']);
    if SAMPLES.iter().any(|sample| plain.eq_ignore_ascii_case(sample)) {
        return Err(refuse(
            Diagnosis::KeySample,
            format!(
                "{setting} still holds the sample text `{bare}`. Create a key on the server and put it there"
            ),
        ));
    }
    if let Some((prefix, what)) = refused_token(brand::REFUSED_TOKENS, bare) {
        return Err(refuse(Diagnosis::KeyKind, wrong_kind(prefix, what, origin)));
    }
    check(bare)?;
    Ok(Key {
        secret: Secret::from(bare.to_owned()),
        remark,
    })
}

/// Reads the key from a file that only its owner can read.
///
/// # Errors
/// −31006: why the file cannot be used, or [`examine`]'s errors.
pub(crate) fn read(path: &Path, origin: &str) -> Result<Key, BridgeError> {
    let unusable = |cause: String| {
        BridgeError::authentication(
            None,
            KEY_FILE_VARIABLE,
            format!("The key file `{}` cannot be used: {cause}", path.display()),
        )
        .diagnosed(Diagnosis::KeyFile)
    };
    let unreadable = |error: std::io::Error| unusable(format!("{error}. Check {KEY_FILE_VARIABLE}"));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let facts = file.metadata().map_err(unreadable)?;
    if !facts.is_file() || facts.len() > FILE_BYTES {
        return Err(unusable(format!(
            "it is no file with a key in it. Check {KEY_FILE_VARIABLE}"
        )));
    }
    if !is_private(&facts) {
        return Err(unusable(
            "others than its owner have access to it. Run `chmod 600` on it".to_owned(),
        ));
    }
    examine(
        Secret::from(std::io::read_to_string(file).map_err(unreadable)?).expose(),
        origin,
    )
}

/// Prefix and name of the token that `text` is, if it is one of those in `table` ([`brand::REFUSED_TOKENS`]).
fn refused_token<'a>(table: &'a str, text: &str) -> Option<(&'a str, &'a str)> {
    let tokens = table.split(',').filter_map(|token| token.trim().split_once('='));
    tokens.into_iter().find(|(prefix, _)| text.starts_with(prefix))
}

/// Why a token of another kind is not sent.
fn wrong_kind(prefix: &str, what: &str, origin: &str) -> String {
    let keys = match brand::KEY_PREFIXES.split(' ').next().unwrap_or_default() {
        "" => String::new(),
        prefix => format!(" ({prefix}…)"),
    };
    format!(
        "This is {what} ({prefix}…), not an access key{keys}. It is refused on /mcp by design. Create an access key at \
         {origin}/keys"
    )
}

/// Says whether nobody but its owner has access to a file.
pub(crate) fn is_private(facts: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        facts.permissions().mode() & 0o077 == 0
    }
    #[cfg(not(unix))]
    {
        // Other systems keep this in lists that are not read here.
        let _ = facts;
        true
    }
}

/// What may be shown of a key: a prefix we know and a few characters, or nothing but that there is one.
pub(crate) fn shown(key: &str) -> String {
    let Some(rest) = known_prefix(key).and_then(|prefix| key.strip_prefix(prefix)) else {
        return "the key".to_owned();
    };
    let digits: String = rest.chars().take(SHOWN_DIGITS).collect();
    format!("{}{digits}…", key.strip_suffix(rest).unwrap_or_default())
}

/// The key without what people copy along with it.
fn undress(text: &str) -> &str {
    let mut bare = text.trim();
    loop {
        let before = bare;
        for quote in ['"', '\'', '`'] {
            bare = bare
                .strip_prefix(quote)
                .and_then(|rest| rest.strip_suffix(quote))
                .unwrap_or(bare)
                .trim();
        }
        if let Some((scheme, rest)) = bare.split_once(' ')
            && scheme.eq_ignore_ascii_case("bearer")
        {
            bare = rest.trim();
        }
        if bare == before {
            return bare;
        }
    }
}

/// The text as far as it may be shown, if it is the name of a variable in one of the notations that clients expand.
fn placeholder(text: &str) -> Option<&str> {
    let inner = text
        .strip_prefix("${")
        .or_else(|| text.strip_prefix("{env:"))
        .or_else(|| text.strip_prefix("{{"))
        .and_then(|rest| rest.strip_suffix('}'))
        .or_else(|| text.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')))
        .or_else(|| text.strip_prefix('$'))?;
    // A name, an editor's `input:id`, or a default after it: never long, so that a real key is not taken for one.
    (!inner.is_empty() && inner.len() <= 64).then_some(text)
}

/// The beginning by which a key is known as one of our servers'.
pub(crate) fn known_prefix(key: &str) -> Option<&'static str> {
    brand::KEY_PREFIXES
        .split(' ')
        .find(|prefix| !prefix.is_empty() && key.starts_with(prefix))
}

/// Checks the last digits of a key whose prefix is one of ours. Other servers' keys have other shapes.
fn check(key: &str) -> Result<(), BridgeError> {
    let Some(prefix) = known_prefix(key) else {
        return Ok(());
    };
    let due = prefix.len() + RANDOM_DIGITS + CHECK_DIGITS;
    let fits = key.len() == due
        && key.is_ascii()
        && key
            .split_at_checked(due - CHECK_DIGITS)
            .is_some_and(|(body, digits)| checksum(body.as_bytes()) == digits.as_bytes());
    if fits {
        return Ok(());
    }
    Err(refuse(
        Diagnosis::KeyChecksum,
        format!(
            "The key in {} ({}) was cut or mistyped when it was copied: its last characters do not fit the rest \
             ({} of {due} characters). Copy it again, or create another",
            setting(),
            shown(key),
            key.chars().count()
        ),
    ))
}

/// The CRC-32 (ISO-HDLC) of `body` in six digits of base 62. Short and run once, so it needs no table.
fn checksum(body: &[u8]) -> [u8; CHECK_DIGITS] {
    let mut crc = u32::MAX;
    for byte in body {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
        }
    }
    let mut rest = !crc;
    let mut digits = [b'0'; CHECK_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = usize::try_from(rest % 62)
            .ok()
            .and_then(|index| BASE62.get(index))
            .copied()
            .unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

fn refuse(diagnosis: Diagnosis, message: String) -> BridgeError {
    BridgeError::authentication(None, setting(), message).diagnosed(diagnosis)
}

/// The error for a server that wants a key when there is none. `environment` counts what the client passed on, because a
/// client that clears the environment is the usual cause.
pub(crate) fn missing(environment: usize) -> String {
    format!(
        "Set {KEY_VARIABLE} in the `env` of this client's entry ({environment} variables arrived from the client, none of them \
         {}), or run `{} login` if the server offers sign-in",
        variable!("KEY"),
        brand::NAME
    )
}

/// The error for a process that was told which variable holds the key, and has no such variable.
pub(crate) fn not_there(environment: usize) -> BridgeError {
    let name = setting();
    refuse(
        Diagnosis::KeyMissing,
        format!(
            "{name} env var is required: it was named as the one that holds the key. Set it in the `env` of this client's \
             entry ({environment} variables arrived from the client, {name} not among them)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://mcp.example.com";

    fn code(text: &str) -> Option<&'static str> {
        examine(text, ORIGIN)
            .err()
            .and_then(|error| error.diagnosis())
            .map(Diagnosis::code)
    }

    /// A key in the form of our servers with a checksum that fits.
    fn ours() -> String {
        let body = format!("hoard_sk_{}", "q".repeat(RANDOM_DIGITS));
        let digits = String::from_utf8(checksum(body.as_bytes()).to_vec()).unwrap();
        format!("{body}{digits}")
    }

    #[test]
    fn the_checksum_is_the_standard_crc() {
        // CRC-32 of "123456789" is CBF43926, 3 421 780 262 in decimal.
        let mut number = 3_421_780_262_u32;
        let mut digits = Vec::new();
        while number > 0 {
            digits.insert(0, BASE62[usize::try_from(number % 62).unwrap()]);
            number /= 62;
        }
        assert_eq!(checksum(b"123456789").as_slice(), digits);
    }

    #[test]
    fn placeholders_and_samples_are_named() {
        for text in [
            "${FOOTBRIDGE_KEY}",
            "$FOOTBRIDGE_KEY",
            "%FOOTBRIDGE_KEY%",
            "{env:KEY}",
            "${input:key}",
            "${{ secrets.KEY }}",
        ] {
            assert_eq!(code(text), Some("FB112"), "{text}");
        }
        for text in ["YOUR_KEY", "<your-api-key>", "{KEY}", "changeme"] {
            assert_eq!(code(text), Some("FB113"), "{text}");
        }
    }

    #[test]
    fn a_key_is_undressed_and_the_setting_remarked_on() {
        for text in ["Bearer abc", "\"abc\"", "'Bearer abc' ", "bearer  \"abc\""] {
            let key = examine(text, ORIGIN).unwrap();
            assert_eq!(key.secret.expose(), "abc", "{text}");
            assert!(key.remark.is_some());
        }
        assert!(
            examine(" abc\n", ORIGIN).unwrap().remark.is_none(),
            "a line end is what every file has"
        );
    }

    #[test]
    fn a_key_of_ours_that_lost_a_character_is_found_out() {
        let key = ours();
        assert!(examine(&key, ORIGIN).is_ok());
        for broken in [key[..40].to_owned(), key.replacen('q', "w", 1), format!("{key}x")] {
            let error = examine(&broken, ORIGIN).err().unwrap();
            assert_eq!(error.diagnosis().map(Diagnosis::code), Some("FB116"));
            assert!(
                !error.message().contains(&broken),
                "only the beginning may be shown"
            );
        }
        assert!(examine("sk-someone-elses", ORIGIN).is_ok());
    }

    #[test]
    fn fb115_a_token_that_is_no_access_key_is_named_and_not_repeated() {
        let table = "fba_=an admin token, x_=another";
        assert_eq!(
            refused_token(table, "fba_secret"),
            Some(("fba_", "an admin token"))
        );
        assert_eq!(refused_token(table, "x_1"), Some(("x_", "another")));
        for key in ["", "fba", "fbk_secret", "sk-fba_"] {
            assert_eq!(refused_token(table, key), None, "{key}");
        }
        assert_eq!(refused_token("", "fba_secret"), None);
        for token in brand::REFUSED_TOKENS
            .split(',')
            .filter_map(|token| token.trim().split_once('='))
        {
            let error = examine(&format!("Bearer {}0123456789", token.0), ORIGIN)
                .err()
                .unwrap();
            assert_eq!(error.diagnosis().map(Diagnosis::code), Some("FB115"));
            let message = error.message();
            assert!(message.starts_with(&format!("This is {} ({}…), not an access key", token.1, token.0)));
            assert!(message.ends_with(
                " It is refused on /mcp by design. Create an access key at https://mcp.example.com/keys"
            ));
            assert!(!message.contains("0123456789"));
        }
    }
}
