//! What a token is worth that is not the caller's own fresh one: a new preview with the reason, and no change.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use footbridge_server::store::{KeyConfirm, NewJob};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::house::{ALL, Caller, Rooms, with, yes};
use crate::store::harness::{for_each_engine, on_postgres, write};

const MINUTE: i64 = 60 * 1000;

/// Calls with a token that must not count.
async fn refused(
    rooms: &Rooms,
    caller: &Caller,
    tool: &str,
    arguments: &Value,
    token: &str,
    reason: &str,
) -> String {
    let answer = rooms.call(caller, tool, with(arguments, token)).await;
    assert_eq!(answer["status"], "confirmation_required", "{answer}");
    assert_eq!(answer["reason"], reason, "{answer}");
    answer["confirmation_token"].as_str().unwrap().to_owned()
}

#[test]
fn every_token_that_does_not_count_yields_a_new_preview_with_the_reason() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        let close = json!({ "id": id });

        // Forged.
        let token = refused(
            &rooms,
            &ada,
            "ticket_close",
            &close,
            "cft_made-up",
            "token_unknown",
        )
        .await;
        // Another person's of the same tenant.
        rooms.add_member("bob", &[]).await;
        let bob = rooms
            .caller_of(
                "acme",
                Some("bob@acme.test"),
                "desk:read desk:write",
                KeyConfirm::Inherit,
            )
            .await;
        refused(&rooms, &bob, "ticket_close", &close, &token, "token_unknown").await;
        // Another tool's.
        let rename = json!({ "title": "Other" });
        refused(&rooms, &ada, "ticket_open", &rename, &token, "token_unknown").await;
        // Another tenant's: their ticket of the same words.
        let zoe = rooms.caller_of("zeta", None, ALL, KeyConfirm::Inherit).await;
        refused(&rooms, &zoe, "ticket_open", &rename, &token, "token_unknown").await;
        // Other arguments.
        let second = rooms.ticket(&ada).await;
        refused(
            &rooms,
            &ada,
            "ticket_close",
            &json!({ "id": second }),
            &token,
            "arguments_changed",
        )
        .await;
        assert_eq!(rooms.status(&ada, &id).await, "open");
        assert_eq!(rooms.status(&ada, &second).await, "open");
        // Expired, alone or with its arguments.
        rooms.clock.advance(10 * MINUTE);
        refused(&rooms, &ada, "ticket_close", &close, &token, "token_expired").await;
        refused(&rooms, &ada, "ticket_close", &json!({}), &token, "token_expired").await;
        assert_eq!(rooms.status(&ada, &id).await, "open");
        // Nothing is remembered of a made-up token that comes alone, so there is nothing to preview.
        let text = rooms
            .try_call(&ada, "ticket_close", with(&json!({}), "cft_x"))
            .await
            .unwrap_err();
        assert!(
            text.contains(
                "confirmation_token: is not known, or its time is over; call again with the arguments"
            ),
            "{text}"
        );

        // Another key of the same person is welcome.
        let token = rooms.preview(&ada, "ticket_close", close.clone()).await;
        let other_key = rooms.caller(ALL).await;
        let done = rooms.call(&other_key, "ticket_close", with(&close, &token)).await;
        assert_eq!(done["status"], "done");
        // Used, with other arguments than those it was used for.
        refused(
            &rooms,
            &ada,
            "ticket_close",
            &json!({ "id": second }),
            &token,
            "token_used",
        )
        .await;
        // Its result is kept for a day, and then forgotten.
        let replay = rooms.call(&ada, "ticket_close", with(&close, &token)).await;
        assert_eq!(replay["replayed"], true);
        rooms.clock.advance(24 * 60 * MINUTE + 1);
        let purged = rooms.house.sweep().await.unwrap();
        assert!(purged > 0);
        let text = rooms
            .try_call(&ada, "ticket_close", with(&close, &token))
            .await
            .unwrap_err();
        assert!(
            text.contains("the ticket's status is closed already"),
            "planned anew: {text}"
        );
    });
}

#[test]
fn a_job_that_ended_is_forgotten_after_a_month_whatever_its_queue() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let called_off = write(&rooms.store, "acme", |tx| {
            Box::pin(async move {
                for id in ["job_over", "job_open"] {
                    let job = NewJob {
                        id: id.to_owned(),
                        queue: "of nobody".to_owned(),
                        payload: json!({}),
                        run_at: tx.now(),
                        max_attempts: 1,
                    };
                    tx.jobs().enqueue(&job).await?;
                }
                tx.jobs().cancel("job_over").await
            })
        });
        assert!(called_off.await);
        let rows = async || {
            let rows = rooms.place.dump(&[]).await;
            rows.into_iter().filter(|row| row.starts_with("jobs:")).count()
        };
        rooms.clock.advance(30 * 24 * 60 * MINUTE);
        rooms.house.sweep().await.unwrap();
        assert_eq!(rows().await, 2, "kept for a month");
        rooms.clock.advance(1);
        rooms.house.sweep().await.unwrap();
        assert_eq!(rows().await, 1, "what is to be done yet stays");
    });
}

