//! What is answered at each door, word for word (catalogue.md §2.8).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};

use super::CallError;
use crate::{
    domain::{Content, DomainError, InputRequest, Preview, ToolResult},
    policy::{
        Token,
        review::{Review, ReviewStatus},
    },
    vocabulary::Timestamp,
};

/// The key of the question, and of the field in its form.
pub(super) const QUESTION: &str = "confirm";
/// The reason of a preview that is due because a record changed.
pub(super) const CHANGED: &str = "changed_since_preview";

/// How a yes can come from this caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// As a token in a second call.
    Token,
    /// As an answer to a question.
    Question,
    /// From a person in a browser or at a terminal.
    Elsewhere,
}

/// What every door shows.
pub(super) struct Shown<'a> {
    pub(super) preview: Option<&'a Preview>,
    pub(super) reason: Option<&'static str>,
    pub(super) expires_at: Timestamp,
    /// The tool's name as the caller spells it.
    pub(super) called_as: &'a str,
}

impl Shown<'_> {
    fn members(&self, status: &str) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("status".to_owned(), json!(status));
        if let Some(reason) = self.reason {
            out.insert("reason".to_owned(), json!(reason));
        }
        if let Some(preview) = self.preview {
            out.insert("preview".to_owned(), json!(preview));
        }
        out
    }

    fn prose(&self) -> String {
        let mut out = String::new();
        if let Some(reason) = self.reason {
            out.push_str(why(reason));
            out.push_str("\n\n");
        }
        if let Some(preview) = self.preview {
            out.push_str(&preview.prose());
            out.push_str("\n\n");
        }
        out
    }
}

/// A reason in words.
fn why(reason: &str) -> &'static str {
    match reason {
        "token_used" => "That confirmation was used before; nothing was changed now.",
        "token_expired" => "That confirmation came too late; nothing was changed.",
        "arguments_changed" => "The arguments are not those of the preview; nothing was changed.",
        CHANGED => "The record changed since the preview; nothing was changed by this call.",
        _ => "That confirmation is not known; nothing was changed.",
    }
}

/// Door A: a preview and the token that confirms it.
pub(super) fn token(shown: &Shown<'_>, token: &Token) -> Result<ToolResult, CallError> {
    let next_step = format!(
        "Show this preview to the user. Only if they agree, call {} again with the same arguments and this \
         confirmation_token.",
        shown.called_as
    );
    let mut out = shown.members("confirmation_required");
    out.insert("confirmation_token".to_owned(), json!(token.reveal()));
    out.insert("expires_at".to_owned(), json!(shown.expires_at));
    out.insert("next_step".to_owned(), json!(next_step));
    let prose = format!(
        "{}Nothing has been changed yet. {next_step}\nconfirmation_token: {}\nexpires_at: {}",
        shown.prose(),
        token.reveal(),
        shown.expires_at
    );
    result(&out, prose)
}

/// Door C: the preview as a question with one box to tick.
pub(super) fn question(shown: &Shown<'_>) -> (String, InputRequest) {
    let schema = json!({
        "type": "object",
        "properties": {
            QUESTION: { "type": "boolean", "title": "Confirm", "description": "Do exactly this" },
        },
        "required": [QUESTION],
    });
    let message = shown.prose();
    let params = json!({ "mode": "form", "message": message.trim_end(), "requestedSchema": schema });
    (QUESTION.to_owned(), InputRequest::Elicitation(params))
}

/// Door D: the preview, and where a person answers.
pub(super) fn elsewhere(
    shown: &Shown<'_>,
    code: &str,
    approve_at: Option<&str>,
) -> Result<ToolResult, CallError> {
    let command = format!("footbridge-server approve {code}");
    let url = approve_at.map(|base| format!("{base}{code}"));
    let place = match &url {
        Some(url) => format!("at {url} or with `{command}`"),
        None => format!("with `{command}`"),
    };
    let next_step = format!(
        "A person must approve this {place}. Then call {} again with the same arguments.",
        shown.called_as
    );
    let mut approve = Map::new();
    if let Some(url) = url {
        approve.insert("url".to_owned(), json!(url));
    }
    approve.insert("command".to_owned(), json!(command));
    let mut out = shown.members("pending_approval");
    out.insert("approve".to_owned(), Value::Object(approve));
    out.insert("expires_at".to_owned(), json!(shown.expires_at));
    out.insert("next_step".to_owned(), json!(next_step));
    let prose = format!("{}Nothing has been changed yet. {next_step}", shown.prose());
    result(&out, prose)
}

