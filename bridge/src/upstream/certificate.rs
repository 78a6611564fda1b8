//! A certificate that was not accepted → words a person can act on (clients.md §6, FB123 and FB124).

use std::fmt;
use std::io;

use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use super::connect::ConnectError;
use super::endpoint::Endpoint;
use crate::error::quote;
use crate::options::CA_FILE_VARIABLE;

/// Longest name quoted from a certificate, in characters.
const NAME_CHARACTERS: usize = 80;
/// Names of a certificate that are listed.
const NAMES: usize = 4;

/// How rustls reports the commonest mistake of those who make a certificate by hand.
const AUTHORITY_SERVES: &str = "CaUsedAsEndEntity";

/// The authority behind a certificate is unknown.
#[derive(Debug)]
pub(super) struct Unknown {
    /// Its name, where one can be read.
    issuer: Option<String>,
    /// The certificate vouches for itself.
    is_self_signed: bool,
}

impl Unknown {
    /// Who signed `certificate` (DER).
    pub(super) fn signer(certificate: &[u8]) -> Unknown {
        let names = names(certificate);
        Unknown {
            issuer: names
                .and_then(|(issuer, _)| common_name(issuer))
                .map(|name| quote(name, NAME_CHARACTERS))
                .filter(|name| !name.is_empty()),
            is_self_signed: names.is_some_and(|(issuer, subject)| issuer == subject),
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.issuer, self.is_self_signed) {
            (Some(issuer), false) => write!(f, "is signed by \"{issuer}\", which this system does not trust"),
            (Some(issuer), true) => write!(
                f,
                "is signed by itself (\"{issuer}\"), which this system does not trust"
            ),
            (None, _) => f.write_str("is signed by nobody this system trusts"),
        }
    }
}

impl std::error::Error for Unknown {}

/// The cause of a failed handshake with `endpoint`, then what to do about it.
pub(super) fn explain(endpoint: &Endpoint, error: &io::Error) -> ConnectError {
    let certificate = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .and_then(|error| match error {
            rustls::Error::InvalidCertificate(certificate) => Some(certificate),
            _ => None,
        });
    let place = endpoint.place();
    let Some(certificate) = certificate else {
        return ConnectError::Tls {
            place: place.to_owned(),
            cause: format!("{error}. Check that the address really speaks https"),
        };
    };
    ConnectError::Certificate(match certificate {
        CertificateError::Other(other) => match other.0.downcast_ref::<Unknown>() {
            Some(unknown) => {
                return ConnectError::Untrusted(format!(
                    "The certificate of `{place}` {unknown}. Set {CA_FILE_VARIABLE} to a file with that authority's certificate \
                     (PEM), or install it on this system"
                ));
            }
            None if other.to_string() == AUTHORITY_SERVES => format!(
                "The certificate of `{place}` is one for an authority, which no server may use. Its operator has to make one \
                 with `basicConstraints=CA:FALSE`"
            ),
            None => format!("The certificate of `{place}` is not acceptable: {other}"),
        },
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "The certificate of `{place}` expired on {}. The server's operator has to renew it; check this machine's clock \
             as well",
            date(*not_after)
        ),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "The certificate of `{place}` is not valid before {}. Check this machine's clock",
            date(*not_before)
        ),
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "The certificate is for {}, not {}. Check the host in the server address",
            list(presented),
            endpoint.host
        ),
        other => format!("The certificate of `{place}` is not acceptable: {other}"),
    })
}

/// The names of a certificate. They come as `DnsName("a.example")`.
fn list(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no name at all".to_owned();
    }
    let mut listed: Vec<String> = presented
        .iter()
        .take(NAMES)
        .map(|name| {
            let inner = name
                .split_once('(')
                .and_then(|(_, rest)| rest.strip_suffix(')'))
                .unwrap_or(name);
            quote(inner.trim_matches('"').as_bytes(), NAME_CHARACTERS)
        })
        .collect();
    if presented.len() > NAMES {
        listed.push(format!("{} more", presented.len() - NAMES));
    }
    listed.join(", ")
}

