//! Calls that others must approve: from the call to the effect, and the ways it does not get there.

use footbridge_server::{
    operate::{
        Actor,
        reviews::{self, Answer, TimeWindow},
        rules,
    },
    policy::review::{self, ReviewStatus},
    store::KeyConfirm,
    vocabulary::UserId,
};
use serde_json::{Value, json};

use super::house::{ALL, Caller, Rooms, with};
use crate::store::harness::{Place, for_each_engine, tenant};

const HOUR: i64 = 60 * 60 * 1000;
const YES: Answer = Answer::Approve {
    force: false,
    window: None,
};
const ALONE: Answer = Answer::Approve {
    force: true,
    window: None,
};

/// A help desk whose people may review: a lead, somebody from security, somebody who is both, one on call, a cook.
async fn rooms(place: Place) -> Rooms {
    let rooms = Rooms::new(place).await;
    let people: [(&str, &[&str]); 5] = [
        ("lea", &["leads"]),
        ("sec", &["security"]),
        ("bea", &["leads", "security"]),
        ("ona", &["oncall"]),
        ("eve", &["cooks"]),
    ];
    for (name, groups) in people {
        rooms.add_member(name, groups).await;
    }
    rooms
}

fn who(name: &str) -> UserId {
    UserId::new(&format!("usr_{name}")).unwrap()
}

/// A call under review: its caller, its arguments, its review.
async fn purge(rooms: &Rooms, ada: &Caller) -> (Value, String) {
    let arguments = json!({ "id": rooms.ticket(ada).await });
    let waiting = rooms.call(ada, "ticket_purge", arguments.clone()).await;
    assert_eq!(waiting["status"], "pending_approval", "{waiting}");
    let id = waiting["confirmation_token"].as_str().unwrap().to_owned();
    assert_eq!(waiting["approve"]["review_id"], id.as_str());
    (arguments, id)
}

async fn answer(rooms: &Rooms, id: &str, by: &str, answer: Answer) -> Result<ReviewStatus, String> {
    let answered = reviews::answer(&rooms.store, &tenant("acme"), id, &who(by), answer).await;
    answered.map(|review| review.status).map_err(|e| e.to_string())
}

async fn status(rooms: &Rooms, id: &str) -> ReviewStatus {
    let key = rooms.house.seal_key();
    let shown = reviews::show(&rooms.store, &tenant("acme"), id, &Actor::Operator, key).await;
    shown.unwrap().review.status
}

#[test]
fn a_call_runs_once_when_enough_groups_have_approved() {
    for_each_engine(|place| async move {
        let rooms = rooms(place).await;
        let mut ada = rooms.caller(ALL).await;
        // A client that can ask its user asks nobody else that way.
        ada.elicits = true;
        let quiet = Caller {
            elicits: false,
            ..ada.clone()
        };
        let arguments = json!({ "id": rooms.ticket(&quiet).await });
        let waiting = rooms.call(&ada, "ticket_purge", arguments.clone()).await;
        let id = waiting["confirmation_token"].as_str().unwrap().to_owned();
        assert_eq!(
            waiting["next_step"],
            format!(
                "Others must approve this: leads, security. Then call ticket_purge again with the same arguments and confirmation_token {id}."
            )
        );
        // Called again before that, with or without the review's id, it is the same call that waits.
        for again in [with(&arguments, &id), arguments.clone()] {
            let again = rooms.call(&ada, "ticket_purge", again).await;
            assert_eq!(
                (&again["status"], &again["confirmation_token"]),
                (&json!("pending_approval"), &json!(id))
            );
        }
        let key = rooms.house.seal_key();
        let shown = reviews::show(
            &rooms.store,
            &tenant("acme"),
            &id,
            &Actor::Person(who("lea")),
            key,
        )
        .await
        .unwrap();
        assert_eq!(shown.preview.unwrap().summary(), "Delete ticket \"Printer\"");
        assert_eq!(answer(&rooms, &id, "lea", YES).await, Ok(ReviewStatus::Pending));
        let half = rooms.call(&ada, "ticket_purge", with(&arguments, &id)).await;
        assert_eq!(half["approve"]["groups"][0]["by"], "usr_lea");
        assert!(
            half["next_step"]
                .as_str()
                .unwrap()
                .starts_with("Others must approve this: security.")
        );
        assert_eq!(
            rooms.status(&ada, arguments["id"].as_str().unwrap()).await,
            "open"
        );
        assert_eq!(answer(&rooms, &id, "sec", YES).await, Ok(ReviewStatus::Approved));
        let done = rooms.call(&ada, "ticket_purge", with(&arguments, &id)).await;
        assert_eq!(done["result"], json!({ "deleted": arguments["id"] }));
        assert_eq!(status(&rooms, &id).await, ReviewStatus::Executed);
        let again = rooms.call(&ada, "ticket_purge", with(&arguments, &id)).await;
        assert_eq!(again["replayed"], true);
        let late = answer(&rooms, &id, "lea", YES).await.unwrap_err();
        assert!(late.contains("EXECUTED"), "{late}");
    });
}

