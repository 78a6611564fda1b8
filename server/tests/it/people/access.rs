//! What is listed is what can be called, for every tool and every credential; and what a refusal says.

use std::{collections::BTreeSet, time::Duration};

use footbridge_server::{
    access::ApiKey,
    operate::{
        Actor,
        keys::{self, KeyNarrowing, Rotation},
        people, tenants,
    },
    store::{KeyLimits, TenantStatus},
    vocabulary::Role,
};
use proptest::{prelude::*, test_runner::Config, test_runner::TestRunner};
use serde_json::{Value, json};

use super::{active, add, catalogue, house, local, minted, request, to_role};
use crate::house::{HANGS, House};

const TOOLS: [&str; 7] = [
    "crm.list",
    "crm.add",
    "crm.purge",
    "memory.get",
    "find",
    "members.list",
    "crm.configure",
];

async fn listed(house: &House, key: &str) -> BTreeSet<String> {
    let reply = house.modern(key, "tools/list", json!({})).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = reply.json();
    let tools = reply["result"]["tools"].as_array().unwrap();
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

/// `None` when the call ran, else the first words of its refusal.
async fn refusal(house: &House, key: &str, tool: &str) -> Option<String> {
    let reply = house.call(key, tool, json!({})).send().await;
    let body = reply.json();
    let text = match &body["error"]["message"] {
        Value::String(text) => text.clone(),
        _ if body["result"]["isError"] == true => {
            body["result"]["content"][0]["text"].as_str().unwrap().to_owned()
        }
        _ => return None,
    };
    Some(text)
}

async fn lists_what_it_calls(house: &House, key: &str, about: &str) -> BTreeSet<String> {
    let seen = listed(house, key).await;
    for tool in TOOLS {
        let refused = refusal(house, key, tool).await;
        assert_eq!(
            seen.contains(tool),
            refused.is_none(),
            "{about}: {tool}: {refused:?}"
        );
        if let Some(text) = refused {
            assert!(text.contains("403 Forbidden: "), "{about}: {tool}: {text}");
        }
    }
    seen
}

#[tokio::test]
async fn every_tool_is_listed_for_exactly_those_who_can_call_it() {
    let house = house().await;
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let limits = [
        ("nothing narrows it", KeyLimits::default()),
        (
            "it only reads",
            KeyLimits {
                read_only: true,
                ..KeyLimits::default()
            },
        ),
        (
            "only some tools",
            KeyLimits {
                tools_allow: names(&["crm.list", "crm_add", "members.list"]),
                ..KeyLimits::default()
            },
        ),
        (
            "not some tools",
            KeyLimits {
                tools_deny: names(&["crm_list", "find"]),
                ..KeyLimits::default()
            },
        ),
    ];
    let wanted = [
        "crm:read",
        "crm:write",
        "crm:write crm:delete",
        "crm:*",
        "memory.write",
        "memory.*",
        "*:read",
        "*",
        "admin:*",
        "admin:members crm:write",
        "*:write crm:delete admin:*",
    ];
    let mut pairs = 0;
    let mut seen_at_all = BTreeSet::new();
    for role in [Role::Owner, Role::Admin, Role::Auditor, Role::Member, Role::Agent] {
        // Minted while an owner, so that the rule at use is what decides.
        let email = format!("{}@example.com", role.as_str());
        add(&house.store, &local(), &email, Role::Owner).await;
        let mut held = Vec::new();
        for wanted in wanted {
            for (about, limits) in &limits {
                let mut request = request(Some(&email), wanted);
                request.limits = KeyLimits {
                    rate_per_minute: Some(1_000_000),
                    ..limits.clone()
                };
                let key = minted(&house.store, &Actor::Operator, request).await.key;
                held.push((format!("{} with {wanted}, {about}", role.as_str()), key));
            }
        }
        people::change_user(&house.store, &Actor::Operator, &local(), &email, to_role(role))
            .await
            .unwrap();
        house.heard_of_people().await;
        for (about, key) in held {
            let seen = lists_what_it_calls(&house, &key, &about).await;
            if !role.is_admin() {
                assert!(
                    !seen.contains("members.list") && !seen.contains("crm.configure"),
                    "{about}"
                );
            }
            if role == Role::Auditor {
                assert!(
                    !seen.contains("crm.add") && !seen.contains("crm.purge"),
                    "{about}"
                );
            }
            pairs += TOOLS.len();
            seen_at_all.extend(seen);
        }
    }
    assert_eq!(pairs, 5 * 11 * 4 * 7);
    assert_eq!(
        seen_at_all.len(),
        TOOLS.len(),
        "a tool that nobody sees tests nothing"
    );
}

#[tokio::test]
async fn a_demoted_owners_key_loses_its_admin_tools_and_keeps_the_rest() {
    let house = house().await;
    add(&house.store, &local(), "ada@example.com", Role::Owner).await;
    let request = request(Some("ada@example.com"), "admin:* crm:read crm:write");
    let key = minted(&house.store, &Actor::Operator, request).await.key;
    let before = lists_what_it_calls(&house, &key, "owner").await;
    assert!(before.contains("members.list") && before.contains("crm.configure"));
    people::change_user(
        &house.store,
        &Actor::Operator,
        &local(),
        "ada@example.com",
        to_role(Role::Member),
    )
    .await
    .unwrap();
    house.heard_of_people().await;
    let after = lists_what_it_calls(&house, &key, "member").await;
    let gone: Vec<_> = before.difference(&after).cloned().collect();
    assert_eq!(gone, ["crm.configure", "members.list"]);
    let texts = [
        ("members.list", "403 Forbidden: missing scope admin:members"),
        ("crm.configure", "403 Forbidden: admin access required"),
    ];
    for (tool, text) in texts {
        assert_eq!(refusal(&house, &key, tool).await.unwrap(), text);
    }
    people::change_user(
        &house.store,
        &Actor::Operator,
        &local(),
        "ada@example.com",
        to_role(Role::Admin),
    )
    .await
    .unwrap();
    house.heard_of_people().await;
    assert_eq!(lists_what_it_calls(&house, &key, "admin").await, before);
}

impl House {
    /// Waits until the change of people made last is what this server judges by.
    pub(super) async fn heard_of_people(&self) {
        // A key of somebody just disabled is the canary: what it hears, the others have heard.
        let email = format!("canary-{}@example.com", ulid::Ulid::generate());
        add(&self.store, &local(), &email, Role::Member).await;
        let key = minted(&self.store, &Actor::Operator, request(Some(&email), "crm:read"))
            .await
            .key;
        assert_eq!(self.call(&key, "crm.list", json!({})).send().await.status, 200);
        people::change_user(&self.store, &Actor::Operator, &local(), &email, active(false))
            .await
            .unwrap();
        let heard = async {
            while self.call(&key, "crm.list", json!({})).send().await.status == 200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HANGS, heard)
            .await
            .expect("the server hears of people");
    }
}

#[tokio::test]
async fn each_reason_why_a_key_is_refused_has_its_text() {
    let house = house().await;
    let store = &house.store;
    let of = async |wanted: &str| minted(store, &Actor::Operator, request(None, wanted)).await;
    let says = async |key: &str| {
        let reply = house.call(key, "crm.list", json!({})).send().await;
        let challenge = reply.header("www-authenticate").map(str::to_owned);
        let text = reply.json()["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (reply.status, text, challenge)
    };
    let unauthorized = async |key: &str, text: &str| {
        // A change is heard of within a second.
        let heard = async {
            loop {
                let answer = says(key).await;
                if answer.0 != 200 {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (status, said, challenge) = tokio::time::timeout(HANGS, heard).await.expect("the key stops");
        assert_eq!((status, said.as_str()), (401, text));
        assert!(challenge.is_some_and(|c| c.starts_with("Bearer")), "{text}");
        assert!(
            key.len() < 12 || !said.contains(&key[11..]),
            "the text repeats the key"
        );
    };
    unauthorized("", "401 Unauthorized: missing access token").await;
    let stranger = ApiKey::mint("test_").unwrap();
    unauthorized(stranger.reveal(), "401 Unauthorized: key not recognised").await;
    let other_server = ApiKey::mint("hydra_").unwrap();
    unauthorized(other_server.reveal(), "401 Unauthorized: key not recognised").await;

    let good = of("crm:read").await;
    assert_eq!(says(&good.key).await.0, 200);
    let (status, said, _) = says(&good.key[..good.key.len() - 3]).await;
    assert_eq!(status, 401);
    assert!(
        said.starts_with("401 Unauthorized: key not recognised") && said.contains("truncated"),
        "{said}"
    );

    keys::revoke(store, &Actor::Operator, &local(), good.view.id.as_str())
        .await
        .unwrap();
    let revoked = of("crm:read").await;
    keys::revoke(store, &Actor::Operator, &local(), revoked.view.id.as_str())
        .await
        .unwrap();
    unauthorized(&revoked.key, "401 Unauthorized: key revoked").await;

    let old = of("crm:read").await;
    let at_once = Rotation {
        grace_minutes: Some(0),
        expires_in_days: None,
    };
    let editions = catalogue();
    let twin = keys::rotate(
        store,
        editions.editions(),
        &Actor::Operator,
        &local(),
        old.view.id.as_str(),
        at_once,
    )
    .await
    .unwrap();
    assert_eq!(says(&twin.key).await.0, 200);
    unauthorized(&old.key, "401 Unauthorized: key expired").await;

    let narrowed = of("memory.read").await;
    assert_eq!(
        refusal(&house, &narrowed.key, "crm.list").await.unwrap(),
        "403 Forbidden: missing scope crm:read"
    );
    assert_eq!(
        refusal(&house, &narrowed.key, "crm.purge").await.unwrap(),
        "403 Forbidden: missing scope crm:write crm:delete"
    );
    let mut reads = request(None, "crm:write");
    reads.limits.read_only = true;
    let reads = minted(store, &Actor::Operator, reads).await;
    assert_eq!(
        refusal(&house, &reads.key, "crm.add").await.unwrap(),
        "403 Forbidden: this key is read-only"
    );

    tenants::set_status(store, &local(), TenantStatus::Suspended)
        .await
        .unwrap();
    let suspended = async {
        while says(&twin.key).await.0 == 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HANGS, suspended)
        .await
        .expect("a suspended tenant's keys stop");
}

#[test]
fn more_scopes_never_allow_less() {
    let all = [
        "crm:read",
        "crm:write",
        "crm:delete",
        "crm:*",
        "memory.read",
        "memory.write",
        "memory.*",
        "admin:*",
        "admin:members",
        "*:read",
        "*:write",
        "*",
    ];
    let editions = catalogue();
    let rules = &editions.editions()[0].scopes;
    let any = || proptest::sample::subsequence(all.to_vec(), 0..=all.len());
    let mut runner = TestRunner::new(Config::with_cases(1000));
    let property = |(few, more): (Vec<&str>, Vec<&str>)| {
        let few = super::scopes(&few.join(" "));
        let both: Vec<_> = few
            .iter()
            .cloned()
            .chain(super::scopes(&more.join(" ")))
            .collect();
        for required in super::scopes(&all[..9].join(" ")) {
            if rules.satisfies(&few, &required) {
                prop_assert!(
                    rules.satisfies(&both, &required),
                    "{few:?} + {more:?} lost {required}"
                );
            }
        }
        // Whatever may be kept when narrowing opens nothing that was not open before.
        for kept in super::scopes(&all.join(" ")) {
            if rules.includes(&few, &kept) {
                for required in super::scopes(&all[..9].join(" ")) {
                    let opens = rules.satisfies(std::slice::from_ref(&kept), &required);
                    prop_assert!(
                        !opens || rules.satisfies(&few, &required),
                        "{few:?} kept {kept}: {required}"
                    );
                }
            }
        }
        Ok(())
    };
    runner.run(&(any(), any()), property).unwrap();
}

#[tokio::test]
async fn a_key_only_ever_gets_narrower() {
    let house = house().await;
    let editions = catalogue();
    let mut wanted = request(None, "crm:* memory.write");
    wanted.expires_in_days = Some(30);
    wanted.limits.monthly_cap = Some(100);
    wanted.limits.rate_per_minute = Some(10);
    wanted.limits.tools_deny = vec!["find".to_owned()];
    wanted.limits.confirm = footbridge_server::store::KeyConfirm::Preview;
    let key = minted(&house.store, &Actor::Operator, wanted).await.view;
    let narrow = async |wish: KeyNarrowing| {
        keys::narrow(
            &house.store,
            editions.editions(),
            &Actor::Operator,
            &local(),
            key.id.as_str(),
            wish,
            60,
        )
        .await
    };
    let wishes = [
        (
            "scopes",
            KeyNarrowing {
                scopes: Some(super::scopes("crm:read admin:*")),
                ..KeyNarrowing::default()
            },
        ),
        (
            "scopes",
            KeyNarrowing {
                scopes: Some(super::scopes("*")),
                ..KeyNarrowing::default()
            },
        ),
        (
            "expires_in_days",
            KeyNarrowing {
                expires_in_days: Some(31),
                ..KeyNarrowing::default()
            },
        ),
        (
            "monthly_cap",
            KeyNarrowing {
                monthly_cap: Some(101),
                ..KeyNarrowing::default()
            },
        ),
        (
            "rate_per_minute",
            KeyNarrowing {
                rate_per_minute: Some(11),
                ..KeyNarrowing::default()
            },
        ),
        (
            "tools_deny",
            KeyNarrowing {
                tools_deny: Some(vec![]),
                ..KeyNarrowing::default()
            },
        ),
        (
            "confirm",
            KeyNarrowing {
                confirm: Some(footbridge_server::store::KeyConfirm::Inherit),
                ..KeyNarrowing::default()
            },
        ),
    ];
    let unknown = KeyNarrowing {
        toolsets: Some(vec!["nothing".to_owned()]),
        ..KeyNarrowing::default()
    };
    let refused = narrow(unknown).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("toolsets: none of the key's editions"),
        "{refused}"
    );
    for (field, wish) in wishes {
        let refused = narrow(wish).await.unwrap_err();
        assert!(refused.to_string().starts_with(field), "{refused}");
        assert_eq!(refused.refused().http, 422, "{refused}");
    }
    let tighter = KeyNarrowing {
        scopes: Some(super::scopes("crm:read memory.read")),
        expires_in_days: Some(29),
        monthly_cap: Some(99),
        rate_per_minute: Some(9),
        rate_per_hour: Some(5),
        read_only: Some(true),
        confirm: Some(footbridge_server::store::KeyConfirm::Human),
        toolsets: Some(vec!["crm".to_owned()]),
        discover: Some(true),
        tools_allow: Some(vec!["crm.list".to_owned(), "memory_get".to_owned()]),
        tools_deny: Some(vec!["find".to_owned(), "crm_add".to_owned()]),
        ..KeyNarrowing::default()
    };
    let now = narrow(tighter).await.unwrap();
    assert_eq!(
        (now.monthly_cap, now.rate_per_minute, now.rate_per_hour),
        (Some(99), Some(9), Some(5))
    );
    let wishes = [
        (
            "read_only",
            KeyNarrowing {
                read_only: Some(false),
                ..KeyNarrowing::default()
            },
        ),
        (
            "tools_allow",
            KeyNarrowing {
                tools_allow: Some(vec![]),
                ..KeyNarrowing::default()
            },
        ),
        (
            "tools_allow",
            KeyNarrowing {
                tools_allow: Some(vec!["crm.add".to_owned()]),
                ..KeyNarrowing::default()
            },
        ),
        (
            "rate_per_hour",
            KeyNarrowing {
                rate_per_hour: Some(6),
                ..KeyNarrowing::default()
            },
        ),
    ];
    for (field, wish) in wishes {
        let refused = narrow(wish).await.unwrap_err();
        assert!(refused.to_string().starts_with(field), "{refused}");
    }
}
