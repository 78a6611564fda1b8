//! The rules of the sign-in itself, one by one (protocol.md C-01 to C-10).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{Bridge, Stub, call};
use crate::sign_in_world::{Page, World, end};

/// A call that the person makes possible; the page they saw.
fn signed_in(world: &World, variables: &[(&str, &str)]) -> Page {
    let mut bridge = world.bridge_with(variables);
    bridge.send(&call("1", "t"));
    let page = world.agree(1);
    assert!(bridge.line().contains("\"result\""));
    end(bridge);
    page
}

/// A call that is refused before any browser opens; what the host reads.
fn refused(world: &World, variables: &[(&str, &str)]) -> String {
    let mut bridge = world.bridge_with(variables);
    bridge.send(&call("1", "t"));
    let message = message(&bridge);
    end(bridge);
    assert!(world.opened().is_empty(), "{message}");
    assert!(world.forms("/token").is_empty(), "{message}");
    message
}

fn message(bridge: &Bridge) -> String {
    bridge.error("1", -31006)["message"].as_str().unwrap().to_owned()
}

#[test]
fn c01_the_secret_is_no_flag_and_may_lie_in_a_private_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "client-secret-file\n").unwrap();
    let world = World::with(|script| script.methods = json!(["client_secret_post"]));
    let variables = [
        ("FOOTBRIDGE_CLIENT_ID", "ours"),
        ("FOOTBRIDGE_CLIENT_SECRET_FILE", path.to_str().unwrap()),
    ];
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&world, &variables).contains("chmod 600"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    signed_in(&world, &variables);
    assert_eq!(world.forms("/token")[0]["client_secret"], "client-secret-file");
    // Command lines are public: there is no flag for a secret, and what was tried is not repeated.
    for flag in ["--key", "--client-secret", "--token", "--header"] {
        for command in [&[][..], &["login"], &["doctor"], &["setup", "cursor"]] {
            let tried = std::process::Command::new(crate::harness::program())
                .args(command)
                .args([flag, "client-secret-file"])
                .env_clear()
                .output()
                .unwrap();
            assert_eq!(tried.status.code(), Some(2), "{command:?} {flag}");
            let said = [tried.stdout, tried.stderr].concat();
            assert!(
                !String::from_utf8_lossy(&said).contains("client-secret-file"),
                "{command:?} {flag}"
            );
        }
    }
}

#[test]
fn c02_the_resource_is_found_at_each_place() {
    for (at, is_named) in [
        ("/custom/place.json", true),
        ("/.well-known/oauth-protected-resource/mcp", false),
        ("/.well-known/oauth-protected-resource", false),
    ] {
        let world = World::with(|script| {
            script.resource_at = at;
            script.is_named = is_named;
        });
        signed_in(&world, &[]);
        if is_named {
            let requests = world.server.requests();
            let guesses = requests
                .iter()
                .filter(|request| request.target.starts_with("/.well-known"));
            assert_eq!(guesses.count(), 0, "the header's word is enough");
        }
    }
}

#[test]
fn c02_metadata_of_another_resource_end_it() {
    for resource in ["https://evil.example/mcp", "http://127.0.0.1:1/mcp", ""] {
        let world = World::with(|script| script.resource = Some(resource.to_owned()));
        assert!(refused(&world, &[]).contains("another resource"));
        assert!(world.issuer.requests().is_empty());
    }
}

#[test]
fn c03_the_issuer_is_found_at_each_place() {
    for (path, at) in [
        ("", "/.well-known/oauth-authorization-server"),
        ("", "/.well-known/openid-configuration"),
        ("/t/1", "/.well-known/oauth-authorization-server/t/1"),
        ("/t/1", "/.well-known/openid-configuration/t/1"),
        ("/t/1", "/t/1/.well-known/openid-configuration"),
    ] {
        let world = World::with(|script| {
            script.issuer_path = path;
            script.issuer_at = at;
        });
        signed_in(&world, &[]);
    }
}

