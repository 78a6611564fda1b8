//! Who sees and may call what: every tool of every catalogue there is, with every credential that its scopes, the roles
//! and the limits of a key allow. Expected is what catalogue.md §2.3 and §2.5 say, worked out here a second time from
//! the files themselves; asked is the server, by its list and by a call.

use std::collections::{BTreeMap, BTreeSet};

use footbridge_server::{
    access::Denial,
    catalogue::{BUILTIN, Catalogue, Edition, NamedText, ScopeRule, Tool},
    operate::{
        Actor,
        keys::{MintRequest, mint},
        people::{change_user, users},
    },
    store::KeyLimits,
    vocabulary::{Effect, Role, Scope},
};
use serde_json::{Value, json};

use crate::{
    house::{HANGS, House},
    people::{self, active, local, to_role},
};

const ROLES: [Role; 5] = [Role::Owner, Role::Admin, Role::Auditor, Role::Member, Role::Agent];

/// A scope as its file has it.
#[derive(Default)]
struct Row {
    implies: Vec<String>,
    explicit: bool,
    roles: Vec<String>,
}

/// The scopes of one edition, read from its file.
struct Rules(BTreeMap<String, Row>);

impl Rules {
    fn of(files: &[NamedText<'_>]) -> Self {
        let mut rows = BTreeMap::new();
        for file in files {
            let table: toml::Table = toml::from_str(file.text).unwrap();
            let scopes = table.get("scopes").and_then(|scopes| scopes.as_table().cloned());
            for (name, row) in scopes.unwrap_or_default() {
                let texts = |field: &str| {
                    let list = row.get(field).and_then(|list| list.as_array().cloned());
                    let text = |one: toml::Value| one.as_str().unwrap().to_owned();
                    list.unwrap_or_default().into_iter().map(text).collect::<Vec<_>>()
                };
                let explicit = row.get("explicit").and_then(toml::Value::as_bool);
                rows.insert(
                    name,
                    Row {
                        implies: texts("implies"),
                        explicit: explicit.unwrap_or(false),
                        roles: texts("roles"),
                    },
                );
            }
        }
        Self(rows)
    }

    /// The table of §2.3.
    fn matches(&self, granted: &str, required: &str) -> bool {
        let explicit = self.0.get(required).is_some_and(|row| row.explicit);
        match granted {
            "*" => !explicit,
            _ if granted.starts_with("*:") => {
                !explicit
                    && required
                        .rsplit_once(':')
                        .is_some_and(|(_, verb)| verb == &granted[2..])
            }
            _ if granted.ends_with(":*") || granted.ends_with(".*") => {
                required != &granted[..granted.len() - 1]
                    && required.starts_with(&granted[..granted.len() - 1])
                    || granted == required
            }
            _ => granted == required,
        }
    }

    /// Whether a scope is worth anything to this role: its own row says so, or a wildcard above it.
    fn usable(&self, scope: &str, role: Role) -> bool {
        let gate = self.0.get(scope).filter(|row| !row.roles.is_empty()).or_else(|| {
            let above = |(name, row): &(&String, &Row)| !row.roles.is_empty() && self.matches(name, scope);
            self.0.iter().find(above).map(|(_, row)| row)
        });
        gate.is_none_or(|row| row.roles.iter().any(|one| one == role.as_str()))
    }

    fn holds(&self, granted: &[Scope], required: &str, role: Role) -> bool {
        let usable = granted
            .iter()
            .map(Scope::as_str)
            .filter(|scope| self.usable(scope, role));
        let mut opened = usable.flat_map(|scope| {
            let implied = self
                .0
                .get(scope)
                .map(|row| row.implies.as_slice())
                .unwrap_or_default();
            std::iter::once(scope).chain(implied.iter().map(String::as_str))
        });
        self.usable(required, role) && opened.any(|scope| self.matches(scope, required))
    }

    /// How a call must begin to be refused; `None`: it must not be.
    fn refusal(&self, tool: &Tool, scopes: &[Scope], role: Role, limits: &KeyLimits) -> Option<&'static str> {
        let holds = |scope: &Scope| self.holds(scopes, scope.as_str(), role);
        let open = match &tool.scope {
            ScopeRule::All(needed) => needed.iter().all(holds),
            ScopeRule::Any(needed) => needed.iter().any(holds),
        };
        let named = |list: &[String]| list.iter().any(|name| name == tool.name.as_str());
        if !open {
            Some("403 Forbidden: missing scope ")
        } else if tool.policy.wants_admin() && !matches!(role, Role::Owner | Role::Admin) {
            Some("403 Forbidden: admin access required")
        } else if (limits.read_only || role == Role::Auditor) && tool.effect != Effect::Read {
            Some("403 Forbidden: this key is read-only")
        } else if named(&limits.tools_deny) || !limits.tools_allow.is_empty() && !named(&limits.tools_allow) {
            Some("403 Forbidden: this key was narrowed to other tools")
        } else {
            None
        }
    }
}