/// The day of a moment, `2026-11-01` (UTC).
fn date(moment: UnixTime) -> String {
    // Counted in eras of 400 years that begin on 1 March, so that the day which comes and goes is the last one.
    let days = moment.as_secs() / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year}-{month:02}-{of_month:02}")
}

/// DER tags met on the way to a name.
mod tag {
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const SET: u8 = 0x31;
    pub(super) const OBJECT: u8 = 0x06;
    /// `version [0]`, present in every certificate of today.
    pub(super) const VERSION: u8 = 0xa0;
}

/// Issuer and subject of a certificate, as DER (RFC 5280 §4.1).
fn names(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = enter(certificate, tag::SEQUENCE)?;
    let (body, _) = enter(certificate, tag::SEQUENCE)?;
    let body = enter(body, tag::VERSION).map_or(body, |(_, rest)| rest);
    let (_, _serial, rest) = element(body)?;
    let (_, _algorithm, rest) = element(rest)?;
    let (issuer, rest) = enter(rest, tag::SEQUENCE)?;
    let (_, _validity, rest) = element(rest)?;
    let (subject, _) = enter(rest, tag::SEQUENCE)?;
    Some((issuer, subject))
}

/// The common name in a name, or else its organisation.
fn common_name(name: &[u8]) -> Option<&[u8]> {
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    const ORGANISATION: &[u8] = &[0x55, 4, 10];
    let (mut rest, mut organisation) = (name, None);
    while let Some((set, after)) = enter(rest, tag::SET) {
        let (attribute, _) = enter(set, tag::SEQUENCE)?;
        let (kind, value) = enter(attribute, tag::OBJECT)?;
        let (_, text, _) = element(value)?;
        match kind {
            COMMON_NAME => return Some(text),
            ORGANISATION => organisation = Some(text),
            _ => {}
        }
        rest = after;
    }
    organisation
}

/// The contents of the first element if it has this tag, and what follows it.
fn enter(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, contents, rest) = element(bytes)?;
    (found == tag).then_some((contents, rest))
}

/// The first element: its tag, its contents, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // Two octets are enough for every certificate met so far, three for any that TLS can carry.
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = octets
                .iter()
                .fold(0, |length, octet| length << 8 | usize::from(*octet));
            (length, rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    #[test]
    fn the_signer_of_a_certificate_is_named() {
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority
            .distinguished_name
            .push(DnType::OrganizationName, "Example Corp");
        authority
            .distinguished_name
            .push(DnType::CommonName, "Example\r\nRoot CA");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&key).unwrap();
        assert_eq!(
            Unknown::signer(root.der()).to_string(),
            "is signed by itself (\"Example Root CA\"), which this system does not trust"
        );
        let leaf_key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["a.example".to_owned()])
            .unwrap()
            .signed_by(&leaf_key, &Issuer::new(authority, key))
            .unwrap();
        assert_eq!(
            Unknown::signer(leaf.der()).to_string(),
            "is signed by \"Example Root CA\", which this system does not trust"
        );
        // Cut anywhere, it is still no reason to stumble.
        for end in 0..leaf.der().len() {
            let _ = Unknown::signer(&leaf.der()[..end]).to_string();
        }
        assert_eq!(
            Unknown::signer(b"").to_string(),
            "is signed by nobody this system trusts"
        );
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_793_491_199, "2026-10-31"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(
                date(UnixTime::since_unix_epoch(Duration::from_secs(seconds))),
                day
            );
        }
    }

    #[test]
    fn names_are_listed_as_they_are_written() {
        let names = |names: &[&str]| list(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            names(&["DnsName(\"*.internal\")", "IpAddress(10.0.0.1)"]),
            "*.internal, 10.0.0.1"
        );
        assert_eq!(names(&[]), "no name at all");
        assert_eq!(names(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d, 2 more");
    }
}
