//! Which operations of a document are wanted.

use globset::{Glob, GlobMatcher};

use super::document::Found;

/// `--include` and `--exclude`: what is included, if anything is, less what is excluded.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    include: Vec<Selector>,
    exclude: Vec<Selector>,
}

/// A selector that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` selects nothing: write `tag:NAME`, `op:OPERATION_ID`, or a method and path such as `GET /v1/leads*`"
)]
pub struct ChoiceError(String);

#[derive(Clone, Debug)]
enum Selector {
    Tag(GlobMatcher),
    Id(GlobMatcher),
    Path(Option<String>, GlobMatcher),
}

impl Choice {
    /// Reads selectors.
    ///
    /// # Errors
    /// The first that is none.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, ChoiceError> {
        let all = |texts: &[String]| texts.iter().map(|t| selector(t)).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            include: all(include)?,
            exclude: all(exclude)?,
        })
    }

    pub(super) fn wants(&self, found: &Found<'_>) -> bool {
        let any = |selectors: &[Selector]| selectors.iter().any(|s| s.matches(found));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}

fn selector(text: &str) -> Result<Selector, ChoiceError> {
    let fault = || ChoiceError(text.to_owned());
    let glob = |pattern: &str| {
        Glob::new(pattern)
            .map(|glob| glob.compile_matcher())
            .map_err(|_| fault())
    };
    if let Some(tag) = text.strip_prefix("tag:") {
        return Ok(Selector::Tag(glob(tag)?));
    }
    if let Some(id) = text.strip_prefix("op:") {
        return Ok(Selector::Id(glob(id)?));
    }
    match text.split_once(' ') {
        Some((method, path)) if path.starts_with('/') => {
            Ok(Selector::Path(Some(method.to_ascii_lowercase()), glob(path)?))
        }
        None if text.starts_with('/') => Ok(Selector::Path(None, glob(text)?)),
        _ => Err(fault()),
    }
}

impl Selector {
    fn matches(&self, found: &Found<'_>) -> bool {
        match self {
            Self::Tag(glob) => found.tags().any(|tag| glob.is_match(tag)),
            Self::Id(glob) => found.id().is_some_and(|id| glob.is_match(id)),
            Self::Path(method, glob) => {
                method.as_ref().is_none_or(|method| method == found.method) && glob.is_match(found.path)
            }
        }
    }
}
