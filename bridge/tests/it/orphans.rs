//! The host dies without a word: nothing of the bridge may be left (B-05, M-19), and nothing of its memory (security.md B9).

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Bridge, INITIALIZE, LIVENESS, Stub, call, legacy_manners, modern};

/// A host in a shell: starts the bridge, sends it `lines`, writes its process id to stdout, and waits.
const HOST: &str = r#"
mkfifo "$DIRECTORY/in"
"$BRIDGE" <"$DIRECTORY/in" >"$DIRECTORY/out" 2>"$DIRECTORY/err" &
exec 3>"$DIRECTORY/in"
cat "$DIRECTORY/lines" >&3
echo $!
wait
"#;

/// Says whether a process is there. One that has ended and that nobody has waited for is not.
fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap().starts_with(['Z', 'X']))
}

#[test]
fn m19_a_killed_host_leaves_no_orphan_whatever_is_open() {
    let stub = Stub::start(|request, wire| match request.rpc().as_str() {
        "GET" | "subscriptions/listen" | "tools/call" => {
            wire.stream();
            wire.raw(b": open\n\n");
            wire.wait_closed();
        }
        _ => {
            legacy_manners(request, wire);
        }
    });
    let legacy = [
        INITIALIZE.to_owned(),
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
        call("1", "legacy"),
    ];
    kill_host(&stub, &legacy, &["GET", "tools/call"]);
    stub.wait_rpc("DELETE");
    stub.wait_rpc("notifications/cancelled");
    let modern = [
        modern("\"sub\"", "subscriptions/listen", ""),
        modern("2", "tools/call", r#""name":"modern","#),
    ];
    kill_host(&stub, &modern, &["subscriptions/listen", "tools/call"]);
}

/// Starts a host that sends `lines`, kills it when the server has seen `expected`, and waits for the end of the bridge.
fn kill_host(stub: &Stub, lines: &[String], expected: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("lines"), lines.join("\n") + "\n").unwrap();
    let mut host = Command::new("sh")
        .args(["-c", HOST])
        .env("DIRECTORY", directory.path())
        .env("BRIDGE", crate::harness::program())
        .env("FOOTBRIDGE_URL", stub.url())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    let stdout = host.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut pid).unwrap();
    let pid = pid.trim().to_owned();
    for rpc in expected {
        stub.wait_rpc(rpc);
    }
    assert!(is_alive(&pid));
    host.kill().unwrap();
    host.wait().unwrap();
    // What is in flight gets its grace of 2 s; the rest of the wait is for a slow machine.
    let deadline = Instant::now() + LIVENESS;
    while is_alive(&pid) {
        assert!(Instant::now() < deadline, "the bridge outlives its host");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_memory_of_the_bridge_is_its_own() {
    // A process whose memory others may not read belongs to root in /proc, whoever runs it. As root there is no telling, so
    // it then runs as somebody else, from a place that somebody else can read.
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let binary = directory.path().join("footbridge");
    std::fs::copy(crate::harness::program(), &binary).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&binary);
    command
        .env_clear()
        .env("FOOTBRIDGE_URL", stub.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if directory.path().metadata().unwrap().uid() == 0 {
        command.uid(65534);
    }
    let mut bridge = Bridge::spawn(&mut command);
    bridge.send(&call("1", "t"));
    bridge.json();
    let owner = std::fs::metadata(format!("/proc/{}/environ", bridge.pid()))
        .unwrap()
        .uid();
    assert_eq!(owner, 0);
    assert!(bridge.end().status.success());
}
