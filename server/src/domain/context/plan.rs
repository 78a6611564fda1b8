//! How a question is asked of the full-text index so that the answer is good *and* the cost is bounded,
//! whatever words are in it.
//!
//! Ranking costs about half a microsecond for each chunk a word stands in, so `the` in 100 000 chunks costs
//! 50 ms and says nothing. Words are therefore taken from the rarest on while `RANKED_CHUNKS` lasts: a chunk
//! must hold one of them. The frequent rest only helps to rank those chunks, which costs a count. When every
//! word is frequent, the newest chunks that hold them all are ranked, and only then those that hold any.
//!
//! Beside that exact question stands a near one, of the same words and those the lexicon finds near them.
//! Both answers are fused; what both know wins, so a near word never pushes an exact one down.

use super::lexicon::Lexicon;
use super::query::{Matching, Term, fts5, tsquery};

/// Chunks that may be ranked for one search, 1.5 ms; the near question takes as many again.
const RANKED_CHUNKS: u64 = 3_000;
/// Chunks that may be counted for words that are frequent: 15 to 40 ns each, so 4 ms at most.
const COUNTED_CHUNKS: u64 = 100_000;
/// Chunks ranked when every word is frequent: the newest ones.
pub const NEWEST_CHUNKS: usize = 1_000;
/// Words that are looked for in the lexicon; each costs a comparison with every word there.
const EXPANDED_TERMS: usize = 6;
/// Words taken for one that stands nowhere: it is most likely misspelt, so far likenesses are worth a try.
const UNKNOWN: (usize, f32) = (4, 0.45);
/// Words taken for one that is there: only its forms.
const KNOWN: (usize, f32) = (3, 0.7);

/// One full-text search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// What a chunk must hold: any or all of these. Never empty.
    pub terms: Vec<Term>,
    /// Any or all.
    pub matching: Matching,
    /// Words that raise a chunk's rank when it holds them too.
    pub helpers: Vec<Term>,
    /// What to rank.
    pub ranking: Ranking,
}

/// Which of the matching chunks are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// All of them: there are few.
    All,
    /// The [`NEWEST_CHUNKS`] newest: there may be any number.
    Newest,
}

impl Search {
    /// As an FTS5 `MATCH` expression.
    #[must_use]
    pub fn fts5(&self) -> String {
        let terms = fts5(&self.terms, self.matching);
        // The second half is true wherever the first is; it is there to count in the rank.
        if self.helpers.is_empty() {
            terms
        } else {
            format!("({terms}) AND ({})", fts5(&self.all(), Matching::Any))
        }
    }

    /// As the text of `to_tsquery('simple', …)`.
    #[must_use]
    pub fn tsquery(&self) -> String {
        let terms = tsquery(&self.terms, self.matching);
        if self.helpers.is_empty() {
            terms
        } else {
            format!("({terms}) & ({})", tsquery(&self.all(), Matching::Any))
        }
    }

    fn all(&self) -> Vec<Term> {
        self.terms.iter().chain(&self.helpers).cloned().collect()
    }
}

/// How to answer a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The words as asked. Run in order until one gives enough.
    pub exact: Vec<Search>,
    /// The words and those near them; `None` when there are none near.
    pub near: Option<Search>,
}

/// A term and the number of chunks it stands in at most.
type Counted = (Term, u64);

/// Plans the search for `terms`, which must not be empty, among the chunks counted in `lexicon`.
#[must_use]
pub fn plan(terms: &[Term], lexicon: &Lexicon) -> Plan {
    let counted = by_rarity(terms.to_vec(), lexicon);
    let (rare, frequent) = affordable(counted, RANKED_CHUNKS);
    let plain = |terms: Vec<Counted>| terms.into_iter().map(|(term, _)| term).collect::<Vec<_>>();
    if rare.is_empty() {
        // The rarest of them in any case: in a million chunks it alone is beyond what may be counted.
        let rarest = frequent.first().cloned();
        let (counted, _) = affordable(frequent, COUNTED_CHUNKS);
        let terms = if counted.is_empty() {
            plain(rarest.into_iter().collect())
        } else {
            plain(counted)
        };
        let search = |matching| Search {
            terms: terms.clone(),
            matching,
            helpers: Vec::new(),
            ranking: Ranking::Newest,
        };
        let mut exact = vec![search(Matching::All)];
        if terms.len() > 1 {
            exact.push(search(Matching::Any));
        }
        return Plan { exact, near: None };
    }
    let (helpers, _) = affordable(frequent, COUNTED_CHUNKS);
    let helpers = plain(helpers);
    let search = |terms| Search {
        terms,
        matching: Matching::Any,
        helpers: helpers.clone(),
        ranking: Ranking::All,
    };
    let widened = widen(&rare, lexicon);
    let near = (!widened.is_empty()).then(|| {
        // The words asked for come first, so they are not crowded out by near ones.
        let budget = RANKED_CHUNKS.saturating_sub(rare.iter().map(|(_, chunks)| chunks).sum());
        let (widened, _) = affordable(by_rarity(widened, lexicon), budget);
        search(plain(rare.iter().cloned().chain(widened).collect()))
    });
    Plan {
        exact: vec![search(plain(rare))],
        near,
    }
}

/// The words near the rarest of `terms` that are not among them.
fn widen(terms: &[Counted], lexicon: &Lexicon) -> Vec<Term> {
    let mut widened: Vec<Term> = Vec::new();
    for (term, chunks) in terms.iter().take(EXPANDED_TERMS) {
        let [word] = term.words() else { continue };
        let (count, least) = if *chunks == 0 { UNKNOWN } else { KNOWN };
        for near in lexicon.near(word, count, least) {
            let asked = |term: &Term| terms.iter().any(|(asked, _)| asked == term);
            if let Some(term) =
                Term::of_word(&near.word).filter(|term| !asked(term) && !widened.contains(term))
            {
                widened.push(term);
            }
        }
    }
    widened
}

/// With the number of chunks each stands in at most, rarest first.
fn by_rarity(terms: Vec<Term>, lexicon: &Lexicon) -> Vec<Counted> {
    let counted = |term: Term| {
        // A phrase stands nowhere its rarest word does not.
        let chunks = term.words().iter().map(|word| lexicon.count(word)).min();
        (term, chunks.unwrap_or(0).into())
    };
    let mut counted: Vec<Counted> = terms.into_iter().map(counted).collect();
    counted.sort_by_key(|(_, chunks)| *chunks);
    counted
}

/// Splits `counted` where the sum of its counts would exceed `budget`.
fn affordable(mut counted: Vec<Counted>, budget: u64) -> (Vec<Counted>, Vec<Counted>) {
    let mut sum = 0_u64;
    let end = counted.iter().position(|(_, chunks)| {
        sum += chunks;
        sum > budget
    });
    let rest = end.map_or_else(Vec::new, |end| counted.split_off(end));
    (counted, rest)
}

#[cfg(test)]
mod tests;
