//! Tools that carry a state from one round of questions to the next. The hall seals it; a state that does not
//! open never comes this far.

use footbridge_server::domain::{Call, HandlerResult, Handlers, InputRequest, Outcome};
use serde_json::{Value, json};

use crate::questions::{ask, confirm, form, plain, sample, user_name};

/// Adds this file's handlers.
pub(crate) fn register(handlers: &mut Handlers) {
    plain(handlers, "rounds::one_state", one_state);
    plain(handlers, "rounds::three_at_once", three_at_once);
    plain(handlers, "rounds::two_steps", two_steps);
}

fn one_state(call: &Call) -> HandlerResult {
    let asked = json!({ "asked": "confirm" });
    if call.round.state.as_ref() != Some(&asked) || !answered(call, "confirm") {
        return ask(vec![("confirm", confirm())], Some(asked));
    }
    Ok(Outcome::text("state-ok"))
}

fn three_at_once(call: &Call) -> HandlerResult {
    let questions = vec![
        ("user_name", user_name()),
        ("greeting", sample("Write a short greeting.")),
        ("client_roots", InputRequest::Roots),
    ];
    if call.round.state.is_none() || !questions.iter().all(|(key, _)| answered(call, key)) {
        return ask(questions, Some(json!({ "asked": "all" })));
    }
    Ok(Outcome::text("All three questions were answered."))
}

fn two_steps(call: &Call) -> HandlerResult {
    let step = call
        .round
        .state
        .as_ref()
        .and_then(|state| state.get("step"))
        .and_then(Value::as_u64);
    match step {
        Some(2) if answered(call, "step2") => Ok(Outcome::text("Both steps are done.")),
        Some(2) => ask_step(2, "step2", "What is your favourite colour?"),
        Some(1) if answered(call, "step1") => ask_step(2, "step2", "What is your favourite colour?"),
        _ => ask_step(1, "step1", "What is your name?"),
    }
}

fn ask_step(step: u64, key: &str, question: &str) -> HandlerResult {
    let request = form(question, &json!({ "answer": { "type": "string" } }), &["answer"]);
    ask(vec![(key, request)], Some(json!({ "step": step })))
}

fn answered(call: &Call, key: &str) -> bool {
    call.round.answers.get(key).is_some_and(Value::is_object)
}
