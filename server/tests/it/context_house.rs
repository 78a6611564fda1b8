//! The context edition in one process, without sockets: a store of either engine, the real catalogue and handlers,
//! tenants with folders of their own, and calls that walk through every room.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use footbridge_server::{
    access::{
        Keyring, Principal,
        oauth::{OAuth, OAuthLimits},
    },
    audit::RequestFacts,
    catalogue::{Catalogue, Edition},
    domain::{
        Handlers, Progress,
        context::{
            Context,
            sync::{SyncMode, Synced},
        },
        workspace::Workspace,
    },
    operate::{
        Actor,
        keys::{MintRequest, mint},
        sources::{self, NewSource},
    },
    pipeline::{Answer, Asking, CallError, House, HouseBuilder, SignInError, ToolCall},
    policy::SealKey,
    store::{KeyLimits, Store},
    telemetry::Arrival,
    vocabulary::{Clock, Scope},
};
use serde_json::{Map, Value, json, value::to_raw_value};
use tokio_util::sync::CancellationToken;

use crate::store::harness::{Place, add_tenant, tenant};

/// Every scope of the edition's core.
pub(crate) const ALL: &str = "search get memory.read memory.write sync ingest";

/// A house over one place.
pub(crate) struct Rooms {
    pub(crate) house: Arc<House>,
    pub(crate) context: Arc<Context>,
    pub(crate) store: Store,
    pub(crate) handlers: Handlers,
    pub(crate) edition: Arc<Edition>,
    pub(crate) clock: Clock,
    keyring: Arc<Keyring>,
    folder: PathBuf,
    place: Place,
}

impl Rooms {
    /// A house with these tenants, each with a folder `<tenant>-notes` that is its source `notes`.
    pub(crate) async fn with(place: Place, tenants: &[&str]) -> Self {
        let store = place.open().await;
        for name in tenants {
            add_tenant(&store, name).await;
        }
        let catalogue = Catalogue::builtin().unwrap();
        let edition = Arc::clone(&catalogue.editions()[0]);
        let folder = place.folder().to_owned();
        let context = Context::new(store.clone(), &folder.join("data"));
        let mut handlers = Handlers::default();
        context.register(&mut handlers);
        Workspace::new(store.clone(), SealKey::new([7; 32])).register(&mut handlers);
        let keyring = Keyring::load(store.clone(), &catalogue, 1_000_000).await.unwrap();
        let oauth = OAuth::load(store.clone(), &catalogue, OAuthLimits::default()).await;
        let house = HouseBuilder {
            store: store.clone(),
            catalogue,
            handlers: handlers.clone(),
            keyring: Arc::clone(&keyring),
            oauth: oauth.unwrap(),
            seal_key: SealKey::new([7; 32]),
            clock: place.clock.clone(),
            audit: footbridge_server::audit::Keeping::default(),
            call_timeout: Duration::from_secs(55),
            most_running_per_key: 100,
            failed_sign_ins_per_minute: 1_000_000,
        };
        let house = Arc::new(house.build().unwrap());
        let clock = place.clock.clone();
        let rooms = Self {
            house,
            context,
            store,
            handlers,
            edition,
            clock,
            keyring,
            folder,
            place,
        };
        for name in tenants {
            std::fs::create_dir_all(rooms.notes(name)).unwrap();
            rooms.add_source(name, "notes", &rooms.notes(name)).await;
        }
        rooms
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The folder of a tenant's source `notes`.
    pub(crate) fn notes(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}-notes"))
    }

    /// Writes a file into that folder.
    pub(crate) fn note(&self, name: &str, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.notes(name).join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) async fn add_source(&self, name: &str, source: &str, folder: &Path) {
        let new = NewSource {
            name: source.to_owned(),
            connector: None,
            include: Vec::new(),
            exclude: Vec::new(),
        };
        sources::add(&self.store, &tenant(name), folder, new)
            .await
            .unwrap();
    }

    /// Synchronises all sources of a tenant and gives what was done to `notes`.
    pub(crate) async fn sync(&self, name: &str) -> Value {
        let nobody = Arc::new(|_: &_| {});
        let done = self
            .context
            .sync_source(&tenant(name), None, SyncMode::Now, nobody)
            .await
            .unwrap();
        let Synced::Done(report) = done else {
            panic!("skipped")
        };
        let report = serde_json::to_value(report).unwrap();
        report["connectors"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["source"] == "notes")
            .unwrap()
            .clone()
    }

    /// Mints a key with these scopes, separated by spaces.
    pub(crate) async fn key(&self, name: &str, scopes: &str) -> String {
        self.limited_key(name, scopes, KeyLimits::default()).await
    }

