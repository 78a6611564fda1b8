//! The console's pages: what they show, and that nothing a stranger wrote is more than text there.

use footbridge_server::{
    audit::Keeping,
    operate::{
        Actor, keys,
        people::{self, PersonChange},
        setup,
    },
    store::{Store, StoreSettings, StoreUrl},
    vocabulary::{Clock, Role},
};
use serde_json::json;

use super::local;
use crate::{
    house::{HANGS, House},
    store::harness::eventually,
};

/// Names that would be something else in a page that forgot to escape them.
const MARKUP: [&str; 3] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'-alert(1)-'</title><svg onload=alert(1)>",
];

impl House {
    /// The id of the newest key.
    pub(super) async fn any_key_id(&self) -> String {
        let all = keys::list(&self.store, &Actor::Operator, &local(), keys::KeyPage::default())
            .await
            .unwrap();
        all[0].id.to_string()
    }
}

#[tokio::test]
async fn the_first_page_leads_to_the_console_and_there_to_signing_in() {
    let house = House::start().await;
    let reply = house.get("/").send().await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/console")));
    let reply = house.get("/console").send().await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/console/sign-in"))
    );
    let reply = house.get("/console/nothing").send().await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (404, Some("text/html; charset=utf-8"))
    );
    // A script that asks for a part of a page is told in its own way.
    let reply = house
        .get("/console/keys")
        .header("hx-request", "true")
        .send()
        .await;
    assert_eq!(
        (reply.status, reply.header("hx-redirect")),
        (204, Some("/console/sign-in"))
    );
}

