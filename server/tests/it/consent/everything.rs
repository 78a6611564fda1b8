//! Over everything that a server serves, generated from the rows of its catalogue: every built-in edition, a REST API's
//! tools, a program's. Whatever asks for consent changes no byte of the store without it, and no token or state that was
//! made up, borrowed, changed or used before counts for anything.

use std::sync::Arc;

use footbridge_server::{
    access::Principal,
    catalogue::{Edition, Tool},
    policy,
    store::KeyConfirm,
    vocabulary::Consent,
};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};

use super::{
    house::with,
    registry::mangled,
    world::{Said, WORKSPACE, World},
};
use crate::store::harness::for_each_engine;

const MINUTE: i64 = 60 * 1000;

/// The tools of an edition that ask this principal before they run.
fn asking<'e>(world: &World, edition: &'e Edition, principal: &Principal) -> Vec<&'e Arc<Tool>> {
    let rules = world.booted.house.rules().of(principal.tenant());
    let tools = edition.tools().iter();
    tools
        .filter(|tool| policy::consent(edition, tool, principal, &rules) > Consent::Auto)
        .collect()
}

/// The same arguments but for one, where there is one that can be another.
fn others(arguments: &Value) -> Option<Value> {
    let mut changed = arguments.clone();
    let text = changed
        .as_object_mut()?
        .values_mut()
        .find(|value| value.is_string())?;
    *text = json!(format!("{} too", text.as_str()?));
    Some(changed)
}

/// Changed in one character.
fn flipped(text: &str, position: usize, bit: u8) -> Option<String> {
    let mut bytes = text.to_owned().into_bytes();
    *bytes.get_mut(position)? ^= 1 << bit;
    // What stands around a token is not part of it.
    String::from_utf8(bytes)
        .ok()
        .filter(|changed| changed.trim() != text)
}

fn editions(world: &World) -> Vec<Arc<Edition>> {
    let bound = world.booted.house.editions();
    bound.iter().map(|bound| Arc::clone(&bound.edition)).collect()
}

#[test]
fn no_call_without_a_yes_changes_a_byte() {
    for_each_engine(|place| async move {
        let mut world = World::new(place).await;
        let mut runner = TestRunner::deterministic();
        for edition in editions(&world) {
            world.fill(&edition).await;
            let strict = world.caller(&edition, "acme", None, KeyConfirm::Preview).await;
            let person = world.caller(&edition, "acme", None, KeyConfirm::Human).await;
            let before = world.settled().await;
            let tools = asking(&world, &edition, &world.principal(&strict).await);
            assert!(!tools.is_empty(), "{}", edition.name);
            let mut unseen = Vec::new();
            for tool in &tools {
                let example = world.example(tool);
                let mut previewed = false;
                for round in 0..12 {
                    let arguments = match round {
                        0 => example.clone(),
                        _ => mangled(example.clone()).new_tree(&mut runner).unwrap().current(),
                    };
                    for (caller, elicits) in [(&strict, false), (&strict, true), (&person, false)] {
                        let said = world.call(caller, tool, &arguments, elicits, None).await;
                        assert!(!said.acted(), "`{}` with {arguments}: {said:?}", tool.name);
                        previewed |= said.previewed();
                    }
                }
                if !previewed {
                    unseen.push(tool.name.as_str());
                }
            }
            world.unchanged(&before, edition.name.as_str()).await;
            // Calls that are refused before they are planned show nothing: most must get further, and of the workspace all.
            let most = if edition.name.as_str() == WORKSPACE {
                assert_eq!(tools.len(), 31);
                0
            } else {
                tools.len() / 3
            };
            assert!(
                unseen.len() <= most,
                "{}: never previewed: {unseen:?} of {}",
                edition.name,
                tools.len()
            );
        }
        world.booted.stop().await;
    });
}

