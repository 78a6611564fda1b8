//! Lists are found along indexes, however many records there are: the engines say so themselves.

use footbridge_server::store::{
    Condition, Draft, Field, Matching, NamedBy, RecordQuery, StatementPlan, TextQuery, within,
};
use serde_json::json;

use super::harness::{Place, for_each_engine, read, write};

/// More than are sorted in memory, so that every way of a list is taken.
const RECORDS: i64 = 1_300;

/// Steps that read a table from one end to the other, or records in another order than the index's.
fn faults(plan: &StatementPlan) -> Vec<String> {
    let tables = [
        "records",
        "record_fields",
        "record_uniques",
        "record_history",
        "texts",
    ];
    let scans = |step: &str| {
        // SQLite: `SCAN s`; its small temporary tables are scanned, too, and have other names.
        let sqlite = ["SCAN r", "SCAN s", "SCAN f", "SCAN u"].contains(&step.trim())
            || tables.iter().any(|table| step.trim() == format!("SCAN {table}"));
        // PostgreSQL: `Seq Scan on records r`.
        sqlite
            || tables
                .iter()
                .any(|table| step.contains(&format!("Seq Scan on {table}")))
    };
    plan.steps.iter().filter(|step| scans(step)).cloned().collect()
}

async fn fill(place: &Place) -> footbridge_server::store::Store {
    if place.is_postgres() {
        // A table of a few rows it would rather read whole.
        let off = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_seqscan = off', current_database()); END $$";
        place.tamper(off).await;
    }
    let store = place.open_with(&["acme"]).await;
    write(&store, "acme", |tx| {
        Box::pin(async move {
            for n in 0..RECORDS {
                let mut draft = Draft::of(&json!({ "n": n, "of": "lead_00007" }))?
                    .with(Field::unique("number", n))
                    .with(Field::new("half", n % 2 == 0))
                    .with(Field::new("value", n / 3))
                    .with(Field::new("tag", "all"))
                    .with_words(&format!("number{n}"), "everywhere");
                let apart = |tag: &str| Field::new(&within("tag", tag, "value"), n / 3);
                draft = draft.with(apart("all"));
                if n % 100 == 0 {
                    draft = draft.with(Field::new("tag", "rare")).with(apart("rare"));
                }
                tx.records("lead")
                    .insert(&format!("lead_{n:05}"), &draft, "usr")
                    .await?;
            }
            Ok(())
        })
    })
    .await;
    place.tamper("ANALYZE").await;
    store
}

/// A list: what it is called, its conditions, its order, and whether the largest come first.
type Question = (&'static str, Vec<Condition>, &'static str, bool);

/// The questions of lists.
fn questions() -> Vec<Question> {
    let between = |field: &str, from: i64, to: i64| {
        Condition::Between(field.to_owned(), Some(from.into()), Some(to.into()))
    };
    let either = Condition::OneOf("half".to_owned(), vec![true.into(), false.into()]);
    let (half, rare) = (Condition::is("half", true), Condition::is("tag", "rare"));
    let all = Condition::is("tag", "all");
    let any = Condition::OneOf("tag".to_owned(), vec!["rare".into(), "all".into(), "none".into()]);
    vec![
        ("newest", vec![], "created_at", true),
        ("oldest", vec![], "created_at", false),
        ("one value", vec![half.clone()], "created_at", true),
        ("either value", vec![either.clone()], "created_at", true),
        (
            "two conditions",
            vec![half.clone(), rare.clone()],
            "created_at",
            true,
        ),
        (
            "two frequent ones",
            vec![all.clone(), either.clone()],
            "created_at",
            false,
        ),
        (
            "a window",
            vec![between("created_at", 0, i64::MAX)],
            "created_at",
            true,
        ),
        (
            "one value in a window",
            vec![all.clone(), between("created_at", 0, i64::MAX)],
            "created_at",
            true,
        ),
        ("another order", vec![], "value", true),
        ("another order, rare", vec![rare.clone()], "value", false),
        (
            "another order, rare in a range of it",
            vec![between("value", 10, 200), rare.clone()],
            "value",
            true,
        ),
        (
            "another order, rare and one more",
            vec![half.clone(), rare.clone()],
            "value",
            true,
        ),
        (
            "another order, rare and a range",
            vec![rare, between("number", 150, 10_000)],
            "value",
            true,
        ),
        ("another order, frequent", vec![all.clone()], "value", true),
        ("another order, several words", vec![any], "value", false),
        (
            "another order, frequent, in a window",
            vec![all.clone(), between("created_at", 0, i64::MAX)],
            "value",
            true,
        ),
        (
            "a range of the order",
            vec![between("value", 10, 20)],
            "value",
            true,
        ),
        (
            "a narrow range",
            vec![between("value", 10, 20)],
            "created_at",
            true,
        ),
        (
            "a wide range",
            vec![between("value", 0, 10_000)],
            "created_at",
            true,
        ),
        (
            "a wide range in another order",
            vec![all, between("number", 0, 10_000)],
            "value",
            false,
        ),
    ]
}

