//! Words in sentences for people: one or several of something, with its article.

/// The word for several of a kind.
pub(crate) fn plural(word: &str) -> String {
    match word.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{word}s"),
    }
}

/// How many there are of something: `1 open ticket`, `3 opportunities`.
pub(crate) fn counted(count: i64, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        many => format!("{many} {}", plural(word)),
    }
}

/// A word with its indefinite article: `an account`. Goes by the letter; none of our words begins with a `u` or `h` that is
/// spoken otherwise.
pub(crate) fn a(word: &str) -> String {
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']);
    format!("{} {word}", if vowel { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_in_sentences() {
        for (word, article, several) in [
            ("account", "an account", "2 accounts"),
            ("opportunity", "an opportunity", "2 opportunities"),
            ("email", "an email", "2 emails"),
            ("lead", "a lead", "2 leads"),
            ("user", "a user", "2 users"),
        ] {
            assert_eq!((a(word).as_str(), counted(2, word).as_str()), (article, several));
        }
        assert_eq!(
            (counted(1, "open ticket").as_str(), counted(0, "note").as_str()),
            ("1 open ticket", "0 notes")
        );
    }
}
