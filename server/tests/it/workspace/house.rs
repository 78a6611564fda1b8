//! The workspace edition in one process: a store of either engine, the real catalogue and handlers, two tenants with
//! people, and calls that walk through every room, over HTTP where a test asks for it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
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
        context::Context,
        workspace::{Workspace, WorkspaceSettings},
    },
    edge::{EdgeSettings, Server, listen},
    operate::{
        Actor,
        keys::{MintRequest, mint},
    },
    pipeline::{Answer, Asking, CallError, House, HouseBuilder, SignInError, ToolCall},
    policy::SealKey,
    store::{KeyLimits, NewUser, Store},
    vocabulary::{Clock, EditionName, Role, Scope, UserId},
};
use serde_json::{Map, Value, value::to_raw_value};
use tokio_util::sync::CancellationToken;

use crate::store::harness::{Place, add_tenant, tenant, write};

/// Every scope of the edition.
pub(crate) const ALL: &str = "crm:read crm:write conversations:read conversations:write tickets:read tickets:write \
    knowledge:read knowledge:write reports:read flows:read flows:trigger admin:*";

/// A house over one place.
pub(crate) struct Rooms {
    pub(crate) house: Arc<House>,
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) store: Store,
    pub(crate) edition: Arc<Edition>,
    pub(crate) clock: Clock,
    keyring: Arc<Keyring>,
    place: Place,
    stop: CancellationToken,
}

impl Drop for Rooms {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Rooms {
    /// A house with the tenants `acme` and `zeta`, each with the owner that its first key brings and a member `ben`.
    pub(crate) async fn with(place: Place) -> Self {
        let store = place.open().await;
        for name in ["acme", "zeta"] {
            add_tenant(&store, name).await;
        }
        let edition_name = EditionName::new("workspace").unwrap();
        let load = || {
            let all = Catalogue::builtin().unwrap();
            all.narrowed_to(std::slice::from_ref(&edition_name)).unwrap()
        };
        let catalogue = load();
        let edition = Arc::clone(&catalogue.editions()[0]);
        let seal = || SealKey::new([7; 32]);
        let settings = WorkspaceSettings {
            allow_private: true,
            base_url: "http://desk.test".to_owned(),
            ..WorkspaceSettings::default()
        };
        let workspace = Workspace::with(store.clone(), seal(), settings);
        let mut handlers = Handlers::default();
        workspace.register(&mut handlers);
        // Its handlers are registered as in a real house, and none of its tools are served.
        Context::new(store.clone(), place.folder()).register(&mut handlers);
        let keyring = Keyring::load(store.clone(), &catalogue, 1_000_000).await.unwrap();
        let oauth = OAuth::load(store.clone(), &catalogue, OAuthLimits::default()).await;
        let house = HouseBuilder {
            store: store.clone(),
            catalogue: load(),
            handlers,
            keyring: Arc::clone(&keyring),
            oauth: oauth.unwrap(),
            seal_key: seal(),
            clock: place.clock.clone(),
            audit: footbridge_server::audit::Keeping::default(),
            call_timeout: Duration::from_secs(55),
            most_running_per_key: 100,
            failed_sign_ins_per_minute: 1_000_000,
        };
        let rooms = Self {
            house: Arc::new(house.build().unwrap()),
            workspace,
            edition,
            clock: place.clock.clone(),
            store,
            keyring,
            place,
            stop: CancellationToken::new(),
        };
        for name in ["acme", "zeta"] {
            rooms.key(name, "crm:read").await;
            rooms.add_user(name, "ben").await;
        }
        rooms
    }

    /// Adds a member, `usr_<name>`, `<name>@<tenant>.test`.
    pub(crate) async fn add_user(&self, tenant: &str, name: &str) {
        let user = NewUser {
            id: UserId::new(&format!("usr_{name}")).unwrap(),
            email: format!("{name}@{tenant}.test"),
            name: name.to_owned(),
            role: Role::Member,
            groups: Vec::new(),
            password_hash: None,
        };
        write(&self.store, tenant, |tx| {
            Box::pin(async move { tx.users().insert(&user).await.map(drop) })
        })
        .await;
    }

    /// Mints a key of the tenant's owner with these scopes, separated by spaces.
    pub(crate) async fn key(&self, name: &str, scopes: &str) -> String {
        self.limited_key(name, None, scopes, KeyLimits::default()).await
    }