#[test]
fn c03_an_issuer_that_calls_itself_something_else_is_refused() {
    for claims in ["https://evil.example", "", "http://LOCALHOST"] {
        let world = World::with(|script| script.claims = Some(claims.to_owned()));
        assert!(refused(&world, &[]).contains("metadata of another one"));
    }
    let world = World::new();
    let own = format!("http://{}/", world.issuer.address);
    world.script().claims = Some(own);
    assert!(
        refused(&world, &[]).contains("metadata of another one"),
        "one slash more is another name"
    );
}

#[test]
fn c03_a_server_of_2025_03_26_is_its_own_issuer() {
    for at in ["/.well-known/oauth-authorization-server", ""] {
        let world = World::with(|script| {
            script.resource_at = "";
            script.is_named = false;
            script.issuer_at = at;
        });
        let own = format!("http://{}", world.server.address);
        world.script().issuer = Some(own.clone());
        let page = signed_in(&world, &[]);
        assert!(page.address.starts_with(&format!("{own}/authorize?")), "{page:?}");
        assert_eq!(page.find("code_challenge_method"), "S256");
        assert_eq!(page.find("resource"), world.server.url());
    }
}

#[test]
fn c04_without_s256_nothing_is_opened() {
    for pkce in [Value::Null, json!([]), json!(["plain"])] {
        let world = World::with(|script| script.pkce = pkce);
        assert!(refused(&world, &[]).contains("S256"));
    }
}

#[test]
fn c04_the_verifier_fits_the_challenge() {
    let world = World::new();
    let page = signed_in(&world, &[]);
    let verifier = &world.forms("/token")[0]["code_verifier"];
    let digest = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    assert_eq!(page.find("code_challenge"), URL_SAFE_NO_PAD.encode(digest));
    assert!(verifier.len() >= 43 && !page.address.contains(verifier.as_str()));
}

#[test]
fn c05_every_request_names_the_resource_as_it_was_published() {
    let world = World::new();
    // One above the path that is configured, without a slash at its end.
    let resource = format!("http://{}", world.server.address);
    world.script().resource = Some(resource.clone());
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    assert_eq!(world.agree(1).find("resource"), resource);
    bridge.line();
    world.script().tokens.clear();
    bridge.send(&call("2", "t"));
    bridge.line();
    end(bridge);
    let forms = world.forms("/token");
    assert_eq!(forms.len(), 2);
    assert!(forms.iter().all(|form| form["resource"] == resource), "{forms:?}");
}

#[test]
fn c06_an_answer_of_another_issuer_is_not_used() {
    for (announced, iss) in [
        (true, None),
        (true, Some("https://evil.example".to_owned())),
        (false, Some("https://evil.example".to_owned())),
        (true, Some(String::new())),
        (true, Some("SLASH".to_owned())),
    ] {
        for outcome in [("code", "~read"), ("error", "planted_words")] {
            let world = World::with(|script| script.announces_iss = announced);
            let iss = iss
                .clone()
                .map(|iss| iss.replace("SLASH", &format!("{}/", world.issuer_name())));
            let mut bridge = world.bridge();
            bridge.send(&call("1", "t"));
            let mut answer = vec![outcome];
            answer.extend(iss.as_deref().map(|iss| ("iss", iss)));
            let shown = world.page(1).come_back(&answer);
            assert!(
                !shown.contains("You are signed in") && !shown.contains("planted_words"),
                "{shown}"
            );
            let message = message(&bridge);
            assert!(
                message.contains("did not come from") && !message.contains("planted_words"),
                "{message}"
            );
            assert!(!end(bridge).stderr.contains("planted_words"));
            assert!(world.forms("/token").is_empty());
        }
    }
}

#[test]
fn c06_without_the_promise_iss_may_be_absent() {
    let world = World::with(|script| script.announces_iss = false);
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    let page = world.page(1);
    page.come_back(&[("code", "~read")]);
    assert!(bridge.line().contains("\"result\""));
    end(bridge);
}

#[test]
fn c06_a_refusal_of_the_issuer_is_told() {
    let world = World::new();
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    let shown = world.page(1).come_back(&[
        ("error", "access_denied"),
        ("error_description", "<b>No\r\nway</b>"),
        ("iss", &world.issuer_name()),
    ]);
    assert!(!shown.contains("<b>"), "{shown}");
    let message = message(&bridge);
    assert!(message.contains("access_denied: <b>No way</b>"), "{message}");
    end(bridge);
}

