//! The text of an access token: what can be said of it without any cryptography.
//!
//! A stranger's text comes in; its claims go out, each still a claim until the signature was checked. Every check that
//! needs no key is made here, so that most forged tokens cost a few microseconds (security.md K6).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::signature::ALGORITHMS;
use crate::vocabulary::Timestamp;

/// Longest token that is looked at, in bytes (security.md §5).
pub(super) const LONGEST: usize = 8192;
/// Longest subject (OpenID Connect Core §2).
const LONGEST_SUBJECT: usize = 255;
/// Longest key name; a provider's are digests or dates.
const LONGEST_KEY_ID: usize = 256;

/// Why a token is not accepted: for the operator's log. Callers read one text for all of them (protocol.md A-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Longer than any honest token.
    #[error("longer than {LONGEST} bytes")]
    TooLong,
    /// Not three parts of base64url.
    #[error("not a signed token in compact form")]
    Shape,
    /// Its header is no JSON object, or says something twice.
    #[error("header not readable")]
    Header,
    /// Signed in a way that is not accepted; `none` and shared secrets among them.
    #[error("algorithm not accepted")]
    Algorithm,
    /// It is a token for something else, or one that needs proof of possession.
    #[error("not a bearer access token")]
    Type,
    /// It asks for something to be understood that is not.
    #[error("critical header not understood")]
    Critical,
    /// Its claims are no JSON object, say something twice, or one has the wrong type.
    #[error("claims not readable")]
    Claims,
    /// Of another provider.
    #[error("other issuer")]
    Issuer,
    /// Made for something else.
    #[error("other audience")]
    Audience,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its time has not come, or it comes from the future.
    #[error("not valid yet")]
    NotYet,
    /// Nobody's.
    #[error("no subject")]
    Subject,
    /// Its provider has no such key.
    #[error("unknown key")]
    UnknownKey,
    /// Not signed by its provider, or changed since.
    #[error("signature does not fit")]
    Signature,
    /// One of many of an address that sent too many forged ones.
    #[error("signature not looked at: too many tokens from this address are forged")]
    Unchecked,
    /// It was to be had for a code that its provider does not take, or takes no more.
    #[error("code not redeemed")]
    Code,
}

impl TokenFault {
    /// Whether an honest client never comes with such a token: these count against an address.
    pub fn is_suspicious(self) -> bool {
        !matches!(self, Self::Expired | Self::NotYet)
    }
}

/// A token that was read and not believed yet.
#[derive(Debug)]
pub(super) struct Unverified {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    pub(super) claims: Claims,
}

/// What a token says. Believed only by whoever checked the signature.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) subject: String,
    audience: Vec<String>,
    /// Seconds since 1970.
    pub(super) expires_at: i64,
    not_before: Option<i64>,
    issued_at: i64,
    /// All of them, for the claims that a setting names.
    pub(super) all: Map<String, Value>,
}

/// What a token must fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: &'a str,
    pub(super) now: Timestamp,
    pub(super) skew_seconds: i64,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

/// The issuer that a text claims to be from; `None` when it is no token at all. It decides which door is tried, never
/// whether it opens.
pub(super) fn claimed_issuer(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Only {
        iss: String,
    }
    if text.len() > LONGEST {
        return None;
    }
    let [_, payload, _] = parts(text)?;
    let only: Only = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some(only.iss)
}

fn parts(text: &str) -> Option<[&str; 3]> {
    let mut parts = text.split('.');
    let all = [parts.next()?, parts.next()?, parts.next()?];
    (parts.next().is_none() && all.iter().all(|part| !part.is_empty())).then_some(all)
}