    /// Mints a key of somebody's that something narrows.
    pub(crate) async fn limited_key(
        &self,
        name: &str,
        owner: Option<&str>,
        scopes: &str,
        limits: KeyLimits,
    ) -> String {
        let request = MintRequest {
            tenant: tenant(name),
            owner: owner.map(str::to_owned),
            name: "test".to_owned(),
            editions: vec![self.edition.name.clone()],
            scopes: scopes
                .split_whitespace()
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

    /// Lets the house see by itself what changes with keys and people, until the test ends.
    pub(crate) fn follow_people(&self) {
        let (keyring, stop) = (Arc::clone(&self.keyring), self.stop.clone());
        tokio::spawn(async move { stop.run_until_cancelled(keyring.follow()).await });
    }

    /// Whom a key stands for, if it still opens anything.
    pub(crate) async fn try_principal(&self, key: &str) -> Result<Principal, SignInError> {
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.house.authenticate(Some(key), &self.edition, home).await
    }

    pub(crate) async fn principal(&self, key: &str) -> Principal {
        self.house
            .authenticate(Some(key), &self.edition, IpAddr::V4(Ipv4Addr::LOCALHOST))
            .await
            .unwrap()
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
            asking: Asking::Never,
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
        match self.house.call(principal, call).await? {
            Answer::Done(result) => {
                assert!(!result.is_error);
                Ok(serde_json::from_str(result.structured.expect("structured content").get()).unwrap())
            }
            Answer::InputRequired { .. } => panic!("no tool here asks"),
        }
    }

    /// Calls a tool with a key; a refusal is its text.
    pub(crate) async fn try_call(&self, key: &str, tool: &str, arguments: &Value) -> Result<Value, String> {
        let principal = self.principal(key).await;
        self.call_as(&principal, tool, arguments)
            .await
            .map_err(|e| e.text("REF"))
    }

    /// Calls a tool; a refusal fails the test.
    pub(crate) async fn call(&self, key: &str, tool: &str, arguments: Value) -> Value {
        self.try_call(key, tool, &arguments)
            .await
            .unwrap_or_else(|e| panic!("{tool} {arguments}: {e}"))
    }

    /// The text of a call that must be refused.
    pub(crate) async fn refusal(&self, key: &str, tool: &str, arguments: Value) -> String {
        match self.try_call(key, tool, &arguments).await {
            Err(text) => text,
            Ok(answer) => panic!("{tool} {arguments} answered {answer}"),
        }
    }

    /// The preview of a writing call.
    pub(crate) async fn preview(&self, key: &str, tool: &str, arguments: Value) -> Value {
        let answer = self.call(key, tool, arguments).await;
        assert_eq!(answer["status"], "confirmation_required", "{answer}");
        answer
    }

    /// A writing call and the yes to it; a refusal of either is its text.
    pub(crate) async fn try_confirmed(
        &self,
        key: &str,
        tool: &str,
        arguments: Value,
    ) -> Result<Value, String> {
        let asked = self.try_call(key, tool, &arguments).await?;
        let answer = self.try_call(key, tool, &with(&arguments, &asked)).await?;
        assert_eq!(answer["status"], "done", "{tool} {arguments}: {answer}");
        Ok(answer["result"].clone())
    }

    /// A writing call and the yes to it.
    pub(crate) async fn confirmed(&self, key: &str, tool: &str, arguments: Value) -> Value {
        self.try_confirmed(key, tool, arguments.clone())
            .await
            .unwrap_or_else(|e| panic!("{tool} {arguments}: {e}"))
    }

    /// The store's rows but those of these tables.
    pub(crate) async fn dump(&self, except: &[&str]) -> Vec<String> {
        self.place.dump(except).await
    }

    /// Serves the house on a port until the test ends.
    pub(crate) fn serve(&self) -> SocketAddr {
        let server = Server::new(Arc::clone(&self.house), EdgeSettings::default());
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = self.stop.clone();
        tokio::spawn(async move { server.serve(listener, stop).await.unwrap() });
        address
    }
}

/// Arguments with the token of a preview among them.
pub(crate) fn with(arguments: &Value, asked: &Value) -> Value {
    let mut arguments = arguments.clone();
    arguments["confirmation_token"] = asked["confirmation_token"].clone();
    assert!(arguments["confirmation_token"].is_string(), "no preview: {asked}");
    arguments
}

/// The preview in an answer, as lines `op object.field: from → to`.
pub(crate) fn lines(asked: &Value) -> Vec<String> {
    let changes = asked["preview"]["changes"].as_array().unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    changes
        .iter()
        .map(|change| {
            let what = format!(
                "{} {}.{}",
                text(&change["op"]),
                text(&change["object"]),
                text(&change["field"])
            );
            match &change["from"] {
                Value::Null => format!("{what}: {}", text(&change["to"])),
                from => format!("{what}: {} → {}", text(from), text(&change["to"])),
            }
        })
        .collect()
}

/// The values of one field of the records of a list.
pub(crate) fn column(list: &Value, field: &str) -> Vec<Value> {
    let items = list["items"]
        .as_array()
        .unwrap_or_else(|| panic!("no list: {list}"));
    items.iter().map(|item| item[field].clone()).collect()
}