/// Not of the workspace, whose clocks ring as days go by here: what judges tokens knows no edition.
#[test]
fn no_token_or_state_counts_but_the_callers_own_fresh_one() {
    for_each_engine(|place| async move {
        let mut world = World::new(place).await;
        let mut runner = TestRunner::deterministic();
        for edition in editions(&world)
            .into_iter()
            .filter(|edition| edition.name.as_str() != WORKSPACE)
        {
            world.fill(&edition).await;
            let strict = world.caller(&edition, "acme", None, KeyConfirm::Preview).await;
            let bob = world
                .caller(&edition, "acme", Some("bob@acme.test"), KeyConfirm::Preview)
                .await;
            let zoe = world.caller(&edition, "zeta", None, KeyConfirm::Preview).await;
            let before = world.settled().await;
            let tools = asking(&world, &edition, &world.principal(&strict).await);
            let mut judged = 0;
            for (at, tool) in tools.iter().enumerate() {
                let arguments = world.example(tool);
                let other_tool = tools[(at + 1) % tools.len()];
                let other_arguments = others(&arguments);

                // The state that a client which asks its user brings back.
                if let Said::Question(state) = world.call(&strict, tool, &arguments, true, None).await {
                    let positions = (0..state.len(), 0..7_u8);
                    let mut changed: Vec<_> = (0..40)
                        .filter_map(|_| {
                            let (position, bit) = positions.new_tree(&mut runner).unwrap().current();
                            flipped(&state, position, bit)
                        })
                        .collect();
                    changed.push(state[..state.len() - 1].to_owned());
                    changed.push(String::new());
                    for changed in changed {
                        let said = world.call(&strict, tool, &arguments, true, Some(&changed)).await;
                        state_refused(tool, &said);
                    }
                    for caller in [&bob, &zoe] {
                        state_refused(
                            tool,
                            &world.call(caller, tool, &arguments, true, Some(&state)).await,
                        );
                    }
                    if !Arc::ptr_eq(tool, other_tool) {
                        let example = world.example(other_tool);
                        state_refused(
                            tool,
                            &world
                                .call(&strict, other_tool, &example, true, Some(&state))
                                .await,
                        );
                    }
                    if let Some(other) = &other_arguments {
                        state_refused(tool, &world.call(&strict, tool, other, true, Some(&state)).await);
                    }
                    world.place.clock.advance(11 * MINUTE);
                    state_refused(
                        tool,
                        &world.call(&strict, tool, &arguments, true, Some(&state)).await,
                    );
                    judged += 1;
                }

                // The token that any other brings back.
                let said = world.call(&strict, tool, &arguments, false, None).await;
                let Said::Result(preview) = &said else { continue };
                let Some(token) = preview["confirmation_token"].as_str() else {
                    continue;
                };
                let made_up = [
                    "cft_",
                    "cft_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                    "rev_1",
                    "x",
                ];
                let mut made_up: Vec<_> = made_up.iter().map(|&text| text.to_owned()).collect();
                made_up.extend((0..token.len()).filter_map(|position| flipped(token, position, 0)));
                for made_up in made_up {
                    let said = world
                        .call(&strict, tool, &with(&arguments, &made_up), false, None)
                        .await;
                    anew(tool, &said, "token_unknown");
                }
                for caller in [&bob, &zoe] {
                    let said = world
                        .call(caller, tool, &with(&arguments, token), false, None)
                        .await;
                    refused_or_anew(tool, &said, "token_unknown");
                }
                if !Arc::ptr_eq(tool, other_tool) {
                    let arguments = with(&world.example(other_tool), token);
                    let said = world.call(&strict, other_tool, &arguments, false, None).await;
                    refused_or_anew(other_tool, &said, "token_unknown");
                }
                if let Some(other) = &other_arguments {
                    let said = world.call(&strict, tool, &with(other, token), false, None).await;
                    refused_or_anew(tool, &said, "arguments_changed");
                }
                // A review waits for three days.
                world.place.clock.advance(73 * 60 * MINUTE);
                let said = world
                    .call(&strict, tool, &with(&arguments, token), false, None)
                    .await;
                anew(tool, &said, "token_expired");
                judged += 1;
            }
            world.unchanged(&before, edition.name.as_str()).await;
            assert!(
                judged >= tools.len(),
                "{}: {judged} of {}",
                edition.name,
                tools.len()
            );

            // Used once, a token gives its own result again, and nothing else.
            let mut used = Vec::new();
            let own: Vec<_> = tools
                .iter()
                .filter(|tool| tool.driver.function().is_some())
                .collect();
            for tool in &own {
                let arguments = world.example(tool);
                let said = world.call(&strict, tool, &arguments, false, None).await;
                let Said::Result(preview) = &said else { continue };
                let Some(token) = preview["confirmation_token"].as_str() else {
                    continue;
                };
                if world
                    .call(&strict, tool, &with(&arguments, token), false, None)
                    .await
                    .acted()
                {
                    used.push((tool, arguments, token.to_owned()));
                }
            }
            assert!(
                used.len() * 2 >= own.len(),
                "{}: {} of {} were carried out",
                edition.name,
                used.len(),
                own.len()
            );
            let after = world.settled().await;
            for (tool, arguments, token) in &used {
                let again = world
                    .call(&strict, tool, &with(arguments, token), false, None)
                    .await;
                let Said::Result(again) = &again else {
                    panic!("`{}`: {again:?}", tool.name)
                };
                assert_eq!(again["replayed"], true, "`{}`: {again}", tool.name);
                if let Some(other) = others(arguments) {
                    let said = world.call(&strict, tool, &with(&other, token), false, None).await;
                    refused_or_anew(tool, &said, "token_used");
                }
            }
            world.unchanged(&after, edition.name.as_str()).await;
        }
        world.booted.stop().await;
    });
}

fn state_refused(tool: &Tool, said: &Said) {
    let Said::Refused(text) = said else {
        panic!("`{}`: {said:?}", tool.name)
    };
    assert!(
        text.contains("requestState is not valid for this call") || text.contains("is required"),
        "`{}`: {text}",
        tool.name
    );
}

/// A preview of the same call with the reason why the token does not count.
fn anew(tool: &Tool, said: &Said, reason: &str) {
    assert!(
        said.previewed() && said.reason() == Some(reason),
        "`{}`: {said:?}",
        tool.name
    );
}

/// The same, or no preview at all, because the call could not be planned for that caller or with those arguments.
fn refused_or_anew(tool: &Tool, said: &Said, reason: &str) {
    if !matches!(said, Said::Refused(_)) {
        anew(tool, said, reason);
    }
}