/// Each scope alone, each wildcard that stands for some of them, and all of them.
fn scope_sets(edition: &Edition) -> Vec<Vec<Scope>> {
    let all: Vec<&str> = edition.scopes.titles().map(|(scope, _)| scope).collect();
    let mut words: BTreeSet<String> = all.iter().map(|scope| (*scope).to_owned()).collect();
    words.insert("*".to_owned());
    for scope in &all {
        for separator in [':', '.'] {
            if let Some((before, after)) = scope.rsplit_once(separator) {
                words.insert(format!("{before}{separator}*"));
                if separator == ':' && after != "*" {
                    words.insert(format!("*:{after}"));
                }
            }
        }
    }
    let of = |word: &str| Scope::new(word).unwrap();
    let known = words
        .iter()
        .map(|word| of(word))
        .filter(|scope| edition.scopes.knows(scope));
    let mut sets: Vec<_> = known.map(|scope| vec![scope]).collect();
    sets.push(all.into_iter().map(of).collect());
    sets
}

fn free() -> KeyLimits {
    KeyLimits {
        rate_per_minute: Some(1_000_000),
        ..KeyLimits::default()
    }
}

/// What may narrow a key, in the words of this edition.
fn limit_sets(edition: &Edition) -> Vec<KeyLimits> {
    let name = |tool: Option<&std::sync::Arc<Tool>>| vec![tool.unwrap().name.to_string()];
    let tools = edition.tools();
    let mut sets = vec![free(), free(), free()];
    sets[0].read_only = true;
    sets[1].tools_allow = name(tools.first());
    sets[2].tools_deny = name(tools.last());
    sets
}

struct Held {
    key: String,
    scopes: Vec<Scope>,
    limits: KeyLimits,
}

/// A key for every set of scopes, and for every narrowing of one that holds all. Minted while its owner is an owner, so
/// that what decides is the rule at use.
async fn keys_of(house: &House, catalogue: &Catalogue, edition: &Edition, email: &str) -> Vec<Held> {
    let sets = scope_sets(edition);
    let all = sets.last().unwrap().clone();
    let plain = sets.into_iter().map(|scopes| (scopes, free()));
    let narrowed = limit_sets(edition)
        .into_iter()
        .map(|limits| (all.clone(), limits));
    let mut held = Vec::new();
    for (scopes, limits) in plain.chain(narrowed) {
        let request = MintRequest {
            tenant: local(),
            owner: Some(email.to_owned()),
            name: String::new(),
            editions: vec![edition.name.clone()],
            scopes: scopes.clone(),
            expires_in_days: None,
            limits: limits.clone(),
        };
        let minted = mint(&house.store, catalogue.editions(), &Actor::Operator, request)
            .await
            .unwrap();
        held.push(Held {
            key: minted.key,
            scopes,
            limits,
        });
    }
    held
}

