//! The four doors of catalogue.md §2.8, each walked from the call to the effect.

use std::time::Duration;

use footbridge_server::{
    access::{
        Keyring,
        oauth::{OAuth, OAuthLimits},
    },
    catalogue::{Catalogue, NamedText},
    domain::{Handlers, Outcome},
    operate::{
        approvals::{self, Approver},
        rules,
    },
    pipeline::HouseBuilder,
    policy::SealKey,
    store::{AuditFilter, AuditStatus, KeyConfirm},
    vocabulary::Consent,
};
use serde_json::{Value, json};

use super::house::{ALL, Rooms, with, yes};
use crate::store::harness::{Place, for_each_engine, read, run, tenant};

/// Statuses in the log of calls, the oldest first, with whether a plan was noted.
async fn logged(rooms: &Rooms, tool: &str) -> Vec<(AuditStatus, bool)> {
    rooms.store.flush().await.unwrap();
    let filter = AuditFilter {
        tool_name: Some(tool.parse().unwrap()),
        ..AuditFilter::default()
    };
    let mut entries = read(&rooms.store, "acme", move |tx| {
        Box::pin(async move { Ok(tx.audit_log().list(&filter, None, 100).await?.rows) })
    })
    .await;
    entries.reverse();
    let of = |entry: footbridge_server::store::AuditEntry| {
        (entry.record.status, entry.record.plan_digest.is_some())
    };
    entries.into_iter().map(of).collect()
}

#[test]
fn door_a_a_preview_then_the_token() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let ada = rooms.caller(ALL).await;
        let arguments = json!({ "title": "Printer" });
        let preview = rooms.call(&ada, "ticket_open", arguments.clone()).await;
        assert_eq!(preview["status"], "confirmation_required");
        assert_eq!(
            preview["preview"],
            json!({
                "summary": "Open ticket \"Printer\"",
                "changes": [
                    { "op": "create", "object": "ticket", "field": "title", "to": "Printer" },
                    { "op": "create", "object": "ticket", "field": "priority", "to": "normal" },
                ],
                "effects": [], "warnings": [],
            })
        );
        let token = preview["confirmation_token"].as_str().unwrap();
        let done = rooms.call(&ada, "ticket_open", with(&arguments, token)).await;
        assert_eq!(done["status"], "done");
        assert_eq!(done["result"]["ticket"]["title"], "Printer");
        assert_eq!(done.get("replayed"), None);
        // The answer got lost: the same call gives it again and opens no second ticket.
        let again = rooms.call(&ada, "ticket_open", with(&arguments, token)).await;
        assert_eq!(again["replayed"], true);
        assert_eq!(again["result"], done["result"]);
        // The token alone will do, too.
        let id = done["result"]["ticket"]["id"].as_str().unwrap();
        let token = rooms.preview(&ada, "ticket_close", json!({ "id": id })).await;
        let closed = rooms
            .call(&ada, "ticket_close", json!({ "confirmation_token": token }))
            .await;
        assert_eq!(closed["result"]["ticket"]["status"], "closed");
        assert_eq!(
            logged(&rooms, "ticket_open").await,
            [
                (AuditStatus::Preview, true),
                (AuditStatus::Allow, true),
                (AuditStatus::Allow, false)
            ]
        );
    });
}

#[test]
fn door_c_a_question_then_its_answer() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let mut ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        ada.elicits = true;
        let arguments = json!({ "id": id });
        let call = |answers: Option<Value>, state: Option<String>| {
            let (rooms, ada, arguments) = (&rooms, &ada, arguments.clone());
            async move {
                rooms
                    .full_call(ada, "ticket_close", arguments, answers, state.as_deref())
                    .await
            }
        };
        let (message, state) = call(None, None).await.unwrap().question();
        assert_eq!(
            message,
            format!(
                "Set status of ticket \"Printer\" to closed\n- update ticket {id}: status: \"open\" → \"closed\""
            )
        );
        // No answer that fits the form: asked again.
        let unfit = json!({ "confirm": { "action": "accept", "content": {} } });
        let (_, second) = call(Some(unfit), Some(state.clone())).await.unwrap().question();
        assert_eq!(rooms.status(&ada, &id).await, "open");
        // No.
        for no in [
            json!({ "confirm": { "action": "decline" } }),
            json!({ "confirm": { "action": "cancel" } }),
            json!({ "confirm": { "action": "accept", "content": { "confirm": false } } }),
        ] {
            let declined = call(Some(no), Some(second.clone())).await.unwrap().result();
            assert_eq!(declined, json!({ "status": "declined" }));
        }
        // A no is final: the same state cannot become a yes.
        let (message, _) = call(Some(yes()), Some(second)).await.unwrap().question();
        assert!(
            message.starts_with("That confirmation was used before; nothing was changed now.\n\n"),
            "{message}"
        );
        assert_eq!(rooms.status(&ada, &id).await, "open");
        // Yes, and the same yes again.
        let done = call(Some(yes()), Some(state.clone())).await.unwrap().result();
        assert_eq!(done["status"], "done");
        assert_eq!(rooms.status(&ada, &id).await, "closed");
        let again = call(Some(yes()), Some(state)).await.unwrap().result();
        assert_eq!(
            (&again["replayed"], &again["result"]),
            (&json!(true), &done["result"])
        );
    });
}

