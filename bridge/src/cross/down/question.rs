//! A server's question inside a result → a request as the host's revision knows it (protocol.md X-25, X-29, X-30).

use footbridge_protocol::era::ProtocolVersion;
use serde_json::{Map, Value};

use super::envelope::Abilities;
use crate::cross::object::{Object, quoted};
use crate::error::BridgeError;

const ELICIT: &str = "elicitation/create";
const SAMPLE: &str = "sampling/createMessage";
const ROOTS: &str = "roots/list";

/// One entry of `inputRequests`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) method: String,
    /// Raw.
    pub(super) params: Option<String>,
}

/// An entry in the words of the host's revision.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) params: Option<String>,
    /// The page to visit and the id its completion is announced under.
    pub(super) visit: Option<(String, String)>,
}

impl Entry {
    /// Reads the raw `inputRequests`. `None` if they have another shape.
    pub(super) fn read_all(raw: &str) -> Option<Vec<Entry>> {
        Object::read(raw)?
            .iter()
            .map(|(key, raw)| {
                let request = Object::read(raw)?;
                Some(Entry {
                    key: key.to_owned(),
                    method: request.text("method")?,
                    params: request.get("params").map(str::to_owned),
                })
            })
            .collect()
    }

    /// Says whether a person is asked.
    pub(super) fn is_elicitation(&self) -> bool {
        self.method == ELICIT
    }

    /// The page an elicitation wants visited.
    pub(super) fn url(&self) -> Option<String> {
        let params = self.is_elicitation().then_some(self.params.as_deref()).flatten();
        let params = Object::read(params?)?;
        (params.text("mode").as_deref() == Some("url")).then(|| params.text("url"))?
    }

    /// Makes the question for a host of `revision` with these `abilities`. `name` is a fresh name.
    pub(super) fn translate(
        &self,
        revision: ProtocolVersion,
        abilities: Abilities,
        name: impl FnOnce() -> String,
    ) -> Result<Question, BridgeError> {
        let plain = |declared: bool| {
            if declared {
                Ok(Question {
                    params: self.params.clone(),
                    visit: None,
                })
            } else {
                Err(self.undeclared())
            }
        };
        match self.method.as_str() {
            SAMPLE => plain(abilities.sampling),
            ROOTS => plain(abilities.roots),
            ELICIT => {
                let params = self.params.as_deref().and_then(Object::read).unwrap_or_default();
                match self.url() {
                    Some(url) if abilities.url => Ok(visit(params, url, name())),
                    Some(_) if abilities.form => Err(BridgeError::no_translation(
                        true,
                        "The server wants a page to be visited, which this client cannot ask for. Use a client that can",
                    )),
                    None if abilities.form && revision < ProtocolVersion::V2025_11_25 => plain_form(params),
                    None => plain(abilities.form),
                    Some(_) => Err(self.undeclared()),
                }
            }
            _ => Err(self.undeclared()),
        }
    }

    fn undeclared(&self) -> BridgeError {
        BridgeError::protocol(format!(
            "The server asked for `{}`, which this client did not declare. Its operator has to correct that",
            crate::error::quote(self.method.as_bytes(), 64)
        ))
    }
}

/// A page to visit, with the id that older hosts expect. Address and text stay untouched.
fn visit(mut params: Object<'_>, url: String, name: String) -> Question {
    params.set("elicitationId", quoted(&name));
    Question {
        params: Some(params.to_text()),
        visit: Some((url, name)),
    }
}

/// A form for a host of 2025-06-18: no `mode`, choices by `enum`, no defaults but of switches.
fn plain_form(mut params: Object<'_>) -> Result<Question, BridgeError> {
    params.remove(&["mode"]);
    let schema = params
        .get("requestedSchema")
        .and_then(|raw| serde_json::from_str::<Value>(raw).ok());
    if let Some(mut schema) = schema {
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (name, property) in properties.into_iter().flatten() {
            let Some(property) = property.as_object_mut() else {
                continue;
            };
            plain_property(name, property)?;
        }
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("$schema");
        }
        params.set("requestedSchema", schema.to_string());
    }
    Ok(Question {
        params: Some(params.to_text()),
        visit: None,
    })
}

