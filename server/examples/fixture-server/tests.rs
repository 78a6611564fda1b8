use std::net::{IpAddr, Ipv4Addr};

use footbridge_server::{
    audit::RequestFacts,
    domain::{Content, Progress},
    pipeline::{Answer, Asking, CallError, ToolCall},
    store::Topic,
};
use serde_json::{Map, Value, json, value::RawValue};
use tokio_util::sync::CancellationToken;

use super::*;

/// The fixture's rooms, called without HTTP.
struct Fixture {
    house: Arc<House>,
    _files: tempfile::TempDir,
}

/// What one call says besides its arguments.
#[derive(Default)]
struct More {
    capabilities: Value,
    answers: Option<Value>,
    state: Option<String>,
}

impl Fixture {
    async fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let url = StoreUrl::Sqlite(files.path().join("store"));
        let store = Store::open(&url, &StoreSettings::default(), Clock::System)
            .await
            .unwrap();
        Self {
            house: house(store).await.unwrap(),
            _files: files,
        }
    }

    async fn call(&self, name: &str, arguments: &Value, more: More) -> Result<Answer, CallError> {
        let edition = &self.house.editions()[0].edition;
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let principal = self.house.authenticate(None, edition, address).await.unwrap();
        let raw = |value: &Value| RawValue::from_string(value.to_string()).unwrap();
        let (arguments, answers) = (raw(arguments), more.answers.as_ref().map(raw));
        let call = ToolCall {
            name,
            arguments: Some(&arguments),
            input_responses: answers.as_deref(),
            request_state: more.state.as_deref(),
            capabilities: more.capabilities.as_object().cloned().unwrap_or_default(),
            asking: Asking::InResult,
            approve_at: None,
            check_headers: &|_| Ok(()),
            progress: Progress::default(),
            cancelled: CancellationToken::new(),
            facts: RequestFacts::default(),
        };
        self.house.call(&principal, call).await
    }

    async fn first_round(&self, name: &str) -> (Vec<String>, Option<String>) {
        match self
            .call(
                name,
                &json!({}),
                More {
                    capabilities: everything(),
                    ..More::default()
                },
            )
            .await
        {
            Ok(Answer::InputRequired {
                requests,
                request_state,
            }) => (requests.into_iter().map(|(key, _)| key).collect(), request_state),
            other => panic!("{name}: {other:?}"),
        }
    }

    async fn retry(&self, name: &str, answers: Value, state: Option<String>) -> Result<Answer, CallError> {
        let more = More {
            capabilities: everything(),
            answers: Some(answers),
            state,
        };
        self.call(name, &json!({}), more).await
    }
}

fn everything() -> Value {
    json!({ "sampling": {}, "elicitation": {}, "roots": {} })
}

