//! Notes: entities and chunks, tombstones, words, vectors, the sync lock.

use footbridge_server::store::{
    EntityMark, Matching, NewChunk, NewEntity, Ranking, Store, StoreError, TextQuery, VectorShelf,
};
use serde_json::json;

use super::harness::{for_each_engine, read, tenant, write};

pub(super) fn entity(id: &str, source: &str, path: &str, texts: &[&str]) -> NewEntity {
    let chunk = |text: &&str| NewChunk {
        kind: "text".into(),
        heading: "Top > Below".into(),
        content: (*text).to_owned(),
        start: 0,
        end: u32::try_from(text.chars().count()).unwrap(),
        words: text.to_lowercase(),
    };
    NewEntity {
        id: id.to_owned(),
        source: source.to_owned(),
        path: path.to_owned(),
        uri: format!("file:///{path}"),
        title: format!("Title {id}"),
        tags: vec!["t".into()],
        metadata: json!({ "a": [1] }),
        bytes: 42,
        modified_ns: 1_700_000_000_123_456_789,
        digest: [7; 32],
        title_words: format!("title {id}"),
        chunks: texts.iter().map(chunk).collect(),
    }
}

pub(super) async fn put(store: &Store, owner: &str, new: NewEntity) -> Vec<i64> {
    write(store, owner, move |tx| {
        Box::pin(async move { tx.notes().put_entity(&new).await })
    })
    .await
}

pub(super) async fn find(
    store: &Store,
    owner: &str,
    query: TextQuery,
    source: Option<&'static str>,
) -> Vec<String> {
    read(store, owner, move |tx| {
        Box::pin(async move {
            let hits = tx.notes().text_candidates(&query, source, 20).await?;
            assert!(hits.is_sorted_by(|a, b| a.rank >= b.rank), "{hits:?}");
            let rows: Vec<i64> = hits.iter().map(|hit| hit.row_id).collect();
            let chunks = tx.notes().chunk_rows(&rows).await?;
            Ok(chunks
                .into_iter()
                .map(|chunk| format!("{}:{}", chunk.entity, chunk.position))
                .collect())
        })
    })
    .await
}

#[test]
fn an_entity_is_replaced_with_all_that_hangs_on_it() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let rows = put(
            &store,
            "acme",
            entity("e1", "vault", "a.md", &["old apple", "old pear"]),
        )
        .await;
        let first = rows[0];
        write(&store, "acme", move |tx| {
            Box::pin(async move {
                tx.notes()
                    .put_vector(VectorShelf::Chunks, "m", first, &[1, 2])
                    .await
            })
        })
        .await;
        put(
            &store,
            "acme",
            entity("e1", "vault", "b.md", &["new plum", "new cherry", "new fig"]),
        )
        .await;
        assert!(
            find(&store, "acme", TextQuery::any_of(["old"]), None)
                .await
                .is_empty()
        );
        assert_eq!(
            find(&store, "acme", TextQuery::any_of(["cherry"]), None).await,
            ["e1:1"]
        );
        let (entity, chunks, vectors, without, moved) = read(&store, "acme", |tx| {
            Box::pin(async move {
                let mut notes = tx.notes();
                Ok((
                    notes.find_entity("e1").await?.unwrap(),
                    notes.chunks("e1", 1, 5).await?,
                    notes.vectors(VectorShelf::Chunks, "m", 0, 10).await?,
                    notes.without_vector(VectorShelf::Chunks, "m", 0, 10).await?,
                    notes.find_entity_at("vault", "a.md").await?,
                ))
            })
        })
        .await;
        assert_eq!(
            (entity.chunks, entity.path.as_str(), &entity.metadata),
            (3, "b.md", &json!({ "a": [1] }))
        );
        assert_eq!(
            chunks.iter().map(|c| c.content.as_str()).collect::<Vec<_>>(),
            ["new cherry", "new fig"]
        );
        assert!(vectors.is_empty() && moved.is_none());
        assert_eq!(without.len(), 3);
    });
}