impl Unverified {
    /// Reads a token's text.
    pub(super) fn read(text: &str) -> Result<Self, TokenFault> {
        if text.len() > LONGEST {
            return Err(TokenFault::TooLong);
        }
        let [header, payload, signature] = parts(text).ok_or(TokenFault::Shape)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Shape);
        decode(signature)?;
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenFault::Header)?;
        let algorithm = header
            .alg
            .parse()
            .ok()
            .filter(|algorithm| ALGORITHMS.contains(algorithm))
            .ok_or(TokenFault::Algorithm)?;
        if header.crit.is_some() {
            return Err(TokenFault::Critical);
        }
        if !header.typ.as_deref().is_none_or(is_access_token) {
            return Err(TokenFault::Type);
        }
        if header.kid.as_ref().is_some_and(|kid| kid.len() > LONGEST_KEY_ID) {
            return Err(TokenFault::Header);
        }
        let claims = Claims::read(&decode(payload)?)?;
        Ok(Self {
            algorithm,
            key_id: header.kid,
            claims,
        })
    }
}

/// Names of an access token's type (RFC 9068 §2.1); most providers still write `JWT`. Others are for other ends:
/// `logout+jwt`, `secevent+jwt`, `dpop+jwt`.
fn is_access_token(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.strip_prefix("application/").unwrap_or(&name),
        "jwt" | "at+jwt"
    )
}

impl Claims {
    fn read(text: &[u8]) -> Result<Self, TokenFault> {
        let Claimed(all) = serde_json::from_slice(text).map_err(|_| TokenFault::Claims)?;
        let text_of = |name: &str| match all.get(name) {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            None => Ok(None),
            Some(_) => Err(TokenFault::Claims),
        };
        let moment = |name: &str| match all.get(name) {
            Some(value) => seconds(value).map(Some).ok_or(TokenFault::Claims),
            None => Ok(None),
        };
        let audience = match all.get("aud") {
            Some(value) => texts(value).ok_or(TokenFault::Claims)?,
            None => Vec::new(),
        };
        // Bound to a key or certificate of its holder: as a bearer token it is a stolen one.
        if all.contains_key("cnf") {
            return Err(TokenFault::Type);
        }
        Ok(Self {
            issuer: text_of("iss")?.ok_or(TokenFault::Issuer)?,
            subject: text_of("sub")?.unwrap_or_default(),
            audience,
            expires_at: moment("exp")?.ok_or(TokenFault::Claims)?,
            not_before: moment("nbf")?,
            issued_at: moment("iat")?.ok_or(TokenFault::Claims)?,
            all,
        })
    }

    /// Everything that can be judged without a key.
    pub(super) fn check(&self, expected: Expected<'_>) -> Result<(), TokenFault> {
        if self.issuer != expected.issuer {
            return Err(TokenFault::Issuer);
        }
        if !self.audience.iter().any(|one| one == expected.audience) {
            return Err(TokenFault::Audience);
        }
        let now = expected.now.as_millis() / 1000;
        if self.expires_at.saturating_add(expected.skew_seconds) <= now {
            return Err(TokenFault::Expired);
        }
        let latest = now.saturating_add(expected.skew_seconds);
        if self.not_before.is_some_and(|at| at > latest) || self.issued_at > latest {
            return Err(TokenFault::NotYet);
        }
        let fits = |subject: &str| (1..=LONGEST_SUBJECT).contains(&subject.len()) && !has_controls(subject);
        if fits(&self.subject) {
            Ok(())
        } else {
            Err(TokenFault::Subject)
        }
    }

    /// Takes over what somebody else said, where this says nothing.
    pub(super) fn adopt(&mut self, said: &Map<String, Value>, name: &str) {
        if let (false, Some(value)) = (self.all.contains_key(name), said.get(name)) {
            self.all.insert(name.to_owned(), value.clone());
        }
    }

    /// A claim that is one text or a list of texts. Other things in it are left out.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.all.get(name).and_then(texts).unwrap_or_default()
    }

    /// A short text for people, without what could move a cursor.
    pub(super) fn label(&self, name: &str, most: usize) -> Option<String> {
        let text = self.all.get(name)?.as_str()?;
        let clean: String = text.chars().filter(|c| !c.is_control()).take(most).collect();
        (!clean.trim().is_empty()).then(|| clean.trim().to_owned())
    }

    /// The scopes a token names: `scope` as one text, or `scp` as a list. `None` when it names neither.
    pub(super) fn scopes(&self) -> Option<Vec<String>> {
        let value = self.all.get("scope").or_else(|| self.all.get("scp"))?;
        let words = texts(value)?;
        Some(
            words
                .iter()
                .flat_map(|text| text.split(' '))
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }
}

