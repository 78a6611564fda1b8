//! Text with holes: `{{name}}` is replaced by a value, everything else stays.

use serde_json::{Map, Value};

/// A text whose holes are known by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Text(String),
    Hole(String),
}

impl TextTemplate {
    /// Reads a text. Two braces around anything but a name are text like the rest.
    ///
    /// # Errors
    /// When a hole's name is not among `known`.
    pub(super) fn parse(text: &str, known: &[&str]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            plain.push_str(before);
            let hole = after.split_once("}}").filter(|(name, _)| is_name(name.trim()));
            let Some((name, behind)) = hole else {
                plain.push_str("{{");
                rest = after;
                continue;
            };
            let name = name.trim();
            if !known.contains(&name) {
                return Err(format!(
                    "`{{{{{name}}}}}` names nothing; there are: {}",
                    known.join(", ")
                ));
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Hole(name.to_owned()));
            rest = behind;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// The text with its holes filled. A value that is not there leaves nothing; what a value holds is never read again.
    pub fn fill(&self, values: &Map<String, Value>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Hole(name) => match values.get(name) {
                    Some(Value::String(text)) => out.push_str(text),
                    Some(Value::Null) | None => {}
                    Some(other) => out.push_str(&other.to_string()),
                },
            }
        }
        out
    }

    /// The names of its holes.
    pub fn holes(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }
}

/// Names of arguments and variables: letters, digits and underscores.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn holes_are_filled_once_and_braces_stay() {
        let template = TextTemplate::parse("{{ a }}-{{b}} {x} {{ }} {{a-b}} {{", &["a", "b"]).unwrap();
        let values = json!({ "a": "{{b}}", "b": 2 });
        assert_eq!(
            template.fill(values.as_object().unwrap()),
            "{{b}}-2 {x} {{ }} {{a-b}} {{"
        );
        assert_eq!(template.fill(&Map::new()), "- {x} {{ }} {{a-b}} {{");
        assert_eq!(template.holes().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_hole_that_names_nothing_is_refused() {
        assert_eq!(
            TextTemplate::parse("{{c}}", &["a", "b"]).unwrap_err(),
            "`{{c}}` names nothing; there are: a, b"
        );
    }
}
