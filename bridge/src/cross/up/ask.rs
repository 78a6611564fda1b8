//! What a server asks in the middle of a call → `inputRequests`, and `inputResponses` → its answers (protocol.md X-42, X-44,
//! X-45).

use footbridge_protocol::jsonrpc::{OwnedId, Request};
use footbridge_protocol::meta::PROGRESS_TOKEN;
use serde_json::{Value, json};

use crate::cross::object::{Object, elements};

/// Ties a message to a task of 2025-11-25, which a modern host does not know.
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// One question, on its way to the host or waiting for its answer.
#[derive(Debug)]
pub(super) struct Question {
    /// Its key in `inputRequests`.
    pub(super) key: String,
    /// The server's id for it. `None`: it came as an error (−32042), and the answer is a new call.
    pub(super) id: Option<OwnedId>,
    /// `method` and `params` for the host, raw.
    request: String,
}

impl Question {
    /// Makes a question of a request of the server. `None` if it is nothing the host has said it can be asked.
    pub(super) fn read(request: &Request<'_>, number: u64, declared: &Value) -> Option<Question> {
        let raw = request.params.raw().map_or("{}", |raw| raw.get());
        let params = Object::read(raw)?;
        if !is_declared(&request.method, &params, declared) {
            return None;
        }
        Some(Question {
            key: format!("ask-{number}"),
            id: Some(request.id.to_owned()),
            request: input_request(&request.method, params),
        })
    }

    /// The pages an error −32042 wants the user to visit. `None` if it names none that can be asked for.
    pub(super) fn read_visits(data: &str, declared: &Value) -> Option<Vec<Question>> {
        let data = Object::read(data)?;
        let visits = elements(data.get("elicitations")?)?;
        let questions: Option<Vec<Question>> = visits
            .iter()
            .enumerate()
            .map(|(at, visit)| {
                let mut params = Object::read(visit.get())?;
                params.set("mode", r#""url""#);
                is_declared(ELICIT, &params, declared).then(|| Question {
                    key: format!("visit-{at}"),
                    id: None,
                    request: input_request(ELICIT, params),
                })
            })
            .collect();
        questions.filter(|questions| !questions.is_empty())
    }

    /// Says whether both ask for the same thing.
    pub(super) fn is_same(&self, other: &Question) -> bool {
        self.request == other.request
    }
}

const ELICIT: &str = "elicitation/create";

/// The result that puts `questions` to the host.
pub(super) fn input_required<'q>(questions: impl Iterator<Item = &'q Question>, state: &str) -> String {
    let mut requests = Object::default();
    for question in questions {
        requests.set(&question.key, question.request.as_str());
    }
    let mut result = Object::default();
    result.set("resultType", r#""input_required""#);
    result.set("inputRequests", requests.to_text());
    // A handle is hexadecimal: nothing in it needs escaping.
    result.set("requestState", format!("\"{state}\""));
    result.to_text()
}

/// Says whether the user has agreed. Nothing else counts as a yes.
pub(super) fn is_accepted(response: &str) -> bool {
    Object::read(response).is_some_and(|response| response.text("action").as_deref() == Some("accept"))
}

/// Says whether the host has declared that it can be asked this.
fn is_declared(method: &str, params: &Object<'_>, declared: &Value) -> bool {
    let of = |path: &str| declared.pointer(path).is_some_and(Value::is_object);
    match method {
        ELICIT if params.text("mode").as_deref() == Some("url") => of("/elicitation/url"),
        // An empty object means forms (S-22).
        ELICIT => of("/elicitation/form") || declared.get("elicitation") == Some(&json!({})),
        "sampling/createMessage" => {
            let wants_tools = params.get("tools").is_some() || params.get("toolChoice").is_some();
            of("/sampling") && (!wants_tools || of("/sampling/tools"))
        }
        "roots/list" => of("/roots"),
        _ => false,
    }
}

/// The request as a modern host reads it: without what belongs to the older revision's streams, tasks and notifications.
fn input_request(method: &str, mut params: Object<'_>) -> String {
    params.remove(&["task", "elicitationId"]);
    let mut meta = params.object("_meta");
    meta.remove(&[PROGRESS_TOKEN, RELATED_TASK]);
    let meta = (!meta.is_empty()).then(|| meta.to_text());
    if let Some(meta) = meta {
        params.set("_meta", meta);
    } else {
        params.remove(&["_meta"]);
    }
    let mut request = Object::default();
    request.set("method", format!("\"{method}\""));
    if method != "roots/list" || !params.is_empty() {
        request.set("params", params.to_text());
    }
    request.to_text()
}

#[cfg(test)]
mod tests {
    use footbridge_protocol::jsonrpc::{Message, Rules, decode};

    use super::*;

    fn question(method: &str, params: &str, declared: &Value) -> Option<String> {
        let line = format!(r#"{{"jsonrpc":"2.0","id":"s","method":"{method}","params":{params}}}"#);
        let Ok(Message::Request(request)) = decode(line.as_bytes(), &Rules::BRIDGE) else {
            panic!("no request: {line}")
        };
        Question::read(&request, 1, declared).map(|question| question.request)
    }

    #[test]
    fn only_what_was_declared_is_asked() {
        let form = r#"{"message":"?","requestedSchema":{}}"#;
        let page = r#"{"mode":"url","message":"?","url":"https://x","elicitationId":"e"}"#;
        for (method, params, declared, asked) in [
            (ELICIT, form, json!({"elicitation": {}}), true),
            (ELICIT, form, json!({"elicitation": {"form": {}}}), true),
            (ELICIT, form, json!({"elicitation": {"url": {}}}), false),
            (ELICIT, page, json!({"elicitation": {"url": {}}}), true),
            (ELICIT, page, json!({"elicitation": {}}), false),
            ("sampling/createMessage", "{}", json!({"sampling": {}}), true),
            (
                "sampling/createMessage",
                r#"{"tools":[]}"#,
                json!({"sampling": {}}),
                false,
            ),
            ("roots/list", "{}", json!({"roots": {}}), true),
            ("roots/list", "{}", json!({}), false),
            ("tasks/get", "{}", json!({"tasks": {}}), false),
        ] {
            assert_eq!(
                question(method, params, &declared).is_some(),
                asked,
                "{method} {params} {declared}"
            );
        }
    }

    #[test]
    fn the_host_reads_what_its_revision_knows() {
        let asked = question(
            ELICIT,
            r#"{"mode":"url","url":"https://x?a=1","elicitationId":"e","task":{},"_meta":{"progressToken":1},"message":"m"}"#,
            &json!({"elicitation": {"url": {}}}),
        );
        assert_eq!(
            asked.as_deref(),
            Some(
                r#"{"method":"elicitation/create","params":{"mode":"url","url":"https://x?a=1","message":"m"}}"#
            )
        );
        assert_eq!(
            question("roots/list", "{}", &json!({"roots": {}})).as_deref(),
            Some(r#"{"method":"roots/list"}"#)
        );
    }

    #[test]
    fn only_an_accept_is_a_yes() {
        assert!(is_accepted(r#"{"action":"accept"}"#));
        for text in [
            r#"{"action":"decline"}"#,
            r#"{"action":"cancel"}"#,
            "{}",
            "7",
            r#"{"action":1}"#,
        ] {
            assert!(!is_accepted(text), "{text}");
        }
    }
}
