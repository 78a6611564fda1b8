//! Memories: versions, expiry by the clock, words.

use footbridge_server::{
    store::{NewMemory, Store, StoreError, TextQuery},
    vocabulary::Timestamp,
};
use futures_util::future::join_all;
use serde_json::json;

use super::harness::{START, for_each_engine, read, tenant, write};

fn memory(key: &str, content: &str, expires_at: Option<Timestamp>) -> NewMemory {
    NewMemory {
        id: format!("mem_{key}_{}", content.len()),
        key: key.to_owned(),
        content: content.to_owned(),
        tags: vec!["note".into()],
        metadata: json!({ "n": 1 }),
        expires_at,
        words: (key.to_lowercase(), content.to_lowercase()),
    }
}

async fn put(store: &Store, new: NewMemory) -> (String, u32, bool) {
    let put = write(store, "acme", move |tx| {
        Box::pin(async move { tx.memory().put(&new).await })
    });
    let (memory, replaced) = put.await;
    (memory.id, memory.version, replaced)
}

async fn content(store: &Store, key: &'static str) -> Option<String> {
    let found = read(store, "acme", move |tx| {
        Box::pin(async move { tx.memory().find_by_key(key).await })
    });
    found.await.map(|memory| memory.content)
}

async fn search(store: &Store, word: &'static str) -> Vec<String> {
    read(store, "acme", move |tx| {
        Box::pin(async move {
            let hits = tx
                .memory()
                .text_candidates(&TextQuery::any_of([word]), 10)
                .await?;
            let rows: Vec<i64> = hits.iter().map(|hit| hit.row_id).collect();
            Ok(tx
                .memory()
                .find_rows(&rows)
                .await?
                .into_iter()
                .map(|memory| memory.key)
                .collect())
        })
    })
    .await
}

#[test]
fn a_key_is_replaced_and_its_old_versions_are_kept() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let (id, version, replaced) = put(&store, memory("plan", "first words", None)).await;
        assert_eq!((version, replaced), (1, false));
        place.clock.advance(10);
        assert_eq!(
            put(&store, memory("plan", "second thoughts", None)).await,
            (id.clone(), 2, true)
        );
        assert_eq!(content(&store, "plan").await.as_deref(), Some("second thoughts"));
        let same = id.clone();
        let versions = read(&store, "acme", move |tx| {
            Box::pin(async move { tx.memory().versions(&same).await })
        })
        .await;
        assert_eq!(
            (
                versions.len(),
                versions[0].content.as_str(),
                versions[0].updated_at
            ),
            (1, "first words", START)
        );
        assert_eq!(search(&store, "thoughts").await, ["plan"]);
        assert!(
            search(&store, "first").await.is_empty(),
            "words of an old version are not found"
        );
        assert!(
            write(&store, "acme", move |tx| Box::pin(async move {
                tx.memory().delete(&id).await
            }))
            .await
        );
        assert!(search(&store, "thoughts").await.is_empty());
    });
}

#[test]
fn an_expired_memory_is_invisible_at_once_and_purged_later() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        put(
            &store,
            memory("short", "fleeting words", Some(START.plus_millis(1000))),
        )
        .await;
        put(&store, memory("long", "lasting words", None)).await;
        place.clock.advance(999);
        assert_eq!(search(&store, "words").await.len(), 2);
        place.clock.advance(1);
        assert_eq!(content(&store, "short").await, None);
        assert_eq!(search(&store, "words").await, ["long"]);
        let (count, by_id) = read(&store, "acme", |tx| {
            Box::pin(async move {
                Ok((
                    tx.memory().count().await?,
                    tx.memory().find_by_id("mem_short_14").await?,
                ))
            })
        })
        .await;
        assert_eq!((count, by_id), (1, None));
        let purge = async || {
            write(&store, "acme", |tx| {
                Box::pin(async move { tx.memory().purge_expired(10).await })
            })
            .await
        };
        assert_eq!(purge().await, 1);
        assert_eq!(purge().await, 0);
        assert_eq!(content(&store, "long").await.as_deref(), Some("lasting words"));
    });
}

#[test]
fn a_key_written_again_after_its_end_starts_anew() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        put(&store, memory("plan", "a", Some(START.plus_millis(5)))).await;
        put(&store, memory("plan", "bb", Some(START.plus_millis(5)))).await;
        place.clock.advance(5);
        assert_eq!(
            put(&store, memory("plan", "ccc", None)).await,
            ("mem_plan_3".to_owned(), 1, false)
        );
        let old = read(&store, "acme", |tx| {
            Box::pin(async move { tx.memory().versions("mem_plan_1").await })
        })
        .await;
        assert!(old.is_empty(), "what expired is gone with its versions");
    });
}

#[test]
fn one_key_written_by_many_at_once_ends_with_all_versions() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let writers: Vec<_> = (0..12)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(
                    async move { put(&store, memory("plan", &"x".repeat(number + 1), None)).await.1 },
                )
            })
            .collect();
        let mut versions = Vec::new();
        for writer in writers {
            versions.push(writer.await.unwrap());
        }
        versions.sort_unstable();
        assert_eq!(versions, (1..=12).collect::<Vec<_>>());
    });
}

#[test]
fn words_are_found_within_their_transaction_and_go_with_it_when_it_is_undone() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let tenant = tenant("acme");
        let writes = (0..40).map(|number: usize| {
            let new = memory(&format!("m{number:02}"), &format!("common w{number:02}"), None);
            let own = format!("w{number:02}");
            store.write(&tenant, move |tx| {
                Box::pin(async move {
                    tx.memory().put(&new).await?;
                    if number.is_multiple_of(3) {
                        // Others of the same group were not committed before, and do not come up twice after.
                        let query = TextQuery::any_of([own]);
                        assert_eq!(tx.memory().text_candidates(&query, 10).await?.len(), 1);
                    }
                    match number.is_multiple_of(2) {
                        true => Ok(()),
                        false => Err(StoreError::Contended),
                    }
                })
            })
        });
        let ended: Vec<Result<(), StoreError>> = join_all(writes).await;
        assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 20);
        assert_eq!(search(&store, "w04").await, ["m04"]);
        for undone in ["w03", "w09", "w15"] {
            assert!(search(&store, undone).await.is_empty(), "{undone}");
        }
        let mut kept: Vec<String> = read(&store, "acme", |tx| {
            Box::pin(async move {
                let query = TextQuery::any_of(["common"]);
                let hits = tx.memory().text_candidates(&query, 100).await?;
                let rows: Vec<i64> = hits.iter().map(|hit| hit.row_id).collect();
                let found = tx.memory().find_rows(&rows).await?;
                Ok(found.into_iter().map(|memory| memory.key).collect())
            })
        })
        .await;
        kept.sort();
        let expected: Vec<String> = (0..40).step_by(2).map(|n| format!("m{n:02}")).collect();
        assert_eq!(kept, expected);
    });
}
