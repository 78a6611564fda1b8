//! How the process starts and ends, and where the key may be.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::harness::{Bridge, Gate, KEY, Stub, call, legacy_manners, modern};

#[test]
fn b05_at_the_end_of_input_what_is_in_flight_may_finish() {
    let gate = Gate::default();
    let held = gate.clone();
    let stub = Stub::start(move |request, wire| {
        if !legacy_manners(request, wire) {
            held.pass();
            wire.result(request, "{}");
        }
    });
    let mut bridge = Bridge::to(&stub);
    bridge.handshake();
    // The last line has no newline.
    bridge.write(call("1", "t").as_bytes());
    bridge.close_stdin();
    stub.wait_rpc("tools/call");
    gate.open();
    let ended = bridge.wait();
    assert!(ended.status.success());
    assert_eq!(ended.lines.len(), 1, "{:?}", ended.lines);
    // Not always the last to arrive: the server's own stream is asked for on another connection.
    stub.wait_rpc("DELETE");
}

#[test]
fn b05_what_does_not_finish_is_cancelled_in_the_manner_of_its_era() {
    let (gone, closed) = (Gate::default(), Gate::default());
    let (saw_gone, saw_closed) = (gone.clone(), closed.clone());
    let stub = Stub::start(move |request, wire| {
        if legacy_manners(request, wire) {
            return;
        }
        wire.wait_closed();
        if request.header("mcp-method").is_some() {
            saw_closed.open();
        } else {
            saw_gone.open();
        }
    });
    let mut legacy = Bridge::to(&stub);
    legacy.handshake();
    legacy.send(&call("1", "legacy"));
    let mut claiming = Bridge::to(&stub);
    claiming.send(&modern("2", "tools/call", r#""name":"modern","#));
    claiming.send(&modern("3", "subscriptions/listen", ""));
    stub.wait_for(|request| request.json()["params"]["name"] == "legacy");
    stub.wait_for(|request| request.json()["params"]["name"] == "modern");
    for bridge in [legacy, claiming] {
        let ended = bridge.end();
        assert!(ended.status.success() && ended.lines.is_empty());
    }
    closed.pass();
    gone.pass();
    let told: Vec<_> = stub
        .requests()
        .into_iter()
        .filter(|request| request.rpc() == "notifications/cancelled")
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].json()["params"]["requestId"], 1);
}

#[test]
fn b05_an_open_listen_stream_does_not_hold_the_process() {
    let stub = Stub::start(|_, wire| {
        wire.stream();
        wire.event(r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}"#);
        wire.wait_closed();
    });
    let mut bridge = Bridge::to(&stub);
    bridge.send(&modern("1", "subscriptions/listen", ""));
    bridge.json();
    let ended = bridge.end();
    assert!(ended.status.success());
    assert!(
        !ended.stderr.contains("waiting for what is in flight"),
        "{}",
        ended.stderr
    );
}

#[test]
fn b05_a_signal_ends_the_process_soon() {
    for signal in ["TERM", "INT"] {
        let stub = Stub::start(|request, wire| {
            if !legacy_manners(request, wire) {
                wire.wait_closed();
            }
        });
        let mut bridge = Bridge::to(&stub);
        bridge.handshake();
        bridge.send(&call("1", "never"));
        stub.wait_rpc("tools/call");
        bridge.signal(signal);
        assert!(bridge.wait().status.success());
        stub.wait_rpc("DELETE");
    }
}

#[test]
fn b05_a_host_that_closes_our_stdout_ends_the_process() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = Command::new(crate::harness::program())
        .env_clear()
        .env("FOOTBRIDGE_URL", stub.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(ours);
    std::io::Write::write_all(&mut stdin, format!("{}\n", call("1", "t")).as_bytes()).unwrap();
    // stdin stays open: only the broken stdout can end it.
    assert!(child.wait().unwrap().success());
}

