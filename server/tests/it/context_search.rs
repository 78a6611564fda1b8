//! Finding and reading notes: `search`, `get`, `get_chunk`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    context_house::{ALL, Rooms},
    store::harness::{Place, for_each_engine, run},
};

#[test]
fn notes_are_found_by_their_words_by_misspelt_ones_and_by_word_forms() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        rooms.note(
            "acme",
            "bees.md",
            "# Beekeeping\n\nThe colony needs winter stores of honey.\n",
        );
        rooms.note(
            "acme",
            "ships/log.md",
            "# Logbook\n\nThe navigation officer received the bearing.\n",
        );
        rooms.note(
            "acme",
            "café.md",
            "# Besprechung\n\nDie Besprechungen im Café finden montags statt.\n",
        );
        rooms.sync("acme").await;
        let key = rooms.key("acme", ALL).await;
        assert_eq!(rooms.titles(&key, "winter honey").await, ["Beekeeping"]);
        assert_eq!(
            rooms.titles(&key, "navigaton").await,
            ["Logbook"],
            "a letter is missing"
        );
        assert_eq!(
            rooms.titles(&key, "recieved").await,
            ["Logbook"],
            "two letters are swapped"
        );
        assert_eq!(
            rooms.titles(&key, "cafe").await,
            ["Besprechung"],
            "an accent is missing"
        );
        assert_eq!(rooms.titles(&key, "zzzzqqqq").await, Vec::<String>::new());
        let found = rooms.call(&key, "search", json!({ "query": "bearing" })).await;
        let result = &found["results"][0];
        assert_eq!(result["result_type"], "entity");
        assert_eq!(result["source"], "notes");
        assert_eq!(result["uri"], "source://notes/ships/log.md");
        let chunk = &result["chunks"][0];
        let text = "# Logbook\n\nThe navigation officer received the bearing.";
        assert_eq!(chunk["content"], text);
        assert_eq!(
            (&chunk["char_offset_start"], &chunk["char_offset_end"]),
            (&json!(0), &json!(text.len()))
        );
        assert_eq!(chunk["chunk_type"], "text");
        assert_eq!(found["next_cursor"], Value::Null);
    });
}

/// Notes that all hold one word, each in several chunks.
fn many(rooms: &Rooms, notes: usize, sections: usize) {
    for n in 0..notes {
        let sections: Vec<_> = (0..sections)
            .map(|s| {
                format!(
                    "## Part {s}\n\n{}\n",
                    format!("The harbour report {n} of part {s}. ").repeat(20)
                )
            })
            .collect();
        rooms.note(
            "acme",
            &format!("{n:03}.md"),
            format!("# Note {n}\n\n{}", sections.join("\n")),
        );
    }
}

#[test]
fn pages_fit_together_and_hold_three_chunks_a_note_at_most() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        many(&rooms, 23, 6);
        rooms.sync("acme").await;
        let key = rooms.key("acme", ALL).await;
        let mut seen = Vec::new();
        let mut cursor = Value::Null;
        let mut cursors = Vec::new();
        loop {
            let mut arguments = json!({ "query": "harbour", "limit": 5 });
            if !cursor.is_null() {
                arguments["cursor"] = cursor.clone();
            }
            let page = rooms.call(&key, "search", arguments).await;
            for result in page["results"].as_array().unwrap() {
                let chunks = result["chunks"].as_array().unwrap();
                assert!((1..=3).contains(&chunks.len()));
                let scores: Vec<f64> = chunks.iter().map(|c| c["score"].as_f64().unwrap()).collect();
                assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]));
                seen.push(result["entity_id"].as_str().unwrap().to_owned());
            }
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                break;
            }
            cursors.push(cursor.as_str().unwrap().to_owned());
        }
        assert_eq!(cursors, ["5", "10", "15", "20"]);
        assert_eq!(seen.len(), 23);
        assert_eq!(
            seen.iter().collect::<BTreeSet<_>>().len(),
            23,
            "no note stands on two pages"
        );
    });
}

