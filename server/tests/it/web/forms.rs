//! Every form of the console against those who would send it for somebody, or too much of it, or something else.

use footbridge_server::{store::SignInKind, vocabulary::Role};
use tokio::io::AsyncWriteExt;

use super::{browser::token_in, login::PASSWORD};
use crate::house::{House, read_all};

/// Every address that takes a form: of visitors, and of people.
const OF_VISITORS: [(&str, &str); 6] = [
    ("/console/sign-in", "/console/sign-in"),
    ("/console/setup", "/console/sign-in"),
    ("/console/invitation", "/console/invitation"),
    ("/console/invitation/open", "/console/invitation"),
    ("/console/password", "/console/password"),
    ("/console/password/open", "/console/password"),
];
pub(super) const OF_PEOPLE: [&str; 15] = [
    "/console/sign-out",
    "/console/keys/new",
    "/console/keys/key_x/revoke",
    "/console/keys/key_x/rotate",
    "/console/keys/key_x/narrow",
    "/console/audit/verify",
    "/console/deliveries/answer",
    "/console/members/invite",
    "/console/members/uninvite",
    "/console/members/usr_x",
    "/console/members/usr_x/active",
    "/console/members/usr_x/password-link",
    "/console/settings/name",
    "/console/settings/password",
    "/console/settings/sign-out-everywhere",
];

#[tokio::test]
async fn a_form_without_its_own_token_is_refused() {
    let house = House::start().await;
    for (path, page) in OF_VISITORS {
        let mut browser = house.browser();
        let good = browser.token(page).await;
        let mut other = house.browser();
        let strange = other.token(page).await;
        assert_ne!(good, strange);
        for token in ["", "x", &strange] {
            let reply = browser.form(path, &[("token", "fbi_x")], token).send().await;
            assert_eq!(reply.status, 403, "{path} with {token:?}: {}", reply.text());
        }
        let reply = browser.form(path, &[("token", "fbi_x")], &good).send().await;
        assert_ne!(reply.status, 403, "{path}: {}", reply.text());
        // The token alone, from a browser without the cookie, is nothing.
        let bare = house.browser().form(path, &[], &good).send().await;
        assert_eq!(bare.status, 403, "{path}");
    }
    let mut mine = house.browser_of(Role::Owner).await;
    let mut again = house.browser_of(Role::Owner).await;
    let good = mine.token("/console/settings").await;
    let strange = again.token("/console/settings").await;
    assert_ne!(good, strange, "each session has its own");
    for path in OF_PEOPLE {
        for token in ["", "x", &strange] {
            let reply = mine.form(path, &[("name", "x")], token).send().await;
            assert_eq!(reply.status, 403, "{path} with {token:?}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn a_form_from_another_site_is_refused_whatever_it_holds() {
    let house = House::start().await;
    let mut browser = house.browser_of(Role::Owner).await;
    let token = browser.token("/console/settings").await;
    for path in OF_PEOPLE {
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let form = browser
                .form(path, &[], &token)
                .without("origin")
                .without("sec-fetch-site");
            let reply = form.header(name, value).send().await;
            assert_eq!(reply.status, 403, "{path} with {name}: {value}");
        }
    }
    assert_eq!(
        browser.get("/console/settings").await.status,
        200,
        "still signed in"
    );
}

#[tokio::test]
async fn ten_megabytes_are_refused_with_413_however_they_come() {
    let house = House::start().await;
    let mut browser = house.browser_of(Role::Owner).await;
    let token = browser.token("/console/settings").await;
    let paths = OF_PEOPLE.iter().chain(OF_VISITORS.iter().map(|(path, _)| path));
    for path in paths {
        let mut form = browser.form(path, &[], &token);
        form.body = format!("form={token}&name={}", "x".repeat(10_000_000));
        let reply = form.send().await;
        assert_eq!(reply.status, 413, "{path}: {}", reply.text());
    }
    // In chunks nothing is declared, and a form that the server would take as a body is still too large for a form.
    let form = browser.form("/console/settings/name", &[], &token);
    let head = String::from_utf8(form.bytes(true)).unwrap();
    let head = head.split("content-length").next().unwrap().to_owned() + "transfer-encoding: chunked\r\n\r\n";
    let mut stream = house.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 100_000, "x".repeat(100_000));
    for _ in 0..100 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let answer = String::from_utf8_lossy(&read_all(&mut stream).await).into_owned();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 413"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_session_planted_before_signing_in_is_not_the_one_after() {
    let house = House::start().await;
    let email = house.with_password(Role::Owner).await;
    let planted = house.session_of(Role::Member, SignInKind::Browser).await;
    let mut browser = house.browser();
    browser.cookies.insert("footbridge".to_owned(), planted.clone());
    let before = browser.token("/console/sign-in").await;
    let visit = browser.cookies["footbridge-visit"].clone();
    let reply = browser
        .submit(
            "/console/sign-in",
            "/console/sign-in",
            &[("email", &email), ("password", PASSWORD)],
        )
        .await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/console")));
    let after = browser.cookies["footbridge"].clone();
    assert_ne!(after, planted);
    assert_ne!(after, visit);
    assert!(!browser.cookies.contains_key("footbridge-visit"));
    let page = browser.get("/console/settings").await.text();
    assert!(
        page.contains("owner of local"),
        "the person who signed in, not the one who planted"
    );
    assert_ne!(token_in(&page), before, "forms of before are worth nothing");

    // Signing out ends it in the store too.
    let reply = browser
        .submit("/console/settings", "/console/sign-out", &[])
        .await;
    assert_eq!(reply.header("location"), Some("/console/sign-in?done=signed-out"));
    let mut kept = house.browser();
    kept.cookies.insert("footbridge".to_owned(), after);
    let reply = kept.get("/console/settings").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/console/sign-in?next=%2Fconsole%2Fsettings"))
    );
}

#[tokio::test]
async fn a_new_password_ends_every_session() {
    let house = House::start().await;
    house.with_password(Role::Member).await;
    let mut browser = house.browser_of(Role::Member).await;
    let token = house.token_of(Role::Member).await;
    let fields = [
        ("present", "wrong wrong wrong"),
        ("new", "another bridge altogether"),
    ];
    let reply = browser
        .submit("/console/settings", "/console/settings/password", &fields)
        .await;
    assert_eq!(reply.status, 422);
    assert!(
        reply.text().contains("The present password is wrong."),
        "{}",
        reply.text()
    );
    let fields = [("present", PASSWORD), ("new", "another bridge altogether")];
    let reply = browser
        .submit("/console/settings", "/console/settings/password", &fields)
        .await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/console/sign-in?done=password"))
    );
    assert_eq!(house.rest("GET", "/v1/me", &token).send().await.status, 401);
}

#[tokio::test]
async fn cookies_are_for_this_host_alone_and_for_no_script() {
    let house = House::start().await;
    let reply = house.get("/console/sign-in").send().await;
    let cookie = reply.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("footbridge-visit=") && !cookie.contains("Secure"),
        "{cookie}"
    );
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let house =
        House::with(|settings| settings.public_url = Some("https://mcp.example.com".to_owned())).await;
    let reply = house.get("/console/sign-in").send().await;
    let cookie = reply.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-footbridge-visit=") && cookie.contains("; Secure"),
        "{cookie}"
    );
    assert!(!cookie.contains("Domain"), "{cookie}");
}
