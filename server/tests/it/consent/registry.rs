//! Over whole catalogues: what asks for consent changes no byte of the store without it.

use footbridge_server::{
    domain::Handler,
    policy,
    store::{KeyConfirm, KeyLimits},
    vocabulary::{Consent, Effect},
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Map, Value, json};

use super::house::{ALL, Rooms, with};
use crate::{
    context_house,
    store::harness::{for_each_engine, run},
};

/// Where waiting calls, the log of calls and the last use of keys are written: everything but what tools are about.
pub(super) const NOT_OURS: [&str; 4] = ["pending_calls", "audit_log", "audit_heads", "api_keys"];

/// The store's rows but those, and but reviews: they are kept like records and say who still has to approve.
async fn contents(rooms: &Rooms) -> Vec<String> {
    without_reviews(rooms.place.dump(&NOT_OURS).await)
}

/// Without reviews that were asked for, and the news of them to their reviewers.
pub(super) fn without_reviews(mut rows: Vec<String>) -> Vec<String> {
    rows.retain(|row| {
        !(row.contains("_review")
            || row.contains("review.pending")
            || (row.starts_with("changes: ") && row.contains("jobs")))
    });
    rows
}

/// A call's arguments: an example, some fields of it left out, perhaps a made-up token among them.
pub(super) fn mangled(example: Value) -> impl Strategy<Value = Value> {
    let fields = example.as_object().map_or(0, Map::len);
    let keep = proptest::collection::vec(proptest::bool::weighted(0.9), fields);
    let token = proptest::option::of("cft_[A-Za-z0-9_-]{0,43}");
    (keep, token).prop_map(move |(keep, token)| {
        let kept = example.as_object().into_iter().flatten().zip(keep);
        let kept = kept
            .filter(|(_, keep)| *keep)
            .map(|((k, v), _)| (k.clone(), v.clone()));
        let arguments = Value::Object(kept.collect());
        match token {
            Some(token) => with(&arguments, &token),
            None => arguments,
        }
    })
}

#[test]
fn nothing_changes_without_a_yes_in_the_desk() {
    for_each_engine(|place| async move {
        let rooms = Rooms::new(place).await;
        let ada = rooms.caller(ALL).await;
        let ticket = rooms.ticket(&ada).await;
        let strict = rooms.caller_of("acme", None, ALL, KeyConfirm::Preview).await;
        rooms.store.flush().await.unwrap();
        let before = contents(&rooms).await;
        let rules = rooms.house.rules().of(&"acme".parse().unwrap());
        let principal = rooms.principal(&strict).await;
        let mut runner = TestRunner::deterministic();
        let mut asked = 0;
        for tool in rooms.edition.tools() {
            if policy::consent(&rooms.edition, tool, &principal, &rules) == Consent::Auto {
                assert_eq!(tool.effect, Effect::Read, "`{}` runs at once", tool.name);
                continue;
            }
            let example = serde_json::to_string(&tool.examples[0].arguments).unwrap();
            let example: Value = serde_json::from_str(&example.replace("$ticket", &ticket)).unwrap();
            for _ in 0..20 {
                let arguments = mangled(example.clone()).new_tree(&mut runner).unwrap().current();
                for elicits in [false, true] {
                    let caller = super::house::Caller {
                        elicits,
                        ..strict.clone()
                    };
                    let answer = rooms
                        .try_call(&caller, tool.name.as_str(), arguments.clone())
                        .await;
                    if let Ok(super::house::Said::Result(answer)) = &answer {
                        assert_ne!(
                            answer["status"], "done",
                            "`{}` with {arguments}: {answer}",
                            tool.name
                        );
                    }
                    asked += usize::from(answer.is_ok());
                }
            }
        }
        assert!(
            asked > 50,
            "too few of the calls were fit to be previewed: {asked}"
        );
        let after = contents(&rooms).await;
        let new: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
        assert!(new.is_empty() && after.len() == before.len(), "{new:#?}");
        assert!(rooms.desk.letters.lock().await.is_empty());
        // What the comparison sees, a yes changes.
        rooms
            .confirmed(&strict, "ticket_close", json!({ "id": ticket }))
            .await;
        assert_ne!(contents(&rooms).await, before);
    });
}

/// Whatever changes something can say what it would change: a key that asks for previews loses no tool.
#[test]
fn every_changing_tool_of_the_built_in_editions_plans() {
    run(async {
        let place = crate::store::harness::Place::sqlite();
        let rooms = context_house::Rooms::with(place, &["acme"]).await;
        rooms.note("acme", "a.md", "# A\n\nA note.\n");
        rooms.sync("acme").await;
        let limits = KeyLimits {
            confirm: KeyConfirm::Preview,
            ..KeyLimits::default()
        };
        let key = rooms.limited_key("acme", context_house::ALL, limits).await;
        rooms.store.flush().await.unwrap();
        let (before, files) = (rooms.dump(&NOT_OURS).await, rooms.files());
        for tool in rooms
            .edition
            .tools()
            .iter()
            .filter(|tool| tool.effect != Effect::Read)
        {
            let handler = rooms.handlers.find(tool.driver.function().unwrap()).unwrap();
            assert!(
                matches!(handler, Handler::Planned(_)),
                "`{}` does not plan",
                tool.name
            );
            for example in &tool.examples {
                let arguments = serde_json::to_value(&example.arguments).unwrap();
                let principal = rooms.authenticate(Some(&key)).await.unwrap();
                let answer = rooms
                    .call_quietly(&principal, tool.name.as_str(), &arguments)
                    .await;
                assert_eq!(
                    answer["status"], "confirmation_required",
                    "`{}`: {answer}",
                    tool.name
                );
                let definition = tool.definition(
                    footbridge_server::catalogue::Shape::Full,
                    footbridge_server::catalogue::ListedNames::Native,
                    Consent::Confirm,
                );
                let schema = jsonschema::draft202012::new(&definition["outputSchema"]).unwrap();
                assert!(schema.is_valid(&answer), "`{}`: {answer}", tool.name);
            }
        }
        assert_eq!(rooms.dump(&NOT_OURS).await, before);
        assert_eq!(rooms.files(), files);
        // And what was previewed, a yes carries out.
        let put = json!({ "key": "k", "content": "c", "ttl_days": 2 });
        let principal = rooms.authenticate(Some(&key)).await.unwrap();
        let preview = rooms.call_quietly(&principal, "memory_put", &put).await;
        let token = preview["confirmation_token"].as_str().unwrap();
        // A minute later the same moment is meant as in the preview.
        rooms.clock.advance(60_000);
        let done = rooms
            .call_quietly(&principal, "memory_put", &with(&put, token))
            .await;
        assert_eq!(done["status"], "done");
        let changes = preview["preview"]["changes"].as_array().unwrap();
        let shown = changes
            .iter()
            .find(|change| change["field"] == "expires_at")
            .unwrap();
        assert_eq!(done["result"]["memory"]["expires_at"], shown["to"]);
    });
}