#[test]
fn door_d_a_person_elsewhere() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        let arguments = json!({ "id": id });
        let waiting = rooms.call(&ada, "ticket_escalate", arguments.clone()).await;
        assert_eq!(waiting["status"], "pending_approval");
        assert_eq!(
            waiting.get("confirmation_token"),
            None,
            "a model cannot confirm this to itself"
        );
        let command = waiting["approve"]["command"].as_str().unwrap();
        let code = command
            .strip_prefix("footbridge-server approve ")
            .unwrap()
            .to_owned();
        assert_eq!(
            waiting["approve"]["url"],
            format!("http://desk.test/approve/{code}")
        );
        // Asked again, it is the same call that waits.
        let again = rooms.call(&ada, "ticket_escalate", arguments.clone()).await;
        assert_eq!(again["approve"], waiting["approve"]);
        let (store, acme, key) = (&rooms.store, &tenant("acme"), rooms.house.seal_key());
        let listed = approvals::pending(store, acme, key, None).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(
            (listed[0].code.as_str(), listed[0].need),
            (code.as_str(), Consent::Human)
        );

        // A stranger may not say yes, and no code of another tenant's is known here.
        rooms.add_member("eve", &[]).await;
        let eve = Approver {
            user: "usr_eve".parse().unwrap(),
            is_admin: false,
        };
        assert!(
            approvals::pending(store, acme, key, Some(&eve))
                .await
                .unwrap()
                .is_empty()
        );
        let refused = approvals::decide(store, acme, &code, true, Some(&eve), key).await;
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("only its caller or an admin")
        );
        assert!(
            approvals::decide(store, &tenant("zeta"), &code, true, None, key)
                .await
                .is_err()
        );

        approvals::decide(store, acme, &code.to_lowercase(), true, None, key)
            .await
            .unwrap();
        let done = rooms.call(&ada, "ticket_escalate", arguments.clone()).await;
        assert_eq!(done["status"], "done", "{done}");
        assert_eq!(done["result"]["ticket"]["priority"], "urgent");
        // One yes, one call: escalating again is refused by the ticket itself, not replayed.
        let refused = rooms
            .try_call(&ada, "ticket_escalate", arguments)
            .await
            .unwrap_err();
        assert!(
            refused.starts_with("422 Unprocessable: the ticket's priority is urgent already"),
            "{refused}"
        );

        // No.
        let other = json!({ "id": rooms.ticket(&ada).await });
        let waiting = rooms.call(&ada, "ticket_escalate", other.clone()).await;
        let code = waiting["approve"]["command"]
            .as_str()
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned();
        approvals::decide(store, acme, &code, false, None, key)
            .await
            .unwrap();
        let declined = rooms.call(&ada, "ticket_escalate", other.clone()).await;
        assert_eq!(declined, json!({ "status": "declined" }));
        let anew = rooms.call(&ada, "ticket_escalate", other).await;
        assert_eq!(anew["status"], "pending_approval");
        assert_ne!(anew["approve"], waiting["approve"]);
    });
}

#[test]
fn a_person_in_front_of_the_client_counts_as_one() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let mut ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        ada.elicits = true;
        let arguments = json!({ "id": id });
        let asked = rooms
            .try_call(&ada, "ticket_escalate", arguments.clone())
            .await
            .unwrap();
        let (_, state) = asked.question();
        let done = rooms
            .full_call(&ada, "ticket_escalate", arguments, Some(yes()), Some(&state))
            .await;
        assert_eq!(done.unwrap().result()["status"], "done");
    });
}

#[test]
fn a_key_tightens_what_a_tool_leaves_open() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        let rename = json!({ "id": id, "title": "Plotter" });
        // The tool's own policy: at once, with its own result.
        let plain = rooms.call(&ada, "ticket_rename", rename).await;
        assert_eq!(plain["ticket"]["title"], "Plotter");
        let careful = rooms.caller_of("acme", None, ALL, KeyConfirm::Preview).await;
        let renamed = rooms
            .confirmed(&careful, "ticket_rename", json!({ "id": id, "title": "Scanner" }))
            .await;
        assert_eq!(renamed["ticket"]["title"], "Scanner");
        let strict = rooms.caller_of("acme", None, ALL, KeyConfirm::Human).await;
        let waiting = rooms.call(&strict, "ticket_close", json!({ "id": id })).await;
        assert_eq!(waiting["status"], "pending_approval");
        // A reading tool is no business of the key's.
        assert_eq!(rooms.status(&strict, &id).await, "open");
    });
}