/// Others must approve: the preview, who they are, and what the caller comes back with.
pub(super) fn review(shown: &Shown<'_>, id: &str, review: Option<&Review>) -> Result<ToolResult, CallError> {
    let command = format!("footbridge-server review approve {id}");
    let groups = review.map(|review| &review.groups);
    let who: Vec<_> = groups
        .into_iter()
        .flatten()
        .filter(|vote| !vote.approved)
        .map(|vote| vote.group.as_str())
        .collect();
    let from = review
        .filter(|review| review.status == ReviewStatus::Approved)
        .and_then(|review| review.runs_from);
    let who = match who.as_slice() {
        [] => "its reviewers".to_owned(),
        groups => groups.join(", "),
    };
    let then = format!(
        "call {} again with the same arguments and confirmation_token {id}.",
        shown.called_as
    );
    let next_step = match from {
        Some(from) => format!(
            "This is approved from {from} until {}. Then {then}",
            shown.expires_at
        ),
        None => format!("Others must approve this: {who}. Then {then}"),
    };
    let mut out = shown.members("pending_approval");
    out.insert("confirmation_token".to_owned(), json!(id));
    let mut approve = Map::new();
    approve.insert("review_id".to_owned(), json!(id));
    approve.insert("groups".to_owned(), json!(groups));
    approve.insert("command".to_owned(), json!(command));
    if let Some(from) = from {
        approve.insert("runs_from".to_owned(), json!(from));
    }
    out.insert("approve".to_owned(), Value::Object(approve));
    out.insert("expires_at".to_owned(), json!(shown.expires_at));
    out.insert("next_step".to_owned(), json!(next_step));
    let prose = format!("{}Nothing has been changed yet. {next_step}", shown.prose());
    result(&out, prose)
}

/// A person said no.
pub(super) fn declined() -> Result<ToolResult, CallError> {
    let out = Map::from_iter([("status".to_owned(), json!("declined"))]);
    result(&out, "The user declined. Nothing was changed.".to_owned())
}

fn result(members: &Map<String, Value>, prose: String) -> Result<ToolResult, CallError> {
    Ok(ToolResult {
        prose: Some(prose),
        ..ToolResult::structured(members)?
    })
}

