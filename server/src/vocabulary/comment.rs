//! Comments of the source, as references quote them.

/// A comment of the source as a reader of a reference sees it.
pub fn prose(text: &str) -> String {
    // Comments are wrapped by hand.
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Where a rule comes from is for whoever reads the source.
    while let Some(begin) = text.find(".md ").and_then(|at| text.get(..at)?.rfind(" (")) {
        let Some(end) = text.get(begin..).and_then(|rest| rest.find(')')) else {
            break;
        };
        text.replace_range(begin..=begin + end, "");
    }
    text
}
