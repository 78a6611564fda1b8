//! `x-mcp-header`: arguments that a modern `tools/call` repeats in `Mcp-Param-*` headers.
//!
//! In: a tool's input schema, once; then the arguments of each call. The bridge writes the headers
//! ([`ParamHeaders::encode`]), the server checks them ([`ParamHeaders::verify`]). No schema is evaluated here: the
//! walk follows `properties` and looks everywhere else only to find marks that must not be there (H-05).

mod arguments;
mod schema;

use serde_json::Value;
use serde_json::value::RawValue;

pub use schema::Fault;

use crate::headers::{Header, HeaderValue, Mismatch, check_decoded};
use crate::jsonrpc::MAX_SAFE_INTEGER;
use crate::members::{Kind, spelled};
use crate::{headers, value};

/// The schema keyword.
pub const KEYWORD: &str = "x-mcp-header";

/// The marked parameters of one tool. Most tools have none, and then nothing here costs anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamHeaders {
    marks: Vec<Mark>,
}

/// One marked parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    /// `Mcp-Param-` and the name as the schema spells it, for messages.
    display: String,
    /// The same in lower case, for the wire.
    header: String,
    /// Property names from the root of `arguments`.
    path: Vec<String>,
}

impl ParamHeaders {
    /// Collects the marks of an input schema, or says why the tool must not be used (H-05).
    pub fn of_schema(schema: &Value) -> Result<Self, Fault> {
        let marks = schema::marks(schema)?.into_iter().map(|(name, path)| {
            let display = format!("Mcp-Param-{name}");
            Mark {
                header: display.to_ascii_lowercase(),
                display,
                path,
            }
        });
        Ok(ParamHeaders {
            marks: marks.collect(),
        })
    }

    /// As [`ParamHeaders::of_schema`]. A schema in which the keyword cannot occur is not parsed.
    pub fn of_raw_schema(schema: &RawValue) -> Result<Self, Fault> {
        let text = schema.get();
        if !text.contains(KEYWORD) && !text.contains('\\') {
            return Ok(ParamHeaders::default());
        }
        let schema: Value = serde_json::from_str(text).map_err(|_| Fault::Unreadable)?;
        Self::of_schema(&schema)
    }

    /// True when no parameter is marked.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Lower-case names of all headers of this tool.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.marks.iter().map(|mark| mark.header.as_str())
    }

    /// The headers for a call with these raw arguments. Absent and null values have none; neither have values that
    /// no marked parameter can take (objects, arrays, fractions): the server will refuse those by schema.
    pub fn encode(&self, arguments: Option<&RawValue>) -> Vec<Header> {
        let found = self.find(arguments);
        let pairs = self.marks.iter().zip(found);
        pairs
            .filter_map(|(mark, found)| {
                let repeated = Repeated::of(found.value?)?;
                Some((mark.header.clone().into(), repeated.to_header().into()))
            })
            .collect()
    }

    /// Gate row 18: each marked argument that is there is repeated by its header, and each that is absent or null
    /// has none (S-33, S-34). `header` looks a lower-case name up. An argument of a type that no marked parameter
    /// has is left to the schema check that follows, which names it better.
    pub fn verify<'h>(
        &self,
        arguments: Option<&RawValue>,
        header: impl Fn(&str) -> HeaderValue<'h>,
    ) -> Result<(), Mismatch> {
        for (mark, found) in self.marks.iter().zip(self.find(arguments)) {
            if found.ambiguous {
                return Err(Mismatch::ambiguous(mark.display.clone()));
            }
            mark.verify(found.value, header(&mark.header))?;
        }
        Ok(())
    }

    fn find<'a>(&self, arguments: Option<&'a RawValue>) -> Vec<arguments::Found<'a>> {
        match arguments {
            // Nothing to look for is the common case.
            Some(arguments) if !self.is_empty() => {
                arguments::find(arguments, self.marks.iter().map(|mark| mark.path.as_slice()))
            }
            _ => vec![arguments::Found::default(); self.marks.len()],
        }
    }
}

impl Mark {
    fn verify(&self, argument: Option<&RawValue>, found: HeaderValue<'_>) -> Result<(), Mismatch> {
        let display = || self.display.clone();
        let Some(argument) = argument.filter(|raw| Kind::of(raw) != Kind::Null) else {
            return match found {
                HeaderValue::Absent => Ok(()),
                HeaderValue::One(value) => Err(Mismatch::stray(display(), value)),
                HeaderValue::Conflicting | HeaderValue::NotText => Err(Mismatch::malformed(display(), found)),
            };
        };
        match Repeated::of(argument) {
            None => Ok(()),
            Some(Repeated::Text(text)) => check_decoded(display(), found, &text),
            Some(Repeated::Boolean(text)) => check_decoded(display(), found, text),
            Some(Repeated::LargeInteger(digits)) => Err(Mismatch::unsafe_integer(display(), digits)),
            Some(Repeated::Integer(expected)) => match found {
                HeaderValue::One(value) => match value::decode(value) {
                    Ok(text) if integer(&text) == Some(expected) => Ok(()),
                    Ok(text) => Err(Mismatch::different(display(), &text, &expected.to_string())),
                    Err(value::BadEncoding) => Err(Mismatch::malformed(display(), found)),
                },
                found => headers::check_equal(display(), found, &expected.to_string()),
            },
        }
    }
}

/// An argument as a header repeats it (H-01).
enum Repeated<'a> {
    Text(std::borrow::Cow<'a, str>),
    Boolean(&'a str),
    Integer(i64),
    /// A plainly written integer beyond ±(2⁵³−1). Sent as it is written and left to the server; refused when
    /// received, because two readers may round it differently.
    LargeInteger(&'a str),
}

impl<'a> Repeated<'a> {
    fn of(raw: &'a RawValue) -> Option<Self> {
        let spelling = raw.get();
        match Kind::of(raw) {
            Kind::Text => spelled(raw).map(Repeated::Text),
            Kind::Boolean => Some(Repeated::Boolean(spelling)),
            Kind::Number => match integer(spelling) {
                Some(value) => Some(Repeated::Integer(value)),
                None => (!spelling.contains(['.', 'e', 'E'])).then_some(Repeated::LargeInteger(spelling)),
            },
            Kind::Object | Kind::Array | Kind::Null => None,
        }
    }

    fn to_header(&self) -> String {
        match self {
            Repeated::Text(text) => value::encode(text).into_owned(),
            Repeated::Boolean(text) | Repeated::LargeInteger(text) => (*text).to_owned(),
            Repeated::Integer(value) => value.to_string(),
        }
    }
}

/// The value of a JSON number that is an integer within ±(2⁵³−1), however it is spelled: `42`, `42.0`, `4.2e1`.
fn integer(spelling: &str) -> Option<i64> {
    if let Ok(value) = spelling.parse::<i64>() {
        // `parse` also takes a leading plus and zeros, which are no JSON.
        let is_json = spelling.strip_prefix('-').unwrap_or(spelling);
        let is_json = is_json == "0" || !is_json.starts_with(['0', '+']);
        return (is_json && value.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs()).then_some(value);
    }
    // Invariant: within the safe range an f64 holds every integer exactly, so the cast below loses nothing.
    let value: f64 = serde_json::from_str(spelling).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "2⁵³−1 is exact")]
    let largest = MAX_SAFE_INTEGER as f64;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be integral and in range"
    )]
    (value.fract() == 0.0 && value.abs() <= largest).then_some(value as i64)
}

#[cfg(test)]
mod tests;
