//! A person's question in, full-text expressions out. Both are built from folded words alone, so nothing a
//! caller types can be an operator of FTS5 or of PostgreSQL's `to_tsquery`.

use super::words::{for_each_word, is_unspaced};

/// Terms kept of a question; the rest adds cost and no meaning.
pub const MAX_TERMS: usize = 32;

/// One thing asked for: a word, or a run of characters of an unspaced script, sought as a phrase.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    words: Vec<String>,
}

impl Term {
    /// A term of one word. `None` when `word` is not exactly one folded word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let words = super::words::words(word);
        (words.len() == 1 && words.first().is_some_and(|folded| folded == word)).then_some(Self { words })
    }

    /// Its words; more than one only for unspaced scripts.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// `"word"`, or `"会 議"`.
    fn fts5(&self) -> String {
        format!("\"{}\"", self.words.join(" "))
    }

    /// `'word'`, or `('会' <-> '議')`.
    fn tsquery(&self) -> String {
        let quoted: Vec<String> = self.words.iter().map(|word| format!("'{word}'")).collect();
        if quoted.len() == 1 {
            quoted.concat()
        } else {
            format!("({})", quoted.join(" <-> "))
        }
    }
}

/// The question has no word in it. Said to the caller as `400 Bad Request: query: …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("query: must hold at least one word")]
pub struct EmptyQuery;

/// How terms are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// A chunk with any of the terms.
    Any,
    /// Only chunks with all of them.
    All,
}

/// Reads a question: its distinct terms in order, [`MAX_TERMS`] at most.
///
/// # Errors
/// [`EmptyQuery`] when no letter or digit is in it: an empty search would be a listing of everything.
pub fn parse(query: &str) -> Result<Vec<Term>, EmptyQuery> {
    let mut terms: Vec<Term> = Vec::new();
    for part in query.split(|c: char| !(c.is_alphanumeric() || super::words::is_mark(c))) {
        let mut run: Vec<String> = Vec::new();
        let mut close = |run: &mut Vec<String>| {
            let term = Term {
                words: std::mem::take(run),
            };
            if !term.words.is_empty() && terms.len() < MAX_TERMS && !terms.contains(&term) {
                terms.push(term);
            }
        };
        for_each_word(part, |word| {
            let unspaced = word.chars().all(is_unspaced);
            if !unspaced {
                close(&mut run);
            }
            run.push(word.to_owned());
            // A long run without blanks is a sentence; as one phrase it would be found nowhere.
            if !unspaced || run.len() == MAX_PHRASE {
                close(&mut run);
            }
        });
        close(&mut run);
    }
    if terms.is_empty() {
        Err(EmptyQuery)
    } else {
        Ok(terms)
    }
}

/// Characters of an unspaced script sought as one phrase: most words there have two to four.
const MAX_PHRASE: usize = 4;

/// `terms` as an FTS5 `MATCH` expression: quoted strings, nothing else but `OR` between them.
#[must_use]
pub fn fts5(terms: &[Term], matching: Matching) -> String {
    let between = match matching {
        Matching::Any => " OR ",
        Matching::All => " ",
    };
    terms.iter().map(Term::fts5).collect::<Vec<_>>().join(between)
}