#[test]
fn c07_who_we_are_in_this_order() {
    let document = "https://client.example/metadata.json";
    let all = [
        ("FOOTBRIDGE_CLIENT_ID", "ours"),
        ("FOOTBRIDGE_CLIENT_METADATA_URL", document),
    ];
    let world = World::with(|script| script.takes_documents = true);
    assert_eq!(signed_in(&world, &all).find("client_id"), "ours");
    let world = World::with(|script| script.takes_documents = true);
    assert_eq!(signed_in(&world, &all[1..]).find("client_id"), document);
    let world = World::new();
    let page = signed_in(&world, &all[1..]);
    assert!(page.find("client_id").starts_with("client of"));
    let registration = world
        .issuer
        .wait_for(|request| request.target == "/register")
        .json();
    assert_eq!(registration["application_type"], "native");
    assert_eq!(
        registration["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    assert_eq!(registration["redirect_uris"], json!([page.find("redirect_uri")]));
    let world = World::with(|script| script.registers = false);
    assert!(refused(&world, &[]).contains("FOOTBRIDGE_CLIENT_ID"));
}

#[test]
fn c07_a_client_proves_itself_the_way_the_issuer_says() {
    let variables = [
        ("FOOTBRIDGE_CLIENT_ID", "ours"),
        ("FOOTBRIDGE_CLIENT_SECRET", "client-secret-2"),
    ];
    for method in ["client_secret_basic", "client_secret_post", "none"] {
        let world = World::with(|script| script.methods = json!([method]));
        signed_in(&world, &variables);
        let request = world.issuer.wait_for(|request| request.target == "/token");
        let form = world.forms("/token").remove(0);
        let basic = format!("Basic {}", STANDARD.encode("ours:client-secret-2"));
        let seen = (
            request.header("authorization").map(str::to_owned),
            form.get("client_id").map(String::as_str),
            form.get("client_secret").map(String::as_str),
        );
        let expected = match method {
            "client_secret_basic" => (Some(basic), None, None),
            "client_secret_post" => (None, Some("ours"), Some("client-secret-2")),
            _ => (None, Some("ours"), None),
        };
        assert_eq!(seen, expected, "{method}");
        for entry in std::fs::read_dir(world.store()).unwrap().flatten() {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            assert!(
                !text.contains("client-secret-2"),
                "a configured secret stays where it is"
            );
        }
    }
}

#[test]
fn c08_a_changed_issuer_gets_nothing_of_the_old_one() {
    let world = World::new();
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    let old = world.agree(1).find("client_id");
    bridge.line();
    let other = world.other_issuer();
    {
        let mut script = world.script();
        script.issuer = Some(format!("http://{}", other.address));
        script.tokens.clear();
    }
    bridge.send(&call("2", "t"));
    let page = world.agree(2);
    assert!(bridge.line().contains("\"result\""));
    end(bridge);
    assert_ne!(page.find("client_id"), old);
    let requests = other.requests();
    assert!(requests.iter().any(|request| request.target == "/register"));
    for request in &requests {
        let text = request.text();
        assert!(
            !text.contains("ref-planted") && !text.contains("refresh_token="),
            "{text}"
        );
    }
}

#[test]
fn c09_scopes_come_from_the_challenge_else_the_resource_else_nowhere() {
    for (challenge, resource, asked) in [
        ("read", json!(["a", "b"]), "read"),
        ("", json!(["a", "b"]), "a b"),
        ("", Value::Null, ""),
        ("", json!([]), ""),
    ] {
        let world = World::with(|script| {
            script.challenge_scope = challenge;
            script.resource_scopes = resource;
        });
        let page = signed_in(&world, &[]);
        assert_eq!(page.find("scope"), asked);
        assert_eq!(page.query.contains_key("scope"), !asked.is_empty());
    }
    let world = World::new();
    assert_eq!(
        signed_in(&world, &[("FOOTBRIDGE_SCOPES", "x y")]).find("scope"),
        "x y"
    );
}

#[test]
fn c09_offline_access_is_asked_for_exactly_if_the_issuer_lists_it() {
    for (listed, asked) in [
        (json!(["read", "offline_access"]), "read offline_access"),
        (json!(["read"]), "read"),
        (Value::Null, "read"),
    ] {
        let world = World::with(|script| {
            script.challenge_scope = "";
            script.resource_scopes = json!(["read", "offline_access"]);
            script.issuer_scopes = listed;
        });
        assert_eq!(signed_in(&world, &[]).find("scope"), asked);
    }
}

#[test]
fn c09_a_step_up_asks_for_the_union_and_the_call_is_sent_again() {
    let world = World::with(|script| {
        script.tool_scopes.insert("w", "write");
    });
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    world.agree(1);
    bridge.line();
    bridge.send(&call("2", "w"));
    assert_eq!(world.agree(2).find("scope"), "read write");
    assert!(bridge.line().contains("\"result\""));
    bridge.send(&call("3", "w"));
    assert!(bridge.line().contains("\"result\""));
    end(bridge);
    assert_eq!(world.opened().len(), 2);
}

#[test]
fn c09_a_step_up_that_does_not_help_is_not_repeated() {
    let world = World::with(|script| {
        script.tool_scopes.insert("w", "write");
    });
    let mut bridge = world.bridge();
    bridge.send(&call("1", "w"));
    world.agree(1);
    // The person grants no more than before.
    let page = world.page(2);
    page.come_back(&[("code", "~read"), ("iss", &world.issuer_name())]);
    let message = message(&bridge);
    assert!(message.contains("write"), "{message}");
    bridge.send(&call("2", "w"));
    bridge.error("2", -31006);
    assert_eq!(world.opened().len(), 2);
    // What needs no more still works.
    bridge.send(&call("3", "t"));
    assert!(bridge.line().contains("\"result\""));
    end(bridge);
}

#[test]
fn c10_an_answer_with_another_state_changes_nothing() {
    let world = World::new();
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    let page = world.page(1);
    for answer in [
        vec![("code", "~read"), ("state", "guess")],
        vec![("code", "~read")],
        vec![("error", "access_denied"), ("state", "")],
    ] {
        assert!(page.come_back_as(&answer).starts_with("HTTP/1.1 400 "));
    }
    assert!(world.forms("/token").is_empty());
    world.agree(1);
    assert!(bridge.line().contains("\"result\""));
    end(bridge);
}

#[test]
fn c10_a_document_without_an_end_is_not_read() {
    let world = World::with(|script| {
        script.resource_scopes = json!(vec!["x".repeat(1000); 300]);
    });
    assert!(refused(&world, &[]).contains("bytes"));
}

#[test]
fn c10_redirects_of_a_document_are_few_and_lead_to_places_like_it() {
    for (location, word) in [
        ("/again", "redirects more than 3"),
        ("http://as.example/", "not https"),
        ("file:///etc/passwd", "no http(s) address"),
    ] {
        let elsewhere =
            Stub::start(move |_, wire| wire.respond(302, &[&format!("location: {location}")], b""));
        let world = World::with(|script| script.issuer = Some(format!("http://{}", elsewhere.address)));
        assert!(refused(&world, &[]).contains(word), "{location}");
    }
}

#[test]
fn c10_plain_http_leads_nowhere_but_here() {
    for issuer in [
        "http://as.example",
        "http://10.0.0.1:1",
        "file:///etc",
        "https://u:p@as.example",
    ] {
        let world = World::with(|script| script.issuer = Some(issuer.to_owned()));
        refused(&world, &[]);
    }
}

#[test]
fn a_client_with_credentials_of_its_own_needs_no_person() {
    let world = World::with(|script| script.methods = json!(["client_secret_basic"]));
    let mut bridge = world.bridge_with(&[
        ("FOOTBRIDGE_GRANT", "client_credentials"),
        ("FOOTBRIDGE_CLIENT_ID", "ours"),
        ("FOOTBRIDGE_CLIENT_SECRET", "client-secret-3"),
    ]);
    bridge.send(&call("1", "t"));
    assert!(bridge.line().contains("\"result\""));
    end(bridge);
    assert!(world.opened().is_empty());
    let form = world.forms("/token").remove(0);
    assert_eq!(
        (form["grant_type"].as_str(), form["scope"].as_str()),
        ("client_credentials", "read")
    );
    assert_eq!(form["resource"], world.server.url());
}
