//! Tools that ask the client one thing and need no state to recognise the answer.

use footbridge_server::domain::{
    Call, DomainError, HandlerResult, Handlers, InputRequest, InputRequired, Outcome,
};
use futures_util::FutureExt;
use serde_json::{Map, Value, json};

/// Adds this file's handlers.
pub(crate) fn register(handlers: &mut Handlers) {
    plain(handlers, "questions::missing_capability", |call| {
        if call.capabilities.contains_key("sampling") {
            return Ok(Outcome::text("The client declared sampling."));
        }
        let needed = Map::from_iter([("sampling".to_owned(), json!({}))]);
        Err(DomainError::MissingCapability(needed))
    });
    plain(handlers, "questions::confirmation", |call| {
        one(call, "confirm", confirm())
    });
    plain(handlers, "questions::sampling", |call| {
        let prompt = argument(call, "prompt");
        one(call, "response", sample(&prompt))
    });
    plain(handlers, "questions::elicitation", |call| {
        let fields = json!({ "username": { "type": "string" }, "email": { "type": "string" } });
        let message = argument(call, "message");
        one(call, "user", form(&message, &fields, &["username", "email"]))
    });
    plain(handlers, "questions::defaults", |call| {
        let fields = json!({
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
            "verified": { "type": "boolean", "default": true },
        });
        one(call, "profile", form("Review your profile.", &fields, &[]))
    });
    plain(handlers, "questions::choices", |call| {
        one(call, "choices", choices())
    });
    plain(handlers, "questions::greeting", greeting);
    plain(handlers, "questions::capital", |call| {
        one(call, "capital_question", capital())
    });
    plain(handlers, "questions::roots", |call| {
        one(call, "client_roots", InputRequest::Roots)
    });
    plain(handlers, "questions::declared", declared);
    plain(handlers, "questions::context", context);
}

/// Registers a handler that answers without waiting for anything.
pub(crate) fn plain(handlers: &mut Handlers, name: &'static str, run: fn(&Call) -> HandlerResult) {
    handlers.plain(name, move |call| {
        let result = run(&call);
        async { result }.boxed()
    });
}

/// Asks `requests` and seals `state`, when there is one.
pub(crate) fn ask(requests: Vec<(&str, InputRequest)>, state: Option<Value>) -> HandlerResult {
    let requests = requests
        .into_iter()
        .map(|(key, request)| (key.to_owned(), request))
        .collect();
    Ok(Outcome::InputRequired(InputRequired { requests, state }))
}

/// A prompt that needs to know something before it can be written.
fn context(call: &Call) -> HandlerResult {
    let said = call.round.answers.get("user_context");
    match said
        .and_then(|answer| answer.pointer("/content/context"))
        .and_then(Value::as_str)
    {
        Some(said) => Ok(Outcome::text(format!("Consider this context: {said}"))),
        None => {
            let fields = json!({ "context": { "type": "string" } });
            let question = form("What context should the prompt use?", &fields, &["context"]);
            ask(vec![("user_context", question)], None)
        }
    }
}

/// Asks one question, and is done with whatever comes back.
fn one(call: &Call, key: &'static str, request: InputRequest) -> HandlerResult {
    match call.round.answers.get(key) {
        None => ask(vec![(key, request)], None),
        Some(answer) => Ok(Outcome::text(summary(answer))),
    }
}

/// What an answer says, for a person: a model's text, the form's fields, the roots, or that the user declined.
fn summary(answer: &Value) -> String {
    let sampled = answer.pointer("/content/text").and_then(Value::as_str);
    let roots = answer.get("roots").and_then(Value::as_array);
    match (answer.get("action").and_then(Value::as_str), sampled, roots) {
        (Some("accept"), ..) => format!(
            "The user answered: {}",
            answer.get("content").unwrap_or(&Value::Null)
        ),
        (Some(action), ..) => format!("The user did not answer: {action}"),
        (None, Some(text), _) => format!("LLM response: {text}"),
        (None, None, Some(roots)) => format!("The client has {} roots.", roots.len()),
        (None, None, None) => "The client answered in a form this tool does not know.".to_owned(),
    }
}

/// Greets by name. Anything but an accepted form with a text in `name` is asked again (protocol.md S-86).
fn greeting(call: &Call) -> HandlerResult {
    let answer = call.round.answers.get("user_name");
    match answer
        .and_then(|answer| answer.get("action"))
        .and_then(Value::as_str)
    {
        Some("decline" | "cancel") => return Ok(Outcome::text("Hello, whoever you are!")),
        Some("accept") => {}
        _ => return ask(vec![("user_name", user_name())], None),
    }
    match answer
        .and_then(|answer| answer.pointer("/content/name"))
        .and_then(Value::as_str)
    {
        Some(name) => Ok(Outcome::text(format!("Hello, {name}!"))),
        None => ask(vec![("user_name", user_name())], None),
    }
}

/// Asks everything that the client says it can answer, and nothing else.
fn declared(call: &Call) -> HandlerResult {
    if !call.round.answers.is_empty() {
        return Ok(Outcome::text("Thank you."));
    }
    let all = [
        ("user_name", user_name()),
        ("capital_question", capital()),
        ("client_roots", InputRequest::Roots),
    ];
    let askable: Vec<_> = all
        .into_iter()
        .filter(|(_, request)| call.capabilities.contains_key(request.capability().0))
        .collect();
    if askable.is_empty() {
        return Ok(Outcome::text("This client cannot be asked anything."));
    }
    ask(askable, None)
}

/// Asks for the user's name.
pub(crate) fn user_name() -> InputRequest {
    form(
        "What is your name?",
        &json!({ "name": { "type": "string" } }),
        &["name"],
    )
}

/// Asks for a yes.
pub(crate) fn confirm() -> InputRequest {
    form("Go on?", &json!({ "ok": { "type": "boolean" } }), &["ok"])
}

/// A form with these fields.
pub(crate) fn form(message: &str, fields: &Value, required: &[&str]) -> InputRequest {
    let schema = json!({ "type": "object", "properties": fields, "required": required });
    InputRequest::Elicitation(json!({ "mode": "form", "message": message, "requestedSchema": schema }))
}

/// Asks the client's model.
pub(crate) fn sample(prompt: &str) -> InputRequest {
    InputRequest::Sampling(json!({
        "messages": [{ "role": "user", "content": { "type": "text", "text": prompt } }],
        "maxTokens": 100,
    }))
}

fn capital() -> InputRequest {
    sample("What is the capital of France?")
}

/// Every way that a form can offer choices (protocol.md S-88), the outdated one with `enumNames` included.
fn choices() -> InputRequest {
    let values = json!(["option1", "option2", "option3"]);
    let titled = json!([
        { "const": "option1", "title": "First option" },
        { "const": "option2", "title": "Second option" },
        { "const": "option3", "title": "Third option" },
    ]);
    let names = json!(["First option", "Second option", "Third option"]);
    let fields = json!({
        "untitledSingle": { "type": "string", "enum": values },
        "titledSingle": { "type": "string", "oneOf": titled },
        "legacyEnum": { "type": "string", "enum": values, "enumNames": names },
        "untitledMulti": { "type": "array", "items": { "type": "string", "enum": values } },
        "titledMulti": { "type": "array", "items": { "anyOf": titled } },
    });
    form("Choose.", &fields, &[])
}

fn argument(call: &Call, name: &str) -> String {
    call.arguments
        .as_map()
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