#[test]
fn a_record_that_changed_is_shown_again_with_the_difference_marked() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        let rename = json!({ "id": id, "title": "Scanner" });
        let careful = rooms.caller_of("acme", None, ALL, KeyConfirm::Preview).await;
        let token = rooms.preview(&careful, "ticket_rename", rename.clone()).await;
        rooms
            .call(&ada, "ticket_rename", json!({ "id": id, "title": "Plotter" }))
            .await;
        let answer = rooms.call(&careful, "ticket_rename", with(&rename, &token)).await;
        assert_eq!(answer["reason"], "changed_since_preview");
        assert_eq!(
            answer["preview"]["changes"],
            json!([{
                "op": "update", "object": "ticket", "id": id, "field": "title", "from": "Plotter", "to": "Scanner",
                "changed_since_preview": true,
            }])
        );
        // The old token is gone for good; the new one counts.
        refused(&rooms, &careful, "ticket_rename", &rename, &token, "token_used").await;
        let fresh = answer["confirmation_token"].as_str().unwrap();
        let done = rooms.call(&careful, "ticket_rename", with(&rename, fresh)).await;
        assert_eq!(done["result"]["ticket"]["title"], "Scanner");
        // A change that leaves the words of the plan as they were is a change all the same.
        let close = json!({ "id": id });
        let token = rooms.preview(&ada, "ticket_close", close.clone()).await;
        rooms
            .call(&ada, "ticket_rename", json!({ "id": id, "title": "Scanner" }))
            .await;
        refused(
            &rooms,
            &ada,
            "ticket_close",
            &close,
            &token,
            "changed_since_preview",
        )
        .await;
    });
}

#[test]
fn a_key_that_may_not_read_sees_that_there_is_something_and_not_what() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        let blind = rooms
            .caller_of("acme", None, "desk:write", KeyConfirm::Inherit)
            .await;
        let close = json!({ "id": id });
        let answer = rooms.call(&blind, "ticket_close", close.clone()).await;
        assert_eq!(
            answer["preview"]["changes"][0]["from"],
            "(hidden: needs desk:read)"
        );
        assert!(!answer.to_string().contains("Printer"), "{answer}");
        // The plan is the same for a key that sees more.
        let token = answer["confirmation_token"].as_str().unwrap();
        assert_eq!(
            rooms.call(&ada, "ticket_close", with(&close, token)).await["status"],
            "done"
        );
    });
}

#[test]
fn no_bit_of_a_sealed_state_can_be_changed() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let mut ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        ada.elicits = true;
        let close = json!({ "id": id });
        let (_, state) = rooms
            .try_call(&ada, "ticket_close", close.clone())
            .await
            .unwrap()
            .question();
        for position in 0..state.len() {
            for bit in 0..7 {
                let mut bytes = state.clone().into_bytes();
                bytes[position] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                let answer = rooms
                    .full_call(&ada, "ticket_close", close.clone(), Some(yes()), Some(&changed))
                    .await;
                let text = answer.expect_err("a changed state counts for nothing");
                assert!(text.contains("requestState is not valid for this call"), "{text}");
            }
        }
        // Nor does it open for other arguments, or for somebody else.
        let other = json!({ "id": rooms.ticket(&Caller { elicits: false, ..ada.clone() }).await });
        assert!(
            rooms
                .full_call(&ada, "ticket_close", other, Some(yes()), Some(&state))
                .await
                .is_err()
        );
        rooms.add_member("bob", &[]).await;
        let mut bob = rooms
            .caller_of(
                "acme",
                Some("bob@acme.test"),
                "desk:read desk:write",
                KeyConfirm::Inherit,
            )
            .await;
        bob.elicits = true;
        assert!(
            rooms
                .full_call(&bob, "ticket_close", close.clone(), Some(yes()), Some(&state))
                .await
                .is_err()
        );
        assert_eq!(rooms.status(&ada, &id).await, "open");
        // On another replica, after a restart, it does.
        let other = rooms.another().await;
        let done = other
            .full_call(&ada, "ticket_close", close, Some(yes()), Some(&state))
            .await
            .unwrap()
            .result();
        assert_eq!(done["status"], "done");
    });
}

