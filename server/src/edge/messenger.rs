//! Questions to a legacy client on the open stream of the call that needs the answers: `elicitation/create`,
//! `sampling/createMessage` and `roots/list`, in the shapes of its revision.

use std::time::Duration;

use footbridge_protocol::{
    era::ProtocolVersion,
    jsonrpc::{OwnedId, write_request},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, try_join_all},
};
use serde_json::{Map, Value, json};

use super::{
    desk::{Caller, Desk},
    envelope::Mirror,
    line::Line,
    listen::still_allowed,
    tape::Tape,
};
use crate::{
    domain::InputRequest,
    pipeline::{Answered, AskClient, ClientAnswer, NoAnswer},
};

/// Whoever can be asked while a call of theirs runs.
pub(super) struct Messenger<'a> {
    pub(super) desk: &'a Desk,
    pub(super) caller: &'a Caller,
    pub(super) mirror: Mirror<'a>,
    pub(super) line: &'a Line,
    /// For clients that can come back for what they missed.
    pub(super) tape: Option<&'a Tape>,
    pub(super) version: ProtocolVersion,
}

impl AskClient for Messenger<'_> {
    fn ask<'a>(&'a self, requests: &'a [(String, InputRequest)]) -> BoxFuture<'a, Answered> {
        async move {
            let asked = requests.iter().map(|(key, request)| async move {
                let answer = self.ask_one(request).await?;
                Ok::<_, NoAnswer>((key.clone(), answer))
            });
            let answers = try_join_all(asked).await?.into_iter().collect();
            let now = still_allowed(self.desk, self.caller, self.mirror).await;
            Ok((answers, now.ok_or(NoAnswer::Withdrawn)?))
        }
        .boxed()
    }
}

impl Messenger<'_> {
    async fn ask_one(&self, request: &InputRequest) -> Result<Value, NoAnswer> {
        let common = &self.desk.common;
        let patience = Duration::from_millis(common.settings.answer_ms);
        let question = common
            .house
            .open_question(&self.caller.principal, patience)
            .await?;
        let params = params_of(request, self.version, &question.id).ok_or(NoAnswer::NotShown)?;
        let mut message = Vec::with_capacity(256);
        write_request(
            &mut message,
            OwnedId::from_string(&question.id).as_id(),
            request.method(),
            params
                .map(|params| params.to_string())
                .as_deref()
                .map(str::as_bytes),
        );
        match self.tape {
            Some(tape) => tape.say(self.line, message).await,
            None => self.line.send(message),
        }
        match question.answer().await? {
            ClientAnswer::Result(answer) => Ok(answer),
            ClientAnswer::Error(message) => Err(NoAnswer::Refused(message)),
        }
    }
}

/// A request's parameters in the shape of a revision; `None` where it has none for them.
fn params_of(request: &InputRequest, version: ProtocolVersion, id: &str) -> Option<Option<Value>> {
    match request {
        InputRequest::Roots => Some(None),
        InputRequest::Sampling(params) => Some(Some(params.clone())),
        InputRequest::Elicitation(_) if version < ProtocolVersion::V2025_06_18 => None,
        InputRequest::Elicitation(params) => {
            let mut params = params.clone();
            let newest = version >= ProtocolVersion::V2025_11_25;
            if params.get("mode").and_then(Value::as_str) == Some("url") {
                params
                    .as_object_mut()
                    .filter(|_| newest)?
                    .insert("elicitationId".to_owned(), json!(id));
                return Some(Some(params));
            }
            if !newest {
                let params = params.as_object_mut()?;
                params.remove("mode");
                let fields = params.get_mut("requestedSchema")?.get_mut("properties");
                for field in fields.and_then(Value::as_object_mut)?.values_mut() {
                    simplify(field.as_object_mut()?)?;
                }
            }
            Some(Some(params))
        }
    }
}

/// A field of a form as revision 2025-06-18 knows it; `None` where it knows none like it.
fn simplify(field: &mut Map<String, Value>) -> Option<()> {
    let kind = field.get("type").and_then(Value::as_str)?.to_owned();
    if kind == "array" {
        return None;
    }
    if let Some(Value::Array(choices)) = field.remove("oneOf") {
        let of = |name: &str| {
            choices
                .iter()
                .filter_map(|c| c.get(name).cloned())
                .collect::<Vec<_>>()
        };
        let (values, names) = (of("const"), of("title"));
        field.insert("enum".to_owned(), json!(values));
        field.insert("enumNames".to_owned(), json!(names));
    }
    if kind != "boolean" {
        field.remove("default");
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &Value) -> InputRequest {
        InputRequest::Elicitation(json!({
            "mode": "form", "message": "?", "requestedSchema": { "type": "object", "properties": fields },
        }))
    }

    #[test]
    fn each_revision_is_asked_in_its_own_shape() {
        let (oldest, middle, newest) = (
            ProtocolVersion::V2025_03_26,
            ProtocolVersion::V2025_06_18,
            ProtocolVersion::V2025_11_25,
        );
        let rich = form(&json!({
            "colour": { "type": "string", "oneOf": [{ "const": "r", "title": "Red" }], "default": "r" },
            "sure": { "type": "boolean", "default": true },
        }));
        assert_eq!(params_of(&rich, oldest, "x"), None);
        assert_eq!(
            params_of(&rich, middle, "x"),
            Some(Some(json!({
                "message": "?", "requestedSchema": { "type": "object", "properties": {
                    "colour": { "type": "string", "enum": ["r"], "enumNames": ["Red"] },
                    "sure": { "type": "boolean", "default": true },
                } },
            })))
        );
        let InputRequest::Elicitation(as_it_is) = &rich else {
            return;
        };
        assert_eq!(params_of(&rich, newest, "x"), Some(Some(as_it_is.clone())));
        let many = form(&json!({ "several": { "type": "array", "items": { "type": "string" } } }));
        assert_eq!(params_of(&many, middle, "x"), None);
        let page =
            InputRequest::Elicitation(json!({ "mode": "url", "message": "?", "url": "https://x.example/" }));
        assert_eq!(params_of(&page, middle, "x"), None);
        assert_eq!(
            params_of(&page, newest, "x"),
            Some(Some(
                json!({ "mode": "url", "message": "?", "url": "https://x.example/", "elicitationId": "x" })
            ))
        );
        assert_eq!(params_of(&InputRequest::Roots, oldest, "x"), Some(None));
    }
}