fn text_of(answer: Result<Answer, CallError>) -> String {
    match answer {
        Ok(Answer::Done(result)) => match result.content.as_slice() {
            [Content::Text(text)] => text.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_example_of_the_catalogue_runs() {
    let fixture = Fixture::new().await;
    let edition = Arc::clone(&fixture.house.editions()[0].edition);
    for tool in edition.tools() {
        for example in &tool.examples {
            let arguments = serde_json::to_value(&example.arguments).unwrap();
            let more = More {
                capabilities: everything(),
                ..More::default()
            };
            let answer = fixture.call(tool.name.as_str(), &arguments, more).await;
            assert!(answer.is_ok(), "{}: {answer:?}", tool.name);
        }
    }
}

#[tokio::test]
async fn every_handler_is_named_by_a_row() {
    let fixture = Fixture::new().await;
    let editions = fixture.house.editions();
    for name in handlers().names() {
        let mut tools = editions.iter().flat_map(|bound| {
            let edition = &bound.edition;
            edition.tools().iter().chain(edition.offers.rows())
        });
        assert!(tools.any(|tool| tool.driver.function() == Some(name)), "{name}");
    }
}

#[tokio::test]
async fn the_first_tool_answers_without_arguments_or_headers() {
    let fixture = Fixture::new().await;
    let first = Arc::clone(&fixture.house.editions()[0].edition.tools()[0]);
    assert!(first.param_headers().is_empty());
    text_of(
        fixture
            .call(first.name.as_str(), &json!({}), More::default())
            .await,
    );
}

#[tokio::test]
async fn a_greeting_needs_a_name_and_nothing_else() {
    let fixture = Fixture::new().await;
    let tool = "test_input_required_result_elicitation";
    assert_eq!(
        fixture.first_round(tool).await,
        (vec!["user_name".to_owned()], None)
    );
    let accepted = json!({ "action": "accept", "content": { "name": "Alice" } });
    let answers = json!({ "user_name": accepted, "unknown": { "action": "accept" } });
    assert_eq!(text_of(fixture.retry(tool, answers, None).await), "Hello, Alice!");
    for wrong in [json!({ "wrong_key": accepted }), json!({ "user_name": 12345 })] {
        let answer = fixture.retry(tool, wrong, None).await;
        assert!(matches!(answer, Ok(Answer::InputRequired { .. })), "{answer:?}");
    }
    let declined = fixture
        .retry(tool, json!({ "user_name": { "action": "decline" } }), None)
        .await;
    text_of(declined);
}

#[tokio::test]
async fn a_state_is_recognised_and_a_changed_one_refused() {
    let fixture = Fixture::new().await;
    let accepted = json!({ "confirm": { "action": "accept", "content": { "ok": true } } });
    for tool in [
        "test_input_required_result_request_state",
        "test_input_required_result_tampered_state",
    ] {
        let (_, state) = fixture.first_round(tool).await;
        let state = state.unwrap();
        let changed = fixture
            .retry(tool, accepted.clone(), Some(format!("{state}-TAMPERED")))
            .await;
        assert!(matches!(changed, Err(CallError::Params(_))), "{changed:?}");
        assert_eq!(
            text_of(fixture.retry(tool, accepted.clone(), Some(state)).await),
            "state-ok"
        );
    }
}

#[tokio::test]
async fn two_steps_have_two_states() {
    let fixture = Fixture::new().await;
    let tool = "test_input_required_result_multi_round";
    let (keys, first) = fixture.first_round(tool).await;
    assert_eq!(keys, ["step1"]);
    let accepted = |key: &str| json!({ key: { "action": "accept", "content": { "answer": "x" } } });
    let second = match fixture.retry(tool, accepted("step1"), first.clone()).await {
        Ok(Answer::InputRequired {
            requests,
            request_state,
        }) => {
            assert_eq!(requests[0].0, "step2");
            request_state
        }
        other => panic!("{other:?}"),
    };
    assert_ne!(first, second);
    text_of(fixture.retry(tool, accepted("step2"), second).await);
}

#[tokio::test]
async fn only_what_the_client_declared_is_asked() {
    let fixture = Fixture::new().await;
    let more = More {
        capabilities: json!({ "sampling": {} }),
        ..More::default()
    };
    match fixture
        .call("test_input_required_result_capabilities", &json!({}), more)
        .await
    {
        Ok(Answer::InputRequired { requests, .. }) => {
            let methods: Vec<_> = requests.iter().map(|(_, request)| request.method()).collect();
            assert_eq!(methods, ["sampling/createMessage"]);
        }
        other => panic!("{other:?}"),
    }
    let refused = fixture
        .call("test_missing_capability", &json!({}), More::default())
        .await;
    let Err(CallError::Domain(footbridge_server::domain::DomainError::MissingCapability(missing))) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(missing, Map::from_iter([("sampling".to_owned(), json!({}))]));
}

#[tokio::test]
async fn a_tool_change_is_told_to_whoever_listens() {
    let fixture = Fixture::new().await;
    let mut changes = fixture.house.store().listen(&[Topic::Catalogue]);
    text_of(
        fixture
            .call("test_trigger_tool_change", &json!({}), More::default())
            .await,
    );
    assert_eq!(changes.next().await, Some(Topic::Catalogue));
}