/// The value of `number` that a record has.
fn number(id: &str) -> i64 {
    id.trim_start_matches("lead_").parse().unwrap()
}

/// What a list must be, worked out by hand. All were made at one moment, so equal values stand in the order of ids.
fn expected(conditions: &[Condition], sort: &str, descending: bool) -> Vec<i64> {
    let holds = |n: i64, condition: &Condition| {
        let within = |value: i64, from: &Option<_>, to: &Option<_>| {
            let int = |bound: &Option<_>| match bound {
                Some(footbridge_server::store::FieldValue::Int(value)) => *value,
                other => panic!("{other:?}"),
            };
            int(from) <= value && value < int(to)
        };
        match condition {
            Condition::OneOf(field, values) if field == "half" => values.contains(&(n % 2 == 0).into()),
            Condition::OneOf(_, values) => values.contains(&"all".into()) || n % 100 == 0,
            Condition::Between(field, from, to) => match field.as_str() {
                "value" => within(n / 3, from, to),
                "number" => within(n, from, to),
                _ => true,
            },
        }
    };
    let mut listed: Vec<i64> = (0..RECORDS)
        .filter(|n| conditions.iter().all(|condition| holds(*n, condition)))
        .collect();
    listed.sort_by_key(|n| if sort == "value" { (n / 3, *n) } else { (0, *n) });
    if descending {
        listed.reverse();
    }
    listed
}

#[test]
fn every_list_is_found_along_an_index_and_is_whole() {
    for_each_engine(|place| async move {
        // On a table of a few rows PostgreSQL would rather read all of it.
        if place.is_postgres() {
            place
                .tamper("ALTER ROLE footbridge SET enable_seqscan = off")
                .await;
        }
        let store = fill(&place).await;
        place.tamper("ANALYZE").await;
        // Those with another order twice: with its values kept apart by tag, and without.
        let each = questions().into_iter().flat_map(|question| {
            let apart: &[bool] = if question.2 == "value" {
                &[false, true]
            } else {
                &[false]
            };
            apart
                .iter()
                .map(move |apart| (question.clone(), *apart))
                .collect::<Vec<_>>()
        });
        for ((name, conditions, sort, descending), apart) in each {
            let wanted = expected(&conditions, sort, descending);
            let mut query = RecordQuery {
                conditions: conditions.clone(),
                sort: sort.to_owned(),
                descending,
                after: None,
                limit: 7,
                apart: apart.then(|| "tag".to_owned()).into_iter().collect(),
            };
            let mut listed = Vec::new();
            // The first pages and, from where the third ends, all the rest at once.
            for page in 0..4 {
                let asked = query.clone();
                let (found, plans) = read(&store, "acme", move |tx| {
                    Box::pin(async move {
                        tx.note_plans();
                        let found = tx.records("lead").list(&asked).await?;
                        Ok((found, tx.take_plans()))
                    })
                })
                .await;
                assert!(!plans.is_empty());
                for plan in &plans {
                    assert_eq!(faults(plan), Vec::<String>::new(), "{name}: {plan:#?}");
                }
                listed.extend(found.records.iter().map(|record| number(&record.id)));
                query.after = found.next;
                if query.after.is_none() {
                    break;
                }
                query.limit = if page == 2 { 5_000 } else { 7 };
            }
            assert_eq!(query.after, None, "{name} has an end");
            assert_eq!(listed, wanted, "{name}");
            let counted = read(&store, "acme", move |tx| {
                Box::pin(async move { tx.records("lead").count(&conditions, 5_000).await })
            })
            .await;
            assert_eq!(counted, wanted.len() as i64, "{name}, counted");
        }
    });
}

