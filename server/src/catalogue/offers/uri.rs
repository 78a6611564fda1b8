//! Addresses of resources: URIs, and templates of them with `{variable}` holes (RFC 6570, level 1).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::text::is_name;

/// What stays as it is in a hole: RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Longest URI in bytes that is looked at.
const LONGEST_URI: usize = 2048;

/// What a URI says in the holes of its template: names and values, in order.
pub type Variables = Vec<(String, String)>;

/// A URI with holes. A hole takes one piece of a path: it is not empty and has none of `/?#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriTemplate {
    text: String,
    /// Literal text before each hole, and the hole's name.
    holes: Vec<(String, String)>,
    end: String,
}

impl UriTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is no URI, has no hole, or its holes cannot be told apart.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        check_uri(text)?;
        let mut holes: Vec<(String, String)> = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after
                .split_once('}')
                .filter(|(name, _)| is_name(name))
                .ok_or_else(|| format!("uri_template `{text}`: write a hole as {{name}}"))?;
            if before.is_empty() {
                return Err(format!("uri_template `{text}`: two holes need text between them"));
            }
            if holes.iter().any(|(_, other)| other == name) {
                return Err(format!("uri_template `{text}`: the hole `{name}` is there twice"));
            }
            holes.push((before.to_owned(), name.to_owned()));
            rest = behind;
        }
        if holes.is_empty() {
            return Err(format!("uri_template `{text}` has no hole; use `uri`"));
        }
        Ok(Self {
            text: text.to_owned(),
            holes,
            end: rest.to_owned(),
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its holes, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.holes.iter().map(|(_, name)| name.as_str())
    }

    /// The one spelling of the URI with these values, as changes of the resource name it.
    pub fn fill(&self, values: &Variables) -> String {
        let mut out = String::new();
        for (before, name) in &self.holes {
            out.push_str(before);
            let value = values.iter().find(|(other, _)| other == name);
            out.push_str(&one_segment(value.map_or("", |(_, value)| value)));
        }
        out.push_str(&self.end);
        out
    }

    /// What a URI of this template says in each hole, decoded; `None` for any other URI.
    pub fn read(&self, uri: &str) -> Option<Variables> {
        if uri.len() > LONGEST_URI {
            return None;
        }
        let mut rest = uri;
        let mut values = Vec::with_capacity(self.holes.len());
        for (position, (before, name)) in self.holes.iter().enumerate() {
            rest = rest.strip_prefix(before.as_str())?;
            let next = self.holes.get(position + 1);
            let stop = next.map_or(self.end.as_str(), |(before, _)| before.as_str());
            let length = match (stop.is_empty(), next) {
                (true, _) => rest.len(),
                // The end of the URI, not the first place that looks like it.
                (false, None) => rest.len().checked_sub(stop.len())?,
                (false, Some(_)) => rest.find(stop)?,
            };
            let (value, behind) = rest.split_at_checked(length)?;
            if value.is_empty() || value.contains(['/', '?', '#']) {
                return None;
            }
            let decoded = percent_decode_str(value).decode_utf8().ok()?;
            if decoded.chars().any(char::is_control) {
                return None;
            }
            values.push((name.clone(), decoded.into_owned()));
            rest = behind;
        }
        (rest == self.end).then_some(values)
    }
}

/// A value as it stands in a hole.
pub fn one_segment(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Whether a text may stand as a URI: a scheme, and nothing that is not printable.
pub(super) fn check_uri(text: &str) -> Result<(), String> {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let good_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let printable = text.bytes().all(|b| b.is_ascii_graphic());
    if good_scheme && printable && text.len() <= LONGEST_URI {
        Ok(())
    } else {
        Err(format!(
            "`{text}` is no URI of at most {LONGEST_URI} printable characters with a scheme, like notes://welcome"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(template: &str, uri: &str) -> Option<Vec<String>> {
        let values = UriTemplate::parse(template).unwrap().read(uri)?;
        Some(values.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn a_uri_says_what_its_template_leaves_open() {
        let table: [(&str, &str, Option<&[&str]>); 11] = [
            ("t://a/{id}/data", "t://a/7/data", Some(&["7"])),
            ("t://a/{id}/data", "t://a/data/data", Some(&["data"])),
            ("t://a/{id}/data", "t://a//data", None),
            ("t://a/{id}/data", "t://a/7/data/x", None),
            ("t://a/{id}", "t://a/x%2Fy%20z", Some(&["x/y z"])),
            ("t://a/{id}", "t://a/x/y", None),
            ("t://a/{id}", "t://a/%00", None),
            ("t://a/{id}", "t://a/%ff", None),
            ("t://{a}-{b}.md", "t://x-y-z.md", Some(&["x", "y-z"])),
            ("t://{a}/v{b}", "t://x/v2", Some(&["x", "2"])),
            ("t://{a}/v{b}", "t://x/", None),
        ];
        for (template, uri, expected) in table {
            let expected = expected.map(|values| values.iter().map(|v| (*v).to_owned()).collect());
            assert_eq!(read(template, uri), expected, "{template} {uri}");
        }
        let template = UriTemplate::parse("t://{a}/x").unwrap();
        let values = template.read("t://%61%2f~b/x").unwrap();
        assert_eq!(template.fill(&values), "t://a%2F~b/x");
        assert_eq!(read("t://{a}", &format!("t://{}", "x".repeat(3000))), None);
    }

    #[test]
    fn templates_that_cannot_be_read_back_are_refused() {
        for bad in [
            "t://{a}{b}",
            "t://{a}/{a}",
            "t://{a",
            "t://{+a}",
            "t://a",
            "no scheme/{a}",
            "t://ä/{a}",
            "{a}://x",
        ] {
            assert!(UriTemplate::parse(bad).is_err(), "{bad}");
        }
    }
}