fn plain_property(name: &str, property: &mut Map<String, Value>) -> Result<(), BridgeError> {
    let kind = property.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind == "array" {
        return Err(BridgeError::no_translation(
            true,
            format!(
                "The server's form lets several values be chosen for `{}`, which this client cannot show. Use a newer client",
                crate::error::quote(name.as_bytes(), 64)
            ),
        ));
    }
    if kind != "boolean" {
        property.remove("default");
    }
    if let Some(Value::Array(choices)) = property.remove("oneOf") {
        let (mut values, mut names) = (Vec::new(), Vec::new());
        for choice in choices {
            let value = choice.get("const").cloned().unwrap_or_default();
            names.push(choice.get("title").cloned().unwrap_or_else(|| value.clone()));
            values.push(value);
        }
        property.insert("enum".to_owned(), Value::Array(values));
        property.insert("enumNames".to_owned(), Value::Array(names));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ALL: Abilities = Abilities {
        form: true,
        url: true,
        sampling: true,
        roots: true,
    };

    fn entry(method: &str, params: &str) -> Entry {
        Entry {
            key: "k".to_owned(),
            method: method.to_owned(),
            params: Some(params.to_owned()),
        }
    }

    fn asked(
        revision: ProtocolVersion,
        abilities: Abilities,
        entry: &Entry,
    ) -> Result<Question, BridgeError> {
        entry.translate(revision, abilities, || "e-1".to_owned())
    }

    #[test]
    fn x29_a_form_is_one_a_host_of_june_2025_knows() {
        let form = json!({"mode": "form", "message": "?", "requestedSchema": {"$schema": "x", "type": "object", "properties": {
            "colour": {"type": "string", "oneOf": [{"const": "r", "title": "Red"}, {"const": "b"}], "default": "r"},
            "size": {"type": "integer", "minimum": 1, "default": 2},
            "sure": {"type": "boolean", "default": true},
        }}});
        let question = asked(
            ProtocolVersion::V2025_06_18,
            ALL,
            &entry(ELICIT, &form.to_string()),
        )
        .unwrap();
        let params: Value = serde_json::from_str(&question.params.unwrap()).unwrap();
        assert_eq!(
            params,
            json!({"message": "?", "requestedSchema": {"type": "object", "properties": {
                "colour": {"type": "string", "enum": ["r", "b"], "enumNames": ["Red", "b"]},
                "size": {"type": "integer", "minimum": 1},
                "sure": {"type": "boolean", "default": true},
            }}})
        );
    }

    #[test]
    fn x29_several_choices_cannot_be_asked_for() {
        let form = r#"{"requestedSchema":{"properties":{"c":{"type":"array","items":{"enum":["a"]}}}}}"#;
        assert!(asked(ProtocolVersion::V2025_06_18, ALL, &entry(ELICIT, form)).is_err());
        let question = asked(ProtocolVersion::V2025_11_25, ALL, &entry(ELICIT, form)).unwrap();
        assert_eq!(question.params.as_deref(), Some(form));
    }

    #[test]
    fn x30_a_page_gets_an_id_and_keeps_its_address() {
        let page = r#"{"mode":"url","message":"m","url":"https://x/?a=\u0026"}"#;
        let question = asked(ProtocolVersion::V2025_11_25, ALL, &entry(ELICIT, page)).unwrap();
        assert_eq!(
            question.params.unwrap(),
            r#"{"mode":"url","message":"m","url":"https://x/?a=\u0026","elicitationId":"e-1"}"#
        );
        assert_eq!(
            question.visit,
            Some(("https://x/?a=&".to_owned(), "e-1".to_owned()))
        );
    }

    #[test]
    fn x25_only_what_was_declared_is_asked() {
        let none = Abilities::default();
        let form_only = Abilities { form: true, ..none };
        let page = r#"{"mode":"url","message":"m","url":"https://x"}"#;
        let n25 = ProtocolVersion::V2025_11_25;
        for (abilities, entry, fine) in [
            (none, entry(ELICIT, "{}"), false),
            (form_only, entry(ELICIT, "{}"), true),
            (form_only, entry(ELICIT, page), false),
            (none, entry(SAMPLE, "{}"), false),
            (ALL, entry(SAMPLE, "{}"), true),
            (ALL, entry(ROOTS, "{}"), true),
            (ALL, entry("ping", "{}"), false),
        ] {
            assert_eq!(asked(n25, abilities, &entry).is_ok(), fine, "{entry:?}");
        }
    }

    #[test]
    fn entries_are_requests_by_key() {
        let entries =
            Entry::read_all(r#"{"a":{"method":"roots/list"},"b":{"method":"x","params":{"y": 1}}}"#).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].params.as_deref(), Some(r#"{"y": 1}"#));
        assert!(Entry::read_all(r#"{"a":{}}"#).is_none() && Entry::read_all("[]").is_none());
    }
}