/// Confirmations under way at once: more wait in line for a connection to PostgreSQL until they are told to come back.
const AT_ONCE: usize = 600;

/// Confirms one call many times, on all replicas in turn: exactly one answer is the first.
async fn race(rooms: Vec<Arc<Rooms>>, calls: usize) {
    let ada = rooms[0].caller(ALL).await;
    let id = rooms[0].ticket(&ada).await;
    let close = json!({ "id": id });
    let token = rooms[0].preview(&ada, "ticket_close", close.clone()).await;
    let letter = json!({ "id": id, "text": "Once" });
    let sending = rooms[0].preview(&ada, "letter.send", letter.clone()).await;
    let line = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..calls {
        let (rooms, ada, line) = (
            Arc::clone(&rooms[number % rooms.len()]),
            ada.clone(),
            Arc::clone(&line),
        );
        let arguments = with(&close, &token);
        tasks.spawn(async move {
            let _place = line.acquire().await.unwrap();
            rooms.call(&ada, "ticket_close", arguments).await
        });
    }
    let mut first = 0;
    while let Some(answer) = tasks.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer["status"], "done", "{answer}");
        assert_eq!(answer["result"]["ticket"]["version"], 2);
        first += usize::from(answer.get("replayed").is_none());
    }
    assert_eq!(first, 1);
    // An effect outside the store: the version above changed the ticket, so this preview is stale for everybody.
    let stale = rooms[0].call(&ada, "letter.send", with(&letter, &sending)).await;
    assert_eq!(stale["reason"], "changed_since_preview");
    let sending = stale["confirmation_token"].as_str().unwrap().to_owned();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..calls {
        let (rooms, ada, line) = (
            Arc::clone(&rooms[number % rooms.len()]),
            ada.clone(),
            Arc::clone(&line),
        );
        let arguments = with(&letter, &sending);
        tasks.spawn(async move {
            let _place = line.acquire().await.unwrap();
            rooms.try_call(&ada, "letter.send", arguments).await
        });
    }
    let mut first = 0;
    while let Some(answer) = tasks.join_next().await {
        match answer.unwrap() {
            Ok(said) => first += usize::from(said.result().get("replayed").is_none()),
            // While the letter was on its way.
            Err(text) => assert!(
                text.starts_with("409 Conflict: this confirmation is being carried out"),
                "{text}"
            ),
        }
    }
    assert_eq!(first, 1);
    assert_eq!(rooms[0].desk.letters.lock().await.len(), 1);
}

#[test]
fn many_confirmations_of_one_token_apply_once() {
    for_each_engine(|place| async move {
        let rooms = Arc::new(Rooms::new(place).await);
        race(vec![rooms], 100).await;
    });
}

/// `FOOTBRIDGE_CONFIRMATIONS` says how many; `scripts/confirmations` asks for 10 000.
#[test]
fn many_confirmations_of_one_token_apply_once_over_three_replicas() {
    let calls = std::env::var("FOOTBRIDGE_CONFIRMATIONS").map_or(300, |n| n.parse().unwrap());
    on_postgres(move |place| async move {
        let first = Arc::new(Rooms::new(place).await);
        let (second, third) = (first.another().await, first.another().await);
        race(vec![first, Arc::new(second), Arc::new(third)], calls).await;
    });
}

#[test]
fn a_call_that_was_cut_off_outside_the_store_is_not_tried_again() {
    for_each_engine(|place| async move {
        let rooms = Arc::new(Rooms::new(place).await);
        let ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        let letter = json!({ "id": id, "text": "Once" });
        let token = rooms.preview(&ada, "letter.send", letter.clone()).await;
        // The letter is held up while its sender goes away.
        let held = rooms.desk.letters.lock().await;
        let caller = tokio::spawn({
            let (rooms, ada, arguments) = (Arc::clone(&rooms), ada.clone(), with(&letter, &token));
            async move { rooms.try_call(&ada, "letter.send", arguments).await }
        });
        while rooms.desk.begun.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let again = rooms.try_call(&ada, "letter.send", with(&letter, &token)).await;
        let text = again.expect_err("it cannot be over");
        assert!(
            text.starts_with("409 Conflict: this confirmation is being carried out"),
            "{text}"
        );
        caller.abort();
        let _ = caller.await;
        drop(held);
        // What was begun ends by itself, once.
        let replay = loop {
            match rooms.try_call(&ada, "letter.send", with(&letter, &token)).await {
                Ok(said) => break said.result(),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        assert_eq!(
            (&replay["replayed"], &replay["result"]),
            (&json!(true), &json!({ "sent": 1 }))
        );
    });
}
