//! Forms: their fields come in with proof that one of our pages showed the form to whoever sends it.

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Request},
};
use http::StatusCode;

use super::{PageError, person::HoldsForm};
use crate::web::{Web, read};

/// Most fields of a form.
const MOST_FIELDS: usize = 1000;
/// The field that carries the form's token.
const TOKEN: &str = "form";

/// The fields of a form, in its order. A name may come more than once, as ticked boxes do.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads the fields of a form or of an address, as far as ours go.
    pub(super) fn read(encoded: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(encoded).take(MOST_FIELDS);
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first field of a name, without the blanks around it; empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.exact(name).trim()
    }

    /// The first field of a name, to the last blank: passwords are taken as they are.
    pub fn exact(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// The same, if the form has such a field at all.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All fields of a name.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a box was ticked.
    pub fn is_ticked(&self, name: &str) -> bool {
        self.get(name) == "yes"
    }

    /// A number that may be left out.
    ///
    /// # Errors
    /// What the number may be.
    pub fn number<N: std::str::FromStr>(&self, name: &str, label: &str) -> Result<Option<N>, String> {
        match self.get(name) {
            "" => Ok(None),
            text => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("{label}: write a whole number, or leave it empty.")),
            },
        }
    }
}

/// A form that `by` was shown and sends: both are proven.
#[derive(Debug)]
pub struct Posted<P> {
    /// Who sends it.
    pub by: P,
    /// What it says.
    pub fields: Fields,
}

impl<P> FromRequest<Web> for Posted<P>
where
    P: FromRequestParts<Web, Rejection = PageError> + HoldsForm + Send,
{
    type Rejection = PageError;

    async fn from_request(request: Request, web: &Web) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let by = P::from_request_parts(&mut parts, web).await?;
        if !read::is(&parts.headers, "application/x-www-form-urlencoded") {
            return Err(PageError::refused(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Not a form",
                "This address takes the form of its own page.",
            ));
        }
        let bytes = to_bytes(body, P::MOST_BYTES).await.map_err(|_| {
            PageError::refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Too much",
                "The form is larger than any of ours. Shorten what you wrote and send it again.",
            )
        })?;
        let fields = Fields::read(&bytes);
        if !same(fields.exact(TOKEN), by.form()) {
            return Err(PageError::refused(
                StatusCode::FORBIDDEN,
                "This form is out of date",
                "It was not sent from the page that you see now: perhaps you signed in again meanwhile. Go back, \
                 load the page again, and send it once more.",
            ));
        }
        Ok(Self { by, fields })
    }
}

/// Compares in a time that does not tell where two texts differ.
fn same(one: &str, two: &str) -> bool {
    one.len() == two.len()
        && one
            .bytes()
            .zip(two.bytes())
            .fold(0_u8, |differing, (a, b)| differing | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name_once_or_often() {
        let fields = Fields(vec![
            ("scope".into(), "a".into()),
            ("scope".into(), "b".into()),
            ("name".into(), " Ada ".into()),
            ("cap".into(), "x1".into()),
        ]);
        assert_eq!(fields.all("scope").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            (fields.get("name"), fields.exact("name"), fields.get("none")),
            ("Ada", " Ada ", "")
        );
        assert!(fields.number::<u32>("cap", "Calls").is_err());
        assert_eq!(fields.number::<u32>("none", "Calls"), Ok(None));
    }

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(same("abc", "abc") && !same("abc", "abx") && !same("abc", "ab") && !same("", "a"));
    }
}
