//! The one tokenizer: text in, folded words out. Indexing, questions and the lexicon all use it, so that
//! both store engines see the same words and a word counted here is a word found there.
//!
//! A word is a run of letters and digits, lower-cased. Chinese, Japanese and Korean write no blanks between
//! words; each of their characters is a word of its own, and a question asks for them as a phrase.

/// Longest word kept, in bytes. Longer runs are base64 or hashes: they are cut, so a prefix still finds them.
pub const MAX_WORD_BYTES: usize = 64;

/// Calls `each` with every word of `text`, folded, in order.
pub fn for_each_word(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::with_capacity(MAX_WORD_BYTES);
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            push(&mut word, c.to_ascii_lowercase());
        } else if c.is_ascii() {
            flush(&mut word, &mut each);
        } else if is_unspaced(c) {
            flush(&mut word, &mut each);
            word.push(c);
            flush(&mut word, &mut each);
        } else if c.is_alphanumeric() {
            // Folded after lower-casing, which itself may leave an accent: `İ` becomes `i` and a dot above.
            c.to_lowercase()
                .filter(|lower| !is_mark(*lower))
                .for_each(|lower| push(&mut word, fold(lower)));
        } else if !is_mark(c) {
            flush(&mut word, &mut each);
        }
    }
    flush(&mut word, &mut each);
}

/// Every word of `text`, folded, in order.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for_each_word(text, |word| words.push(word.to_owned()));
    words
}

/// `text` as the full-text indexes take it: folded words with one blank between them.
#[must_use]
pub fn index_text(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for_each_word(text, |word| {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    });
    folded
}

/// Whether `c` belongs to a script written without blanks between words.
#[must_use]
pub fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{3040}'..='\u{30FF}'      // Hiragana, Katakana
        | '\u{31F0}'..='\u{31FF}'    // Katakana extensions
        | '\u{3400}'..='\u{4DBF}'    // Han extension A
        | '\u{4E00}'..='\u{9FFF}'    // Han
        | '\u{AC00}'..='\u{D7A3}'    // Hangul: spaced by phrase, its particles hang on the word
        | '\u{F900}'..='\u{FAFF}'    // Han compatibility
        | '\u{0E01}'..='\u{0E3A}'    // Thai
        | '\u{20000}'..='\u{3FFFF}') // Han extensions B and on
        && c.is_alphanumeric()
}

fn push(word: &mut String, c: char) {
    if word.len() + c.len_utf8() <= MAX_WORD_BYTES {
        word.push(c);
    }
}

fn flush(word: &mut String, each: &mut impl FnMut(&str)) {
    if !word.is_empty() {
        each(word);
        word.clear();
    }
}

/// Combining accents vanish, so that `e` + U+0301 and `é` are the same word.
pub(super) fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{200C}' | '\u{200D}' | '\u{00AD}')
}

/// Lower-case Latin letters without their accent: people type `cafe` and mean `café`.
fn fold(c: char) -> char {
    match c {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => 'e',
        'ğ' => 'g',
        'ì'..='ï' | 'ī' | 'į' | 'ı' => 'i',
        'ł' | 'ľ' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => 'o',
        'ř' => 'r',
        'ś' | 'ş' | 'š' | 'ș' => 's',
        'ţ' | 'ť' | 'ț' => 't',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' | 'ų' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_folded_runs_of_letters_and_digits() {
        let cases: [(&str, &[&str]); 9] = [
            ("Hello, World-wide 2026!", &["hello", "world", "wide", "2026"]),
            ("snake_case fooBar", &["snake", "case", "foobar"]),
            ("Café ŁÓDŹ naïve", &["cafe", "lodz", "naive"]),
            ("cafe\u{301}", &["cafe"]),
            ("\u{212B}ngstr\u{F6}m", &["angstrom"]),
            ("ПРИВЕТ мир", &["привет", "мир"]),
            ("会議memo", &["会", "議", "memo"]),
            ("ﬁn İstanbul ß", &["ﬁn", "istanbul", "ß"]),
            ("  \t\n", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text), expected, "{text}");
            assert_eq!(index_text(text), expected.join(" "), "{text}");
        }
    }

    #[test]
    fn long_runs_are_cut() {
        assert_eq!(words(&"x".repeat(1000)), ["x".repeat(MAX_WORD_BYTES)]);
        assert_eq!(words(&"ж".repeat(1000)), ["ж".repeat(MAX_WORD_BYTES / 2)]);
    }

    proptest! {
        #[test]
        fn index_text_is_its_own_index_text(text in "\\PC{0,80}") {
            let once = index_text(&text);
            prop_assert_eq!(index_text(&once), once.clone());
            prop_assert!(once.chars().all(|c| c == ' ' || c.is_alphanumeric()), "{}", once);
        }
    }
}
