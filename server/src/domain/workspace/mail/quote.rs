//! Tells what a mail says from what it repeats of earlier ones.

/// Lines that may stand between "On … wrote:" and what is quoted.
const LONGEST_INTRODUCTION: usize = 3;

/// The new text of a mail, and what it quotes at its end, if anything.
///
/// What stands between quoted lines is an answer to them, so such a mail is left as it is but for what it quotes last.
pub(crate) fn fold(text: &str) -> (String, Option<String>) {
    let lines: Vec<&str> = text.lines().collect();
    let at = separator(&lines).unwrap_or_else(|| trailing_quote(&lines));
    let at = introduction(&lines, at);
    let (new, quoted) = lines.split_at_checked(at).unwrap_or((&lines, &[]));
    let (new, quoted) = (tidy(new), tidy(quoted));
    if new.is_empty() {
        // Nothing but a quote: whoever sent it meant something by it.
        return (quoted, None);
    }
    (new, (!quoted.is_empty()).then_some(quoted))
}

fn tidy(lines: &[&str]) -> String {
    lines.join("\n").trim().to_owned()
}

fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

/// Where a line says that an earlier mail begins.
fn separator(lines: &[&str]) -> Option<usize> {
    lines.iter().enumerate().position(|(at, line)| {
        let line = line.trim();
        let dashes = line.starts_with("-----") && line.ends_with("-----");
        let named = [
            "Original Message",
            "Forwarded message",
            "Original-Nachricht",
            "Ursprüngliche Nachricht",
            "Message d'origine",
            "Mensaje original",
        ];
        (dashes && named.iter().any(|name| line.contains(name)))
            || (line.len() >= 10 && line.chars().all(|c| c == '_') && is_header_block(lines, at + 1))
            || (line.starts_with("From:") || line.starts_with("Von:")) && at > 0 && is_header_block(lines, at)
    })
}

/// Whether header lines of an earlier mail stand here, as Outlook writes them.
fn is_header_block(lines: &[&str], from: usize) -> bool {
    let names = [
        "From:",
        "Von:",
        "Sent:",
        "Gesendet:",
        "Date:",
        "Datum:",
        "To:",
        "An:",
        "Subject:",
        "Betreff:",
    ];
    let block = lines.iter().skip(from).take(5);
    block
        .filter(|line| {
            names
                .iter()
                .any(|name| line.trim().trim_start_matches('*').starts_with(name))
        })
        .count()
        >= 3
}

/// Where the quoted lines at the end begin; the number of lines if there are none.
fn trailing_quote(lines: &[&str]) -> usize {
    let mut at = lines.len();
    let mut quoted = false;
    for (index, line) in lines.iter().enumerate().rev() {
        if is_quoted(line) {
            (at, quoted) = (index, true);
        } else if !line.trim().is_empty() {
            break;
        }
    }
    if quoted { at } else { lines.len() }
}

/// Moves up over the line that introduces a quote: "On Monday, Ada wrote:" in whatever language, over up to three lines.
fn introduction(lines: &[&str], at: usize) -> usize {
    let above = lines.get(..at).unwrap_or_default();
    let Some(last) = above.iter().rposition(|line| !line.trim().is_empty()) else {
        return at;
    };
    let ends = above.get(last).is_some_and(|line| line.trim_end().ends_with(':'));
    if at == lines.len() || !ends {
        return at;
    }
    let names_somebody = |line: &str| line.contains('@') || line.chars().any(|c| c.is_ascii_digit());
    let blocks = (last.saturating_sub(LONGEST_INTRODUCTION - 1)..=last)
        .rev()
        .map(|from| (from, above.get(from..=last)));
    // The longest block without an empty line that reads like one: mail programs break long ones.
    let joined = blocks.map_while(|(from, block)| {
        block
            .filter(|block| block.iter().all(|line| !line.trim().is_empty()))
            .map(|block| (from, block))
    });
    joined
        .filter(|(_, block)| {
            block.iter().any(|line| names_somebody(line))
                && block.first().is_some_and(|line| opens_introduction(line))
        })
        .last()
        .map_or(at, |(from, _)| from)
}

fn opens_introduction(line: &str) -> bool {
    let line = line.trim_start();
    ["On ", "Am ", "Le ", "El ", "Il ", "Op ", "Em ", "Den ", "W dniu "]
        .iter()
        .any(|word| line.starts_with(word))
        || line.contains('@') && line.trim_end().ends_with(':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_repeated_is_folded_and_what_is_said_stays() {
        for (text, said, quoted) in [
            ("Hello", "Hello", None),
            (
                "Thanks, works.\n\nOn Fri, 20 Nov 2026 at 10:00, Support <s@x.example> wrote:\n> Try again.\n> Bye\n",
                "Thanks, works.",
                Some("On Fri, 20 Nov 2026 at 10:00, Support <s@x.example> wrote:\n> Try again.\n> Bye"),
            ),
            (
                "Danke\n\nAm 20.11.2026 um 10:00 schrieb Support\n<support@x.example>:\n\n> Bitte noch einmal.\n",
                "Danke",
                Some("Am 20.11.2026 um 10:00 schrieb Support\n<support@x.example>:\n\n> Bitte noch einmal."),
            ),
            (
                "Yes.\r\n\r\n-----Original Message-----\r\nFrom: Support\r\nSent: Monday\r\n\r\nIs it on?",
                "Yes.",
                Some("-----Original Message-----\nFrom: Support\nSent: Monday\n\nIs it on?"),
            ),
            (
                "Ok\n________________________________\nFrom: Support <s@x.example>\nSent: Monday\nTo: Ada\nSubject: Re: x\n\ntext",
                "Ok",
                Some(
                    "________________________________\nFrom: Support <s@x.example>\nSent: Monday\nTo: Ada\nSubject: Re: x\n\ntext",
                ),
            ),
            // Answers between the lines are kept where they stand.
            (
                "> Is it on?\nYes.\n> And plugged in?\nNo.",
                "> Is it on?\nYes.\n> And plugged in?\nNo.",
                None,
            ),
            ("> all of it", "> all of it", None),
            ("The steps are:\n> run it", "The steps are:", Some("> run it")),
            ("", "", None),
        ] {
            assert_eq!(
                fold(text),
                (said.to_owned(), quoted.map(ToOwned::to_owned)),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_line_is_lost(text in "(On 1 x:|> a|b|From: x|To: y|Sent: z|-----Original Message-----|_{12}|\n|\r\n| ){0,30}") {
            let (said, quoted) = fold(&text);
            let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
            let mut kept = words(&said);
            kept.extend(words(&quoted.unwrap_or_default()));
            prop_assert_eq!(kept, words(&text));
        }
    }
}
