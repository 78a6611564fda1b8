//! The help desk of the fixture server in one process, without sockets, over a store of either engine; as many
//! replicas of it as a test likes.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use footbridge_server::{
    access::{
        Keyring, Principal,
        oauth::{OAuth, OAuthLimits},
    },
    audit::RequestFacts,
    catalogue::{Catalogue, Edition, NamedText},
    domain::{Handlers, InputRequest, Progress},
    operate::{
        Actor,
        keys::{MintRequest, mint},
    },
    pipeline::{Answer, Asking, CallError, House, HouseBuilder, ToolCall},
    policy::SealKey,
    store::{KeyConfirm, KeyLimits, NewUser, Store},
    vocabulary::{Clock, Role, Scope, UserId},
};
use serde_json::{Map, Value, json, value::to_raw_value};
use tokio_util::sync::CancellationToken;

use super::desk::{self, Desk};
use crate::store::harness::{Place, tenant, write};

pub(crate) const ALL: &str = "desk:read desk:write desk:admin";

pub(crate) struct Rooms {
    pub(crate) house: Arc<House>,
    pub(crate) store: Store,
    pub(crate) edition: Arc<Edition>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) clock: Clock,
    pub(crate) place: Arc<Place>,
}

/// Whoever calls, and what their client can do.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) key: String,
    pub(crate) elicits: bool,
}

/// An answer in a form that tests compare.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// A result.
    Result(Value),
    /// A question: its message and the state to bring back.
    Question(String, String),
}

impl Said {
    pub(crate) fn result(self) -> Value {
        match self {
            Self::Result(value) => value,
            other @ Self::Question(..) => panic!("not a result: {other:?}"),
        }
    }

    pub(crate) fn question(self) -> (String, String) {
        match self {
            Self::Question(message, state) => (message, state),
            other @ Self::Result(_) => panic!("not a question: {other:?}"),
        }
    }
}

impl Rooms {
    pub(crate) async fn new(place: Place) -> Self {
        place.open_with(&["acme", "zeta"]).await.close().await;
        Self::replica(Arc::new(place), Arc::default()).await
    }

    /// Another process on the same store.
    pub(crate) async fn replica(place: Arc<Place>, desk: Arc<Desk>) -> Self {
        let store = place.open().await;
        let text = NamedText {
            name: "desk.toml",
            text: include_str!("../../../examples/fixture-server/desk.toml"),
        };
        let catalogue = Catalogue::load(&[&[text]]).unwrap();
        let edition = Arc::clone(&catalogue.editions()[0]);
        let mut handlers = Handlers::default();
        desk::register(&mut handlers, &desk);
        let keyring = Keyring::load(store.clone(), &catalogue, 1_000_000).await.unwrap();
        let oauth = OAuth::load(store.clone(), &catalogue, OAuthLimits::default()).await;
        let house = HouseBuilder {
            store: store.clone(),
            catalogue,
            handlers,
            keyring,
            oauth: oauth.unwrap(),
            seal_key: SealKey::new([7; 32]),
            clock: place.clock.clone(),
            audit: footbridge_server::audit::Keeping::default(),
            call_timeout: Duration::from_secs(20),
            most_running_per_key: 100_000,
            failed_sign_ins_per_minute: 1_000_000,
        };
        Self {
            house: Arc::new(house.build().unwrap()),
            clock: place.clock.clone(),
            store,
            edition,
            desk,
            place,
        }
    }

    pub(crate) async fn another(&self) -> Self {
        Self::replica(Arc::clone(&self.place), Arc::clone(&self.desk)).await
    }

    /// A caller of acme's owner with these scopes.
    pub(crate) async fn caller(&self, scopes: &str) -> Caller {
        self.caller_of("acme", None, scopes, KeyConfirm::Inherit).await
    }

    pub(crate) async fn caller_of(
        &self,
        name: &str,
        owner: Option<&str>,
        scopes: &str,
        confirm: KeyConfirm,
    ) -> Caller {
        let request = MintRequest {
            tenant: tenant(name),
            owner: owner.map(str::to_owned),
            name: "test".to_owned(),
            editions: vec![self.edition.name.clone()],
            scopes: scopes.split(' ').map(|s| Scope::new(s).unwrap()).collect(),
            expires_in_days: None,
            limits: KeyLimits {
                confirm,
                ..KeyLimits::default()
            },
        };
        let editions = std::slice::from_ref(&self.edition);
        let minted = mint(&self.store, editions, &Actor::Operator, request)
            .await
            .unwrap();
        Caller {
            key: minted.key,
            elicits: false,
        }
    }

