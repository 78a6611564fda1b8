//! Texts with holes: `Paged on-call for #{{ticket.number}}`. A hole names a field and nothing else; there is no code, and
//! what was filled in is never read as a template again.

use std::fmt::Write as _;

use serde_json::Value;

use super::facts::{Facts, is_path};

/// Longest text that comes out, in bytes: longest body of the workspace (catalogue.md §1.1).
const LONGEST: usize = 64 * 1024;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Field(&'t str),
}

/// A text with holes, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<'t>(Vec<Piece<'t>>);

impl<'t> Template<'t> {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment for `body: …`.
    pub fn parse(text: &'t str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, hole)) = rest.split_once("{{") {
            let (name, after) = hole
                .split_once("}}")
                .ok_or("a `{{` without its `}}`; write fields like {{ticket.number}}")?;
            let name = name.trim();
            if !is_path(name) {
                let name: String = name.chars().take(60).collect();
                return Err(format!(
                    "`{{{{{name}}}}}` names no field; write fields like {{{{ticket.number}}}}"
                ));
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before));
            }
            pieces.push(Piece::Field(name));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest));
        }
        Ok(Self(pieces))
    }

    /// The fields it names.
    pub fn fields(&self) -> impl Iterator<Item = &'t str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Field(name) => Some(*name),
            Piece::Text(_) => None,
        })
    }

    /// The text with its holes filled; what is missing is empty. Cut at 64 KiB.
    pub fn fill(&self, facts: &Facts) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(name) => {
                    if let Some(value) = facts.now(name) {
                        write_value(&mut out, value);
                    }
                }
            }
            if out.len() > LONGEST {
                out.truncate(out.floor_char_boundary(LONGEST));
                break;
            }
        }
        out
    }
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write_value(out, item);
            }
        }
        // Writing into a string cannot fail.
        other => drop(write!(out, "{other}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(text: &str, after: &Value) -> String {
        let facts = serde_json::from_value(json!({ "after": after, "before": {} })).unwrap();
        Template::parse(text).unwrap().fill(&facts)
    }

    #[test]
    fn holes_are_filled_and_missing_fields_are_empty() {
        let record = json!({ "ticket": { "number": 7, "title": "Fire", "tags": ["a", "b"], "late": true, "due_at": null } });
        let cases = [
            ("#{{ticket.number}}: {{ ticket.title }}", "#7: Fire"),
            ("{{ticket.tags}} {{ticket.late}}", "a, b true"),
            ("[{{ticket.due_at}}{{contact.email}}]", "[]"),
            ("no hole }} here { {", "no hole }} here { {"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(filled(text, &record), expected, "{text}");
        }
    }

    #[test]
    fn what_was_filled_in_is_not_read_again() {
        let record = json!({ "lead": { "name": "{{lead.secret}}", "secret": "x" } });
        assert_eq!(filled("Hello {{lead.name}}", &record), "Hello {{lead.secret}}");
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for bad in [
            "{{",
            "{{ticket.number",
            "{{}}",
            "{{1+1}}",
            "{{ticket}}",
            "{{ticket.number | upper}}",
            "{{a.b}} {{",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_stays_bounded() {
        let record = json!({ "lead": { "name": "ä".repeat(40_000) } });
        let text = filled("x{{lead.name}}{{lead.name}}", &record);
        assert!(text.len() <= LONGEST && text.len() > LONGEST - 4);
    }
}
