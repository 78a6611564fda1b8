//! Signing in as the host and the person see it (protocol.md M-8, C-11 to C-13; security.md B9, B11, B12).

use crate::harness::{Bridge, Stub, call};
use crate::sign_in_world::{World, assert_silent, end};

/// The host's calls of `tool` that reached the server, with or without a credential.
fn calls(world: &World, tool: &str) -> Vec<bool> {
    let requests = world.server.requests();
    let of_tool = requests
        .iter()
        .filter(|request| request.json()["params"]["name"] == tool);
    of_tool
        .map(|request| request.header("authorization").is_some())
        .collect()
}

#[test]
fn m8_a_refused_call_is_sent_again_with_the_credential_of_a_sign_in() {
    let world = World::new();
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    let page = world.agree(1);
    assert!(bridge.line().contains("\"result\""));
    assert_eq!(calls(&world, "t"), [false, true], "refused, then executed once");
    assert_eq!(page.find("response_type"), "code");
    assert!(
        page.address.contains("/authorize?a=b&"),
        "the endpoint's own query stays"
    );
    bridge.send(&call("2", "t"));
    assert!(bridge.line().contains("\"result\""));
    assert_eq!(calls(&world, "t"), [false, true, true]);
    let ended = end(bridge);
    assert!(
        ended.stderr.contains(&page.address),
        "a person without a browser can read the address"
    );
    assert_eq!(world.opened().len(), 1);
}

#[test]
fn m8_handshake_notification_stream_and_farewell_carry_the_credential() {
    let world = World::new();
    let mut bridge = world.bridge();
    bridge.send(crate::harness::INITIALIZE);
    world.agree(1);
    assert!(bridge.line().contains("\"result\""));
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    world.server.wait_rpc("GET");
    end(bridge);
    for method in ["notifications/initialized", "GET", "DELETE"] {
        let request = world
            .server
            .wait_for(|request| request.rpc() == method && !request.target.starts_with("/.well-known"));
        assert!(request.header("authorization").is_some(), "{method}");
    }
}

#[test]
fn m8_what_the_server_keeps_refusing_is_an_error_and_not_a_loop() {
    for gives_refresh in [true, false] {
        let world = World::with(|script| {
            script.is_stubborn = true;
            script.gives_refresh = gives_refresh;
        });
        let mut bridge = world.bridge();
        bridge.send(&call("1", "t"));
        world.agree(1);
        let error = bridge.error("1", -31006);
        assert!(error["message"].as_str().unwrap().contains("login"), "{error}");
        bridge.send(&call("2", "t"));
        bridge.error("2", -31006);
        end(bridge);
        assert_eq!(world.opened().len(), 1, "a second token would be refused as well");
        assert_eq!(world.forms("/token").len(), 1, "renewed or not");
    }
}

#[test]
fn m8_with_a_key_or_by_setting_nobody_is_signed_in() {
    let world = World::new();
    for variables in [
        [("FOOTBRIDGE_KEY", "fbk_planted0123456789")],
        [("FOOTBRIDGE_SIGN_IN", "never")],
    ] {
        let mut bridge = world.bridge_with(&variables);
        bridge.send(&call("1", "t"));
        let error = bridge.error("1", -31006);
        assert_eq!(error["data"]["setting"], "FOOTBRIDGE_KEY", "{error}");
        end(bridge);
    }
    assert!(world.opened().is_empty() && world.issuer.requests().is_empty());
    let looked = |request: &crate::harness::Request| request.target != "/mcp";
    assert!(!world.server.requests().iter().any(looked), "B12");
}

#[test]
fn a_server_that_offers_no_sign_in_asks_for_a_key() {
    for challenge in [
        "www-authenticate: Bearer",
        "www-authenticate: Basic realm=\"x\"",
        "x: y",
    ] {
        let stub = Stub::start(move |request, wire| {
            let status = if request.target == "/mcp" { 401 } else { 404 };
            wire.respond(status, &[challenge], b"");
        });
        let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_KEY", "")]);
        bridge.send(&call("1", "t"));
        let error = bridge.error("1", -31006);
        assert_eq!(error["data"]["setting"], "FOOTBRIDGE_KEY", "{error}");
        bridge.send(&call("2", "t"));
        bridge.error("2", -31006);
        bridge.end();
        let registrations = stub.requests();
        let registrations = registrations
            .iter()
            .filter(|request| request.target == "/register");
        assert!(
            registrations.count() <= 1,
            "what is not offered is not asked for again and again"
        );
    }
}