    /// Adds a member to acme, `usr_<name>`, who may call no tool of an admin's.
    pub(crate) async fn add_member(&self, name: &str, groups: &[&str]) {
        let user = NewUser {
            id: UserId::new(&format!("usr_{name}")).unwrap(),
            email: format!("{name}@acme.test"),
            name: "Member".to_owned(),
            role: Role::Member,
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            password_hash: None,
        };
        write(&self.store, "acme", |tx| {
            Box::pin(async move { tx.users().insert(&user).await.map(drop) })
        })
        .await;
    }

    pub(crate) async fn principal(&self, caller: &Caller) -> Principal {
        self.house
            .authenticate(Some(&caller.key), &self.edition, IpAddr::V4(Ipv4Addr::LOCALHOST))
            .await
            .unwrap()
    }

    pub(crate) async fn try_call(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: Value,
    ) -> Result<Said, String> {
        self.full_call(caller, tool, arguments, None, None).await
    }

    /// Calls a tool as any client may: with answers and a state, or without.
    pub(crate) async fn full_call(
        &self,
        caller: &Caller,
        tool: &str,
        arguments: Value,
        answers: Option<Value>,
        state: Option<&str>,
    ) -> Result<Said, String> {
        let principal = self.principal(caller).await;
        let raw = to_raw_value(&arguments).unwrap();
        let answers = answers.map(|answers| to_raw_value(&answers).unwrap());
        let capabilities = if caller.elicits {
            Map::from_iter([("elicitation".to_owned(), json!({}))])
        } else {
            Map::new()
        };
        let call = ToolCall {
            name: tool,
            arguments: Some(&raw),
            input_responses: answers.as_deref(),
            request_state: state,
            capabilities,
            asking: match caller.elicits {
                true => Asking::InResult,
                false => Asking::Never,
            },
            approve_at: Some("http://desk.test/approve/"),
            check_headers: &|_| Ok(()),
            progress: Progress::default(),
            cancelled: CancellationToken::new(),
            facts: RequestFacts {
                request_id: "req_test".to_owned(),
                protocol_version: "2026-07-28",
                ..RequestFacts::default()
            },
        };
        let answer = self.house.call(&principal, call).await;
        match answer.map_err(|e: CallError| e.text("REF"))? {
            Answer::Done(result) => {
                assert!(!result.is_error, "{result:?}");
                let value: Value = serde_json::from_str(result.structured.as_ref().unwrap().get()).unwrap();
                if let Some(token) = value["confirmation_token"].as_str() {
                    let prose = result.prose.as_deref().unwrap();
                    assert!(
                        prose.contains(token),
                        "a model that reads text only finds the token: {prose}"
                    );
                }
                Ok(Said::Result(value))
            }
            Answer::InputRequired {
                requests,
                request_state,
            } => {
                let [(key, InputRequest::Elicitation(params))] = requests.as_slice() else {
                    panic!("{requests:?}")
                };
                assert_eq!(key, "confirm");
                let message = params["message"].as_str().unwrap().to_owned();
                Ok(Said::Question(message, request_state.unwrap()))
            }
        }
    }

    pub(crate) async fn call(&self, caller: &Caller, tool: &str, arguments: Value) -> Value {
        self.try_call(caller, tool, arguments.clone())
            .await
            .unwrap_or_else(|e| panic!("{tool} {arguments}: {e}"))
            .result()
    }

    /// A preview's token.
    pub(crate) async fn preview(&self, caller: &Caller, tool: &str, arguments: Value) -> String {
        let answer = self.call(caller, tool, arguments).await;
        assert_eq!(answer["status"], "confirmation_required", "{answer}");
        answer["confirmation_token"].as_str().unwrap().to_owned()
    }

    /// Both steps at once.
    pub(crate) async fn confirmed(&self, caller: &Caller, tool: &str, arguments: Value) -> Value {
        let token = self.preview(caller, tool, arguments.clone()).await;
        let answer = self.call(caller, tool, with(&arguments, &token)).await;
        assert_eq!(answer["status"], "done", "{answer}");
        answer["result"].clone()
    }

    /// A ticket of acme's.
    pub(crate) async fn ticket(&self, caller: &Caller) -> String {
        let opened = self
            .confirmed(caller, "ticket_open", json!({ "title": "Printer" }))
            .await;
        opened["ticket"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn status(&self, caller: &Caller, id: &str) -> Value {
        self.call(caller, "ticket_get", json!({ "id": id })).await["ticket"]["status"].clone()
    }
}

/// Arguments with a token among them.
pub(crate) fn with(arguments: &Value, token: &str) -> Value {
    let mut arguments = arguments.clone();
    arguments["confirmation_token"] = json!(token);
    arguments
}

pub(crate) fn yes() -> Value {
    json!({ "confirm": { "action": "accept", "content": { "confirm": true } } })
}