#[tokio::test]
async fn a_key_is_minted_shown_once_narrowed_rotated_and_revoked() {
    let house = House::start().await;
    let mut browser = house.browser_of(Role::Owner).await;
    let fields = [
        ("edition", "test"),
        ("name", "laptop"),
        ("scope", "t:read"),
        ("scope", "t:write"),
        ("days", "30"),
    ];
    let page = browser
        .submit("/console/keys/new", "/console/keys/new", &fields)
        .await;
    assert_eq!(page.status, 200, "{}", page.text());
    let key = between(&page.text(), "id=\"fresh-key\">", "<");
    let reply = house.call(&key, "plain", json!({})).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    house.store.flush().await.unwrap();

    // Snippets leave the key to the page.
    assert_eq!(
        page.text().matches(&key).count(),
        1,
        "the key stands in the page once"
    );
    assert!(page.text().contains("YOUR_KEY"));
    let id = house.any_key_id().await;
    let tick = browser.get(&format!("/console/connect/{id}/tick")).await.text();
    assert!(tick.contains("Connected.") && !tick.contains("hx-get"), "{tick}");

    let at = format!("/console/keys/{id}");
    let shown = browser.get(&at).await.text();
    assert!(shown.contains("laptop") && !shown.contains(&key), "never again");
    let fields = [("name", "laptop"), ("scope", "t:read"), ("read_only", "yes")];
    let reply = browser.submit(&at, &format!("{at}/narrow"), &fields).await;
    assert_eq!(
        reply.header("location"),
        Some(format!("{at}?done=narrowed").as_str()),
        "{}",
        reply.text()
    );
    // A right that is gone cannot be taken back.
    let fields = [("name", "laptop"), ("scope", "t:read"), ("scope", "t:write")];
    let reply = browser.submit(&at, &format!("{at}/narrow"), &fields).await;
    assert!((400..500).contains(&reply.status), "{}", reply.status);

    let reply = browser
        .submit(&at, &format!("{at}/rotate"), &[("grace", "60")])
        .await;
    let twin = between(&reply.text(), "id=\"fresh-key\">", "<");
    assert_ne!(twin, key);

    assert!(
        browser
            .get(&format!("{at}/revoke"))
            .await
            .text()
            .contains("Revoke laptop?")
    );
    let reply = browser
        .submit(&format!("{at}/revoke"), &format!("{at}/revoke"), &[])
        .await;
    assert_eq!(
        reply.header("location"),
        Some(format!("{at}?done=revoked").as_str())
    );
    eventually("the key is dead", HANGS, async || {
        let reply = house.call(&key, "plain", json!({})).send().await;
        (reply.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn markup_in_names_is_text_on_every_page() {
    let house = House::start().await;
    let owner = house.person(Role::Owner).await;
    let mut browser = house.browser_of(Role::Owner).await;
    for markup in MARKUP {
        let change = PersonChange {
            name: Some(markup.to_owned()),
            groups: Some(vec![markup.to_owned()]),
            ..PersonChange::default()
        };
        people::change_user(
            &house.store,
            &Actor::Operator,
            &local(),
            owner.id.as_str(),
            change,
        )
        .await
        .unwrap();
        let fields = [("edition", "test"), ("name", markup), ("scope", "t:read")];
        let page = browser
            .submit("/console/keys/new", "/console/keys/new", &fields)
            .await;
        assert_eq!(page.status, 200, "{}", page.text());
        let key = between(&page.text(), "id=\"fresh-key\">", "<");
        let arguments = json!({ "text": markup });
        let mut call = house.call(&key, "echo", arguments);
        call.body = call.body.replace(
            "\"_meta\":{",
            &format!(
                "\"_meta\":{{\"io.modelcontextprotocol/clientInfo\":{{\"name\":{},\"version\":\"1\"}},",
                json!(markup)
            ),
        );
        assert_eq!(call.send().await.status, 200);
        house.store.flush().await.unwrap();
        let id = house.any_key_id().await;
        let encoded: String = form_urlencoded::byte_serialize(markup.as_bytes()).collect();
        let mut pages = vec![page.text()];
        for path in [
            "/console/connect".to_owned(),
            "/console/keys".to_owned(),
            format!("/console/keys/{id}"),
            format!("/console/keys/{id}/revoke"),
            format!("/console/keys/{encoded}"),
            format!("/console/connect/{id}/tick"),
            "/console/calls".to_owned(),
            format!(
                "/console/calls?tool={encoded}&status={encoded}&key={encoded}&from={encoded}&to={encoded}"
            ),
            format!("/console/audit?before={encoded}"),
            "/console/members".to_owned(),
            format!("/console/members?group={encoded}"),
            format!("/console/members/{}", owner.id),
            format!("/console/editions?key={id}"),
            format!("/console/settings?done={encoded}"),
            format!("/console/sign-in?next={encoded}&done={encoded}"),
        ] {
            pages.push(browser.get(&path).await.text());
        }
        for page in pages {
            for raw in ["<script>alert", "<img src=x", "<svg onload", "\"><img"] {
                assert!(!page.contains(raw), "{markup} in {page}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_in_an_address_or_a_field_becomes_a_header() {
    let house = House::start().await;
    let mut browser = house.browser();
    for next in [
        "/console/keys%0d%0aset-cookie:%20a=b",
        "//evil.example",
        "https://evil.example/",
        "/mcp",
    ] {
        let reply = browser.get(&format!("/console/sign-in?next={next}")).await;
        assert!(
            reply.text().contains("name=\"next\" value=\"\""),
            "{next}: {}",
            reply.text()
        );
        assert!(reply.header("a").is_none());
    }
    let mut browser = house.browser_of(Role::Owner).await;
    let fields = [
        ("edition", "test"),
        ("name", "a\r\nset-cookie: x=y"),
        ("scope", "t:read"),
    ];
    let reply = browser
        .submit("/console/keys/new", "/console/keys/new", &fields)
        .await;
    assert!(!reply.cookies.iter().any(|cookie| cookie.starts_with("x=")));
    assert!(reply.status == 200 || reply.status == 400, "{}", reply.status);
    // Whatever people are called is refused before it is shown anywhere.
    let member = house.person(Role::Member).await.id;
    let at = format!("/console/members/{member}");
    let evil = "a\r\nset-cookie: x=y";
    for (path, fields) in [
        (at.as_str(), [("name", evil), ("role", "member"), ("groups", "")]),
        (&at, [("name", "a"), ("role", "member"), ("groups", "a\u{7}b")]),
        (
            "/console/members/invite",
            [
                ("email", "a\r\nx: y@example.com"),
                ("role", "member"),
                ("groups", ""),
            ],
        ),
        (
            "/console/settings/name",
            [("name", evil), ("role", ""), ("groups", "")],
        ),
    ] {
        let reply = browser.submit("/console/members", path, &fields).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.text());
        assert!(reply.cookies.is_empty() && reply.header("x").is_none(), "{path}");
    }
}

#[tokio::test]
async fn sql_in_a_filter_is_a_word_that_fits_nothing() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    assert_eq!(house.call(&key, "plain", json!({})).send().await.status, 200);
    house.store.flush().await.unwrap();
    let mut browser = house.browser_of(Role::Owner).await;
    assert!(
        browser
            .get("/console/calls")
            .await
            .text()
            .contains("<code>plain</code>")
    );
    for sql in [
        "' OR '1'='1",
        "x'; DROP TABLE audit_log; --",
        "plain' UNION SELECT hash FROM users --",
        "%",
        "_lain",
    ] {
        let encoded: String = form_urlencoded::byte_serialize(sql.as_bytes()).collect();
        for field in ["tool", "status", "key", "from", "to"] {
            let reply = browser.get(&format!("/console/calls?{field}={encoded}")).await;
            assert_eq!(reply.status, 200, "{field}={sql}: {}", reply.text());
            assert!(reply.text().contains("Nothing matches"), "{field}={sql}");
        }
        for path in [
            "calls?before=",
            "audit?before=",
            "keys?before=",
            "editions?done=",
            "members?group=",
        ] {
            let reply = browser.get(&format!("/console/{path}{encoded}")).await;
            assert_eq!(reply.status, 200, "{path}{sql}: {}", reply.text());
        }
        for path in ["keys/", "members/", "connect?key=", "editions?key="] {
            let encoded = encoded.replace('+', "%20");
            let reply = browser.get(&format!("/console/{path}{encoded}")).await;
            assert_eq!(reply.status, 404, "{path}{sql}: {}", reply.text());
        }
    }
    assert!(
        browser
            .get("/console/calls")
            .await
            .text()
            .contains("<code>plain</code>"),
        "the log is still there"
    );
}

#[tokio::test]
async fn calls_are_filtered_and_paged_by_the_address() {
    let house = House::start().await;
    let key = house.key("t:read").await;
    for _ in 0..60 {
        assert_eq!(house.call(&key, "plain", json!({})).send().await.status, 200);
    }
    assert_eq!(
        house
            .call(&key, "echo", json!({ "text": "x" }))
            .send()
            .await
            .status,
        200
    );
    house.store.flush().await.unwrap();
    let mut browser = house.browser_of(Role::Auditor).await;
    let page = browser.get("/console/calls?tool=plain").await.text();
    assert_eq!(page.matches("<code>plain</code>").count(), 50);
    assert!(!page.contains("<code>echo</code>"));
    let older = between(
        &page,
        "<a class=\"button\" href=\"/console/calls?tool=plain&#38;before=",
        "\"",
    );
    let page = browser
        .get(&format!("/console/calls?tool=plain&before={older}"))
        .await
        .text();
    assert_eq!(page.matches("<code>plain</code>").count(), 10);
    assert!(
        !page.contains("hx-trigger=\"every 5s\""),
        "an old page stands still"
    );
    let page = browser.get("/console/calls").await.text();
    assert!(page.contains(": 61 calls, "), "the chart counts them");
}

#[tokio::test]
async fn a_cookie_opens_no_tool_and_a_key_no_page() {
    let house = House::start().await;
    let browser = house.browser_of(Role::Owner).await;
    let cookie = format!("footbridge={}", browser.cookies["footbridge"]);
    let reply = house
        .call("", "plain", json!({}))
        .header("cookie", &cookie)
        .send()
        .await;
    assert_eq!(reply.status, 401);
    let key = house.key("t:read").await;
    let reply = house
        .get("/console/keys")
        .header("authorization", &format!("Bearer {key}"))
        .send()
        .await;
    assert_eq!(reply.status, 303);
    let mut planted = house.browser();
    planted.cookies.insert("footbridge".to_owned(), key);
    assert_eq!(planted.get("/console/keys").await.status, 303);
}

#[tokio::test]
async fn an_invited_person_joins_once_with_the_role_they_were_invited_for() {
    let house = House::start().await;
    let mut admin = house.browser_of(Role::Admin).await;
    let fields = [
        ("email", "bob@example.com"),
        ("role", "auditor"),
        ("groups", "staff\r\nnight shift"),
    ];
    let page = admin
        .submit("/console/members", "/console/members/invite", &fields)
        .await;
    let token = between(&page.text(), "id=\"token\">", "<");
    assert!(page.text().contains(&format!("/console/invitation#{token}")));
    // An admin makes no owner.
    let fields = [("email", "eve@example.com"), ("role", "owner")];
    let reply = admin
        .submit("/console/members", "/console/members/invite", &fields)
        .await;
    assert_eq!(reply.status, 403);

    let mut bob = house.browser();
    let page = bob
        .submit(
            "/console/invitation",
            "/console/invitation/open",
            &[("token", &token)],
        )
        .await;
    assert!(
        page.text().contains("Join local") && page.text().contains("bob@example.com"),
        "{}",
        page.text()
    );
    let fields = [("token", token.as_str()), ("name", "Bob"), ("password", "short")];
    let reply = bob
        .submit("/console/invitation", "/console/invitation", &fields)
        .await;
    assert!(
        (400..500).contains(&reply.status) && reply.text().contains("Join local"),
        "{}",
        reply.text()
    );
    let fields = [
        ("token", token.as_str()),
        ("name", "Bob"),
        ("password", "crossing rivers daily"),
    ];
    let reply = bob
        .submit("/console/invitation", "/console/invitation", &fields)
        .await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/console/connect"))
    );
    assert!(
        bob.get("/console/settings")
            .await
            .text()
            .contains("auditor of local")
    );
    let mut again = house.browser();
    let reply = again
        .submit("/console/invitation", "/console/invitation", &fields)
        .await;
    assert!((400..500).contains(&reply.status), "once: {}", reply.status);
}

#[tokio::test]
async fn an_admin_shuts_a_member_out_and_lets_them_in_again() {
    let house = House::start().await;
    let mut admin = house.browser_of(Role::Admin).await;
    let mut member = house.browser_of(Role::Member).await;
    assert_eq!(member.get("/console/keys").await.status, 200);
    let id = house.person(Role::Member).await.id;
    let at = format!("/console/members/{id}");
    let reply = admin
        .submit(&at, &format!("{at}/active"), &[("active", "no")])
        .await;
    assert_eq!(
        reply.header("location"),
        Some(format!("{at}?done=disabled").as_str())
    );
    assert_eq!(member.get("/console/keys").await.status, 303, "signed out");
    admin
        .submit(&at, &format!("{at}/active"), &[("active", "yes")])
        .await;
    let fields = [
        ("name", "Grace"),
        ("role", "auditor"),
        ("groups", "a b\r\n c, d \r\n\r\n"),
    ];
    let reply = admin.submit(&at, &at, &fields).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    assert!(
        member
            .get("/console/settings")
            .await
            .text()
            .contains("auditor of local"),
        "their role as of now"
    );
    assert_eq!(house.person(Role::Member).await.groups, ["a b", "c, d"]);
    let page = admin.get("/console/members").await.text();
    assert!(page.contains("/console/members?group=c%2C+d"), "{page}");
    let some = admin.get("/console/members?group=c%2C+d").await.text();
    assert!(some.contains("People in c, d") && some.contains("member@example.com"));
    assert!(!some.contains("admin@example.com"), "{some}");
}

#[tokio::test]
async fn a_lost_password_is_set_anew_by_a_link_that_an_admin_makes() {
    let house = House::start().await;
    let email = house.with_password(Role::Member).await;
    let mut member = house.browser_of(Role::Member).await;
    let mut admin = house.browser_of(Role::Admin).await;
    let id = house.person(Role::Member).await.id;
    let at = format!("/console/members/{id}");
    let page = admin.submit(&at, &format!("{at}/password-link"), &[]).await;
    let token = between(&page.text(), "id=\"token\">", "<");
    assert!(page.text().contains(&format!("/console/password#{token}")));
    // Not for an owner, and not for the one who asks: their page does not even offer it.
    for role in [Role::Owner, Role::Admin] {
        let id = house.person(role).await.id;
        let at = format!("/console/members/{id}");
        assert!(
            !admin.get(&at).await.text().contains("/password-link"),
            "{role:?}"
        );
        let reply = admin.submit(&at, &format!("{at}/password-link"), &[]).await;
        assert!(
            (400..500).contains(&reply.status) && !reply.text().contains("fbr_"),
            "{role:?}"
        );
    }

    let mut mia = house.browser();
    let reply = mia
        .submit(
            "/console/password",
            "/console/password/open",
            &[("token", "fbr_x")],
        )
        .await;
    assert_eq!(reply.status, 404);
    assert!(
        reply.text().contains("This link is not valid"),
        "{}",
        reply.text()
    );
    let fields = [("token", token.as_str())];
    let page = mia
        .submit("/console/password", "/console/password/open", &fields)
        .await;
    assert!(page.text().contains(&email), "{}", page.text());
    let of = |password| [("token", token.as_str()), ("password", password)];
    let reply = mia
        .submit("/console/password", "/console/password", &of("short"))
        .await;
    assert!(
        reply.status == 400 && reply.text().contains("12 characters"),
        "{}",
        reply.text()
    );
    let reply = mia
        .submit(
            "/console/password",
            "/console/password",
            &of("crossing rivers daily"),
        )
        .await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/console/sign-in?done=new-password"))
    );
    assert!(
        !mia.cookies.contains_key("footbridge"),
        "the link alone opens no session"
    );
    assert_eq!(
        member.get("/console/keys").await.status,
        303,
        "sessions of before have ended"
    );
    let again = mia
        .submit(
            "/console/password",
            "/console/password",
            &of("crossing rivers daily"),
        )
        .await;
    assert_eq!(again.status, 404, "once");
    let fields = [("email", email.as_str()), ("password", "crossing rivers daily")];
    let reply = mia.submit("/console/sign-in", "/console/sign-in", &fields).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/console")));
}

#[tokio::test]
async fn the_page_of_calls_says_what_is_kept_of_arguments() {
    let text = async |arguments| {
        let house = House::keeping(Keeping {
            arguments,
            ..Keeping::default()
        })
        .await;
        let key = house.key("t:read").await;
        house
            .call(&key, "notes.echo", serde_json::json!({ "text": "<b>hello</b>" }))
            .send()
            .await;
        house.store.flush().await.unwrap();
        house
            .browser_of(Role::Owner)
            .await
            .get("/console/calls")
            .await
            .text()
    };
    let digest = text(false).await;
    assert!(
        digest.contains("only their digest") && !digest.contains("hello"),
        "{digest}"
    );
    let kept = text(true).await;
    assert!(
        kept.contains("Arguments are kept, without what looks like a secret"),
        "{kept}"
    );
    assert!(
        kept.contains("hello") && !kept.contains("<b>hello"),
        "shown, and as text: {kept}"
    );
}

#[tokio::test]
async fn the_log_is_verified_by_whoever_reads_it() {
    let house = House::start().await;
    let mut auditor = house.browser_of(Role::Auditor).await;
    let page = auditor
        .submit("/console/audit", "/console/audit/verify", &[])
        .await;
    assert!(page.text().contains("Call log: whole."), "{}", page.text());
    assert!(page.text().contains("Change log: whole."));
}

#[tokio::test]
async fn a_setup_token_makes_the_first_owner_and_nobody_after() {
    // The test house has an owner; a store that has none is asked directly.
    let folder = tempfile::TempDir::new().unwrap();
    let url = StoreUrl::Sqlite(folder.path().join("store.db"));
    let store = Store::open(&url, &StoreSettings::default(), Clock::System)
        .await
        .unwrap();
    assert!(setup::token_if_unowned(&store).await.unwrap().is_some());
    let house = House::start().await;
    let reply = house.get("/console/setup").send().await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/console/sign-in"))
    );
    let mut browser = house.browser();
    let fields = [
        ("token", "fbs_guess"),
        ("email", "eve@example.com"),
        ("name", "Eve"),
        ("password", "crossing rivers daily"),
        ("tenant", "local"),
    ];
    let reply = browser
        .submit("/console/sign-in", "/console/setup", &fields)
        .await;
    assert!((400..500).contains(&reply.status), "{}", reply.status);
    assert!(reply.text().contains("has an owner already"), "{}", reply.text());
}

#[tokio::test]
async fn files_are_kept_for_good_and_others_are_not_there() {
    let house = House::start().await;
    let page = house.get("/console/sign-in").send().await.text();
    let style = between(&page, "rel=\"stylesheet\" href=\"", "\"");
    let reply = house.get(&style).send().await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("text/css; charset=utf-8"))
    );
    assert!(reply.header("cache-control").unwrap().contains("immutable"));
    for path in [
        "/console/assets/0/console.css",
        "/console/assets/../../Cargo.toml",
        "/console/assets/x/%2e%2e%2f",
    ] {
        assert_eq!(house.get(path).send().await.status, 404, "{path}");
    }
}

pub(super) fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before:?} in {text}"));
    rest.split(after).next().unwrap().to_owned()
}