#[test]
fn who_may_not_answer_is_told_and_changes_nothing() {
    for_each_engine(|place| async move {
        let rooms = rooms(place).await;
        let ada = rooms.caller(ALL).await;
        let (arguments, id) = purge(&rooms, &ada).await;
        assert!(
            answer(&rooms, &id, "owner", YES)
                .await
                .unwrap_err()
                .contains("your own")
        );
        // Who is asked nothing does not learn that there is anything.
        assert!(
            answer(&rooms, &id, "eve", YES)
                .await
                .unwrap_err()
                .contains("there is no review")
        );
        assert!(
            reviews::list(&rooms.store, &tenant("acme"), &Actor::Person(who("eve")))
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            reviews::list(&rooms.store, &tenant("zeta"), &Actor::Operator)
                .await
                .unwrap()
                .is_empty()
        );
        let alone = answer(&rooms, &id, "lea", ALONE).await;
        assert!(alone.unwrap_err().contains("oncall"));
        // The code of a review is no code of an approval.
        let refused = footbridge_server::operate::approvals::decide(
            &rooms.store,
            &tenant("acme"),
            &id,
            true,
            None,
            rooms.house.seal_key(),
        )
        .await;
        assert!(refused.is_err());
        // Nor does a person in front of the client stand in for others.
        assert_eq!(status(&rooms, &id).await, ReviewStatus::Pending);
        let forced = answer(&rooms, &id, "ona", ALONE).await;
        assert_eq!(forced, Ok(ReviewStatus::Approved));
        let bob = rooms.caller_of("zeta", None, ALL, KeyConfirm::Inherit).await;
        let text = rooms
            .try_call(&bob, "ticket_purge", with(&arguments, &id))
            .await
            .unwrap_err();
        assert!(text.starts_with("404 Not Found"), "{text}");
        assert_eq!(
            rooms.call(&ada, "ticket_purge", with(&arguments, &id)).await["status"],
            "done"
        );
    });
}

#[test]
fn a_review_ends_by_a_no_by_time_and_by_a_record_that_changed() {
    for_each_engine(|place| async move {
        let rooms = rooms(place).await;
        let ada = rooms.caller(ALL).await;

        let (arguments, id) = purge(&rooms, &ada).await;
        let no = Answer::Reject {
            reason: Some("still needed".to_owned()),
        };
        assert_eq!(answer(&rooms, &id, "bea", no).await, Ok(ReviewStatus::Rejected));
        let declined = rooms.call(&ada, "ticket_purge", with(&arguments, &id)).await;
        assert_eq!(declined, json!({ "status": "declined" }));
        assert_eq!(
            rooms.status(&ada, arguments["id"].as_str().unwrap()).await,
            "open"
        );

        let (arguments, id) = purge(&rooms, &ada).await;
        rooms.clock.advance(72 * HOUR);
        assert_eq!(status(&rooms, &id).await, ReviewStatus::Expired);
        assert!(
            answer(&rooms, &id, "bea", YES)
                .await
                .unwrap_err()
                .contains("EXPIRED")
        );
        let anew = rooms.call(&ada, "ticket_purge", with(&arguments, &id)).await;
        assert_eq!(
            (&anew["status"], &anew["reason"]),
            (&json!("pending_approval"), &json!("token_expired"))
        );

        // Approved, and its caller comes too late.
        let (arguments, id) = purge(&rooms, &ada).await;
        assert_eq!(answer(&rooms, &id, "bea", YES).await, Ok(ReviewStatus::Approved));
        rooms.clock.advance(24 * HOUR);
        let anew = rooms.call(&ada, "ticket_purge", with(&arguments, &id)).await;
        assert_eq!(anew["reason"], "token_expired");

        // Approved, and the ticket is not what the reviewers saw.
        let (arguments, id) = purge(&rooms, &ada).await;
        assert_eq!(answer(&rooms, &id, "bea", YES).await, Ok(ReviewStatus::Approved));
        let rename = json!({ "id": arguments["id"], "title": "Important" });
        rooms.call(&ada, "ticket_rename", rename).await;
        let anew = rooms.call(&ada, "ticket_purge", with(&arguments, &id)).await;
        assert_eq!(anew["reason"], "changed_since_preview");
        assert_ne!(anew["confirmation_token"], id.as_str());
        assert_eq!(status(&rooms, &id).await, ReviewStatus::Expired);
    });
}

