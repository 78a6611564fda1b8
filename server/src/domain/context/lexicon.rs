//! The words of a tenant's chunks: in how many each stands, and which words lie near one that was asked for.
//!
//! Two things hang on it. Counts let search leave out words that stand nearly everywhere when a rarer one was
//! asked too. Nearness (`ngram`) turns a misspelt or inflected word into the ones that are really there.
//! A word costs about 200 bytes: 4 MB for 20 000 words, and with [`MAX_WORDS`] 40 MB at most.

use std::collections::HashMap;

use super::ngram::{DIMENSIONS, likeness, word_vector};
use super::vectors::VectorIndex;
use super::words::for_each_word;

/// Words kept. More distinct ones are identifiers and numbers; they are found by full text alone.
pub const MAX_WORDS: usize = 200_000;
/// Shorter words have too few letters to be told apart by them.
const MIN_LETTERS: usize = 4;
/// Candidates of the vector index that are compared letter by letter.
const CANDIDATES: usize = 64;

/// Counts and nearness of words.
#[derive(Debug)]
pub struct Lexicon {
    chunks: u64,
    words: HashMap<Box<str>, Entry>,
    by_id: Vec<Option<Box<str>>>,
    free: Vec<u32>,
    vectors: VectorIndex,
}

#[derive(Debug)]
struct Entry {
    id: u32,
    chunks: u32,
}

impl Default for Lexicon {
    fn default() -> Self {
        Self {
            chunks: 0,
            words: HashMap::new(),
            by_id: Vec::new(),
            free: Vec::new(),
            vectors: VectorIndex::new(DIMENSIONS),
        }
    }
}

/// A word near the one asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NearWord {
    /// The word.
    pub word: String,
    /// How alike, up to 1.
    pub likeness: f32,
    /// In how many chunks it stands.
    pub chunks: u32,
}

impl Lexicon {
    /// A lexicon of `chunks` chunks from words that were counted elsewhere, each once.
    #[must_use]
    pub fn from_counts(chunks: u64, words: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut lexicon = Self {
            chunks,
            ..Self::default()
        };
        for (word, count) in words {
            lexicon.add_word(&word, count);
        }
        lexicon
    }

    /// Number of distinct words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it knows no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Number of chunks counted.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// In how many chunks the folded `word` stands.
    #[must_use]
    pub fn count(&self, word: &str) -> u32 {
        self.words.get(word).map_or(0, |entry| entry.chunks)
    }

    /// Counts the words of one more chunk.
    pub fn add_chunk(&mut self, text: &str) {
        self.chunks += 1;
        for word in distinct_words(text) {
            self.add_word(&word, 1);
        }
    }

    /// Takes a chunk back that was counted with the same `text`.
    pub fn remove_chunk(&mut self, text: &str) {
        self.chunks = self.chunks.saturating_sub(1);
        for word in distinct_words(text) {
            self.remove_word(&word);
        }
    }

    fn add_word(&mut self, word: &str, chunks: u32) {
        if let Some(entry) = self.words.get_mut(word) {
            entry.chunks = entry.chunks.saturating_add(chunks);
            return;
        }
        if self.words.len() >= MAX_WORDS {
            return;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.by_id.push(None);
            u32::try_from(self.by_id.len() - 1).unwrap_or(u32::MAX)
        });
        if is_comparable(word) {
            self.vectors.insert(u64::from(id), &word_vector(word));
        }
        if let Some(slot) = self.by_id.get_mut(id as usize) {
            *slot = Some(word.into());
        }
        self.words.insert(word.into(), Entry { id, chunks });
    }

    fn remove_word(&mut self, word: &str) {
        let Some(entry) = self.words.get_mut(word) else {
            return;
        };
        entry.chunks = entry.chunks.saturating_sub(1);
        if entry.chunks == 0 {
            let id = entry.id;
            self.words.remove(word);
            self.vectors.remove(u64::from(id));
            if let Some(slot) = self.by_id.get_mut(id as usize) {
                *slot = None;
            }
            self.free.push(id);
        }
    }

    /// The words at least as like `word` as `least` and not much less so than the best of them, itself left out:
    /// best first, `count` at most.
    #[must_use]
    pub fn near(&self, word: &str, count: usize, least: f32) -> Vec<NearWord> {
        if !is_comparable(word) {
            return Vec::new();
        }
        // The hash's noise may hide a little of the likeness; the exact comparison decides.
        let candidates = self
            .vectors
            .nearest(&word_vector(word), CANDIDATES, least - HASH_NOISE);
        let mut near: Vec<NearWord> = candidates
            .into_iter()
            .filter_map(|candidate| self.by_id.get(usize::try_from(candidate.id).ok()?)?.as_deref())
            .filter(|candidate| *candidate != word)
            .map(|candidate| NearWord {
                word: candidate.to_owned(),
                likeness: likeness(word, candidate),
                chunks: self.count(candidate),
            })
            .filter(|near| near.likeness >= least)
            .collect();
        near.sort_unstable_by(|one, other| {
            other
                .likeness
                .total_cmp(&one.likeness)
                .then_with(|| one.word.cmp(&other.word))
        });
        // Beside `vaccination`, what `vacination` shares with `navigation` is chance.
        let close = near.first().map_or(0.0, |best| best.likeness * CLOSE_TO_BEST);
        near.retain(|near| near.likeness >= close);
        near.truncate(count);
        near
    }
}

