//! A response recognised in one quick pass, for those who only carry it.

use serde_json::value::RawValue;

use super::Id;
use crate::param_headers::KEYWORD;
use crate::scan::{self, Member, Spot};

/// A well-formed response, seen without being decoded.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    /// The id of the request it answers.
    pub id: Id<'a>,
    /// The value of `result`, or `None` if the response is an error.
    pub result: Option<&'a str>,
    /// What keys occur in it.
    pub keys: Keys,
}

/// Which keys occur in a text, of those that somebody else would have to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys(u8);

impl Keys {
    /// Nobody has looked.
    pub const UNKNOWN: Keys = Keys(u8::MAX);

    const LOOKED_FOR: [&str; 4] = [KEYWORD, "execution", "outputSchema", "icons"];

    /// False if `key` is no key in the text, however it may be spelled. True says nothing.
    pub fn may_hold(self, key: &str) -> bool {
        let place = Keys::LOOKED_FOR.iter().position(|known| *known == key);
        place.is_none_or(|place| self.0 >> place & 1 == 1)
    }
}

/// Recognises a response with an id, spelled as everybody spells one. Whatever it recognises, [`super::decode`] under rules
/// without a bound on nesting reads in the same way; `None` says nothing about the bytes.
// On its own, because a caller that is built for size would have it built for size as well.
#[inline(never)]
pub fn glance(bytes: &[u8]) -> Option<Glance<'_>> {
    look(scan::text(bytes)?, |_| {})
}

/// The same, for those who go on to take the result apart: puts the places of its members into `spots`. They stay empty where
/// keys are spelled with escapes, and where the result is no object.
#[inline(never)]
pub fn glance_into<'a>(bytes: &'a [u8], spots: &mut Vec<Spot>) -> Option<Glance<'a>> {
    let text = scan::text(bytes)?;
    spots.clear();
    let mut ours = 0;
    let seen = look(text, |member| {
        if member.depth == 2 {
            spots.push(Spot::of(text, &member));
        } else if member.key == "result" {
            ours = spots.len();
        } else {
            spots.truncate(ours);
        }
    });
    let strange = spots
        .iter()
        .any(|spot| text.get(spot.key.clone()).is_none_or(|key| key.contains('\\')));
    if strange {
        spots.clear();
    }
    seen
}

#[inline]
fn look<'a>(text: &'a str, mut show: impl FnMut(Member<'a>)) -> Option<Glance<'a>> {
    let (mut version, mut id, mut result, mut error, mut strange) = (None, None, None, None, false);
    let keys = scan::members_and_keys(text, &Keys::LOOKED_FOR, |member| {
        show(member);
        if member.depth != 1 {
            return;
        }
        let slot = match member.key {
            "jsonrpc" => &mut version,
            "id" => &mut id,
            "result" => &mut result,
            "error" => &mut error,
            "method" | "params" => {
                strange = true;
                return;
            }
            key => {
                // Escapes may spell one of the names above.
                strange |= key.contains('\\');
                return;
            }
        };
        strange |= slot.replace(member.value).is_some();
    })
    .map(Keys)?;
    if strange || version != Some("\"2.0\"") {
        return None;
    }
    let id = Id::read(serde_json::from_str::<&RawValue>(id?).ok()?)?;
    match (result, error) {
        (Some(result), None) => Some(Glance {
            id,
            result: Some(result),
            keys,
        }),
        (None, Some(error)) if error.starts_with('{') => Some(Glance {
            id,
            result: None,
            keys,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{glance, glance_into};
    use crate::arbitrary::value;
    use crate::jsonrpc::{Message, ResponseBody, Rules, decode};

    const UNBOUNDED: Rules = Rules {
        depth: usize::MAX,
        ..Rules::BRIDGE
    };

    /// Holds what was glimpsed to what is read.
    fn agree(text: &str) -> bool {
        let mut spots = Vec::new();
        let again = glance_into(text.as_bytes(), &mut spots);
        let Some(seen) = glance(text.as_bytes()) else {
            assert!(again.is_none(), "{text}");
            return false;
        };
        let again = again.unwrap();
        assert_eq!((again.id, again.result), (seen.id, seen.result), "{text}");
        if let Some(result) = seen.result.filter(|_| !spots.is_empty()) {
            let mut members = Vec::new();
            crate::scan::members(result, |member| {
                if member.depth == 1 {
                    members.push((member.key, member.value));
                }
            });
            let found = spots
                .iter()
                .map(|spot| (&text[spot.key.clone()], &text[spot.value.clone()]));
            assert_eq!(found.collect::<Vec<_>>(), members, "{text}");
        }
        let Ok(Message::Response(response)) = decode(text.as_bytes(), &UNBOUNDED) else {
            panic!("no response: {text}")
        };
        assert_eq!(response.id, Some(seen.id), "{text}");
        match response.body {
            ResponseBody::Result(result) => assert_eq!(seen.result, Some(result.get()), "{text}"),
            ResponseBody::Error(_) => assert_eq!(seen.result, None, "{text}"),
        }
        true
    }

    #[test]
    fn ordinary_responses_are_recognised() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"a":[1,2]}}"#,
            r#" { "result" : 7 , "x":{"id":2}, "id" : "a\"b" , "jsonrpc":"2.0" } "#,
            r#"{"jsonrpc":"2.0","id":-9,"error":{"code":1,"message":"m"}}"#,
        ] {
            assert!(agree(text), "{text}");
        }
    }

    #[test]
    fn the_members_of_the_result_are_found() {
        let members = |text: &str| {
            let mut spots = Vec::new();
            glance_into(text.as_bytes(), &mut spots).unwrap();
            let spots = spots
                .into_iter()
                .map(|spot| format!("{}={}", &text[spot.key], &text[spot.value]));
            spots.collect::<Vec<_>>().join(" ")
        };
        for (text, expected) in [
            (
                r#"{"x":{"y":1},"result":{"a": [1,{"q":2}] ,"b":"c"},"id":1,"z":{"y":1},"jsonrpc":"2.0"}"#,
                r#"a=[1,{"q":2}] b="c""#,
            ),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"a":1,"\u0062":2}}"#, ""),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, ""),
            (r#"{"jsonrpc":"2.0","id":1,"result":[{"a":1}]}"#, ""),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#, ""),
        ] {
            assert_eq!(members(text), expected, "{text}");
        }
    }

    #[test]
    fn everything_else_is_left_to_the_decoder() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","result":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":1,"result":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1,"re\u0073ult":2}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","result":1}"#,
            r#"{"jsonrpc":"1.0","id":1,"result":1}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"result":1}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":3}"#,
            r#"[{"jsonrpc":"2.0","id":1,"result":1}]"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1"#,
        ] {
            assert!(glance(text.as_bytes()).is_none(), "{text}");
        }
        assert!(glance(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"\xff\"}").is_none());
    }

    proptest! {
        #[test]
        fn what_is_recognised_is_what_is_read(result in value(), id in value(), is_error in any::<bool>()) {
            let name = if is_error { "error" } else { "result" };
            agree(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{name}\":{result}}}"));
            let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{result}}}");
            prop_assert!(agree(&text), "{}", text);
        }
    }
}
