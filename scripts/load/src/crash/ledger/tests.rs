use super::*;

/// Moments in milliseconds after a common beginning.
struct Time(Instant);

impl Time {
    fn at(&self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }

    /// A write of `content` to `key`, begun at `begun` and answered at `answered`.
    fn put(&self, key: &str, content: &str, begun: u64, answered: Option<u64>) -> Attempt {
        Attempt {
            tool: WRITE_TOOL,
            key: key.to_owned(),
            content: content.to_owned(),
            digest: format!("digest of {content}"),
            begun: self.at(begun),
            answered: answered.map(|ms| (self.at(ms), "mem_1".to_owned())),
        }
    }
}

fn row(tool: &str, status: &str, content: &str) -> Row {
    Row {
        seq: 1,
        caller: "key_1".to_owned(),
        tool: tool.to_owned(),
        status: status.to_owned(),
        digest: format!("digest of {content}"),
        records: vec!["mem_1".to_owned()],
    }
}

fn allow(content: &str) -> Row {
    row(WRITE_TOOL, ALLOW, content)
}

fn texts(found: &[(&str, &str)]) -> HashMap<String, String> {
    found
        .iter()
        .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
        .collect()
}

fn settle(attempts: &[Attempt], found: &[(&str, &str)], rows: &[Row]) -> Vec<String> {
    let killed = Instant::now();
    Ledger::default()
        .settle(attempts, &texts(found), rows, killed)
        .violations
}

#[test]
fn the_last_answered_text_or_a_later_one_is_what_may_be_found() {
    let time = Time(Instant::now());
    let attempts = [
        time.put("k", "1", 0, Some(1)),
        time.put("k", "2", 2, Some(3)),
        time.put("k", "3", 4, None),
    ];
    let two = [allow("1"), allow("2")];
    let three = [allow("1"), allow("2"), allow("3")];
    assert_eq!(settle(&attempts, &[("k", "2")], &two), [""; 0]);
    assert_eq!(settle(&attempts, &[("k", "3")], &three), [""; 0]);
    assert!(settle(&attempts, &[("k", "1")], &two)[0].contains("although the later `2`"));
    assert!(settle(&attempts, &[], &two)[0].contains("`1` is lost"));
    assert!(settle(&attempts, &[("k", "4")], &two)[0].contains("nobody wrote `4`"));
}

#[test]
fn of_two_writers_at_once_either_may_win() {
    let time = Time(Instant::now());
    let attempts = [time.put("k", "a", 0, Some(5)), time.put("k", "b", 1, Some(4))];
    let rows = [allow("a"), allow("b")];
    assert_eq!(settle(&attempts, &[("k", "a")], &rows), [""; 0]);
    assert_eq!(settle(&attempts, &[("k", "b")], &rows), [""; 0]);
}

#[test]
fn what_earlier_rounds_settled_must_stay() {
    let time = Time(Instant::now());
    let mut ledger = Ledger::default();
    let first = [time.put("k", "old", 0, Some(1))];
    let verdict = ledger.settle(&first, &texts(&[("k", "old")]), &[allow("old")], time.at(2));
    assert_eq!((verdict.violations.len(), verdict.answered_writes), (0, 1));
    let cut_off = [time.put("k", "new", 3, None)];
    let verdict = ledger.settle(&cut_off, &texts(&[("k", "old")]), &[], time.at(4));
    assert_eq!((verdict.violations.len(), verdict.cut_off), (0, (1, 0)));
    let verdict = ledger.settle(&cut_off, &HashMap::new(), &[], time.at(4));
    assert!(
        verdict.violations[0].contains("is gone"),
        "{:?}",
        verdict.violations
    );
}