#[test]
fn a_sign_in_outlives_the_process() {
    let world = World::new();
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    world.agree(1);
    bridge.line();
    end(bridge);
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    assert!(bridge.line().contains("\"result\""));
    end(bridge);
    assert_eq!(calls(&world, "t"), [false, true, true]);
    assert_eq!(world.opened().len(), 1);
}

#[test]
fn without_a_home_a_sign_in_lives_as_long_as_the_process() {
    let world = World::new();
    let mut bridge = world.bridge_with(&[("HOME", "")]);
    bridge.send(&call("1", "t"));
    world.agree(1);
    bridge.line();
    bridge.send(&call("2", "t"));
    assert!(bridge.line().contains("\"result\""));
    assert!(end(bridge).stderr.contains("HOME"));
    assert!(!world.store().exists());
}

#[test]
fn a_damaged_file_is_set_aside() {
    let world = World::new();
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    world.agree(1);
    bridge.line();
    end(bridge);
    for entry in std::fs::read_dir(world.store()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            std::fs::write(path, "{\"version\":1").unwrap();
        }
    }
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    world.agree(2);
    assert!(bridge.line().contains("\"result\""));
    assert!(end(bridge).stderr.contains("set aside"));
}

#[test]
fn c11_two_processes_open_one_browser() {
    let world = World::new();
    let (mut first, mut second) = (world.bridge(), world.bridge());
    first.send(&call("1", "t"));
    second.send(&call("1", "t"));
    world.server.wait_for(|request| request.rpc() == "tools/call");
    world.agree(1);
    assert!(first.line().contains("\"result\""));
    assert!(second.line().contains("\"result\""));
    end(first);
    end(second);
    assert_eq!(world.opened().len(), 1);
}

#[test]
fn c11_a_refresh_is_done_once_for_all_who_wait() {
    // Tokens are old when they arrive, so each round has to renew.
    let world = World::with(|script| script.lifetime = 1);
    let mut bridge = world.bridge();
    bridge.send(&call("0", "t"));
    world.agree(1);
    bridge.line();
    world.script().lifetime = 3600;
    for id in 1..=8 {
        bridge.send(&call(&id.to_string(), "t"));
    }
    for _ in 1..=8 {
        assert!(bridge.line().contains("\"result\""));
    }
    end(bridge);
    let forms = world.forms("/token");
    let refreshes = forms.iter().filter(|form| form["grant_type"] == "refresh_token");
    // The first call may find the token old before it is even sent; the eight share one.
    assert!(refreshes.count() <= 2, "{forms:?}");
    assert_eq!(world.opened().len(), 1);
}

#[test]
fn c11_two_processes_refresh_once() {
    let world = World::new();
    let login = world.start("login", &[]);
    world.agree(1);
    assert!(login.join().unwrap().status.success());
    let (mut first, mut second) = (world.bridge(), world.bridge());
    for bridge in [&mut first, &mut second] {
        bridge.send(&call("1", "t"));
        assert!(bridge.line().contains("\"result\""));
    }
    world.script().tokens.clear();
    // Each refresh token works once: a process that used the old one would need a person.
    first.send(&call("2", "t"));
    second.send(&call("2", "t"));
    assert!(first.line().contains("\"result\"") && second.line().contains("\"result\""));
    end(first);
    end(second);
    let forms = world.forms("/token");
    let refreshes = forms.iter().filter(|form| form["grant_type"] == "refresh_token");
    assert_eq!(refreshes.count(), 1, "{forms:?}");
    assert_eq!(world.opened().len(), 1);
}

#[test]
fn c11_a_refused_token_is_refreshed_and_the_new_refresh_token_kept() {
    let world = World::new();
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    world.agree(1);
    bridge.line();
    for id in ["2", "3"] {
        world.script().tokens.clear();
        bridge.send(&call(id, "t"));
        assert!(bridge.line().contains("\"result\""));
    }
    let forms = world.forms("/token");
    assert_eq!(forms.len(), 3, "{forms:?}");
    assert_ne!(forms[1]["refresh_token"], forms[2]["refresh_token"]);
    assert_eq!(world.opened().len(), 1);
    // A refresh token that is worth nothing leads to a new sign-in.
    world.script().tokens.clear();
    world.script().refreshes.clear();
    bridge.send(&call("4", "t"));
    world.agree(2);
    assert!(bridge.line().contains("\"result\""));
    end(bridge);
}