#[test]
fn reviews_go_with_the_calls_they_are_evidence_of_and_not_before() {
    for_each_engine(|place| async move {
        let rooms = rooms(place).await;
        let ada = rooms.caller(ALL).await;
        let (_, old) = purge(&rooms, &ada).await;
        answer(&rooms, &old, "lea", Answer::Reject { reason: None })
            .await
            .unwrap();
        rooms.clock.advance(HOUR);
        let (_, young) = purge(&rooms, &ada).await;
        let swept = async |since, most| {
            rooms
                .store
                .write(&tenant("acme"), move |tx| {
                    Box::pin(async move { review::sweep(tx, since, most).await })
                })
                .await
                .unwrap()
        };
        let now = rooms.store.clock().now();
        assert_eq!(
            swept(now.plus_millis(-2 * HOUR), 10).await,
            0,
            "nothing is that old"
        );
        assert_eq!(
            swept(now.plus_millis(-HOUR / 2), 10).await,
            1,
            "the one nothing happened to since"
        );
        assert_eq!(swept(now.plus_millis(-HOUR / 2), 10).await, 0);
        let left = reviews::list(&rooms.store, &tenant("acme"), &Actor::Operator)
            .await
            .unwrap();
        let ids: Vec<_> = left.iter().map(|review| review.id.as_str()).collect();
        assert_eq!(ids, [young.as_str()]);
        // No more at once than is asked for.
        let (_, _third) = purge(&rooms, &ada).await;
        rooms.clock.advance(1);
        let now = rooms.store.clock().now();
        assert_eq!(
            (swept(now, 1).await, swept(now, 1).await, swept(now, 1).await),
            (1, 1, 0)
        );
    });
}

/// The review that opens `ticket_wipe` to its caller.
async fn wipe(rooms: &Rooms, ada: &Caller) -> (Value, String) {
    let arguments = json!({ "id": rooms.ticket(ada).await });
    let waiting = rooms.call(ada, "ticket_wipe", arguments.clone()).await;
    assert_eq!(waiting["status"], "pending_approval", "{waiting}");
    (
        arguments,
        waiting["confirmation_token"].as_str().unwrap().to_owned(),
    )
}

/// What a call without a token is answered.
async fn wiped(rooms: &Rooms, ada: &Caller) -> (Value, Value) {
    let arguments = json!({ "id": rooms.ticket(ada).await });
    let answer = rooms.call(ada, "ticket_wipe", arguments.clone()).await;
    (arguments, answer)
}

#[test]
fn a_jit_review_opens_its_tool_for_a_while_and_every_call_still_shows_a_preview() {
    for_each_engine(|place| async move {
        let rooms = rooms(place).await;
        let ada = rooms.caller(ALL).await;
        let (arguments, id) = wipe(&rooms, &ada).await;
        assert_eq!(answer(&rooms, &id, "lea", YES).await, Ok(ReviewStatus::Approved));
        // The call that asked runs as it was shown to the reviewers.
        let done = rooms.call(&ada, "ticket_wipe", with(&arguments, &id)).await;
        assert_eq!(done["result"]["deleted"], arguments["id"]);
        assert_eq!(status(&rooms, &id).await, ReviewStatus::Approved);
        // Another one needs no reviewer, and her own yes.
        let (arguments, preview) = wiped(&rooms, &ada).await;
        assert_eq!(preview["status"], "confirmation_required", "{preview}");
        let token = preview["confirmation_token"].as_str().unwrap();
        let done = rooms.call(&ada, "ticket_wipe", with(&arguments, token)).await;
        assert_eq!(done["status"], "done");
        // It is open to her alone, for this tool alone.
        rooms.add_member("bob", &[]).await;
        let scopes = "desk:read desk:write";
        let bob = rooms
            .caller_of("acme", Some("bob@acme.test"), scopes, KeyConfirm::Inherit)
            .await;
        assert_eq!(wiped(&rooms, &bob).await.1["status"], "pending_approval");
        let purge = json!({ "id": rooms.ticket(&ada).await });
        assert_eq!(
            rooms.call(&ada, "ticket_purge", purge).await["status"],
            "pending_approval"
        );
        // Revoked, a token of before counts for nothing, on whatever replica.
        let (arguments, preview) = wiped(&rooms, &ada).await;
        let token = preview["confirmation_token"].as_str().unwrap();
        let closed = answer(&rooms, &id, "lea", Answer::Revoke).await;
        assert_eq!(closed, Ok(ReviewStatus::Revoked));
        let other = rooms.another().await;
        let refused = other.call(&ada, "ticket_wipe", with(&arguments, token)).await;
        assert_eq!(refused["status"], "pending_approval", "{refused}");
        assert_eq!(
            rooms.status(&ada, arguments["id"].as_str().unwrap()).await,
            "open"
        );
        // A new review opens it again, and time closes it.
        let id = refused["confirmation_token"].as_str().unwrap();
        assert_eq!(answer(&rooms, id, "lea", YES).await, Ok(ReviewStatus::Approved));
        assert_eq!(wiped(&rooms, &ada).await.1["status"], "confirmation_required");
        rooms.clock.advance(HOUR / 2);
        assert_eq!(status(&rooms, id).await, ReviewStatus::Expired);
        assert_eq!(wiped(&rooms, &ada).await.1["status"], "pending_approval");
    });
}