#[test]
fn every_answer_and_every_effect_has_its_row_and_no_row_is_alone() {
    let time = Time(Instant::now());
    let answered = [time.put("k", "1", 0, Some(1))];
    assert_eq!(
        settle(&answered, &[("k", "1")], &[]),
        [
            "memory_put `1`: answered, but without a row",
            "memory_put `1`: took effect without a row"
        ]
    );
    let other_record = Row {
        records: Vec::new(),
        ..allow("1")
    };
    assert!(settle(&answered, &[("k", "1")], &[other_record])[0].contains("does not name the record"));
    let twice = [allow("1"), allow("1")];
    assert!(settle(&answered, &[("k", "1")], &twice)[0].contains("2 rows `allow`"));
    let cut_off = [time.put("k", "1", 0, None)];
    assert_eq!(settle(&cut_off, &[], &[]), [""; 0]);
    assert!(settle(&cut_off, &[("k", "1")], &[])[0].contains("took effect without a row"));
    assert!(settle(&cut_off, &[], &[allow("1")])[0].contains("took no effect"));
    assert!(settle(&[], &[], &[allow("1")])[0].contains("nobody made"));
}

#[test]
fn a_file_needs_its_intent_and_an_answer_its_outcome() {
    let time = Time(Instant::now());
    let file = |answered| Attempt {
        tool: FILE_TOOL,
        ..time.put("f", "1", 0, answered)
    };
    let (intent, outcome) = (row(FILE_TOOL, INTENT, "1"), row(FILE_TOOL, ALLOW, "1"));
    let both = [intent.clone(), outcome.clone()];
    assert_eq!(settle(&[file(Some(1))], &[("f", "1")], &both), [""; 0]);
    assert_eq!(settle(&[file(None)], &[("f", "1")], &both[..1]), [""; 0]);
    assert_eq!(settle(&[file(None)], &[], &both[..1]), [""; 0]);
    assert!(settle(&[file(None)], &[("f", "1")], &[])[0].contains("without an intent"));
    assert!(settle(&[file(Some(1))], &[("f", "1")], &both[..1])[0].contains("without a row"));
    assert!(settle(&[file(Some(1))], &[("f", "1")], &[outcome])[0].contains("without an intent"));
}

#[test]
fn a_read_may_lose_its_row_and_the_loss_is_measured() {
    let time = Time(Instant::now());
    let read = Attempt {
        tool: READ_TOOL,
        digest: "of the read".to_owned(),
        ..time.put("k", "1", 2, Some(3))
    };
    let attempts = [time.put("k", "1", 0, Some(1)), read];
    let verdict = Ledger::default().settle(&attempts, &texts(&[("k", "1")]), &[allow("1")], time.at(8));
    assert_eq!(verdict.lost_reads, (1, Duration::from_millis(5)));
    assert_eq!(verdict.slowest_write, Duration::from_millis(1));
    assert_eq!(verdict.violations, [""; 0]);
}

#[test]
fn a_read_brings_the_latest_answered_text_or_one_under_way() {
    let time = Time(Instant::now());
    let writes = [
        time.put("k", "1", 0, Some(1)),
        time.put("k", "2", 2, Some(4)),
        time.put("k", "3", 9, Some(10)),
    ];
    let rows = [allow("1"), allow("2"), allow("3")];
    let violations = |brought: &str, begun| {
        let read = Attempt {
            tool: READ_TOOL,
            ..time.put("k", brought, begun, Some(begun + 1))
        };
        let attempts = [&writes[..], &[read]].concat();
        settle(&attempts, &[("k", "3")], &rows)
    };
    assert_eq!(violations("1", 2), [""; 0]);
    assert_eq!(violations("2", 2), [""; 0]);
    assert_eq!(violations("2", 5), [""; 0]);
    assert!(violations("1", 5)[0].contains("although the later `2`"));
    assert!(violations("3", 5)[0].contains("nobody wrote `3`"));
}

#[test]
fn the_last_look_finds_what_disappeared_without_being_touched() {
    let time = Time(Instant::now());
    let mut ledger = Ledger::default();
    ledger.settle(
        &[time.put("k", "1", 0, Some(1))],
        &texts(&[("k", "1")]),
        &[allow("1")],
        time.at(2),
    );
    assert_eq!(ledger.keys_of(WRITE_TOOL), ["k"]);
    assert!(ledger.missing(&texts(&[("k", "1")])).is_empty());
    assert_eq!(ledger.missing(&HashMap::new()), ["`k`: `1` is lost"]);
}
