use rusqlite::Connection;

use super::super::fuse::{RankedList, fuse};
use super::super::query::parse;
use super::super::words::index_text;
use super::*;

/// A lexicon in which each word stands in so many chunks.
fn lexicon(words: &[(&str, usize)]) -> Lexicon {
    let mut lexicon = Lexicon::default();
    for n in 0..words.iter().map(|(_, chunks)| *chunks).max().unwrap_or(0) {
        let held: Vec<&str> = words
            .iter()
            .filter(|(_, chunks)| n < *chunks)
            .map(|(word, _)| *word)
            .collect();
        lexicon.add_chunk(&held.join(" "));
    }
    lexicon
}

fn planned(question: &str, lexicon: &Lexicon) -> Plan {
    plan(&parse(question).unwrap(), lexicon)
}

#[test]
fn rare_words_decide_and_frequent_ones_help() {
    let lexicon = lexicon(&[("the", 9_000), ("meeting", 6_000), ("alice", 10), ("budget", 300)]);
    let plan = planned("the meeting budget alice", &lexicon);
    assert_eq!(plan.exact.len(), 1);
    assert_eq!(
        plan.exact[0].fts5(),
        "(\"alice\" OR \"budget\") AND (\"alice\" OR \"budget\" OR \"meeting\" OR \"the\")"
    );
    assert_eq!(
        plan.exact[0].tsquery(),
        "('alice' | 'budget') & ('alice' | 'budget' | 'meeting' | 'the')"
    );
    assert_eq!(plan.exact[0].ranking, Ranking::All);
    assert_eq!(plan.near, None);
}

#[test]
fn frequent_words_alone_are_ranked_among_the_newest() {
    let lexicon = lexicon(&[("the", 9_000), ("of", 6_000)]);
    let plan = planned("the of", &lexicon);
    let seen: Vec<_> = plan
        .exact
        .iter()
        .map(|search| (search.fts5(), search.ranking))
        .collect();
    let all = ("\"of\" \"the\"".to_owned(), Ranking::Newest);
    assert_eq!(seen, [all, ("\"of\" OR \"the\"".to_owned(), Ranking::Newest)]);
    assert_eq!(planned("the", &lexicon).exact.len(), 1);
}

#[test]
fn what_is_ranked_and_counted_is_bounded() {
    let names: Vec<String> = (0..32).map(|n| format!("w{n}x")).collect();
    let words: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1_000)).collect();
    let plan = planned(&names.join(" "), &lexicon(&words));
    assert_eq!((plan.exact[0].terms.len(), plan.exact[0].helpers.len()), (3, 29));
}

#[test]
fn frequent_words_alone_are_counted_within_the_budget_too() {
    let words = [("one", 40_000), ("two", 45_000), ("three", 50_000)];
    let plan = planned("three two one", &lexicon(&words));
    assert_eq!(plan.exact[0].fts5(), "\"one\" \"two\"");
    let plan = planned("huge", &lexicon(&[("huge", 100_001)]));
    assert_eq!(plan.exact[0].fts5(), "\"huge\"", "but never none at all");
}

#[test]
fn near_words_join_the_second_search_only() {
    let lexicon = lexicon(&[("kubernetes", 5), ("cluster", 7), ("clusters", 2)]);
    let plan = planned("kubernets cluster", &lexicon);
    assert_eq!(plan.exact[0].fts5(), "\"kubernets\" OR \"cluster\"");
    let near = plan.near.unwrap();
    assert_eq!(
        near.fts5(),
        "\"kubernets\" OR \"cluster\" OR \"clusters\" OR \"kubernetes\""
    );
}

