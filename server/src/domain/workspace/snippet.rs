//! The part of a text that a search found, to be shown beside its title.

use crate::domain::context::words::for_each_word;

/// Longest snippet, in bytes; it is cut between words.
const LONGEST: usize = 200;

/// How many of the words stand in a text; the last one only has to be begun.
pub(crate) fn count(text: &str, words: &[String]) -> usize {
    let mut found = vec![false; words.len()];
    let last = words.len().saturating_sub(1);
    for_each_word(text, |word| {
        for (at, (wanted, found)) in words.iter().zip(&mut found).enumerate() {
            *found |= word == wanted || (at == last && word.starts_with(wanted.as_str()));
        }
    });
    found.into_iter().filter(|found| *found).count()
}

/// The lines around the first of the words, as one line.
pub(crate) fn around(text: &str, words: &[String]) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut best = lines.clone().next().unwrap_or_default();
    let mut most = 0;
    for line in lines.by_ref() {
        let here = count(line, words);
        if here > most {
            (best, most) = (line, here);
        }
    }
    let start = first(best, words).map_or(0, |at| begin(best, at));
    let rest = best.get(start..).unwrap_or_default();
    let end = if rest.len() > LONGEST {
        let end = rest.floor_char_boundary(LONGEST);
        let cut = rest.get(..end).unwrap_or_default();
        cut.rfind(' ').unwrap_or(end)
    } else {
        rest.len()
    };
    let shown = rest.get(..end).unwrap_or_default().trim();
    let before = if start > 0 { "… " } else { "" };
    let after = if end < rest.len() { " …" } else { "" };
    format!("{before}{shown}{after}")
}

/// Where the first of the words stands in a line.
fn first(line: &str, words: &[String]) -> Option<usize> {
    let mut at = 0;
    for part in line.split(' ') {
        if count(part, words) > 0 {
            return Some(at);
        }
        at += part.len() + 1;
    }
    None
}

/// A beginning some words before a place, so that a reader sees what it is about.
fn begin(line: &str, at: usize) -> usize {
    const BEFORE: usize = 60;
    if line.len() <= LONGEST || at <= BEFORE {
        return 0;
    }
    let from = line.floor_char_boundary(at - BEFORE);
    let rest = line.get(from..at).unwrap_or_default();
    rest.find(' ').map_or(from, |blank| from + blank + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_line_with_most_words_is_shown() {
        let text = "# Refunds\n\nWe refund.\n\nA refund takes five working days after approval.\n";
        assert_eq!(
            around(text, &words("refund days")),
            "A refund takes five working days after approval."
        );
        assert_eq!(around("", &words("refund")), "");
        assert_eq!(around("Ünïcode only", &words("nothing")), "Ünïcode only");
    }

    #[test]
    fn long_lines_are_cut_between_words_around_the_first_hit() {
        let long = format!("{} needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let shown = around(&long, &words("needle"));
        assert!(
            shown.starts_with("… hay") && shown.ends_with("straw …"),
            "{shown}"
        );
        assert!(shown.contains("needle") && shown.len() <= LONGEST + 10, "{shown}");
    }

    #[test]
    fn the_last_word_may_go_on() {
        assert_eq!(count("Analytical engines", &words("analytical eng")), 2);
        assert_eq!(count("Analytical engines", &words("anal engines")), 1);
    }
}
