//! A path with holes: `/v1/leads/{id}`, `/Calls/{sid}.json`. Each hole stands within one segment and stays there, whatever
//! fills it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Why a value cannot fill a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It is empty.
    #[error("must not be empty")]
    Empty,
    /// It would name another path (security.md H1).
    #[error("must not be `.` or `..`, nor contain `/`, `\\` or control characters")]
    Escapes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Fixed(String),
    /// A hole with what stands before and after it.
    Hole {
        before: String,
        name: String,
        after: String,
    },
}

/// A path whose shape the operator fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| format!("path `{text}` must begin with `/`"))?;
        let segments = rest.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { segments })
    }

    /// The names of the holes.
    pub fn holes(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Hole { name, .. } => Some(name.as_str()),
            Segment::Fixed(_) => None,
        })
    }

    /// The path with its holes filled by `value`.
    ///
    /// # Errors
    /// The hole that cannot be filled, and why.
    pub fn fill<'v>(
        &self,
        value: impl Fn(&str) -> Option<std::borrow::Cow<'v, str>>,
    ) -> Result<String, (String, PathFault)> {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Fixed(text) => path.push_str(text),
                Segment::Hole { before, name, after } => {
                    let fault = |fault| (name.clone(), fault);
                    let value = value(name).ok_or_else(|| fault(PathFault::Empty))?;
                    path.push_str(before);
                    push_segment(&mut path, &value).map_err(fault)?;
                    path.push_str(after);
                }
            }
        }
        Ok(path)
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%".contains(c);
    let hole = text
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    if let Some((before, (name, after))) = hole {
        let plain = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !plain {
            return Err(format!("`{text}` is not the name of an argument in braces"));
        }
        // Dots alone around a value could make `..` of it.
        let of_dots = |part: &str| !part.is_empty() && part.chars().all(|c| c == '.');
        if !before.chars().chain(after.chars()).all(allowed) || of_dots(before) || of_dots(after) {
            return Err(format!("`{text}` is not a path segment with one hole"));
        }
        return Ok(Segment::Hole {
            before: before.to_owned(),
            name: name.to_owned(),
            after: after.to_owned(),
        });
    }
    if text == "." || text == ".." || !text.chars().all(allowed) {
        return Err(format!(
            "`{text}` is not a path segment; a hole is `{{name}}`, and queries go under `query` or `bind`"
        ));
    }
    Ok(Segment::Fixed(text.to_owned()))
}

/// Everything but unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn push_segment(path: &mut String, value: &str) -> Result<(), PathFault> {
    if value.is_empty() {
        return Err(PathFault::Empty);
    }
    if value == "." || value == ".." || value.contains(['/', '\\']) || value.chars().any(char::is_control) {
        return Err(PathFault::Escapes);
    }
    path.extend(utf8_percent_encode(value, RESERVED));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn fill(template: &str, value: &str) -> Result<String, PathFault> {
        PathTemplate::parse(template)
            .unwrap()
            .fill(|_| Some(Cow::Borrowed(value)))
            .map_err(|(_, fault)| fault)
    }

    #[test]
    fn a_hole_is_one_segment_and_stays_one() {
        assert_eq!(
            fill("/v1/leads/{id}", "a b%2F?x#y"),
            Ok("/v1/leads/a%20b%252F%3Fx%23y".into())
        );
        assert_eq!(fill("/v1/{id}/notes", "Käse"), Ok("/v1/K%C3%A4se/notes".into()));
        for value in [".", "..", "a/b", "a\\b", "a\nb", "\u{7f}"] {
            assert_eq!(fill("/v1/{id}", value), Err(PathFault::Escapes), "{value:?}");
        }
        assert_eq!(fill("/v1/{id}", ""), Err(PathFault::Empty));
    }

    #[test]
    fn a_template_that_is_not_a_plain_path_is_refused() {
        for text in [
            "v1", "/a?b=c", "/a/../b", "/a/{", "/a/{}", "/a/{b c}", "/a#b", "/a b", "/{a}{b}", "/.{a}",
            "/{a}..", "/{a}?x",
        ] {
            assert!(PathTemplate::parse(text).is_err(), "{text}");
        }
        let template = PathTemplate::parse("/{a}/b/{c}").unwrap();
        assert_eq!(template.holes().collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn what_stands_around_a_hole_stays_where_it_is() {
        assert_eq!(fill("/Calls/{sid}.json", "CA 1/"), Err(PathFault::Escapes));
        assert_eq!(fill("/Calls/{sid}.json", "CA 1"), Ok("/Calls/CA%201.json".into()));
        assert_eq!(fill("/v1/lead:{id}:merge", "7"), Ok("/v1/lead:7:merge".into()));
        assert_eq!(fill("/Calls/{sid}.json", ""), Err(PathFault::Empty));
    }

    proptest! {
        #[test]
        fn no_value_changes_host_or_shape(value in "\\PC{0,20}|[./\\\\%?#@:&=]{0,6}") {
            if let Ok(path) = fill("/v1/{id}/end", &value) {
                let url = url::Url::parse(&format!("https://api.example.com{path}")).unwrap();
                prop_assert_eq!(url.host_str(), Some("api.example.com"));
                prop_assert_eq!(url.query(), None);
                prop_assert_eq!(url.fragment(), None);
                let segments: Vec<_> = url.path_segments().unwrap().collect();
                prop_assert_eq!(segments.len(), 3, "{}", url);
                prop_assert_eq!((segments[0], segments[2]), ("v1", "end"));
            }
        }
    }
}