#[test]
fn a_tombstone_is_not_found_gives_way_and_is_purged() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        put(&store, "acme", entity("e1", "vault", "a.md", &["apple"])).await;
        let bury = |id: &'static str| {
            write(&store, "acme", move |tx| {
                Box::pin(async move { tx.notes().bury(id).await })
            })
        };
        assert!(bury("e1").await);
        assert!(!bury("e1").await);
        assert!(
            find(&store, "acme", TextQuery::any_of(["apple"]), None)
                .await
                .is_empty()
        );
        put(&store, "acme", entity("e2", "vault", "a.md", &["apple again"])).await;
        let other = entity("e3", "vault", "a.md", &["apple"]);
        let taken = store
            .write(&tenant("acme"), move |tx| {
                Box::pin(async move { tx.notes().put_entity(&other).await })
            })
            .await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })));
        assert!(bury("e2").await);
        put(&store, "acme", entity("e2", "vault", "a.md", &["apple back"])).await;
        assert_eq!(
            find(&store, "acme", TextQuery::any_of(["back"]), None).await,
            ["e2:0"]
        );
        bury("e2").await;
        place.clock.advance(1);
        let purged = write(&store, "acme", |tx| {
            Box::pin(async move {
                let now = tx.now();
                tx.notes().purge_tombstones(now).await
            })
        });
        assert_eq!(purged.await, 1);
    });
}

#[test]
fn a_sync_sees_its_files_by_path_and_marks_the_unchanged() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        for (id, path) in [("e1", "b.md"), ("e2", "a.md"), ("e3", "Z.md")] {
            put(&store, "acme", entity(id, "vault", path, &["x"])).await;
        }
        let marks = read(&store, "acme", |tx| {
            Box::pin(async move { tx.notes().marks("vault", "Z.md", 10).await })
        })
        .await;
        assert_eq!(
            marks.iter().map(|m| m.path.as_str()).collect::<Vec<_>>(),
            ["a.md", "b.md"],
            "sorted by bytes"
        );
        assert_eq!(
            (marks[0].bytes, marks[0].modified_ns, marks[0].digest),
            (42, 1_700_000_000_123_456_789, [7; 32])
        );
        let moved = EntityMark {
            path: "c.md".into(),
            modified_ns: 5,
            ..marks[0].clone()
        };
        assert!(
            write(&store, "acme", move |tx| Box::pin(async move {
                tx.notes().mark_entity(&moved, "file:///c.md").await
            }))
            .await
        );
        let counts = read(&store, "acme", |tx| {
            Box::pin(async move { tx.notes().source_counts().await })
        })
        .await;
        assert_eq!((counts.len(), counts[0].entities, counts[0].chunks), (1, 3, 3));
    });
}

#[test]
fn sources_keep_their_state_when_reconfigured() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let source = write(&store, "acme", |tx| {
            Box::pin(async move {
                tx.notes()
                    .put_source("vault", "obsidian", &json!({ "root": "/a" }))
                    .await?;
                assert!(
                    tx.notes()
                        .set_source_state("vault", &json!({ "last": 1 }))
                        .await?
                );
                assert!(!tx.notes().set_source_state("none", &json!(1)).await?);
                tx.notes()
                    .put_source("vault", "obsidian", &json!({ "root": "/b" }))
                    .await
            })
        })
        .await;
        assert_eq!(
            (source.config["root"].as_str(), source.state["last"].as_i64()),
            (Some("/b"), Some(1))
        );
        assert!(
            write(&store, "acme", |tx| Box::pin(async move {
                tx.notes().remove_source("vault").await
            }))
            .await
        );
        assert!(
            read(&store, "acme", |tx| Box::pin(async move {
                tx.notes().sources().await
            }))
            .await
            .is_empty()
        );
    });
}