fn has_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

/// A moment in seconds. It may have a fraction (RFC 7519 §2), and is a number, never a text.
fn seconds(value: &Value) -> Option<i64> {
    // Far past any date, and well inside what arithmetic on it can hold.
    const FARTHEST: f64 = 1e12;
    if let Some(whole) = value.as_i64() {
        return (whole.unsigned_abs() < 1_000_000_000_000).then_some(whole);
    }
    let number = value.as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range was checked, and the fraction does not matter"
    )]
    (number.is_finite() && number.abs() < FARTHEST).then_some(number as i64)
}

/// An object in which nothing is said twice: the value checked is the value used (security.md rule 8).
struct Claimed(Map<String, Value>);

impl<'de> Deserialize<'de> for Claimed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Map<String, Value>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if map.insert(name, value).is_some() {
                        return Err(A::Error::custom("a claim is there twice"));
                    }
                }
                Ok(map)
            }
        }
        deserializer.deserialize_map(Object).map(Claimed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn text(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(header), part(claims), part("signature"))
    }

    fn claims() -> Value {
        json!({ "iss": "https://id", "aud": "https://mcp", "sub": "ada", "iat": NOW, "exp": NOW + 60 })
    }

    fn judged(header: &str, claims: &str) -> Result<(), TokenFault> {
        Unverified::read(&text(header, claims))?.claims.check(Expected {
            issuer: "https://id",
            audience: "https://mcp",
            now: Timestamp(NOW * 1000),
            skew_seconds: 30,
        })
    }

    #[test]
    fn each_rule_of_the_header_has_its_refusal() {
        let table: [(&str, Result<(), TokenFault>); 14] = [
            (r#"{"alg":"RS256"}"#, Ok(())),
            (r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k"}"#, Ok(())),
            (r#"{"alg":"ES256","typ":"application/at+JWT"}"#, Ok(())),
            // Where a key could be had is the provider's to say: these are not read.
            (
                r#"{"alg":"RS256","jku":"http://evil/","x5u":"http://evil/","jwk":{"kty":"oct"}}"#,
                Ok(()),
            ),
            (r#"{"alg":"none"}"#, Err(TokenFault::Algorithm)),
            (r#"{"alg":"None"}"#, Err(TokenFault::Algorithm)),
            (r#"{"alg":"HS256"}"#, Err(TokenFault::Algorithm)),
            (r#"{"alg":"rs256"}"#, Err(TokenFault::Algorithm)),
            (r#"{"typ":"JWT"}"#, Err(TokenFault::Header)),
            (r#"{"alg":"RS256","alg":"none"}"#, Err(TokenFault::Header)),
            (r#"{"alg":"RS256","typ":"logout+jwt"}"#, Err(TokenFault::Type)),
            (
                r#"{"alg":"RS256","crit":["b64"],"b64":false}"#,
                Err(TokenFault::Critical),
            ),
            (r#"{"alg":"RS256","kid":7}"#, Err(TokenFault::Header)),
            (r#"["alg"]"#, Err(TokenFault::Header)),
        ];
        for (header, expected) in table {
            assert_eq!(judged(header, &claims().to_string()), expected, "{header}");
        }
        let long = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(257));
        assert_eq!(judged(&long, &claims().to_string()), Err(TokenFault::Header));
    }

    #[test]
    fn each_rule_of_the_claims_has_its_refusal() {
        let without = |name: &str| {
            let mut all = claims();
            all.as_object_mut().unwrap().shift_remove(name);
            all
        };
        let with = |name: &str, value: Value| {
            let mut all = claims();
            all[name] = value;
            all
        };
        let table: Vec<(Value, Result<(), TokenFault>)> = vec![
            (claims(), Ok(())),
            (with("aud", json!(["other", "https://mcp"])), Ok(())),
            (with("exp", json!(NOW as f64 + 0.5)), Ok(())),
            (with("exp", json!(NOW - 29)), Ok(())),
            (with("exp", json!(NOW - 30)), Err(TokenFault::Expired)),
            (
                with("exp", json!((NOW + 60).to_string())),
                Err(TokenFault::Claims),
            ),
            (with("exp", json!(u64::MAX)), Err(TokenFault::Claims)),
            (with("exp", json!(-1e300)), Err(TokenFault::Claims)),
            (without("exp"), Err(TokenFault::Claims)),
            (with("nbf", json!(NOW + 30)), Ok(())),
            (with("nbf", json!(NOW + 31)), Err(TokenFault::NotYet)),
            (with("nbf", json!("soon")), Err(TokenFault::Claims)),
            (with("iat", json!(NOW + 31)), Err(TokenFault::NotYet)),
            (without("iat"), Err(TokenFault::Claims)),
            (with("iss", json!("https://id/")), Err(TokenFault::Issuer)),
            (with("iss", json!(["https://id"])), Err(TokenFault::Claims)),
            (without("iss"), Err(TokenFault::Issuer)),
            (with("aud", json!("https://mcp/")), Err(TokenFault::Audience)),
            (with("aud", json!("https://MCP")), Err(TokenFault::Audience)),
            (with("aud", json!([])), Err(TokenFault::Audience)),
            (with("aud", json!([["https://mcp"]])), Err(TokenFault::Claims)),
            (without("aud"), Err(TokenFault::Audience)),
            (without("sub"), Err(TokenFault::Subject)),
            (with("sub", json!("")), Err(TokenFault::Subject)),
            (with("sub", json!(7)), Err(TokenFault::Claims)),
            (with("sub", json!("a\nb")), Err(TokenFault::Subject)),
            (with("sub", json!("a".repeat(256))), Err(TokenFault::Subject)),
            (with("cnf", json!({ "jkt": "x" })), Err(TokenFault::Type)),
        ];
        for (claims, expected) in table {
            assert_eq!(
                judged(r#"{"alg":"RS256"}"#, &claims.to_string()),
                expected,
                "{claims}"
            );
        }
        let doubled = claims().to_string().replacen('{', r#"{"sub":"admin","#, 1);
        assert_eq!(judged(r#"{"alg":"RS256"}"#, &doubled), Err(TokenFault::Claims));
    }

    #[test]
    fn what_is_no_token_is_no_token() {
        let good = text(r#"{"alg":"RS256"}"#, &claims().to_string());
        let table = [
            (String::new(), TokenFault::Shape),
            ("a.b".to_owned(), TokenFault::Shape),
            (format!("{good}.x"), TokenFault::Shape),
            (good.replacen('.', "..", 1), TokenFault::Shape),
            (format!("{good}="), TokenFault::Shape),
            (
                good.trim_end_matches("c2lnbmF0dXJl").to_owned(),
                TokenFault::Shape,
            ),
            (good.replacen("ey", "+/", 1), TokenFault::Shape),
            ("a".repeat(LONGEST + 1), TokenFault::TooLong),
        ];
        for (text, fault) in table {
            assert_eq!(Unverified::read(&text).unwrap_err(), fault, "{text}");
        }
        assert_eq!(claimed_issuer(&good).as_deref(), Some("https://id"));
        assert_eq!(claimed_issuer("fbk_key"), None);
    }

    #[test]
    fn scopes_and_groups_come_in_two_forms() {
        let of = |name: &str, value: Value| {
            let mut all = claims();
            all[name] = value;
            Claims::read(all.to_string().as_bytes()).unwrap()
        };
        assert_eq!(of("scope", json!("a b  c")).scopes().unwrap(), ["a", "b", "c"]);
        assert_eq!(of("scp", json!(["a", "b"])).scopes().unwrap(), ["a", "b"]);
        assert_eq!(of("x", json!(1)).scopes(), None);
        assert_eq!(of("groups", json!("staff")).list("groups"), ["staff"]);
        assert_eq!(of("groups", json!(["a", "b"])).list("groups"), ["a", "b"]);
        assert!(of("groups", json!({ "a": 1 })).list("groups").is_empty());
        let named = of("name", json!("Ada\u{1b}[31m\r\nX: y"));
        assert_eq!(named.label("name", 200).unwrap(), "Ada[31mX: y");
    }
}
