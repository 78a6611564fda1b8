//! A question as an expression of either engine. Words come in clean: see [`clean`](super::clean).

use super::{Matching, TextQuery, tag_word};

/// Both dialects put expressions together the same way, from other signs.
pub(super) struct Dialect {
    quote: char,
    sequence: &'static str,
    prefix: &'static str,
    or: &'static str,
    and: &'static str,
}

pub(super) const FTS5: Dialect = Dialect {
    quote: '"',
    sequence: " + ",
    prefix: " *",
    or: " OR ",
    and: " AND ",
};

pub(super) const TSQUERY: Dialect = Dialect {
    quote: '\'',
    sequence: " <-> ",
    prefix: ":*",
    or: " | ",
    and: " & ",
};

impl Dialect {
    fn term(&self, words: &[String], open_end: bool) -> String {
        let quoted: Vec<String> = words
            .iter()
            .map(|word| format!("{0}{word}{0}", self.quote))
            .collect();
        let end = if open_end { self.prefix } else { "" };
        format!("({}{end})", quoted.join(self.sequence))
    }

    pub(super) fn terms(&self, terms: &[Vec<String>], matching: Matching, open_end: bool) -> String {
        let last = terms.len().saturating_sub(1);
        let each = terms
            .iter()
            .enumerate()
            .map(|(at, term)| self.term(term, open_end && at == last));
        self.joined(&each.collect::<Vec<_>>(), matching)
    }

    pub(super) fn joined<S: std::borrow::Borrow<str>>(
        &self,
        expressions: &[S],
        matching: Matching,
    ) -> String {
        let between = match matching {
            Matching::All => self.and,
            Matching::Any => self.or,
        };
        format!("({})", expressions.join(between))
    }

    /// What must hold, and what only counts in the rank.
    pub(super) fn whole(&self, query: &TextQuery) -> String {
        let must = self.terms(&query.terms, query.matching, query.prefix_last);
        if query.helpers.is_empty() {
            return must;
        }
        // The second half is true wherever the first is; it is there to count in the rank.
        let helpers = self.terms(&query.helpers, Matching::Any, false);
        let all = self.terms(&query.terms, Matching::Any, query.prefix_last);
        format!("({must}{}({all}{}{helpers}))", self.and, self.or)
    }

    /// The same in rows that have one of these tags; of any if there are none.
    pub(super) fn tagged(&self, query: &TextQuery, tags: &[&str]) -> String {
        let whole = self.whole(query);
        if tags.is_empty() {
            return whole;
        }
        format!("({whole}){}{}", self.and, self.any_tag(tags))
    }

    /// Rows that have one of these tags.
    pub(super) fn any_tag(&self, tags: &[&str]) -> String {
        let words: Vec<String> = tags
            .iter()
            .map(|tag| format!("{0}{1}{0}", self.quote, tag_word(tag)))
            .collect();
        format!("({})", words.join(self.or))
    }
}