/// `terms` as the text of `to_tsquery('simple', …)`.
#[must_use]
pub fn tsquery(terms: &[Term], matching: Matching) -> String {
    let between = match matching {
        Matching::Any => " | ",
        Matching::All => " & ",
    };
    terms.iter().map(Term::tsquery).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    fn any(query: &str) -> (String, String) {
        let terms = parse(query).unwrap();
        (fts5(&terms, Matching::Any), tsquery(&terms, Matching::Any))
    }

    #[test]
    fn questions_become_expressions() {
        let cases = [
            ("meeting notes", "\"meeting\" OR \"notes\"", "'meeting' | 'notes'"),
            ("Café café CAFE", "\"cafe\"", "'cafe'"),
            (
                "a AND NOT b* NEAR(c, 2) title:d ^e",
                "\"a\" OR \"and\" OR \"not\" OR \"b\" OR \"near\" OR \"c\" OR \"2\" OR \"title\" OR \"d\" OR \"e\"",
                "'a' | 'and' | 'not' | 'b' | 'near' | 'c' | '2' | 'title' | 'd' | 'e'",
            ),
            (
                "x\"); DROP TABLE t; --",
                "\"x\" OR \"drop\" OR \"table\" OR \"t\"",
                "'x' | 'drop' | 'table' | 't'",
            ),
            (
                "it's a\\b",
                "\"it\" OR \"s\" OR \"a\" OR \"b\"",
                "'it' | 's' | 'a' | 'b'",
            ),
            (
                "会議のmemo",
                "\"会 議 の\" OR \"memo\"",
                "('会' <-> '議' <-> 'の') | 'memo'",
            ),
        ];
        for (query, match_expression, ts) in cases {
            assert_eq!(
                any(query),
                (match_expression.to_owned(), ts.to_owned()),
                "{query}"
            );
        }
        let terms = parse("one two").unwrap();
        assert_eq!(fts5(&terms, Matching::All), "\"one\" \"two\"");
        assert_eq!(tsquery(&terms, Matching::All), "'one' & 'two'");
    }

    #[test]
    fn a_question_without_words_is_refused() {
        for empty in ["", "   ", "?!*", "\"\"", "\u{301}", "—"] {
            assert_eq!(parse(empty), Err(EmptyQuery), "{empty:?}");
        }
    }

    #[test]
    fn questions_are_bounded() {
        let long: String = (0..1000).map(|n| format!("w{n} ")).collect();
        assert_eq!(parse(&long).unwrap().len(), MAX_TERMS);
        assert!(
            parse(&"会".repeat(100))
                .unwrap()
                .iter()
                .all(|term| term.words().len() <= MAX_PHRASE)
        );
    }

    #[test]
    fn single_words_only() {
        assert!(Term::of_word("kubernetes").is_some());
        for bad in ["", "two words", "Upper", "a\"b", "x'"] {
            assert_eq!(Term::of_word(bad), None, "{bad}");
        }
    }

    proptest! {
        /// The engine itself is the judge: no question may be a syntax error or reach another column.
        #[test]
        fn fts5_accepts_every_question(query in "(?s)[a-z\"'*^:(){}+\\-. \u{0}-\u{20}ÀéĳﬁⅣ²会ก\u{e31}\u{301}]{0,40}|\\PC{0,40}") {
            let db = Connection::open_in_memory().unwrap();
            db.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'unicode61')").unwrap();
            if let Ok(terms) = parse(&query) {
                for matching in [Matching::Any, Matching::All] {
                    let expression = fts5(&terms, matching);
                    let found: i64 = db.query_row("SELECT count(*) FROM t WHERE t MATCH ?1", [&expression], |row| row.get(0)).unwrap();
                    prop_assert_eq!(found, 0);
                    let ts = tsquery(&terms, matching);
                    prop_assert!(ts.split_whitespace().all(|part| {
                        let word = part.trim_matches(['(', ')', '\'']);
                        matches!(part, "|" | "&" | "<->") || word.chars().all(char::is_alphanumeric)
                    }), "{}", ts);
                }
            }
        }

        /// What is indexed is found by its own words.
        #[test]
        fn a_text_answers_to_its_words(text in "[a-zA-ZéÜß会議กา0-9 ,.'-]{1,60}") {
            let db = Connection::open_in_memory().unwrap();
            db.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'unicode61')").unwrap();
            db.execute("INSERT INTO t VALUES (?1)", [super::super::words::index_text(&text)]).unwrap();
            if let Ok(terms) = parse(&text) {
                let expression = fts5(&terms, Matching::All);
                let found: i64 = db.query_row("SELECT count(*) FROM t WHERE t MATCH ?1", [&expression], |row| row.get(0)).unwrap();
                prop_assert_eq!(found, 1, "{}", expression);
            }
        }
    }
}