#[test]
fn a_page_ends_where_its_text_would_be_too_much_for_a_model() {
    run(async {
        let rooms = Rooms::with(Place::sqlite(), &["acme"]).await;
        for n in 0..40 {
            let code = format!("let harbour_{n} = 1;\n").repeat(200);
            rooms.note(
                "acme",
                &format!("{n}.md"),
                format!("# Note {n}\n\nharbour\n\n```\n{code}```\n"),
            );
        }
        rooms.sync("acme").await;
        let key = rooms.key("acme", ALL).await;
        let page = rooms
            .call(&key, "search", json!({ "query": "harbour", "limit": 100 }))
            .await;
        let results = page["results"].as_array().unwrap();
        let text: usize = results
            .iter()
            .flat_map(|result| result["chunks"].as_array().unwrap())
            .map(|chunk| chunk["content"].as_str().unwrap().len())
            .sum();
        assert!(text <= 64 * 1024 && text > 32 * 1024, "{text}");
        assert_eq!(page["truncated"], true);
        assert_eq!(
            page["next_cursor"],
            results.len().to_string(),
            "the next page goes on where this one was cut"
        );
    });
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_way_out() {
    run(async {
        let rooms = Rooms::with(Place::sqlite(), &["acme"]).await;
        let key = rooms.key("acme", ALL).await;
        for (arguments, text) in [
            (
                json!({ "query": " " }),
                "400 Bad Request: query: must not be empty",
            ),
            (
                json!({ "query": "?!" }),
                "400 Bad Request: query: must hold at least one word",
            ),
            (
                json!({ "query": "x", "cursor": "next" }),
                "400 Bad Request: cursor: must be next_cursor",
            ),
            (
                json!({ "query": "x", "cursor": "10001" }),
                "400 Bad Request: cursor: must be next_cursor",
            ),
            (
                json!({ "query": "x", "limit": 101 }),
                "400 Bad Request: limit: must be at most 100",
            ),
            (
                json!({ "query": "x", "types": ["chunk"] }),
                "400 Bad Request: types.0: must be one of entity, memory",
            ),
            (
                json!({ "query": "x", "source": "elsewhere" }),
                "404 Not Found: source elsewhere",
            ),
        ] {
            let refusal = rooms.refusal(&key, "search", arguments.clone()).await;
            assert!(refusal.starts_with(text), "{arguments}: {refusal}");
        }
        for (tool, arguments, text) in [
            (
                "get",
                json!({ "entity_id": "nothing" }),
                "404 Not Found: entity nothing",
            ),
            (
                "get_chunk",
                json!({ "chunk_id": "nothing:0" }),
                "404 Not Found: chunk nothing:0",
            ),
            (
                "get_chunk",
                json!({ "chunk_id": "nothing" }),
                "404 Not Found: chunk nothing",
            ),
            (
                "get_chunk",
                json!({ "chunk_id": "no:-1" }),
                "404 Not Found: chunk no:-1",
            ),
            (
                "get_chunk",
                json!({ "chunk_id": "a:0", "context_chunks": 11 }),
                "400 Bad Request: context_chunks: must be at most 10",
            ),
        ] {
            assert_eq!(rooms.refusal(&key, tool, arguments).await, text);
        }
    });
}

#[test]
fn memory_joins_the_ranking_where_it_is_asked_for() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        rooms.note(
            "acme",
            "deploy.md",
            "# Deploying\n\nThe deploy key is in the vault.\n",
        );
        rooms.sync("acme").await;
        let key = rooms.key("acme", ALL).await;
        rooms
            .call(
                &key,
                "memory_put",
                json!({ "key": "deploy/rule", "content": "Never deploy on Fridays." }),
            )
            .await;
        let found = async |arguments: Value| {
            let answer = rooms.call(&key, "search", arguments).await;
            let kinds: BTreeSet<String> = answer["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r["result_type"].as_str().unwrap().to_owned())
                .collect();
            (kinds.into_iter().collect::<Vec<_>>().join(" "), answer)
        };
        assert_eq!(found(json!({ "query": "deploy" })).await.0, "entity");
        assert_eq!(
            found(json!({ "query": "deploy", "types": ["memory"] })).await.0,
            "memory"
        );
        assert_eq!(
            found(json!({ "query": "deploy", "types": ["entity", "memory"] }))
                .await
                .0,
            "entity memory"
        );
        assert_eq!(
            found(json!({ "query": "deploy", "source": "notes", "types": ["entity", "memory"] }))
                .await
                .0,
            "entity"
        );
        let (kinds, answer) = found(json!({ "query": "fridays", "include_memory": true })).await;
        assert_eq!(kinds, "memory");
        let result = &answer["results"][0];
        assert_eq!(result["entity_title"], "deploy/rule");
        assert_eq!(result["chunks"][0]["content"], "Never deploy on Fridays.");
        let id = result["entity_id"].as_str().unwrap();
        let memory = rooms.call(&key, "memory_get", json!({ "id": id })).await;
        assert_eq!(memory["memory"]["key"], "deploy/rule");
    });
}

