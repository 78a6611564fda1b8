//! What is kept for clients between their requests: sessions, questions, replies and tasks.

use footbridge_server::{
    store::{NewTask, ReplyMessage, SessionState, StoreError, TaskStatus},
    vocabulary::{EditionName, ToolName, UserId},
};

use super::harness::{START, for_each_engine, write};

const HOUR: i64 = 60 * 60 * 1000;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

#[test]
fn a_session_is_remembered_as_it_was_last_changed() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        let put = |owner: &'static str, ended: bool| {
            let state = SessionState {
                ended,
                log_level: Some("error".to_owned()),
                uris: vec!["test://a".to_owned()],
            };
            write(&store, owner, move |tx| {
                Box::pin(async move {
                    let sessions = &mut tx.client_sessions();
                    sessions
                        .put(&user("usr_ada"), &[1; 32], &state, START.plus_millis(HOUR))
                        .await
                })
            })
        };
        let first = put("acme", false).await;
        let second = put("acme", true).await;
        assert!(second.version > first.version && second.state.ended);
        put("globex", false).await;
        let changed = store
            .system_read(move |tx| {
                Box::pin(async move { tx.client_sessions().changed_since(first.version, 10).await })
            })
            .await
            .unwrap();
        assert_eq!(
            changed.len(),
            2,
            "the change, and the other tenant's session of that id"
        );
        assert_eq!(changed[0], second);
        let held = write(&store, "acme", |tx| {
            Box::pin(async move { tx.client_sessions().hold(&[1; 32]).await })
        })
        .await;
        assert_eq!(held, Some(second));
    });
}

#[test]
fn a_question_is_answered_once_by_whom_it_was_put_to() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme", "globex"]).await;
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.client_questions().ask("ask_1", &user("usr_ada"), HOUR).await })
        })
        .await;
        let answer = |owner: &'static str, who: &'static str, id: &'static str, text: &'static [u8]| {
            write(&store, owner, move |tx| {
                Box::pin(async move { tx.client_questions().answer(id, &user(who), text).await })
            })
        };
        for (owner, who, id) in [
            ("acme", "usr_bob", "ask_1"),
            ("globex", "usr_ada", "ask_1"),
            ("acme", "usr_ada", "ask_2"),
        ] {
            assert!(!answer(owner, who, id, b"forged").await, "{owner} {who} {id}");
        }
        assert!(answer("acme", "usr_ada", "ask_1", b"yes").await);
        assert!(
            !answer("acme", "usr_ada", "ask_1", b"no").await,
            "answered before"
        );
        let heard = store
            .system_read(|tx| Box::pin(async move { tx.client_questions().answered_since(0, 10).await }))
            .await
            .unwrap();
        assert_eq!(heard.len(), 1);
        let found = write(&store, "acme", |tx| {
            Box::pin(async move {
                let found = tx.client_questions().find_answer("ask_1").await?;
                tx.client_questions().close("ask_1").await?;
                Ok::<_, StoreError>((found, tx.client_questions().find_answer("ask_1").await?))
            })
        })
        .await;
        assert_eq!(found, (Some(b"yes".to_vec()), None));
    });
}

#[test]
fn a_reply_is_played_from_any_place_to_whom_it_was_given() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        for position in 0..3 {
            let message = ReplyMessage {
                position,
                message: vec![1],
                is_last: position == 2,
            };
            write(&store, "acme", move |tx| {
                Box::pin(async move {
                    let replies = &mut tx.reply_messages();
                    replies.keep("s", &user("usr_ada"), &message, HOUR).await
                })
            })
            .await;
        }
        let (after, known, foreign) = write(&store, "acme", |tx| {
            Box::pin(async move {
                let replies = &mut tx.reply_messages();
                Ok::<_, StoreError>((
                    replies.after("s", &user("usr_ada"), 0).await?,
                    replies.is_known("s", &user("usr_ada")).await?,
                    replies.is_known("s", &user("usr_bob")).await?,
                ))
            })
        })
        .await;
        let places: Vec<_> = after
            .iter()
            .map(|message| (message.position, message.is_last))
            .collect();
        assert_eq!(
            (places, known, foreign),
            (vec![(1, false), (2, true)], true, false)
        );
    });
}

#[test]
fn a_task_that_is_over_stays_over() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let new = NewTask {
            id: "task_1".to_owned(),
            user: user("usr_ada"),
            edition: EditionName::new("test").unwrap(),
            tool: ToolName::new("slow").unwrap(),
            lifetime_ms: HOUR,
            alive_ms: 1000,
        };
        let statuses = write(&store, "acme", move |tx| {
            Box::pin(async move {
                let ada = user("usr_ada");
                let mut seen = vec![tx.client_tasks().insert(&new).await?.status];
                assert_eq!(tx.client_tasks().under_way(&ada).await?, 1);
                tx.client_tasks().set_questions("task_1", Some(b"?")).await?;
                tx.client_tasks().set_answers("task_1", b"!").await?;
                let asked = tx.client_tasks().hold("task_1", &ada).await?.unwrap();
                assert_eq!(
                    (asked.requests, asked.answers),
                    (Some(b"?".to_vec()), Some(b"!".to_vec()))
                );
                seen.push(asked.status);
                tx.client_tasks().set_questions("task_1", None).await?;
                tx.client_tasks().ask_cancel("task_1").await?;
                let working = tx.client_tasks().find("task_1", &ada).await?.unwrap();
                assert!(working.cancel_asked && working.answers.is_none());
                seen.push(working.status);
                tx.client_tasks()
                    .finish("task_1", TaskStatus::Completed, Some(b"done"))
                    .await?;
                tx.client_tasks()
                    .finish("task_1", TaskStatus::Failed, None)
                    .await?;
                tx.client_tasks().set_questions("task_1", Some(b"?")).await?;
                let over = tx.client_tasks().find("task_1", &ada).await?.unwrap();
                assert_eq!(over.outcome, Some(b"done".to_vec()));
                seen.push(over.status);
                assert_eq!(tx.client_tasks().find("task_1", &user("usr_bob")).await?, None);
                assert_eq!(tx.client_tasks().under_way(&ada).await?, 0);
                Ok::<_, StoreError>(seen)
            })
        })
        .await;
        assert_eq!(
            statuses,
            [
                TaskStatus::Working,
                TaskStatus::InputRequired,
                TaskStatus::Working,
                TaskStatus::Completed
            ]
        );
    });
}
