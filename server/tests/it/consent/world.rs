//! A running server with every edition in it, a REST API and a program, for properties over all their tools.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use footbridge_server::{
    access::Principal,
    audit::RequestFacts,
    catalogue::{Catalogue, Driver, Edition, Tool},
    config::Config,
    domain::Progress,
    operate::{
        Actor,
        boot::{Booted, boot},
        keys::{MintRequest, mint},
        sources::{self, NewSource},
    },
    pipeline::{Answer, Asking, ToolCall},
    store::{KeyConfirm, KeyLimits, NewUser, Store},
    vocabulary::{EditionName, Effect, Role, Scope, UserId},
};
use serde_json::{Map, Value, json, value::to_raw_value};
use tokio_util::sync::CancellationToken;

use super::{
    house::{with, yes},
    registry::{NOT_OURS, without_reviews},
};
use crate::{
    http_tools::api::{Api, answer},
    store::harness::{Place, add_tenant, eventually, tenant, write},
};

pub(super) const WORKSPACE: &str = "workspace";
/// Longer than anything in the background waits before it follows a change.
const REST: Duration = Duration::from_millis(1000);

/// A running server's rooms, with something in them.
pub(super) struct World {
    pub(super) booted: Booted,
    store: Store,
    pub(super) place: Place,
    api: Api,
    /// What placeholders in examples stand for.
    pub(super) known: BTreeMap<String, String>,
}

/// Who calls.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) key: String,
    pub(super) edition: Arc<Edition>,
}

#[derive(Debug)]
pub(super) enum Said {
    Result(Value),
    /// The state to bring back.
    Question(String),
    Refused(String),
}

impl Said {
    /// Whether a tool was carried out.
    pub(super) fn acted(&self) -> bool {
        matches!(self, Self::Result(answer) if answer["status"] == "done")
    }

    /// Whether what the call would do was shown.
    pub(super) fn previewed(&self) -> bool {
        match self {
            Self::Question(_) => true,
            Self::Result(answer) => {
                answer["status"] == "confirmation_required" || answer["status"] == "pending_approval"
            }
            Self::Refused(_) => false,
        }
    }

    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Result(answer) => answer["reason"].as_str(),
            _ => None,
        }
    }
}

