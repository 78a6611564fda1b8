//! Who may see which page and send which form: every role with each, generated.

use footbridge_server::vocabulary::Role;

use super::forms::OF_PEOPLE;
use crate::house::House;

const ROLES: [Option<Role>; 5] = [
    None,
    Some(Role::Member),
    Some(Role::Auditor),
    Some(Role::Admin),
    Some(Role::Owner),
];

/// A page, and who sees it: everybody who signed in, those who read everything, or those who manage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Everybody,
    Minters,
    Readers,
    Managers,
}

const PAGES: [(&str, For); 11] = [
    ("/console/connect", For::Everybody),
    ("/console/keys", For::Everybody),
    ("/console/keys/new", For::Minters),
    ("/console/calls", For::Everybody),
    ("/console/calls?tool=plain&status=allow&before=9", For::Everybody),
    ("/console/reviews", For::Everybody),
    ("/console/editions", For::Everybody),
    ("/console/settings", For::Everybody),
    ("/console/audit", For::Readers),
    ("/console/members", For::Readers),
    ("/console/members/{owner}", For::Managers),
];

fn admits(audience: For, role: Role) -> bool {
    match audience {
        For::Everybody => true,
        For::Minters => role != Role::Auditor,
        For::Readers => role != Role::Member,
        For::Managers => role.is_admin(),
    }
}

#[tokio::test]
async fn every_page_opens_for_exactly_the_roles_it_is_for() {
    let house = House::start().await;
    let owner = house.person(Role::Owner).await.id;
    for role in ROLES {
        for (page, audience) in PAGES {
            let page = page.replace("{owner}", owner.as_str());
            let mut browser = match role {
                Some(role) => house.browser_of(role).await,
                None => house.browser(),
            };
            let reply = browser.get(&page).await;
            let expected = match role {
                None => 303,
                Some(role) if admits(audience, role) => 200,
                Some(_) => 403,
            };
            assert_eq!(reply.status, expected, "{page} for {role:?}: {}", reply.text());
            for (name, part) in [
                ("content-security-policy", "frame-ancestors 'none'"),
                ("x-frame-options", "DENY"),
                ("x-content-type-options", "nosniff"),
                ("cache-control", "no-store"),
            ] {
                assert!(
                    reply.header(name).is_some_and(|value| value.contains(part)),
                    "{page}: {name}"
                );
            }
            let html = reply.text();
            assert!(
                !html.contains(" style=") && !html.contains(" onclick="),
                "{page} has no inline style or script"
            );
            if role == Some(Role::Auditor) && reply.status == 200 {
                let forms = html.matches("<form method=\"post\"").count();
                let harmless = ["/console/sign-out", "/console/audit/verify", "/console/settings/"];
                let own = harmless
                    .iter()
                    .map(|path| html.matches(&format!("action=\"{path}")).count())
                    .sum::<usize>();
                assert_eq!(forms, own, "{page} offers an auditor nothing to change");
            }
        }
    }
}

#[tokio::test]
async fn every_form_acts_for_exactly_the_roles_it_is_for() {
    let house = House::start().await;
    for role in ROLES {
        for path in OF_PEOPLE {
            let mut browser = match role {
                Some(role) => house.browser_of(role).await,
                None => house.browser(),
            };
            let token = match role {
                Some(_) => browser.token("/console/settings").await,
                None => "x".to_owned(),
            };
            let reply = browser
                .form(
                    path,
                    &[("edition", "test"), ("scope", "t:read"), ("name", "x")],
                    &token,
                )
                .send()
                .await;
            let manages = path.starts_with("/console/members") || path.starts_with("/console/deliveries");
            let reads = path.starts_with("/console/audit");
            match role {
                None => {
                    assert_eq!(
                        (reply.status, reply.header("location")),
                        (303, Some("/console/sign-in")),
                        "{path}"
                    );
                }
                Some(role) => {
                    let refused = (manages && !role.is_admin())
                        || (reads && role == Role::Member)
                        || (path == "/console/keys/new" && role == Role::Auditor);
                    assert_eq!(
                        reply.status == 403,
                        refused,
                        "{path} for {role:?}: {}",
                        reply.text()
                    );
                    assert!(reply.status < 500, "{path} for {role:?}: {}", reply.text());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_member_sees_own_keys_and_calls_alone() {
    let house = House::start().await;
    // The house's first key belongs to its operator.
    let key = house.key("t:read").await;
    let reply = house.call(&key, "plain", serde_json::json!({})).send().await;
    assert_eq!(reply.status, 200);
    house.store.flush().await.unwrap();
    let link = format!("href=\"/console/keys/{}\"", house.any_key_id().await);
    let mut owner = house.browser_of(Role::Owner).await;
    assert!(owner.get("/console/keys").await.text().contains(&link));
    assert!(
        owner
            .get("/console/calls")
            .await
            .text()
            .contains("<code>plain</code>")
    );
    let mut member = house.browser_of(Role::Member).await;
    assert!(!member.get("/console/keys").await.text().contains(&link));
    assert!(member.get("/console/calls").await.text().contains("No calls yet"));
    let id = house.any_key_id().await;
    for page in [
        "/console/keys/{id}",
        "/console/keys/{id}/revoke",
        "/console/connect/{id}/tick",
    ] {
        let reply = member.get(&page.replace("{id}", &id)).await;
        assert_eq!(reply.status, 404, "{page}: {}", reply.text());
    }
    let theirs = member.get(&format!("/console/calls?key={id}")).await.text();
    assert!(!theirs.contains("<code>plain</code>"), "{theirs}");
}
