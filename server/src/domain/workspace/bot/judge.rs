//! What the bot makes of a question: pure judgement over texts.

use crate::domain::{
    context::words::words,
    workspace::kinds::{article::Article, bot::Bot},
};

/// Longest quote, in characters: what fits a chat window.
const MOST_QUOTE: usize = 600;
/// What a word counts that stands in an article's body but not in its title.
const IN_BODY: f64 = 0.7;

/// Words that tell nothing of what is asked. Short lists: whatever is missing here only makes the bot more careful.
const TELLS_NOTHING: &[&str] = &[
    "a", "about", "am", "an", "and", "any", "are", "at", "be", "but", "by", "can", "could", "do", "does",
    "for", "from", "get", "have", "hello", "help", "hi", "how", "i", "in", "is", "it", "me", "my", "need",
    "not", "of", "on", "or", "our", "please", "so", "some", "thanks", "that", "the", "there", "this", "to",
    "want", "was", "we", "what", "when", "where", "which", "who", "why", "will", "with", "would", "you",
    "your",
];

/// What the bot does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Says what a directive says.
    Say(String),
    /// Quotes an article.
    Quote {
        /// Its id.
        article: String,
        text: String,
    },
    /// Asks for other words.
    AskAgain,
    /// Leaves it to people.
    HandOff,
}

/// An article as it is judged.
pub(super) struct Readable<'a> {
    id: &'a str,
    title: &'a str,
    body: &'a str,
}

impl<'a> Readable<'a> {
    pub(super) fn of(id: &'a str, article: &'a Article) -> Self {
        Self {
            id,
            title: &article.title,
            body: &article.body_markdown,
        }
    }
}

/// The words of a question that tell what it is about.
pub(super) fn telling(mut words: Vec<String>) -> Vec<String> {
    words.retain(|word| !TELLS_NOTHING.contains(&word.as_str()));
    words.sort();
    words.dedup();
    words
}

/// Decides. `unanswered`: questions of this conversation that found no answer so far.
pub(super) fn judge(bot: &Bot, question: &str, articles: &[Readable<'_>], unanswered: u32) -> Verdict {
    let asked = words(question);
    let holds = |text: &str| {
        let wanted = words(text);
        !wanted.is_empty() && wanted.iter().all(|word| asked.contains(word))
    };
    if bot.handoff.keywords.iter().any(|keyword| holds(keyword)) {
        return Verdict::HandOff;
    }
    if let Some(directive) = bot.directives.iter().find(|directive| holds(&directive.when)) {
        return match directive.action.trim() {
            "handoff" => Verdict::HandOff,
            text => Verdict::Say(text.to_owned()),
        };
    }
    let about = telling(asked);
    let best = articles
        .iter()
        .map(|article| (score(article, &about), article))
        .filter(|(score, _)| *score > 0.0 && *score >= bot.answer_threshold)
        // The first of equals: full text ranked it higher.
        .reduce(|best, next| if next.0 > best.0 { next } else { best });
    match best {
        Some((_, article)) => Verdict::Quote {
            article: article.id.to_owned(),
            text: quote(article, &about),
        },
        None if unanswered + 1 >= bot.handoff.after_unanswered.max(1) => Verdict::HandOff,
        None => Verdict::AskAgain,
    }
}

/// Longest ending in which two forms of a word may differ, and shortest word that has forms.
const MOST_ENDING: usize = 3;
const SHORTEST_STEM: usize = 4;

/// Whether a word, or another form of it, is among others: `take` in `takes`, `refunds` in `refund`.
fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|other| {
        let (short, long) = if other.len() < word.len() {
            (other.as_str(), word)
        } else {
            (word, other.as_str())
        };
        other == word
            || (short.len() >= SHORTEST_STEM
                && long.len() - short.len() <= MOST_ENDING
                && long.starts_with(short))
    })
}

