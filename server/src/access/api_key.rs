//! The text of an API key: `<prefix><43 base62 random><6 base62 CRC-32>` (catalogue.md §2.2).
//!
//! The checksum tells a typo from a foreign key without asking the store, and lets secret scanners find keys
//! without false alarms. The key itself is never stored: only its SHA-256.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 43 digits of base 62 hold 256 bits.
const RANDOM_DIGITS: usize = 43;
/// 6 digits of base 62 hold 32 bits.
const CHECK_DIGITS: usize = 6;
/// Digits of the random part that a list may show (catalogue.md §2.2).
const SHOWN_DIGITS: usize = 6;

/// A key in clear. Its `Debug` shows the prefix alone, and it is wiped when dropped.
pub struct ApiKey {
    text: SecretString,
    prefix_len: usize,
}

/// What is wrong with the text of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It does not begin with the prefix of this edition's keys.
    #[error("it does not begin as this server's keys do")]
    Prefix,
    /// It is shorter or longer than a key is.
    #[error("it has the wrong length: it looks truncated, or something was pasted with it")]
    Length,
    /// Its checksum does not fit: a character was changed.
    #[error("its checksum does not fit: a character was lost or changed")]
    Checksum,
}

impl ApiKey {
    /// Mints a key from 256 fresh random bits.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn mint(prefix: &str) -> Result<Self, getrandom::Error> {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random)?;
        let body = to_base62(random);
        let check = checksum(prefix, &body);
        Ok(Self {
            text: format!("{prefix}{body}{check}").into(),
            prefix_len: prefix.len(),
        })
    }

    /// Reads a key that a caller presents.
    ///
    /// # Errors
    /// What is wrong with its text; nothing was looked up.
    pub fn parse(text: &str, prefixes: &[&str]) -> Result<Self, Fault> {
        let Some(prefix) = prefixes.iter().find(|p| text.starts_with(**p)) else {
            return Err(Fault::Prefix);
        };
        let rest = text.get(prefix.len()..).unwrap_or_default();
        if rest.len() != RANDOM_DIGITS + CHECK_DIGITS || !rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Fault::Length);
        }
        let (body, check) = rest.split_at(RANDOM_DIGITS);
        if checksum(prefix, body) != check {
            return Err(Fault::Checksum);
        }
        Ok(Self {
            text: text.into(),
            prefix_len: prefix.len(),
        })
    }

    /// What the store keeps in place of the key.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.expose_secret().as_bytes()).into()
    }

    /// The prefix and six characters: enough to tell two keys apart, of no use to a thief.
    pub fn shown_prefix(&self) -> String {
        self.text
            .expose_secret()
            .chars()
            .take(self.prefix_len + SHOWN_DIGITS)
            .collect()
    }

    /// The whole key, for the one reply that shows it.
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}…)", self.shown_prefix())
    }
}

fn checksum(prefix: &str, body: &str) -> String {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(prefix.as_bytes());
    hasher.update(body.as_bytes());
    let mut rest = hasher.finalize();
    let mut digits = [b'0'; CHECK_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = base62_digit(rest % 62);
        rest /= 62;
    }
    digits.iter().map(|d| char::from(*d)).collect()
}

/// Long division of a 256-bit number by 62, digit by digit from the right.
fn to_base62(mut number: [u8; 32]) -> String {
    let mut digits = [b'0'; RANDOM_DIGITS];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = remainder * 256 + u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = base62_digit(remainder);
    }
    digits.iter().map(|d| char::from(*d)).collect()
}

fn base62_digit(value: u32) -> u8 {
    usize::try_from(value)
        .ok()
        .and_then(|v| ALPHABET.get(v))
        .copied()
        .unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_minted_key_reads_back_and_shows_only_its_beginning() {
        let key = ApiKey::mint("demo_").unwrap();
        let read = ApiKey::parse(key.reveal(), &["other_", "demo_"]).unwrap();
        assert_eq!(read.hash(), key.hash());
        assert_eq!(key.reveal().len(), 5 + 49);
        assert_eq!(key.shown_prefix().len(), 11);
        assert!(!format!("{key:?}").contains(&key.reveal()[12..]));
    }

    #[test]
    fn two_keys_differ_and_the_largest_number_fits() {
        assert_ne!(
            ApiKey::mint("a_").unwrap().reveal(),
            ApiKey::mint("a_").unwrap().reveal()
        );
        assert_eq!(to_base62([0; 32]), "0".repeat(43));
        assert_eq!(to_base62([255; 32]).len(), 43);
        assert_ne!(to_base62([255; 32]).as_bytes()[0], b'0');
    }

    #[test]
    fn a_foreign_a_short_and_a_mistyped_key_are_told_apart() {
        let key = ApiKey::mint("demo_").unwrap();
        let text = key.reveal().to_owned();
        assert_eq!(ApiKey::parse(&text, &["other_"]).unwrap_err(), Fault::Prefix);
        assert_eq!(
            ApiKey::parse(&text[..text.len() - 1], &["demo_"]).unwrap_err(),
            Fault::Length
        );
        assert_eq!(
            ApiKey::parse(&format!("{text}\n"), &["demo_"]).unwrap_err(),
            Fault::Length
        );
    }

    proptest! {
        #[test]
        fn any_single_change_is_noticed(position in 5_usize..54, digit in 0_u32..62) {
            let text = ApiKey::mint("demo_").unwrap().reveal().to_owned();
            let mut changed = text.clone().into_bytes();
            changed[position] = base62_digit(digit);
            let changed = String::from_utf8(changed).unwrap();
            prop_assert_eq!(ApiKey::parse(&changed, &["demo_"]).is_ok(), changed == text);
        }
    }
}