#[test]
fn a_time_window_lets_an_approved_call_run_within_it_alone() {
    for_each_engine(|place| async move {
        let rooms = rooms(place).await;
        let ada = rooms.caller(ALL).await;
        let (arguments, id) = purge(&rooms, &ada).await;
        // The clock stands at 16:00.
        let window = Some(TimeWindow::new("22:00", "23:00").unwrap());
        let later = Answer::Approve { force: false, window };
        assert_eq!(
            answer(&rooms, &id, "bea", later.clone()).await,
            Ok(ReviewStatus::Approved)
        );
        for early in [with(&arguments, &id), arguments.clone()] {
            let early = rooms.call(&ada, "ticket_purge", early).await;
            assert_eq!(early["status"], "pending_approval", "{early}");
            assert_eq!(early["approve"]["runs_from"], "2026-11-20T22:00:00.000Z");
            let next = early["next_step"].as_str().unwrap();
            assert!(
                next.starts_with(
                    "This is approved from 2026-11-20T22:00:00.000Z until 2026-11-20T23:00:00.000Z."
                ),
                "{next}"
            );
        }
        rooms.clock.advance(6 * HOUR);
        let done = rooms.call(&ada, "ticket_purge", with(&arguments, &id)).await;
        assert_eq!(done["status"], "done");

        let (arguments, id) = purge(&rooms, &ada).await;
        assert_eq!(
            answer(&rooms, &id, "bea", later).await,
            Ok(ReviewStatus::Approved)
        );
        rooms.clock.advance(HOUR);
        assert_eq!(status(&rooms, &id).await, ReviewStatus::Expired);
        let late = rooms.call(&ada, "ticket_purge", with(&arguments, &id)).await;
        assert_eq!(late["reason"], "token_expired");
    });
}

#[test]
fn an_admin_approves_their_own_call_only_where_the_tenant_lets_them() {
    for_each_engine(|place| async move {
        let rooms = rooms(place).await;
        let ada = rooms.caller(ALL).await;
        let acme = tenant("acme");
        let (_, id) = purge(&rooms, &ada).await;
        assert!(
            answer(&rooms, &id, "owner", YES)
                .await
                .unwrap_err()
                .contains("your own")
        );
        rules::set_admin_self_approval(&rooms.store, &acme, true)
            .await
            .unwrap();
        // The rule gives nobody a group that they are not in.
        assert!(
            answer(&rooms, &id, "owner", YES)
                .await
                .unwrap_err()
                .contains("leads")
        );
        let purge = json!({ "id": rooms.ticket(&ada).await });
        let consent = footbridge_server::vocabulary::Consent::Review;
        let tool = "ticket_close".parse().unwrap();
        rules::set(&rooms.store, &acme, Some(&tool), consent)
            .await
            .unwrap();
        rooms.house.rules().refresh().await.unwrap();
        let waiting = rooms.call(&ada, "ticket_close", purge.clone()).await;
        let id = waiting["confirmation_token"].as_str().unwrap();
        let approved = reviews::answer(&rooms.store, &acme, id, &who("owner"), YES)
            .await
            .unwrap();
        assert!(approved.self_approved && approved.status == ReviewStatus::Approved);
        let done = rooms.call(&ada, "ticket_close", with(&purge, id)).await;
        assert_eq!(done["status"], "done");
        rules::set_admin_self_approval(&rooms.store, &acme, false)
            .await
            .unwrap();
        let purge = json!({ "id": rooms.ticket(&ada).await });
        let waiting = rooms.call(&ada, "ticket_close", purge).await;
        let id = waiting["confirmation_token"].as_str().unwrap();
        assert!(
            answer(&rooms, id, "owner", YES)
                .await
                .unwrap_err()
                .contains("your own")
        );
    });
}