/// How much of what is asked an article is about, 0 to 1.
fn score(article: &Readable<'_>, about: &[String]) -> f64 {
    if about.is_empty() {
        return 0.0;
    }
    let (title, body) = (words(article.title), words(article.body));
    let found = about
        .iter()
        .map(|word| match (has(&title, word), has(&body, word)) {
            (true, _) => 1.0,
            (false, true) => IN_BODY,
            (false, false) => 0.0,
        });
    let count = u32::try_from(about.len()).unwrap_or(u32::MAX);
    found.sum::<f64>() / f64::from(count)
}

/// The paragraph that says most of what is asked, under the article's title.
fn quote(article: &Readable<'_>, about: &[String]) -> String {
    let paragraphs = article.body.split("\n\n").map(str::trim);
    let said = paragraphs.filter(|text| !text.is_empty() && !text.starts_with('#'));
    let hits = |text: &str| {
        let there = words(text);
        about.iter().filter(|word| has(&there, word)).count()
    };
    let best = said
        .map(|text| (hits(text), text))
        .reduce(|best, next| if next.0 > best.0 { next } else { best });
    let text = best.map_or(article.title, |(_, text)| text);
    let shown: String = text.chars().take(MOST_QUOTE).collect();
    let quoted = shown
        .lines()
        .map(|line| format!("> {line}"))
        .collect::<Vec<_>>()
        .join("\n");
    format!("{quoted}\n\nFrom \"{}\"", article.title)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::workspace::kinds::bot::{Directive, Handoff};

    fn bot() -> Bot {
        Bot {
            directives: vec![
                Directive {
                    when: "opening hours".to_owned(),
                    action: "We are here from nine to five.".to_owned(),
                },
                Directive {
                    when: "lawyer".to_owned(),
                    action: "handoff".to_owned(),
                },
            ],
            handoff: Handoff {
                after_unanswered: 2,
                keywords: vec!["real person".to_owned()],
                to_channel: None,
            },
            answer_threshold: 0.35,
            ..Bot::default()
        }
    }

    #[test]
    fn directives_win_then_articles_then_people() {
        let articles = [
            Readable {
                id: "art_1",
                title: "Refund policy",
                body: "# Refunds\n\nWe are glad.\n\nA refund takes five days after we have the goods.",
            },
            Readable {
                id: "art_2",
                title: "Shipping",
                body: "Parcels leave every day. A refund of shipping costs is possible.",
            },
        ];
        let says = |question: &str, unanswered| judge(&bot(), question, &articles, unanswered);
        assert_eq!(
            says("What are your OPENING hours?", 0),
            Verdict::Say("We are here from nine to five.".to_owned())
        );
        assert_eq!(
            says("I want to talk to a real person about a refund", 0),
            Verdict::HandOff
        );
        assert_eq!(says("My lawyer will write", 0), Verdict::HandOff);
        assert_eq!(
            says("How long does a refund take?", 0),
            Verdict::Quote {
                article: "art_1".to_owned(),
                text: "> A refund takes five days after we have the goods.\n\nFrom \"Refund policy\""
                    .to_owned()
            }
        );
        assert_eq!(says("My invoice has a wrong address on it", 0), Verdict::AskAgain);
        assert_eq!(says("My invoice has a wrong address on it", 1), Verdict::HandOff);
        assert_eq!(says("hello", 0), Verdict::AskAgain, "a greeting matches nothing");
    }

    #[test]
    fn the_threshold_is_the_share_of_what_is_asked() {
        let article = [Readable {
            id: "art_1",
            title: "Refund policy",
            body: "Goods come back.",
        }];
        let with = |threshold: f64, question: &str| {
            let bot = Bot {
                answer_threshold: threshold,
                ..bot()
            };
            matches!(judge(&bot, question, &article, 0), Verdict::Quote { .. })
        };
        assert!(with(0.5, "refund invoice"));
        assert!(!with(0.51, "refund invoice"));
        assert!(with(0.35, "goods invoice") && !with(0.36, "goods invoice"));
        assert!(
            !with(0.0, "invoice"),
            "an article that says nothing of it is no answer"
        );
    }
}