#[test]
fn sockets_files_and_pipes_all_serve_as_standard_streams() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let bridge = || {
        let mut command = Command::new(crate::harness::program());
        command.env_clear().env("FOOTBRIDGE_URL", stub.url());
        command
    };
    let expected = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n";

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let theirs = std::os::fd::OwnedFd::from(theirs);
    let mut child = bridge()
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs)
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut ours, format!("{}\n", call("1", "t")).as_bytes()).unwrap();
    let mut line = vec![0; expected.len()];
    std::io::Read::read_exact(&mut ours, &mut line).unwrap();
    assert_eq!(line, expected.as_bytes());
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(child.wait().unwrap().success());

    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in"), directory.path().join("out"));
    std::fs::write(&input, call("1", "t")).unwrap();
    let status = bridge()
        .stdin(std::fs::File::open(&input).unwrap())
        .stdout(std::fs::File::create(&output).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(std::fs::read_to_string(&output).unwrap(), expected);
}

#[test]
fn the_key_comes_from_a_file_that_only_its_owner_can_read() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{KEY}\n")).unwrap();
    let path = file.path().to_str().unwrap();
    for (mode, accepted) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_KEY", ""), ("FOOTBRIDGE_KEY_FILE", path)]);
        bridge.send(&call("1", "t"));
        if accepted {
            assert!(bridge.json()["result"].is_object());
            assert_eq!(
                stub.last().header("authorization"),
                Some(&*format!("Bearer {KEY}"))
            );
        } else {
            let error = bridge.error("1", -31006);
            assert_eq!(error["data"]["setting"], "FOOTBRIDGE_KEY_FILE");
            assert!(
                error["message"].as_str().unwrap().contains("chmod 600"),
                "{error}"
            );
        }
    }
    let mut bridge = Bridge::to_with(
        &stub,
        &[("FOOTBRIDGE_KEY", ""), ("FOOTBRIDGE_KEY_FILE", "/nowhere")],
    );
    bridge.send(&call("1", "t"));
    bridge.error("1", -31006);
}

#[test]
fn the_key_comes_from_the_variable_that_is_named_and_from_no_other() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let with = |variables: &[(&str, &str)]| {
        let mut command = Command::new(crate::harness::program());
        command.args(["--key-env", "WORK_KEY"]).env_clear();
        command
            .env("FOOTBRIDGE_URL", stub.url())
            .envs(variables.iter().copied());
        Bridge::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))
    };
    let mut named = with(&[("WORK_KEY", KEY), ("FOOTBRIDGE_KEY", "another")]);
    named.send(&call("1", "t"));
    assert!(named.json()["result"].is_object());
    assert_eq!(
        stub.last().header("authorization"),
        Some(&*format!("Bearer {KEY}"))
    );
    named.end();

    let asked = stub.requests().len();
    for unset in [&[][..], &[("WORK_KEY", ""), ("FOOTBRIDGE_KEY", "another")]] {
        let mut without = with(unset);
        without.send(&call("1", "t"));
        let error = without.error("1", -31006);
        assert_eq!(error["data"]["setting"], "WORK_KEY");
        let ended = without.wait();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("WORK_KEY env var is required"),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(stub.requests().len(), asked, "nothing is sent without the key");

    let mut broken = with(&[("WORK_KEY", "YOUR_KEY")]);
    broken.send(&call("1", "t"));
    let error = broken.error("1", -31006);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("WORK_KEY still holds the sample text"),
        "{error}"
    );
}

#[test]
fn a_key_that_cannot_be_sent_is_refused_without_being_shown() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let mut bridge = Bridge::to_with(&stub, &[("FOOTBRIDGE_KEY", &format!("{KEY}\r\nX-Evil: 1"))]);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.error("1", -31006)["data"]["setting"], "FOOTBRIDGE_KEY");
    bridge.end();
    assert_eq!(stub.requests().len(), 0);
}

#[test]
fn the_key_is_not_on_the_command_line() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let bridge = Bridge::to(&stub);
    let line = std::fs::read(format!("/proc/{}/cmdline", bridge.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&line).contains(KEY));
    let refused = Command::new(crate::harness::program())
        .args(["--key", KEY])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stdout.is_empty());
    assert!(!String::from_utf8_lossy(&refused.stderr).contains(KEY));
}

#[test]
fn help_and_version_are_printed() {
    let run = |flag: &str| {
        Command::new(crate::harness::program())
            .arg(flag)
            .output()
            .unwrap()
    };
    let version = run("--version");
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("footbridge {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = run("--help");
    assert!(help.status.success());
    assert_eq!(
        String::from_utf8(help.stdout).unwrap(),
        include_str!("../golden/help.txt")
    );
}