async fn listed(house: &House, edition: &Edition, key: &str) -> BTreeSet<String> {
    let list = house.modern(key, "tools/list", json!({})).path(&edition.path());
    let reply = list.send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = reply.json();
    let names = reply["result"]["tools"].as_array().unwrap().iter();
    names
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The text of a refusal; `None` for whatever else a call is answered with.
async fn refused(house: &House, edition: &Edition, key: &str, tool: &Tool) -> Option<String> {
    let call = house
        .call(key, tool.name.as_str(), json!({}))
        .path(&edition.path());
    let body = call.send().await.json();
    let text = match &body["error"]["message"] {
        Value::String(text) => text.clone(),
        _ => body["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    };
    text.starts_with("403 ").then_some(text)
}

/// Waits until the server has heard of what became of people up to now.
async fn heard(house: &House, catalogue: &Catalogue, edition: &Edition) {
    let email = format!("canary-{}@example.com", ulid::Ulid::generate());
    people::add(&house.store, &local(), &email, Role::Owner).await;
    let keys = keys_of(house, catalogue, edition, &email).await;
    let canary = &keys[0].key;
    change_user(&house.store, &Actor::Operator, &local(), &email, active(false))
        .await
        .unwrap();
    let heard = async {
        let list = house
            .modern(canary, "tools/list", json!({}))
            .path(&edition.path());
        while list.send().await.status == 200 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HANGS, heard)
        .await
        .expect("the server hears of people");
}

#[tokio::test]
async fn every_tool_of_every_catalogue_is_seen_by_exactly_those_who_may_call_it() {
    let desk = NamedText {
        name: "desk.toml",
        text: include_str!("../../examples/fixture-server/desk.toml"),
    };
    let rights = NamedText {
        name: "rights.toml",
        text: people::CATALOGUE,
    };
    let mut groups: Vec<Vec<NamedText<'static>>> = BUILTIN.iter().map(|files| files.to_vec()).collect();
    groups.extend([vec![desk], vec![rights]]);
    let loaded: Vec<Catalogue> = groups
        .iter()
        .map(|files| Catalogue::load(&[files]).unwrap())
        .collect();
    let functions = loaded.iter().flat_map(Catalogue::editions).flat_map(|edition| {
        let rows = edition.tools().iter().chain(edition.offers.rows());
        rows.filter_map(|row| Some((row.driver.function()?.to_owned(), row.effect)))
            .collect::<Vec<_>>()
    });
    let house = House::standing_in(functions.collect()).await;
    let (mut pairs, mut editions) = (0, 0);
    let mut reasons = BTreeSet::new();
    for (files, catalogue) in groups.iter().zip(&loaded) {
        house.rooms.replace_catalogue(catalogue).unwrap();
        let rules = Rules::of(files);
        for edition in catalogue.editions() {
            editions += 1;
            let mut called = BTreeSet::new();
            for role in ROLES {
                let email = format!("{}-{}@example.com", role.as_str(), edition.name);
                people::add(&house.store, &local(), &email, Role::Owner).await;
                let held = keys_of(&house, catalogue, edition, &email).await;
                change_user(&house.store, &Actor::Operator, &local(), &email, to_role(role))
                    .await
                    .unwrap();
                heard(&house, catalogue, edition).await;
                for one in held {
                    let seen = listed(&house, edition, &one.key).await;
                    for tool in edition.tools() {
                        let expected = rules.refusal(tool, &one.scopes, role, &one.limits);
                        pairs += 1;
                        let about = format!(
                            "{} as {role:?} with {:?}, {:?}",
                            tool.name, one.scopes, one.limits
                        );
                        assert_eq!(seen.contains(tool.name.as_str()), expected.is_none(), "{about}");
                        // Each tool is called once for each way to be refused or let in, by each role.
                        if !called.insert((tool.index, expected, role.as_str())) {
                            continue;
                        }
                        let found = refused(&house, edition, &one.key, tool).await;
                        match (&found, expected) {
                            (Some(text), Some(start)) => assert!(text.starts_with(start), "{about}: {text}"),
                            (found, expected) => {
                                assert_eq!(found.is_some(), expected.is_some(), "{about}: {found:?}");
                            }
                        }
                        reasons.extend(expected);
                    }
                }
            }
        }
    }
    assert_eq!(editions, BUILTIN.len() + 2);
    assert!(pairs > 1_000, "{pairs}");
    // Each way to be refused was walked, in the words that the code has for it.
    let words = [
        Denial::MissingScope(Vec::new()).to_string(),
        Denial::RoleRequired.to_string(),
        Denial::ReadOnly.to_string(),
        Denial::NotOnKey(String::new()).to_string(),
    ];
    for word in &words {
        let begins: String = word.split(';').next().unwrap().to_owned();
        assert!(
            reasons.iter().any(|reason| reason.ends_with(&begins)),
            "{begins} in {reasons:?}"
        );
    }
    assert_eq!(reasons.len(), words.len());
    assert!(
        users(&house.store, &Actor::Operator, &local())
            .await
            .unwrap()
            .len()
            > 2 * editions * ROLES.len()
    );
}