#[test]
fn an_effect_outside_the_store_is_confirmed_once_and_its_result_is_kept() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        let arguments = json!({ "id": id, "text": "Hello" });
        // The other spelling of the name is in the text, because it is what the caller knows.
        let preview = rooms.call(&ada, "letter_send", arguments.clone()).await;
        assert!(
            preview["next_step"]
                .as_str()
                .unwrap()
                .contains("call letter_send again")
        );
        let token = preview["confirmation_token"].as_str().unwrap();
        assert_eq!(rooms.desk.letters.lock().await.len(), 0);
        let done = rooms.call(&ada, "letter.send", with(&arguments, token)).await;
        assert_eq!(done["result"], json!({ "sent": 1 }));
        let again = rooms.call(&ada, "letter.send", with(&arguments, token)).await;
        assert_eq!(
            (&again["replayed"], &again["result"]),
            (&json!(true), &json!({ "sent": 1 }))
        );
        assert_eq!(*rooms.desk.letters.lock().await, ["acme: Hello"]);
        assert_eq!(
            logged(&rooms, "letter.send").await[..3],
            [
                (AuditStatus::Preview, true),
                (AuditStatus::Intent, true),
                (AuditStatus::Allow, true)
            ]
        );
        // A refusal by the tool itself uses nothing up.
        let refused = json!({ "id": id, "text": "refuse" });
        let token = rooms.preview(&ada, "letter.send", refused.clone()).await;
        for _ in 0..2 {
            let text = rooms
                .try_call(&ada, "letter.send", with(&refused, &token))
                .await
                .unwrap_err();
            assert!(text.contains("the postman will not take it"), "{text}");
        }
    });
}

#[test]
fn a_tenant_tightens_its_tools_and_cannot_loosen_them() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let ada = rooms.caller(ALL).await;
        let id = rooms.ticket(&ada).await;
        let rename = json!({ "id": id, "title": "Plotter" });
        let set = |tool: Option<&str>, consent: Consent| {
            let tool = tool.map(|tool| tool.parse().unwrap());
            let rooms = &rooms;
            async move {
                let rules = rules::set(&rooms.store, &tenant("acme"), tool.as_ref(), consent).await;
                rooms.house.rules().refresh().await.unwrap();
                rules
            }
        };
        set(Some("ticket_rename"), Consent::Confirm).await.unwrap();
        rooms.preview(&ada, "ticket_rename", rename.clone()).await;
        set(Some("ticket_rename"), Consent::Auto).await.unwrap();
        assert_eq!(
            rooms.call(&ada, "ticket_rename", rename.clone()).await["ticket"]["version"],
            2
        );
        set(None, Consent::Human).await.unwrap();
        let waiting = rooms.call(&ada, "ticket_rename", rename.clone()).await;
        assert_eq!(waiting["status"], "pending_approval");
        assert_eq!(rooms.status(&ada, &id).await, "open", "reading is no change");
        // Another tenant has rules of its own.
        let zoe = rooms.caller_of("zeta", None, ALL, KeyConfirm::Inherit).await;
        rooms
            .preview(&zoe, "ticket_open", json!({ "title": "Theirs" }))
            .await;
        // What the row asks for stays, whatever the tenant says.
        set(None, Consent::Auto).await.unwrap();
        set(Some("ticket_close"), Consent::Auto).await.unwrap();
        rooms.preview(&ada, "ticket_close", json!({ "id": id })).await;
    });
}

#[test]
fn a_row_that_asks_is_refused_where_its_handler_cannot_plan() {
    let text = "format = 1\n[edition]\nname = \"x\"\ntitle = \"X\"\ninstructions = \"X.\"\nkey_prefix = \"x_\"\n\
        write_policy = \"confirm\"\n[scopes.w]\ntitle = \"W\"\n[[tool]]\nname = \"w\"\ntitle = \"W\"\n\
        description = \"Writes.\"\nscope = \"w\"\neffect = \"update\"\nhandler = \"w::w\"\n[[tool.example]]\ntitle = \"W\"\n";
    run(async move {
        let place = Place::sqlite();
        let store = place.open().await;
        let catalogue = Catalogue::load(&[&[NamedText { name: "x.toml", text }]]).unwrap();
        let mut handlers = Handlers::default();
        handlers.plain("w::w", |_| Box::pin(async { Ok(Outcome::text("done")) }));
        let keyring = Keyring::load(store.clone(), &catalogue, 60).await.unwrap();
        let oauth = OAuth::load(store.clone(), &catalogue, OAuthLimits::default()).await;
        let house = HouseBuilder {
            store,
            catalogue,
            handlers,
            keyring,
            oauth: oauth.unwrap(),
            seal_key: SealKey::new([7; 32]),
            clock: place.clock.clone(),
            audit: footbridge_server::audit::Keeping::default(),
            call_timeout: Duration::from_secs(20),
            most_running_per_key: 8,
            failed_sign_ins_per_minute: 60,
        };
        let error = house
            .build()
            .err()
            .expect("the promise of the file cannot be kept")
            .to_string();
        assert!(
            error.contains("tool `w` of edition `x` asks for consent"),
            "{error}"
        );
    });
}