#[test]
fn c12_the_token_goes_to_no_other_address() {
    let thief = Stub::start(|_, wire| wire.respond(200, &[], b""));
    let world = World::new();
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    world.agree(1);
    bridge.line();
    end(bridge);
    // Another server, the same home.
    let mut bridge = world.bridge_with(&[("FOOTBRIDGE_URL", &thief.url())]);
    bridge.send(&call("1", "t"));
    bridge.line();
    end(bridge);
    assert!(thief.last().header("authorization").is_none());
    // The issuer sees no token of the server's, and nobody but the server sees the access token.
    let requests = world.issuer.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}

#[test]
fn c13_the_wait_is_bounded_and_names_the_way_out() {
    let world = World::new();
    let mut bridge = world.bridge_with(&[("FOOTBRIDGE_SIGN_IN_TIMEOUT", "0.3")]);
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", -31006);
    assert!(
        error["message"].as_str().unwrap().contains("`footbridge login`"),
        "{error}"
    );
    assert_eq!(error["data"]["sent"], false);
    bridge.send(&call("2", "t"));
    bridge.error("2", -31006);
    end(bridge);
    assert_eq!(world.opened().len(), 1, "no browser for each call");
}

#[test]
fn a_setting_keeps_the_browser_shut_but_uses_what_is_kept() {
    let world = World::new();
    let kept = [("FOOTBRIDGE_SIGN_IN", "kept")];
    let mut bridge = world.bridge_with(&kept);
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", -31006);
    assert_eq!(error["data"]["check"], "FB136", "{error}");
    end(bridge);
    assert!(world.opened().is_empty());
    let login = world.start("login", &kept);
    world.agree(1);
    assert!(
        login.join().unwrap().status.success(),
        "a person has asked for it"
    );
    world.script().tokens.clear();
    let mut bridge = world.bridge_with(&kept);
    bridge.send(&call("1", "t"));
    assert!(bridge.line().contains("\"result\""), "renewed");
    end(bridge);
    assert_eq!(world.opened().len(), 1);
}

#[cfg(feature = "setup")]
#[test]
fn doctor_opens_no_browser_and_says_how_to_sign_in() {
    let world = World::new();
    let output = world.start("doctor", &[]).join().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("FB136") && said.contains("run `footbridge login`"),
        "{said}"
    );
    assert!(world.opened().is_empty());
}

#[test]
fn c13_a_cancelled_request_does_not_end_the_sign_in() {
    let world = World::new();
    let mut bridge = world.bridge();
    bridge.send(&crate::harness::modern("1", "tools/call", r#""name":"t","#));
    world.page(1);
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#);
    bridge.send(&crate::harness::modern("2", "tools/call", r#""name":"t","#));
    world.agree(1);
    assert_eq!(bridge.json()["id"], 2);
    end(bridge);
    assert_eq!(world.opened().len(), 1);
}

#[test]
fn login_signs_in_ahead_of_time_and_logout_forgets() {
    let world = World::new();
    let login = world.start("login", &[]);
    world.agree(1);
    let output = login.join().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("signed in to"), "{said}");
    assert_silent(&said);
    let mut bridge = world.bridge();
    bridge.send(&call("1", "t"));
    assert!(bridge.line().contains("\"result\""));
    end(bridge);
    assert_eq!(calls(&world, "t"), [true]);

    let output = world.start("logout", &[]).join().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("signed out"), "{said}");
    assert_eq!(world.forms("/revoke")[0]["token_type_hint"], "refresh_token");
    let left = std::fs::read_dir(world.store()).unwrap();
    assert!(left.flatten().all(|entry| {
        entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "lock")
    }));
    let output = world.start("logout", &[]).join().unwrap();
    assert!(output.status.success(), "nothing to forget is no failure");
}

#[test]
fn login_says_what_stands_in_its_way() {
    let world = World::new();
    for (variables, word) in [
        ([("FOOTBRIDGE_KEY", "fbk_x")], "FOOTBRIDGE_KEY"),
        ([("FOOTBRIDGE_SIGN_IN", "never")], "switched off"),
        ([("FOOTBRIDGE_SIGN_IN_TIMEOUT", "0.2")], "Nobody signed in"),
    ] {
        let output = world.start("login", &variables).join().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(word), "{said}");
    }
    let open = Stub::start(|request, wire| {
        let status = if request.target == "/mcp" { 200 } else { 404 };
        wire.respond(status, &[], b"{}");
    });
    let output = world
        .start("login", &[("FOOTBRIDGE_URL", &open.url())])
        .join()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("offers no sign-in"),
        "{said}"
    );
}