#[test]
fn words_phrases_sources_and_open_ends_are_found() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        put(
            &store,
            "acme",
            entity(
                "e1",
                "vault",
                "1",
                &["the road map of spring", "a map of every road"],
            ),
        )
        .await;
        put(
            &store,
            "acme",
            entity("e2", "inbox", "2", &["the meeting about roads"]),
        )
        .await;
        put(
            &store,
            "globex",
            entity("e9", "vault", "9", &["the road map of globex"]),
        )
        .await;
        let words = |words: &[&str]| TextQuery::any_of(words.iter().copied());
        let phrase = TextQuery {
            terms: vec![vec!["road".into(), "map".into()]],
            ..Default::default()
        };
        assert_eq!(find(&store, "acme", phrase, None).await, ["e1:0"]);
        let all = TextQuery {
            matching: Matching::All,
            ..words(&["road", "every"])
        };
        assert_eq!(find(&store, "acme", all, None).await, ["e1:1"]);
        let mut open = words(&["roa"]);
        assert!(find(&store, "acme", open.clone(), None).await.is_empty());
        open.prefix_last = true;
        assert_eq!(find(&store, "acme", open.clone(), None).await.len(), 3);
        assert_eq!(find(&store, "acme", open, Some("inbox")).await, ["e2:0"]);
        assert_eq!(
            find(&store, "acme", words(&["e2"]), None).await,
            ["e2:0"],
            "titles are words too"
        );
        let helped = TextQuery {
            helpers: vec![vec!["spring".into()]],
            ranking: Ranking::All,
            ..words(&["map"])
        };
        assert_eq!(find(&store, "acme", helped, None).await[0], "e1:0");
        assert_eq!(
            find(
                &store,
                "acme",
                TextQuery {
                    ranking: Ranking::Newest(2),
                    ..words(&["the"])
                },
                None
            )
            .await
            .len(),
            2
        );
        for nothing in [
            words(&[]),
            words(&["\"'*()"]),
            words(&["tag"]),
            words(&["vault"]),
            words(&["globex"]),
        ] {
            assert!(
                find(&store, "acme", nothing.clone(), None).await.is_empty(),
                "{nothing:?}"
            );
        }
    });
}

#[test]
fn frequent_words_only_help_where_rarer_ones_are_asked() {
    // More rows than are ranked for one question, so that the store has to choose.
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        write(&store, "acme", |tx| {
            Box::pin(async move {
                for number in 0..60 {
                    let texts: Vec<String> = (0..100)
                        .map(|chunk| format!("the common words n{number}x{chunk}"))
                        .collect();
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    tx.notes()
                        .put_entity(&entity(
                            &format!("e{number}"),
                            "vault",
                            &number.to_string(),
                            &texts,
                        ))
                        .await?;
                }
                Ok(())
            })
        })
        .await;
        let asked = TextQuery::any_of(["the", "common", "n7x7"]);
        assert_eq!(find(&store, "acme", asked, None).await[0], "e7:7");
        assert_eq!(
            find(&store, "acme", TextQuery::any_of(["the", "common"]), None)
                .await
                .len(),
            20
        );
        assert_eq!(
            find(&store, "acme", TextQuery::any_of(["the"]), None).await.len(),
            20
        );
        let all = TextQuery {
            matching: Matching::All,
            ..TextQuery::any_of(["the", "words"])
        };
        assert_eq!(find(&store, "acme", all, None).await.len(), 20);
    });
}

#[test]
fn a_lock_has_one_holder_until_it_expires() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        let lock = |tenant: &'static str, owner: &'static str| {
            let store = store.clone();
            async move {
                write(&store, tenant, move |tx| {
                    Box::pin(async move { tx.notes().try_lock("sync", owner, 1000).await })
                })
                .await
            }
        };
        let unlock = |owner: &'static str| {
            let store = store.clone();
            async move {
                write(&store, "acme", move |tx| {
                    Box::pin(async move { tx.notes().unlock("sync", owner).await })
                })
                .await
            }
        };
        assert!(lock("acme", "a").await);
        assert!(!lock("acme", "b").await);
        assert!(lock("globex", "b").await);
        assert!(lock("acme", "a").await, "its holder prolongs it");
        assert!(!unlock("b").await);
        place.clock.advance(1000);
        assert!(lock("acme", "b").await, "it has expired");
        assert!(!unlock("a").await);
        assert!(unlock("b").await);
        assert!(lock("acme", "a").await);
    });
}
