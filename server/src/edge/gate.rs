//! The checks of one request that need no body (protocol.md §1.2, rows 1 to 5), in the order that callers can
//! observe. Each refuses with the [`Refusal`] it is named after.

use footbridge_protocol::value::trim;
use http::{HeaderMap, HeaderValue, header};

use super::{line::Events, refusal::Refusal};

/// Two credentials, of which either might be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Send one credential, in `Authorization` or in `X-API-Key`.")]
pub struct TwoCredentials;

/// The other header that may carry the credential (design.md D18).
const API_KEY: &str = "x-api-key";

/// The credential, if any: a bearer token or `X-API-Key`; both only if they say the same (design.md D18).
///
/// # Errors
/// When there are two.
pub fn credential(headers: &HeaderMap) -> Result<Option<&str>, TwoCredentials> {
    let bearer = single(headers, header::AUTHORIZATION.as_str())?.and_then(bearer_token);
    let api_key = single(headers, API_KEY)?;
    match (bearer, api_key) {
        (Some(bearer), Some(api_key)) if bearer != api_key => Err(TwoCredentials),
        (bearer, api_key) => Ok(bearer.or(api_key)),
    }
}

/// The value of a header that may be there once (protocol.md A-25). Bytes that are no text are no credential.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, TwoCredentials> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(trim(value.to_str().unwrap_or_default()))),
        _ => Err(TwoCredentials),
    }
}

/// The token of a bearer credential. Another scheme carries none that we know.
fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| trim(token))
}

/// Content-Type, Content-Encoding and Accept. Says whether the answer may be a stream of events.
pub(super) fn media(headers: &HeaderMap) -> Result<Media, Refusal> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = match (types.next(), types.next()) {
        (Some(value), None) => value.as_bytes() == b"application/json" || value.to_str().is_ok_and(is_json),
        _ => false,
    };
    if !is_json {
        return Err(Refusal::MediaType);
    }
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Err(Refusal::Encoding);
    }
    Media::accepted(headers)
}

/// Whether the answer to a request without a body may be a stream of events.
pub(super) fn events(headers: &HeaderMap) -> Events {
    Media::accepted(headers).map_or(Events::Never, |media| media.events)
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    trim(essence).eq_ignore_ascii_case("application/json")
}

/// What the client reads (protocol.md S-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Media {
    pub(super) json: bool,
    pub(super) events: Events,
}

impl Media {
    fn accepted(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut media = Self {
            json: false,
            events: Events::Never,
        };
        let mut any = false;
        for value in headers.get_all(header::ACCEPT) {
            any = true;
            for range in value.to_str().unwrap_or_default().split(',') {
                media.add(range);
            }
        }
        if !any {
            return Ok(Self {
                json: true,
                events: Events::IfNeeded,
            });
        }
        if !media.json && media.events == Events::Never {
            return Err(Refusal::Accept);
        }
        Ok(media)
    }

    fn add(&mut self, range: &str) {
        let mut parts = range.split(';');
        let essence = trim(parts.next().unwrap_or_default());
        let refused = parts.any(|parameter| {
            let weight = parameter
                .split_once('=')
                .filter(|(name, _)| trim(name).eq_ignore_ascii_case("q"));
            weight.is_some_and(|(_, weight)| trim(weight).parse() == Ok(0.0_f32))
        });
        if refused {
            return;
        }
        let is = |known: &str| essence.eq_ignore_ascii_case(known);
        if is("application/json") || is("application/*") {
            self.json = true;
        } else if is("text/event-stream") {
            self.events = Events::Welcome;
        } else if is("*/*") {
            self.json = true;
            self.offer_events();
        } else if is("text/*") {
            self.offer_events();
        }
    }

    fn offer_events(&mut self) {
        if self.events == Events::Never {
            self.events = Events::IfNeeded;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header fields.
    type Fields<'a> = &'a [(&'static str, &'a str)];

    fn headers(pairs: Fields<'_>) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn one_credential_is_found_and_two_are_refused() {
        let table: &[(Fields<'_>, Option<Option<&str>>)] = &[
            (&[], Some(None)),
            (&[("authorization", "Bearer k1")], Some(Some("k1"))),
            (&[("authorization", "bearer  k1 ")], Some(Some("k1"))),
            (&[("x-api-key", "k1")], Some(Some("k1"))),
            (&[("authorization", "Basic k1")], Some(None)),
            (&[("authorization", "k1")], Some(None)),
            (
                &[("authorization", "Bearer k1"), ("x-api-key", "k1")],
                Some(Some("k1")),
            ),
            (&[("authorization", "Bearer k1"), ("x-api-key", "k2")], None),
            (
                &[("authorization", "Bearer k1"), ("authorization", "Bearer k1")],
                None,
            ),
            (&[("x-api-key", "k1"), ("x-api-key", "k1")], None),
        ];
        for (pairs, expected) in table {
            assert_eq!(credential(&headers(pairs)).ok(), *expected, "{pairs:?}");
        }
    }

    #[test]
    fn media_are_judged_leniently() {
        let both = Media {
            json: true,
            events: Events::Welcome,
        };
        let json = Media {
            json: true,
            events: Events::Never,
        };
        let either = Media {
            json: true,
            events: Events::IfNeeded,
        };
        let table: &[(&[&str], Option<Media>)] = &[
            (&[], Some(either)),
            (&["*/*"], Some(either)),
            (&["application/json, text/event-stream"], Some(both)),
            (&["application/json", "text/event-stream"], Some(both)),
            (&["Application/JSON;q=0.5 , TEXT/event-stream"], Some(both)),
            (&["application/json"], Some(json)),
            (
                &["text/event-stream"],
                Some(Media {
                    json: false,
                    events: Events::Welcome,
                }),
            ),
            (&["text/event-stream;q=0, application/json"], Some(json)),
            (&["text/html"], None),
            (&["application/json; q=0.0"], None),
            (&[""], None),
        ];
        for (accept, expected) in table {
            let pairs: Vec<_> = accept
                .iter()
                .map(|a| ("accept", *a))
                .chain([("content-type", "application/json")])
                .collect();
            assert_eq!(media(&headers(&pairs)).ok(), *expected, "{accept:?}");
        }
    }

    #[test]
    fn bodies_are_json_and_not_compressed() {
        let table: &[(Fields<'_>, Option<u16>)] = &[
            (&[("content-type", "application/json")], None),
            (&[("content-type", "application/json; charset=utf-8")], None),
            (&[("content-type", "Application/Json")], None),
            (&[], Some(415)),
            (&[("content-type", "text/plain")], Some(415)),
            (&[("content-type", "application/json-patch+json")], Some(415)),
            (
                &[
                    ("content-type", "application/json"),
                    ("content-type", "text/plain"),
                ],
                Some(415),
            ),
            (
                &[("content-type", "application/json"), ("content-encoding", "gzip")],
                Some(415),
            ),
            (
                &[
                    ("content-type", "application/json"),
                    ("content-encoding", "identity"),
                ],
                None,
            ),
        ];
        for (pairs, expected) in table {
            assert_eq!(
                media(&headers(pairs)).err().map(|e| e.status().as_u16()),
                *expected,
                "{pairs:?}"
            );
        }
    }
}