/// Short notes about different things, for the judgement below.
const NOTES: [&str; 24] = [
    "Kubernetes cluster upgrade: drain the nodes, then restart the scheduler.",
    "Quarterly budget review with finance; travel expenses were over the limit.",
    "Authentication tokens expire after an hour; refresh them in the background.",
    "Recipe for sourdough bread: flour, water, salt and a lively starter.",
    "Meeting notes: the launch moves to October because translations are late.",
    "Garden plan: tomatoes beside basil, carrots far from dill.",
    "Database migration failed on a foreign key; the rollback took two minutes.",
    "Interview questions for the frontend developer position.",
    "Invoice template with bank details and payment terms of thirty days.",
    "Holiday in Portugal: ferries, museums and the best pastries in Lisbon.",
    "Encryption keys are rotated yearly and stored in the hardware module.",
    "Bicycle maintenance: clean the chain, check brake pads and tyre pressure.",
    "Onboarding checklist for new colleagues: laptop, badge, accounts, mentor.",
    "Performance of the search endpoint: most time is spent in serialization.",
    "Insurance policy covers water damage but not earthquakes.",
    "Die Besprechung über das Lager wurde auf Donnerstag verschoben.",
    "Podcast ideas: archaeology, volcanoes, the history of typography.",
    "Customer complained about delivery; refund approved by the supervisor.",
    "Electricity meter readings for the apartment since January.",
    "Accessibility audit: contrast, keyboard navigation, screen readers.",
    "Piano practice: scales, arpeggios and the second movement.",
    "Vaccination appointment at the clinic, bring the passport.",
    "Subscription cancelled; the newsletter archive remains available.",
    "Telescope calibration before observing Saturn and its rings.",
];

/// Fixed questions: as a person would type them, and the note that answers. `exact` ones are spelt right.
const EXACT: [(&str, u32); 12] = [
    ("kubernetes upgrade", 0),
    ("travel expenses", 1),
    ("tokens expire", 2),
    ("sourdough starter", 3),
    ("launch october", 4),
    ("migration rollback", 6),
    ("payment terms", 8),
    ("pastries in lisbon", 9),
    ("chain brake", 11),
    ("water damage", 14),
    ("keyboard contrast", 19),
    ("saturn", 23),
];

const MISSPELT_OR_INFLECTED: [(&str, u32); 24] = [
    ("kubernets", 0),
    ("quaterly", 1),
    ("authentification", 2),
    ("sourdouh", 3),
    ("meetings translation", 4),
    ("tomatos", 5),
    ("databse migrations", 6),
    ("interviews developers", 7),
    ("invioce", 8),
    ("portugual museum", 9),
    ("encrypted key", 10),
    ("bycicle", 11),
    ("onbording colleage", 12),
    ("serialisation", 13),
    ("insurrance", 14),
    ("besprechungen", 15),
    ("archeology vulcano", 16),
    ("refunded customers", 17),
    ("electrcity", 18),
    ("accessability", 19),
    ("arpeggio", 20),
    ("vacination", 21),
    ("subscribtion", 22),
    ("telescop", 23),
];

struct Judge {
    db: Connection,
    lexicon: Lexicon,
}

impl Judge {
    fn new() -> Self {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'unicode61')")
            .unwrap();
        let mut lexicon = Lexicon::default();
        for (id, note) in (0_u32..).zip(NOTES) {
            db.execute("INSERT INTO t (rowid, a) VALUES (?1, ?2)", (id, index_text(note)))
                .unwrap();
            lexicon.add_chunk(note);
        }
        Self { db, lexicon }
    }

    fn hits(&self, search: &Search) -> Vec<(u32, u32)> {
        let mut found = self
            .db
            .prepare("SELECT rowid FROM t WHERE t MATCH ?1 ORDER BY rank, rowid")
            .unwrap();
        found
            .query_map([search.fts5()], |row| Ok((row.get(0)?, 0)))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    /// How many questions get the right note in first place: by full text alone, and with near words.
    fn first_places(&self, questions: &[(&str, u32)]) -> (usize, usize) {
        let (mut alone, mut with_near) = (0, 0);
        for (question, answer) in questions {
            let plan = planned(question, &self.lexicon);
            let exact = self.hits(&plan.exact[0]);
            let near = plan.near.as_ref().map(|near| self.hits(near)).unwrap_or_default();
            let lists = [exact.as_slice(), near.as_slice()].map(|hits| RankedList { weight: 1.0, hits });
            alone += usize::from(exact.first().is_some_and(|(id, _)| id == answer));
            with_near += usize::from(fuse(&lists).first().is_some_and(|group| group.entity == *answer));
        }
        (alone, with_near)
    }
}

#[test]
fn near_words_help_and_do_not_hurt() {
    let judge = Judge::new();
    assert_eq!(
        judge.first_places(&EXACT),
        (EXACT.len(), EXACT.len()),
        "well spelt questions lose nothing"
    );
    let (alone, with_near) = judge.first_places(&MISSPELT_OR_INFLECTED);
    assert!(alone <= 2, "the questions are hard: {alone}");
    assert!(
        with_near >= 23,
        "and near words answer them: {with_near} of {}",
        MISSPELT_OR_INFLECTED.len()
    );
}