#[test]
fn only_the_source_that_was_named_is_searched() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        let other = rooms.data().join("elsewhere");
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(other.join("b.md"), "# Other\n\nlighthouse\n").unwrap();
        rooms.note("acme", "a.md", "# One\n\nlighthouse\n");
        rooms.add_source("acme", "other.files", &other).await;
        rooms.sync("acme").await;
        let key = rooms.key("acme", ALL).await;
        assert_eq!(rooms.titles(&key, "lighthouse").await.len(), 2);
        let found = rooms
            .call(
                &key,
                "search",
                json!({ "query": "lighthouse", "source": "other.files" }),
            )
            .await;
        assert_eq!(found["results"].as_array().unwrap().len(), 1);
        assert_eq!(found["results"][0]["entity_title"], "Other");
    });
}

#[test]
fn a_long_note_is_cut_at_a_chunk_and_read_on_by_its_chunks() {
    for_each_engine(|place| async {
        let rooms = Rooms::with(place, &["acme"]).await;
        let paragraphs: Vec<_> = (0..400)
            .map(|n| format!("Paragraph {n}. {}", "word ".repeat(60)))
            .collect();
        rooms.note(
            "acme",
            "long.md",
            format!(
                "---\ntags: [a]\nstatus: open\n---\n# Long\n\n{}",
                paragraphs.join("\n\n")
            ),
        );
        rooms.sync("acme").await;
        let key = rooms.key("acme", ALL).await;
        let found = rooms.call(&key, "search", json!({ "query": "paragraph" })).await;
        let id = found["results"][0]["entity_id"].as_str().unwrap();
        let entity = rooms.call(&key, "get", json!({ "entity_id": id })).await["entity"].clone();
        assert_eq!(
            (&entity["title"], &entity["tags"]),
            (&json!("Long"), &json!(["a"]))
        );
        assert_eq!(entity["metadata"], json!({ "status": "open" }));
        assert_eq!(entity["truncated"], true);
        let chunks = entity["chunks"].as_array().unwrap();
        let text: usize = chunks.iter().map(|c| c["content"].as_str().unwrap().len()).sum();
        assert!(text <= 64 * 1024 && text > 60 * 1024, "{text}");
        let last = chunks.last().unwrap()["chunk_id"].as_str().unwrap();
        let read = rooms
            .call(
                &key,
                "get_chunk",
                json!({ "chunk_id": last, "context_chunks": 10 }),
            )
            .await;
        assert_eq!(read["chunk"], *chunks.last().unwrap());
        assert_eq!(
            (
                read["before"].as_array().unwrap().len(),
                read["after"].as_array().unwrap().len()
            ),
            (10, 10)
        );
        let first = rooms
            .call(
                &key,
                "get_chunk",
                json!({ "chunk_id": format!("{id}:0"), "context_chunks": 1 }),
            )
            .await;
        assert_eq!(first["before"], json!([]));
        let beyond = rooms
            .refusal(&key, "get_chunk", json!({ "chunk_id": format!("{id}:99999") }))
            .await;
        assert!(beyond.starts_with("404 Not Found: chunk"), "{beyond}");
    });
}

#[test]
fn who_reads_everything_is_told_to_come_back() {
    run(async {
        let rooms = Rooms::with(Place::sqlite(), &["acme"]).await;
        many(&rooms, 60, 8);
        rooms.sync("acme").await;
        let (key, other) = (rooms.key("acme", ALL).await, rooms.key("acme", ALL).await);
        let everything = json!({ "query": "harbour", "limit": 100 });
        let mut calls = 0;
        let refusal = loop {
            match rooms.try_call(&key, "search", everything.clone()).await {
                Ok(_) => calls += 1,
                Err(refusal) => break refusal,
            }
            assert!(calls < 1000, "the budget has no end");
        };
        assert!(
            refusal.starts_with("429 Too Many Requests: this key has read 5000 passages"),
            "{refusal}"
        );
        assert!(refusal.contains("retry in 3600 s"), "{refusal}");
        assert!(calls > 20);
        let one = json!({ "query": "harbour" });
        assert!(
            rooms
                .refusal(&key, "memory_search", one.clone())
                .await
                .starts_with("429"),
            "one budget for all reading"
        );
        rooms.call(&other, "search", one.clone()).await;
        rooms.clock.advance(60 * 60 * 1000);
        rooms.call(&key, "search", one).await;
    });
}