    /// Mints a key that something narrows.
    pub(crate) async fn limited_key(&self, name: &str, scopes: &str, limits: KeyLimits) -> String {
        let request = MintRequest {
            tenant: tenant(name),
            owner: None,
            name: "test".to_owned(),
            editions: vec![self.edition.name.clone()],
            scopes: scopes
                .split(' ')
                .filter(|s| !s.is_empty())
                .map(|s| Scope::new(s).unwrap())
                .collect(),
            expires_in_days: None,
            limits,
        };
        let editions = std::slice::from_ref(&self.edition);
        let minted = mint(&self.store, editions, &Actor::Operator, request)
            .await
            .unwrap();
        self.keyring.refresh().await.unwrap();
        minted.key
    }

    pub(crate) async fn authenticate(&self, key: Option<&str>) -> Result<Principal, SignInError> {
        self.house
            .authenticate(key, &self.edition, IpAddr::V4(Ipv4Addr::LOCALHOST))
            .await
    }

    /// Calls a tool as a principal.
    pub(crate) async fn call_as(
        &self,
        principal: &Principal,
        tool: &str,
        arguments: &Value,
    ) -> Result<Value, CallError> {
        let raw = to_raw_value(arguments).unwrap();
        let call = ToolCall {
            name: tool,
            arguments: Some(&raw),
            input_responses: None,
            request_state: None,
            capabilities: Map::new(),
            asking: Asking::InResult,
            approve_at: None,
            check_headers: &|_| Ok(()),
            progress: Progress::default(),
            cancelled: CancellationToken::new(),
            facts: RequestFacts {
                request_id: "req_test".to_owned(),
                client_name: None,
                client_version: None,
                protocol_version: "2026-07-28",
                address: None,
                trace: None,
                arrival: Arrival::default(),
            },
        };
        match self.house.call(principal, call).await? {
            Answer::Done(result) => {
                assert!(!result.is_error);
                Ok(serde_json::from_str(result.structured.expect("structured content").get()).unwrap())
            }
            Answer::InputRequired { .. } => panic!("no tool here asks"),
        }
    }

    /// Calls a tool that must answer with a result, whatever its client can do.
    pub(crate) async fn call_quietly(&self, principal: &Principal, tool: &str, arguments: &Value) -> Value {
        self.call_as(principal, tool, arguments)
            .await
            .unwrap_or_else(|e| panic!("{tool} {arguments}: {e}"))
    }

    /// The store's rows but those of these tables.
    pub(crate) async fn dump(&self, except: &[&str]) -> Vec<String> {
        self.place.dump(except).await
    }

    /// Every file of the data folder and of the notes, with its size.
    pub(crate) fn files(&self) -> Vec<(PathBuf, u64)> {
        fn walk(folder: &Path, all: &mut Vec<(PathBuf, u64)>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let entry = entry.unwrap();
                if entry.path().is_dir() {
                    walk(&entry.path(), all);
                }
                // The store's own files are compared row by row.
                if !entry.file_name().to_string_lossy().starts_with("store.db") {
                    all.push((entry.path(), entry.metadata().unwrap().len()));
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.folder, &mut all);
        all.sort();
        all
    }

    /// Calls a tool with a key; a refusal is its text.
    pub(crate) async fn try_call(&self, key: &str, tool: &str, arguments: Value) -> Result<Value, String> {
        let principal = self.authenticate(Some(key)).await.map_err(|e| e.to_string())?;
        self.call_as(&principal, tool, &arguments)
            .await
            .map_err(|e| e.text("REF"))
    }

    /// Calls a tool; a refusal fails the test.
    pub(crate) async fn call(&self, key: &str, tool: &str, arguments: Value) -> Value {
        self.try_call(key, tool, arguments.clone())
            .await
            .unwrap_or_else(|e| panic!("{tool} {arguments}: {e}"))
    }

    /// The text of a call that must be refused.
    pub(crate) async fn refusal(&self, key: &str, tool: &str, arguments: Value) -> String {
        match self.try_call(key, tool, arguments.clone()).await {
            Err(text) => text,
            Ok(answer) => panic!("{tool} {arguments} answered {answer}"),
        }
    }

    /// Titles that a search finds, best first.
    pub(crate) async fn titles(&self, key: &str, query: &str) -> Vec<String> {
        let found = self.call(key, "search", json!({ "query": query })).await;
        let results = found["results"].as_array().unwrap();
        results
            .iter()
            .map(|r| r["entity_title"].as_str().unwrap().to_owned())
            .collect()
    }
}