/// Two standard deviations of the cosine of unrelated words in [`DIMENSIONS`] dimensions.
const HASH_NOISE: f32 = 0.25;

/// Share of the best word's likeness that the others must reach.
const CLOSE_TO_BEST: f32 = 0.75;

/// Numbers are not misspelt words: 2025 is not nearly 2026.
fn is_comparable(word: &str) -> bool {
    word.chars().count() >= MIN_LETTERS && !word.chars().any(|c| c.is_ascii_digit())
}

fn distinct_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for_each_word(text, |word| words.push(word.to_owned()));
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(texts: &[&str]) -> Lexicon {
        let mut lexicon = Lexicon::default();
        texts.iter().for_each(|text| lexicon.add_chunk(text));
        lexicon
    }

    fn near(lexicon: &Lexicon, word: &str) -> Vec<String> {
        lexicon
            .near(word, 4, 0.45)
            .into_iter()
            .map(|near| near.word)
            .collect()
    }

    #[test]
    fn words_are_counted_by_chunk() {
        let lexicon = of(&["Note note NOTE", "a note", "other"]);
        assert_eq!(
            (
                lexicon.chunks(),
                lexicon.count("note"),
                lexicon.count("other"),
                lexicon.count("none")
            ),
            (3, 2, 1, 0)
        );
    }

    #[test]
    fn near_words_best_first_without_the_word_itself() {
        let lexicon = of(&["receive received deceive", "kubernetes cluster", "a 2026 2025 ab"]);
        assert_eq!(near(&lexicon, "recieve"), ["receive", "received"]);
        assert_eq!(near(&lexicon, "kubernets"), ["kubernetes"]);
        assert_eq!(near(&lexicon, "kubernetes"), Vec::<String>::new());
        assert_eq!(
            near(&lexicon, "2024"),
            Vec::<String>::new(),
            "numbers are not nearly other numbers"
        );
        assert_eq!(lexicon.near("recieve", 1, 0.45).len(), 1);
    }

    #[test]
    fn a_word_that_is_gone_is_near_nothing() {
        let mut lexicon = of(&["kubernetes cluster", "cluster"]);
        lexicon.remove_chunk("kubernetes cluster");
        assert_eq!(
            (lexicon.chunks(), lexicon.len(), lexicon.count("cluster")),
            (1, 1, 1)
        );
        assert!(near(&lexicon, "kubernets").is_empty());
        lexicon.add_chunk("prometheus");
        assert_eq!(
            near(&lexicon, "promethius"),
            ["prometheus"],
            "its place is used again"
        );
    }

    #[test]
    fn words_beyond_the_cap_are_left_to_full_text() {
        let mut lexicon = Lexicon::default();
        for n in 0..MAX_WORDS + 10 {
            lexicon.add_word(&format!("{n}"), 1);
        }
        lexicon.add_word("0", 1);
        assert_eq!(
            (lexicon.len(), lexicon.count("0"), lexicon.count("200005")),
            (MAX_WORDS, 2, 0)
        );
    }

    proptest! {
        #[test]
        fn what_is_added_and_removed_leaves_no_trace(texts in proptest::collection::vec("[a-f ]{0,30}", 0..12)) {
            let mut lexicon = of(&["kept words"]);
            texts.iter().for_each(|text| lexicon.add_chunk(text));
            texts.iter().for_each(|text| lexicon.remove_chunk(text));
            prop_assert_eq!((lexicon.chunks(), lexicon.len(), lexicon.vectors.len()), (1, 2, 2));
        }
    }
}