#[test]
fn counts_and_look_ups_are_found_along_an_index() {
    for_each_engine(|place| async move {
        if place.is_postgres() {
            place
                .tamper("ALTER ROLE footbridge SET enable_seqscan = off")
                .await;
        }
        let store = fill(&place).await;
        place.tamper("ANALYZE").await;
        let plans = read(&store, "acme", |tx| {
            Box::pin(async move {
                tx.note_plans();
                let both = [Condition::is("half", true), Condition::is("tag", "rare")];
                assert_eq!(tx.records("lead").count(&both, 1_000).await?, 13);
                assert_eq!(tx.records("lead").count(&[], 1_000).await?, 1_000);
                assert!(tx.records("lead").find("lead_00007").await?.is_some());
                assert!(
                    tx.records("lead")
                        .find_unique("number", &7.into())
                        .await?
                        .is_some()
                );
                assert_eq!(tx.records("lead").history("lead_00007", 9).await?.len(), 1);
                assert_eq!(tx.records("lead").find_rows(&[3, 1]).await?.len(), 2);
                let ids = ["lead_00007".to_owned(), "lead_x".to_owned()];
                assert_eq!(tx.records("lead").taken(&ids).await?, ["lead_00007"]);
                assert_eq!(tx.records("lead").find_all(&ids).await?.len(), 1);
                let named = NamedBy {
                    kind: "lead",
                    field: "of",
                    row_ids: &[3, 1],
                };
                let newest = RecordQuery::default();
                let listed = tx.records("lead").list_among(&newest, &[], &[named]).await?;
                assert_eq!(listed.records.len(), 1);
                let rare = [Condition::is("tag", "rare")];
                assert_eq!(tx.records("lead").meeting(&rare, &[3, 2, 1]).await?, [1]);
                Ok(tx.take_plans())
            })
        })
        .await;
        for plan in &plans {
            assert_eq!(faults(plan), Vec::<String>::new(), "{plan:#?}");
        }
    });
}

#[test]
fn words_are_found_along_their_index_and_not_by_looking_at_records() {
    for_each_engine(|place| async move {
        let store = fill(&place).await;
        let plans = read(&store, "acme", |tx| {
            Box::pin(async move {
                let asked = |word: &str| TextQuery {
                    matching: Matching::All,
                    prefix_last: true,
                    ..TextQuery::any_of([word])
                };
                tx.note_plans();
                for (word, most, found) in [("everywhere", 9, 9), ("every", 9, 9), ("number77", 99, 11)] {
                    let newest = tx.newest_words(&[("lead", most)], &asked(word)).await?;
                    assert_eq!(newest.concat().len(), found);
                }
                assert_eq!(
                    tx.find_words(&["lead", "contact"], &asked("ever"), 9)
                        .await?
                        .len(),
                    9
                );
                Ok(tx.take_plans())
            })
        })
        .await;
        let of_words = |plan: &&StatementPlan| plan.sql.contains("text_marks");
        assert_eq!(plans.iter().filter(of_words).count() > 0, place.is_postgres());
        for plan in &plans {
            assert_eq!(faults(plan), Vec::<String>::new(), "{plan:#?}");
            let marked = plan.steps.iter().any(|step| step.contains("texts_marks"));
            assert!(!of_words(&plan) || marked, "{plan:#?}");
        }
    });
}
