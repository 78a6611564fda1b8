//! Markdown files as people leave them, the same ones on every run.
//!
//! In: a folder, a shape. Out: files whose words follow Zipf's law over a generated vocabulary: a few words stand in nearly
//! every document, most in very few. That is what makes a search index sweat; random letters would not.

use crate::wire::Failure;
use std::collections::HashSet;
use std::path::Path;

/// Words in the vocabulary.
const VOCABULARY: usize = 50_000;
/// Words of one section of the search corpus, about 360 tokens: one chunk.
const SECTION_WORDS: usize = 160;
/// Sections of one file of the search corpus.
const SECTIONS_PER_FILE: usize = 40;

/// A repeatable source of numbers (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    /// The same seed, the same numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit.max(1)
    }

    /// A number in [0, 1).
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Words by rank, the most frequent first.
pub(crate) struct Vocabulary {
    words: Vec<String>,
    /// Share of all text that words up to this rank make up.
    up_to: Vec<f64>,
}

impl Vocabulary {
    /// Builds it; always the same one.
    pub(crate) fn new() -> Self {
        const STARTS: [&str; 16] = [
            "b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "pl",
        ];
        const MIDDLES: [&str; 8] = ["a", "e", "i", "o", "u", "ai", "ou", "ea"];
        const ENDS: [&str; 8] = ["", "", "n", "r", "s", "l", "t", "nd"];
        let mut dice = Dice::new(7);
        let mut known = HashSet::new();
        let mut words = Vec::with_capacity(VOCABULARY);
        let pick =
            |from: &[&'static str], dice: &mut Dice| from.get(dice.below(from.len())).copied().unwrap_or("a");
        while words.len() < VOCABULARY {
            // Frequent words are short, as in any language.
            let syllables =
                1 + usize::from(words.len() > 100) + usize::from(words.len() > 5_000) + dice.below(2);
            let mut word = String::new();
            for _ in 0..syllables {
                for part in [&STARTS[..], &MIDDLES[..], &ENDS[..]] {
                    word.push_str(pick(part, &mut dice));
                }
            }
            if known.insert(word.clone()) {
                words.push(word);
            }
        }
        let mut total = 0.0;
        let mut up_to: Vec<f64> = (1..=VOCABULARY)
            .map(|rank| {
                total += 1.0 / rank as f64;
                total
            })
            .collect();
        for share in &mut up_to {
            *share /= total;
        }
        Self { words, up_to }
    }

    /// The word of a rank, counted from 0.
    pub(crate) fn rank(&self, rank: usize) -> &str {
        self.words.get(rank).map_or("a", String::as_str)
    }

    /// A word as often as its rank deserves.
    pub(crate) fn draw(&self, dice: &mut Dice) -> &str {
        let share = dice.share();
        self.rank(self.up_to.partition_point(|&up_to| up_to < share))
    }

    fn text(&self, words: usize, dice: &mut Dice, into: &mut String) {
        for number in 0..words {
            if number > 0 {
                into.push_str(if number % 14 == 13 { ".\n" } else { " " });
            }
            into.push_str(self.draw(dice));
        }
        into.push_str(".\n\n");
    }
}

/// Writes `files` notes of everyday sizes: most a page or less, some long, in a hundred folders. Returns their bytes.
pub(crate) fn write_notes(folder: &Path, files: usize) -> Result<u64, Failure> {
    let (vocabulary, mut dice, mut bytes) = (Vocabulary::new(), Dice::new(11), 0);
    for number in 0..files {
        let place = folder.join(format!("topic-{:02}", number % 100));
        if number < 100 {
            std::fs::create_dir_all(&place)?;
        }
        let mut text = format!(
            "---\ntitle: {} {}\ntags: [{}, {}]\n---\n\n# {} {number}\n\n",
            vocabulary.draw(&mut dice),
            vocabulary.draw(&mut dice),
            vocabulary.rank(dice.below(200)),
            vocabulary.rank(dice.below(2_000)),
            vocabulary.draw(&mut dice),
        );
        // The square of an even share: the middle note has a hundred words, one in ten nearly four hundred.
        let size = dice.share();
        let sections = 1 + (size * size * 8.0) as usize;
        for section in 0..sections {
            text += &format!("## {} {section}\n\n", vocabulary.draw(&mut dice));
            let words = 40 + dice.below(160);
            vocabulary.text(words, &mut dice, &mut text);
            if dice.below(10) == 0 {
                text += &format!(
                    "```sh\n{} --{}\n```\n\n",
                    vocabulary.draw(&mut dice),
                    vocabulary.draw(&mut dice)
                );
            }
            if dice.below(4) == 0 {
                text += &format!(
                    "- [[{}]]\n- {}\n\n",
                    vocabulary.draw(&mut dice),
                    vocabulary.draw(&mut dice)
                );
            }
        }
        bytes += text.len() as u64;
        std::fs::write(place.join(format!("note-{number:05}.md")), text)?;
    }
    Ok(bytes)
}

/// Writes files with `chunks` sections in all, each about the size of one chunk. Returns their bytes.
pub(crate) fn write_sections(folder: &Path, chunks: usize) -> Result<u64, Failure> {
    let (vocabulary, mut dice, mut bytes) = (Vocabulary::new(), Dice::new(13), 0);
    std::fs::create_dir_all(folder)?;
    let mut written = 0;
    while written < chunks {
        let sections = SECTIONS_PER_FILE.min(chunks - written);
        let mut text = String::with_capacity(sections * 1_600);
        text += &format!("# {} {written}\n\n", vocabulary.draw(&mut dice));
        for section in 0..sections {
            text += &format!(
                "## {} {} {section}\n\n",
                vocabulary.draw(&mut dice),
                vocabulary.draw(&mut dice)
            );
            vocabulary.text(SECTION_WORDS, &mut dice, &mut text);
        }
        bytes += text.len() as u64;
        std::fs::write(folder.join(format!("file-{written:06}.md")), text)?;
        written += sections;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_follow_zipf() {
        let vocabulary = Vocabulary::new();
        assert_eq!(vocabulary.words.iter().collect::<HashSet<_>>().len(), VOCABULARY);
        let mut dice = Dice::new(3);
        let most_frequent = vocabulary.rank(0).to_owned();
        let hits = (0..100_000)
            .filter(|_| vocabulary.draw(&mut dice) == most_frequent)
            .count();
        // 1 / H(50 000) is 8.8 %.
        assert!((7_800..9_800).contains(&hits), "{hits}");
    }

    #[test]
    fn a_section_is_one_chunk_and_not_two() {
        let folder = std::env::temp_dir().join(format!("footbridge-load-sections-{}", std::process::id()));
        write_sections(&folder, SECTIONS_PER_FILE).expect("writes");
        let text = std::fs::read_to_string(folder.join("file-000000.md")).expect("was written");
        std::fs::remove_dir_all(folder).expect("removes");
        let sections: Vec<usize> = text.split("\n## ").skip(1).map(str::len).collect();
        assert_eq!(sections.len(), SECTIONS_PER_FILE);
        // 400 tokens of four bytes are a chunk's size (catalogue.md §7.1).
        assert!(
            sections.iter().all(|bytes| (1_000..1_560).contains(bytes)),
            "{sections:?}"
        );
    }

    #[test]
    fn two_runs_write_the_same_bytes() {
        let base = std::env::temp_dir().join(format!("footbridge-load-corpus-{}", std::process::id()));
        let (one, two) = (base.join("one"), base.join("two"));
        assert_eq!(
            write_notes(&one, 3).expect("writes"),
            write_notes(&two, 3).expect("writes")
        );
        let note = "topic-02/note-00002.md";
        let read = |at: &Path| std::fs::read(at.join(note)).expect("was written");
        assert_eq!(read(&one), read(&two));
        std::fs::remove_dir_all(base).expect("removes");
    }
}