/// What a confirmed call came to, around the tool's own result.
pub(super) fn done(result: ToolResult, replayed: bool) -> Result<ToolResult, CallError> {
    let mut json = r#"{"status":"done""#.to_owned();
    if let Some(own) = &result.structured {
        json.push_str(r#","result":"#);
        json.push_str(own.get());
    }
    if replayed {
        json.push_str(r#","replayed":true"#);
    }
    json.push('}');
    let structured = RawValue::from_string(json).map_err(DomainError::internal)?;
    Ok(ToolResult {
        structured: Some(structured),
        ..result
    })
}

/// A result as it is kept for a caller that lost it.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    structured: Option<String>,
    content: Vec<Content>,
    is_error: bool,
}

impl From<&ToolResult> for Kept {
    fn from(result: &ToolResult) -> Self {
        Self {
            structured: result.structured.as_ref().map(|json| json.get().to_owned()),
            content: result.content.clone(),
            is_error: result.is_error,
        }
    }
}

impl TryFrom<Kept> for ToolResult {
    type Error = DomainError;
    fn try_from(kept: Kept) -> Result<Self, DomainError> {
        let structured = kept.structured.map(RawValue::from_string).transpose();
        Ok(Self {
            structured: structured.map_err(DomainError::internal)?,
            content: kept.content,
            is_error: kept.is_error,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Change, Plan};

    fn preview() -> Preview {
        Preview::from(&Plan::new("Create lead \"Ada\"").with(Change::create("lead", "name", "Ada")))
    }

    fn shown(preview: &Preview) -> Shown<'_> {
        Shown {
            preview: Some(preview),
            reason: None,
            expires_at: Timestamp::parse("2026-11-20T16:15:00Z").unwrap(),
            called_as: "create_lead",
        }
    }

    fn json_of(result: &ToolResult) -> Value {
        serde_json::from_str(result.structured.as_ref().unwrap().get()).unwrap()
    }

    #[test]
    fn the_two_step_answer_word_for_word() {
        let (preview, cft) = (preview(), Token::from_caller("cft_abc"));
        let answer = token(&shown(&preview), &cft).unwrap();
        assert_eq!(
            json_of(&answer),
            json!({
                "status": "confirmation_required",
                "preview": {
                    "summary": "Create lead \"Ada\"",
                    "changes": [{ "op": "create", "object": "lead", "field": "name", "to": "Ada" }],
                    "effects": [], "warnings": [],
                },
                "confirmation_token": "cft_abc",
                "expires_at": "2026-11-20T16:15:00.000Z",
                "next_step": "Show this preview to the user. Only if they agree, call create_lead again with the same arguments and this confirmation_token.",
            })
        );
        assert_eq!(
            answer.prose.as_deref().unwrap(),
            "Create lead \"Ada\"\n- create lead: name = \"Ada\"\n\nNothing has been changed yet. Show this preview to the user. \
             Only if they agree, call create_lead again with the same arguments and this confirmation_token.\n\
             confirmation_token: cft_abc\nexpires_at: 2026-11-20T16:15:00.000Z"
        );
    }

    #[test]
    fn the_question_word_for_word() {
        let preview = preview();
        let again = Shown {
            reason: Some(CHANGED),
            ..shown(&preview)
        };
        let (key, InputRequest::Elicitation(params)) = question(&again) else {
            panic!("a question is a form");
        };
        assert_eq!(key, "confirm");
        assert_eq!(
            params,
            json!({
                "mode": "form",
                "message": "The record changed since the preview; nothing was changed by this call.\n\nCreate lead \"Ada\"\n- create lead: name = \"Ada\"",
                "requestedSchema": {
                    "type": "object",
                    "properties": { "confirm": { "type": "boolean", "title": "Confirm", "description": "Do exactly this" } },
                    "required": ["confirm"],
                },
            })
        );
    }

    #[test]
    fn the_answer_for_a_person_elsewhere_word_for_word() {
        let preview = preview();
        let answer = elsewhere(&shown(&preview), "7Q2K-M4PX", Some("https://x.example/approve/")).unwrap();
        let json = json_of(&answer);
        assert_eq!(json["status"], "pending_approval");
        assert_eq!(
            json["approve"],
            json!({ "url": "https://x.example/approve/7Q2K-M4PX", "command": "footbridge-server approve 7Q2K-M4PX" })
        );
        assert_eq!(
            json["next_step"],
            "A person must approve this at https://x.example/approve/7Q2K-M4PX or with `footbridge-server approve 7Q2K-M4PX`. \
             Then call create_lead again with the same arguments."
        );
        let local = json_of(&elsewhere(&shown(&preview), "7Q2K-M4PX", None).unwrap());
        assert_eq!(
            local["approve"],
            json!({ "command": "footbridge-server approve 7Q2K-M4PX" })
        );
        assert_eq!(json_of(&declined().unwrap()), json!({ "status": "declined" }));
    }

    #[test]
    fn a_result_comes_back_as_it_was() {
        let first = ToolResult {
            content: vec![Content::Text("besides".to_owned())],
            ..ToolResult::structured(&json!({ "id": 1.0 })).unwrap()
        };
        let kept: Kept = serde_json::from_str(&serde_json::to_string(&Kept::from(&first)).unwrap()).unwrap();
        let again = ToolResult::try_from(kept).unwrap();
        assert_eq!(again.content.len(), 1);
        assert_eq!(
            done(again, true).unwrap().structured.unwrap().get(),
            r#"{"status":"done","result":{"id":1.0},"replayed":true}"#
        );
        assert_eq!(
            done(ToolResult::default(), false)
                .unwrap()
                .structured
                .unwrap()
                .get(),
            r#"{"status":"done"}"#
        );
    }
}
