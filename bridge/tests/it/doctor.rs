//! `doctor`: what it says about each step, and its exit code (clients.md §6).

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{KEY, Request, Stub, Wire, legacy_manners};

fn doctor(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let output = Command::new(crate::harness::program())
        .arg("doctor")
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    for text in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(text).contains(KEY), "the key was shown");
    }
    output
}

/// The document, after a check that its verdict and the exit code agree.
fn report(variables: &[(&str, &str)]) -> Value {
    let output = doctor(&["--json"], variables);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], output.status.success(), "{report}");
    report
}

/// The code of the first failure.
fn failure(variables: &[(&str, &str)]) -> String {
    let report = report(variables);
    let failed = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["outcome"] == "fail");
    let failed = failed.unwrap_or_else(|| panic!("nothing failed: {report}"));
    for member in ["message", "why", "fix"] {
        assert!(
            failed[member].as_str().is_some_and(|text| !text.is_empty()),
            "{failed}"
        );
    }
    failed["code"].as_str().unwrap().to_owned()
}

/// A server that answers the handshake and lists two pages of tools.
pub(crate) fn listing() -> Stub {
    Stub::start(|request, wire| {
        if request.rpc() == "initialize" {
            wire.handshake(request, "2025-11-25", r#"{"tools":{}}"#);
        } else if request.rpc() == "tools/list" {
            let second = String::from_utf8_lossy(&request.body).contains("cursor");
            let next = if second { "" } else { r#","nextCursor":"2""# };
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"tools":[{{"name":"a","inputSchema":{{"type":"object"}}}}]{next}}}}}"#,
                request.id()
            );
            wire.respond(200, &["content-type: application/json"], body.as_bytes());
        } else if !legacy_manners(request, wire) {
            wire.respond(404, &[], b"");
        }
    })
}

#[test]
fn a_working_setup_is_called_one() {
    let stub = listing();
    let output = doctor(&[], &[("FOOTBRIDGE_URL", &stub.url()), ("FOOTBRIDGE_KEY", KEY)]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("2 tools") && text.contains("Everything works."),
        "{text}"
    );
    assert_eq!(stub.count("tools/call"), 0);
}

#[test]
fn each_wrong_setting_has_its_code() {
    let stub = listing();
    let url = stub.url();
    assert_eq!(failure(&[]), "FB101");
    assert_eq!(failure(&[("FOOTBRIDGE_URL", "mcp.example.com")]), "FB102");
    assert_eq!(
        failure(&[("FOOTBRIDGE_URL", "http://mcp.example.com/mcp")]),
        "FB103"
    );
    assert_eq!(
        failure(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_KEY", "${FOOTBRIDGE_KEY}")]),
        "FB112"
    );
    assert_eq!(
        failure(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_KEY", "YOUR_KEY")]),
        "FB113"
    );
    assert_eq!(
        failure(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_KEY", "hoard_sk_short")]),
        "FB116"
    );
    assert_eq!(
        failure(&[
            ("FOOTBRIDGE_URL", &url),
            ("FOOTBRIDGE_KEY_FILE", "/nonexistent/key")
        ]),
        "FB117"
    );
}

#[test]
fn fb115_a_token_of_another_kind_is_refused_before_it_is_sent() {
    let stub = listing();
    let report = report(&[
        ("FOOTBRIDGE_URL", &stub.url()),
        ("FOOTBRIDGE_KEY", "fba_0123456789"),
    ]);
    let said = report.to_string();
    assert!(
        said.contains("FB115") && said.contains("This is an admin token (fba_…), not an access key (hmcp_…)"),
        "{said}"
    );
    assert!(!said.contains("0123456789"), "the token was shown");
    assert_eq!(stub.count("initialize"), 0);
}

/// A modern server with tools whose subscriptions are for `listen`.
fn modern(listen: impl Fn(&Request, &mut Wire<'_>) + Send + Sync + 'static) -> Stub {
    Stub::start(move |request, wire| {
        match request.rpc().as_str() {
        "server/discover" => wire.result(
            request,
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"public"}"#,
        ),
        "subscriptions/listen" => listen(request, wire),
        _ => wire.result(
            request,
            r#"{"resultType":"complete","tools":[],"ttlMs":0,"cacheScope":"public"}"#,
        ),
    }
    })
}

/// What was found about the way of the events.
fn response_path(stub: &Stub) -> Option<Value> {
    let report = report(&[("FOOTBRIDGE_URL", &stub.url()), ("FOOTBRIDGE_KEY", KEY)]);
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["step"] == "response path")
        .cloned()
}

#[test]
fn fb142_a_stream_that_is_held_back_on_its_way_is_found() {
    let live = modern(|request, wire| {
        wire.stream();
        wire.acknowledge(request, r#"{"toolsListChanged":true}"#);
        wire.wait_closed();
    });
    assert_eq!(response_path(&live).unwrap()["outcome"], "ok");
    // A proxy that gathers sends nothing, not even the head, before the reply ends.
    let held = modern(|_, wire| wire.wait_closed());
    let found = response_path(&held).unwrap();
    assert_eq!(
        (&found["code"], &found["outcome"]),
        (&"FB142".into(), &"fail".into())
    );
    assert_eq!(
        found["message"],
        "The reply was buffered for 5 s: a reverse proxy holds back the event stream. nginx: proxy_buffering off;"
    );
    assert_eq!(
        response_path(&listing()),
        None,
        "a server of the handshake era has no such stream"
    );
}

#[test]
fn a_key_in_quotes_is_a_remark_not_a_failure() {
    let stub = listing();
    let quoted = format!("\"Bearer {KEY}\"");
    let report = report(&[("FOOTBRIDGE_URL", &stub.url()), ("FOOTBRIDGE_KEY", &quoted)]);
    assert_eq!(report["ok"], true, "{report}");
    assert!(report.to_string().contains("FB114"), "{report}");
    assert_eq!(stub.last().headers["authorization"], format!("Bearer {KEY}"));
}

#[test]
fn each_refusal_of_the_server_has_its_code() {
    for (status, headers, body, code) in [
        (401, "x: y", "", "FB131"),
        (
            403,
            r#"www-authenticate: Bearer error="insufficient_scope", scope="a:read""#,
            "",
            "FB133",
        ),
        (404, "x: y", "", "FB134"),
        (405, "x: y", "", "FB134"),
        (503, "retry-after: 90", "", "FB135"),
        (200, "content-type: text/html", "<html>", "FB104"),
    ] {
        let stub = Stub::start(move |_, wire| wire.respond(status, &[headers], body.as_bytes()));
        assert_eq!(
            failure(&[("FOOTBRIDGE_URL", &stub.url()), ("FOOTBRIDGE_KEY", KEY)]),
            code,
            "{status}"
        );
    }
    let stub = Stub::start(|_, wire| wire.respond(401, &[], b""));
    assert_eq!(failure(&[("FOOTBRIDGE_URL", &stub.url())]), "FB111");
}

#[test]
fn nobody_listening_is_told_from_no_such_name() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{closed}/mcp");
    assert_eq!(failure(&[("FOOTBRIDGE_URL", &url)]), "FB122");
    assert_eq!(
        failure(&[("FOOTBRIDGE_URL", "https://no-such-host.invalid/mcp")]),
        "FB121"
    );
}