impl World {
    pub(super) async fn new(place: Place) -> Self {
        let store = place.open().await;
        for name in ["acme", "zeta"] {
            add_tenant(&store, name).await;
        }
        for (name, role) in [("Bob", Role::Admin), ("Ben", Role::Member)] {
            let word = name.to_lowercase();
            let user = NewUser {
                id: UserId::new(&format!("usr_{word}")).unwrap(),
                email: format!("{word}@acme.test"),
                name: name.to_owned(),
                role,
                groups: Vec::new(),
                password_hash: None,
            };
            write(&store, "acme", |tx| {
                Box::pin(async move { tx.users().insert(&user).await.map(drop) })
            })
            .await;
        }
        let notes = place.folder().join("notes");
        std::fs::create_dir_all(&notes).unwrap();
        std::fs::write(
            notes.join("meeting.md"),
            "# Meeting notes\n\nThe deploy key moves to the vault.\n",
        )
        .unwrap();
        let new = NewSource {
            name: "notes".to_owned(),
            connector: None,
            include: Vec::new(),
            exclude: Vec::new(),
        };
        sources::add(&store, &tenant("acme"), &notes, new).await.unwrap();
        let api = Api::start(|_, _| answer("200 OK", "etag: \"v1\"\r\n", r#"{"id":"7","name":"Ada"}"#)).await;
        let text = include_str!("everything.toml")
            .replace("$port", &api.port.to_string())
            .replace("$folder", &place.folder().display().to_string());
        let file = place.folder().join("outside.toml");
        std::fs::write(&file, text).unwrap();
        let mut config = Config::default();
        config.server.catalogue = vec![file];
        config.server.command_tools = true;
        let builtin = Catalogue::builtin().unwrap();
        config.server.editions = builtin
            .editions()
            .iter()
            .map(|edition| edition.name.clone())
            .collect();
        config.server.editions.push(EditionName::new("outside").unwrap());
        let data = place.folder().join("data");
        let booted = boot(store.clone(), &config, &data, &[], None).await.unwrap();
        Self {
            booted,
            store,
            place,
            api,
            known: BTreeMap::new(),
        }
    }

    /// A key of every scope that the edition's tools ask for.
    pub(super) async fn caller(
        &self,
        edition: &Arc<Edition>,
        of: &str,
        owner: Option<&str>,
        confirm: KeyConfirm,
    ) -> Caller {
        let mut scopes: Vec<Scope> = Vec::new();
        for tool in edition.tools() {
            scopes.extend(tool.scope.scopes().iter().cloned());
        }
        scopes.sort();
        scopes.dedup();
        let request = MintRequest {
            tenant: tenant(of),
            owner: owner.map(str::to_owned),
            name: "test".to_owned(),
            editions: vec![edition.name.clone()],
            scopes,
            expires_in_days: None,
            limits: KeyLimits {
                confirm,
                ..KeyLimits::default()
            },
        };
        let editions = std::slice::from_ref(edition);
        let minted = mint(&self.store, editions, &Actor::Operator, request).await;
        Caller {
            key: minted.unwrap().key,
            edition: Arc::clone(edition),
        }
    }

    pub(super) async fn principal(&self, caller: &Caller) -> Principal {
        let house = &self.booted.house;
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        house
            .authenticate(Some(&caller.key), &caller.edition, here)
            .await
            .unwrap()
    }

    /// Calls a tool; `elicits` says whether the client can ask its user, `state` is what it brings back with a yes.
    pub(super) async fn call(
        &self,
        caller: &Caller,
        tool: &Tool,
        arguments: &Value,
        elicits: bool,
        state: Option<&str>,
    ) -> Said {
        let principal = self.principal(caller).await;
        let raw = to_raw_value(arguments).unwrap();
        let answers = state.map(|_| to_raw_value(&yes()).unwrap());
        let mut capabilities = Map::new();
        if elicits {
            capabilities.insert("elicitation".to_owned(), json!({}));
        }
        let call = ToolCall {
            name: tool.name.as_str(),
            arguments: Some(&raw),
            input_responses: answers.as_deref(),
            request_state: state,
            capabilities,
            asking: if elicits { Asking::InResult } else { Asking::Never },
            approve_at: None,
            check_headers: &|_| Ok(()),
            progress: Progress::default(),
            cancelled: CancellationToken::new(),
            facts: RequestFacts {
                request_id: "req_test".to_owned(),
                protocol_version: "2026-07-28",
                ..RequestFacts::default()
            },
        };
        match self.booted.house.call(&principal, call).await {
            Ok(Answer::Done(result)) => match &result.structured {
                Some(structured) => Said::Result(serde_json::from_str(structured.get()).unwrap()),
                None => Said::Result(Value::Null),
            },
            Ok(Answer::InputRequired { request_state, .. }) => Said::Question(request_state.unwrap()),
            Err(error) => Said::Refused(error.text("REF")),
        }
    }

    /// The arguments of a tool's first example, as far as its placeholders are known.
    pub(super) fn example(&self, tool: &Tool) -> Value {
        let Some(example) = tool.examples.first() else {
            return json!({});
        };
        let mut text = serde_json::to_string(&example.arguments).unwrap();
        for (placeholder, id) in self.known.iter().rev() {
            text = text.replace(placeholder, id);
        }
        serde_json::from_str(&text).unwrap()
    }

    /// Adds something of each kind and reads what is there, so that the examples find what they are about.
    pub(super) async fn fill(&mut self, edition: &Arc<Edition>) {
        if edition.name.as_str() == WORKSPACE {
            return self.furnish(edition).await;
        }
        let caller = self.caller(edition, "acme", None, KeyConfirm::Inherit).await;
        // Twice: some examples need what others add.
        for _ in 0..2 {
            for tool in edition.tools() {
                let adds = tool.effect == Effect::Create && !tool.open_world;
                if !(adds || tool.effect == Effect::Read)
                    || matches!(tool.driver, Driver::Command(_) | Driver::Http(_))
                {
                    continue;
                }
                let arguments = self.example(tool);
                let mut said = self.call(&caller, tool, &arguments, false, None).await;
                if let Said::Result(preview) = &said
                    && let Some(token) = preview["confirmation_token"].as_str()
                {
                    said = self
                        .call(&caller, tool, &with(&arguments, token), false, None)
                        .await;
                }
                if let Said::Result(answer) = said {
                    learn(&mut self.known, "", &answer);
                }
            }
        }
    }

    async fn rows(&self) -> Vec<String> {
        self.store.flush().await.unwrap();
        // Calls that were counted are no change of theirs.
        let mut rows = without_reviews(self.place.dump(&NOT_OURS).await);
        rows.retain(|row| !row.starts_with("counters: "));
        rows
    }

    /// The rows once nothing in the background changes them any more.
    pub(super) async fn settled(&self) -> Vec<String> {
        let mut before = Vec::new();
        eventually("the store comes to rest", Duration::from_secs(30), async || {
            let now = self.rows().await;
            tokio::time::sleep(REST).await;
            (std::mem::replace(&mut before, now.clone()) == now).then_some(now)
        })
        .await
    }

    pub(super) async fn unchanged(&self, before: &[String], when: &str) {
        let after = self.rows().await;
        let new: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
        let gone: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
        assert!(
            new.is_empty() && gone.is_empty(),
            "{when}: new {new:#?}, gone {gone:#?}"
        );
        let writes = self.api.seen();
        let writes: Vec<_> = writes
            .iter()
            .filter(|seen| !seen.line.starts_with("GET "))
            .collect();
        assert!(writes.is_empty(), "{when}: {writes:?}");
        assert!(
            !self.place.folder().join("printed").exists(),
            "{when}: the program ran"
        );
    }
}

/// Remembers ids of what an answer shows: `$lead_id` is an `id` within `lead` or one of `leads`, or any `lead_id`.
fn learn(known: &mut BTreeMap<String, String>, within: &str, value: &Value) {
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| learn(known, within.trim_end_matches('s'), item)),
        Value::Object(members) => {
            for (name, value) in members {
                if let Some(text) = value.as_str() {
                    let words = match name.as_str() {
                        "id" => vec![format!("${within}"), format!("${within}_id")],
                        "key" => vec![format!("${within}_key")],
                        name if name.ends_with("_id") => vec![format!("${name}")],
                        _ => Vec::new(),
                    };
                    for word in words.into_iter().filter(|word| word.len() > 2) {
                        known.entry(word).or_insert_with(|| text.to_owned());
                    }
                }
                learn(known, name, value);
            }
        }
        _ => {}
    }
}
