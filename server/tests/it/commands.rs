//! Local programs as tools: real ones, well-behaved and hostile, run by the real binary (security.md X1–X3).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::{HANGS, House};

/// A house whose tools are programs, and the folder that they leave marks in.
struct Workshop {
    house: House,
    key: String,
    folder: TempDir,
}

/// A tool: its name, its settings, and the Python that it is.
type Row = (&'static str, &'static str, &'static str);

impl Workshop {
    async fn with(rows: &[Row]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text =
            "format = 1\n[edition]\nname = \"test\"\ntitle = \"Workshop\"\ninstructions = \"Programs.\"\n\
                        key_prefix = \"test_\"\nbare_path = \"/mcp\"\n[scopes.\"t:read\"]\ntitle = \"Read\"\n"
                .to_owned();
        for (name, settings, program) in rows {
            let script = folder.path().join(format!("{name}.py"));
            std::fs::write(&script, program).unwrap();
            // What stands before the program's own table: the effect, and a policy where there is one.
            let (row, settings): (Vec<&str>, Vec<&str>) = settings
                .lines()
                .partition(|line| line.starts_with("effect") || line.starts_with("policy"));
            let (effect, settings) = (row.join("\n"), settings.join("\n"));
            text.push_str(&format!(
                "[[tool]]\nname = \"{name}\"\nscope = \"t:read\"\n{effect}\n\
                 input_schema = '{{\"type\":\"object\"}}'\n\
                 [tool.command]\nargv = [\"/usr/bin/python3\", \"-I\", \"{}\", \"{}\"]\n{settings}\n",
                script.display(),
                folder.path().display(),
            ));
        }
        let house = House::serving(&text).await;
        let key = house.key("t:read").await;
        Self { house, key, folder }
    }

    async fn call(&self, tool: &str, arguments: Value) -> Value {
        let reply = self.house.call(&self.key, tool, arguments).send().await;
        reply.json()
    }

    /// What the tool error says.
    async fn refused(&self, tool: &str) -> String {
        let answer = self.call(tool, json!({})).await;
        let text = answer["result"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Process ids that a program left, one a line.
    fn marks(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.folder.path().join("marks")).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

fn runs(id: u32) -> bool {
    Path::new(&format!("/proc/{id}/stat")).exists() && {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        !stat.rsplit(") ").next().unwrap_or_default().starts_with('Z')
    }
}

/// Waits until none of these processes runs: what is killed needs a moment to be gone.
async fn all_gone(ids: &[u32]) {
    let gone = async {
        while ids.iter().any(|id| runs(*id)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let left = || ids.iter().filter(|id| runs(**id)).collect::<Vec<_>>();
    tokio::time::timeout(HANGS, gone)
        .await
        .unwrap_or_else(|_| panic!("still running: {:?}", left()));
}

const READ: &str = "effect = \"read\"";

#[tokio::test]
async fn json_goes_in_and_json_comes_out() {
    let echo = "import json, sys\nprint(json.dumps({'got': json.load(sys.stdin), 'argc': len(sys.argv)}))\n";
    let workshop = Workshop::with(&[
        ("echo", READ, echo),
        ("deaf", READ, "print('{\"ok\": true}')\n"),
        (
            "sorry",
            READ,
            "print('{\"error\": \"no such lead; list them first\"}')\nraise SystemExit(3)\n",
        ),
        (
            "crash",
            READ,
            "import sys\nprint('a secret', file=sys.stderr)\nraise SystemExit(1)\n",
        ),
        ("prose", READ, "print('all is well')\n"),
        ("array", READ, "print('[1]')\n"),
        (
            "binary",
            READ,
            "import sys\nsys.stdout.buffer.write(bytes(range(256)))\n",
        ),
        ("silent", READ, "import os\nos.close(1)\n"),
    ])
    .await;
    // What would mean something to a shell, or to a program's options, is only data.
    for text in [
        "; touch x",
        "$(id)",
        "`id`",
        "--help",
        "-rf",
        "a\nb",
        "'\"\\",
        "ä",
    ] {
        let answer = workshop.call("echo", json!({ "text": text })).await;
        let got = &answer["result"]["structuredContent"];
        assert_eq!(got, &json!({ "got": { "text": text }, "argc": 2 }), "{answer}");
    }
    let large = "x".repeat(200 * 1024);
    let answer = workshop.call("echo", json!({ "text": large })).await;
    assert_eq!(answer["result"]["structuredContent"]["got"]["text"], large);
    // A program that reads nothing may be told more than a pipe holds.
    let answer = workshop.call("deaf", json!({ "text": large })).await;
    assert_eq!(
        answer["result"]["structuredContent"],
        json!({ "ok": true }),
        "{answer}"
    );
    assert_eq!(
        workshop.refused("sorry").await,
        "422 Unprocessable: no such lead; list them first"
    );
    for broken in ["crash", "prose", "array", "binary", "silent"] {
        let reply = workshop.house.call(&workshop.key, broken, json!({})).send().await;
        assert_eq!(reply.outcome(), (500, Some(-32603)), "{broken}: {reply:?}");
        assert!(!reply.text().contains("secret"));
    }
}

#[tokio::test]
async fn a_program_sees_nothing_of_the_server() {
    let look = r#"
import json, os, resource, sys
status = dict(line.split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
limits = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0] for name in ["AS", "CORE", "FSIZE", "NOFILE", "CPU"]}
print(json.dumps({
    "env": dict(os.environ), "folder": os.getcwd(), "left": os.listdir("."), "limits": limits,
    "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
    "no_new_privileges": status["NoNewPrivs"].strip(), "group": os.getpgrp(), "server": int(os.environ.get("NONE", "0")),
}))
"#;
    let workshop = Workshop::with(&[(
        "look",
        "effect = \"read\"\nenv = [\"HOME\"]\nmemory_mib = 256\nfile_mib = 1\ntimeout_s = 20",
        look,
    )])
    .await;
    let seen = workshop.call("look", json!({})).await;
    let seen = &seen["result"]["structuredContent"];
    let env: Vec<&String> = seen["env"]
        .as_object()
        .unwrap_or_else(|| panic!("{seen}"))
        .keys()
        .collect();
    // Python sets LC_CTYPE for itself where no locale is.
    let own: Vec<_> = env.into_iter().filter(|name| *name != "LC_CTYPE").collect();
    assert!(own.iter().all(|name| *name == "HOME"), "{seen}");
    assert_eq!(seen["left"], json!([]), "an empty folder: {seen}");
    assert_eq!(seen["descriptors"], json!([0, 1, 2]), "{seen}");
    assert_eq!(seen["no_new_privileges"], "1");
    let mib = 1024 * 1024;
    assert_eq!(
        seen["limits"],
        json!({ "AS": 256 * mib, "CORE": 0, "FSIZE": mib, "NOFILE": 64, "CPU": 21 })
    );
    let own_group = std::fs::read_to_string("/proc/self/stat").unwrap();
    let own_group = own_group
        .rsplit(") ")
        .next()
        .unwrap()
        .split(' ')
        .nth(2)
        .unwrap()
        .to_owned();
    assert_ne!(seen["group"].to_string(), own_group);
    let folder = PathBuf::from(seen["folder"].as_str().unwrap());
    assert!(!folder.exists(), "the folder goes with the program");
}

/// Leaves its own id and those of two children: one in the group, one that left group and session.
const FAMILY: &str = r#"
import os, sys, time
def mark():
    with open(sys.argv[1] + "/marks", "a") as marks:
        marks.write(f"{os.getpid()}\n")
for leave in [False, True]:
    if os.fork() == 0:
        if leave:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
        mark()
        time.sleep(600)
mark()
while len(open(sys.argv[1] + "/marks").readlines()) < 3:
    time.sleep(0.01)
"#;

#[tokio::test]
async fn whatever_a_program_started_ends_with_it() {
    let slow = format!("{FAMILY}time.sleep(600)\n");
    let done = format!("{FAMILY}print('{{}}', flush=True)\nos._exit(0)\n");
    let deaf = format!("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{slow}");
    let rows = [
        ("slow", "effect = \"read\"\ntimeout_s = 2", slow),
        ("deaf", "effect = \"read\"\ntimeout_s = 2", deaf),
        ("done", READ, done),
    ];
    for (name, settings, program) in rows {
        let program: &'static str = Box::leak(program.into_boxed_str());
        let workshop = Workshop::with(&[(name, settings, program)]).await;
        let answer = workshop.call(name, json!({})).await;
        let result = &answer["result"];
        if name == "done" {
            assert_eq!(result["structuredContent"], json!({}), "{answer}");
        } else {
            let text = result["content"][0]["text"].as_str().unwrap();
            assert!(text.contains("took longer than 2 s"), "{text}");
        }
        let ids = workshop.marks();
        assert_eq!(ids.len(), 3);
        all_gone(&ids).await;
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_program() {
    let slow: &'static str = Box::leak(format!("{FAMILY}time.sleep(600)\n").into_boxed_str());
    let workshop = Workshop::with(&[("slow", "effect = \"read\"\ntimeout_s = 40", slow)]).await;
    let stream = workshop.house.call(&workshop.key, "slow", json!({})).open().await;
    let marks = workshop.folder.path().join("marks");
    let begun = async {
        while std::fs::read_to_string(&marks)
            .unwrap_or_default()
            .lines()
            .count()
            < 3
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(HANGS, begun)
        .await
        .expect("the program starts");
    drop(stream);
    all_gone(&workshop.marks()).await;
}

#[tokio::test]
async fn floods_and_bombs_are_stopped() {
    let bomb = r#"
import os, sys, time
for _ in range(200):
    if os.fork() == 0:
        with open(sys.argv[1] + "/marks", "a") as marks:
            marks.write(f"{os.getpid()}\n")
        time.sleep(600)
time.sleep(600)
"#;
    let workshop = Workshop::with(&[
        (
            "flood",
            READ,
            "import sys\nwhile True: sys.stdout.write('x' * 65536)\n",
        ),
        (
            "complaints",
            READ,
            "import sys\nfor _ in range(99): sys.stderr.write('x' * 65536)\nprint('{}')\n",
        ),
        ("greedy", READ, "x = bytearray(2 * 1024 ** 3)\nprint('{}')\n"),
        (
            "hoarder",
            "effect = \"read\"\nfile_mib = 1",
            "open('x', 'wb').write(bytes(2 * 1024 ** 2))\nprint('{}')\n",
        ),
        ("bomb", "effect = \"read\"\nprocesses = 8\ntimeout_s = 20", bomb),
    ])
    .await;
    let flooded = workshop.refused("flood").await;
    assert!(flooded.contains("answered more than 256 KiB"), "{flooded}");
    let complained = workshop.call("complaints", json!({})).await;
    assert_eq!(
        complained["result"]["structuredContent"],
        json!({}),
        "{complained}"
    );
    for stopped in ["greedy", "hoarder", "bomb"] {
        let reply = workshop
            .house
            .call(&workshop.key, stopped, json!({}))
            .send()
            .await;
        assert_eq!(reply.outcome(), (500, Some(-32603)), "{stopped}: {reply:?}");
    }
    all_gone(&workshop.marks()).await;
}

#[tokio::test]
async fn a_program_that_changes_something_is_previewed() {
    let work = "import json, sys\ngot = json.load(sys.stdin)\nopen(sys.argv[1] + '/made', 'a').write(got['name'])\n\
                print(json.dumps({'made': got['name']}))\n";
    let workshop = Workshop::with(&[("make", "effect = \"create\"\npolicy = \"confirm\"", work)]).await;
    let made = workshop.folder.path().join("made");
    let mut arguments = json!({ "name": "x" });
    let legacy = async |arguments: &Value| {
        let params = json!({ "name": "make", "arguments": arguments });
        let post = workshop
            .house
            .legacy(&workshop.key, "2025-11-25", "tools/call", params);
        post.send().await.json()["result"]["structuredContent"].clone()
    };
    let preview = legacy(&arguments).await;
    assert_eq!(preview["status"], "confirmation_required", "{preview}");
    assert_eq!(preview["preview"]["changes"][0]["to"], "x", "{preview}");
    assert!(!made.exists(), "nothing runs for a preview");
    arguments["confirmation_token"] = preview["confirmation_token"].clone();
    let done = legacy(&arguments).await;
    assert_eq!(done["result"], json!({ "made": "x" }), "{done}");
    let again = legacy(&arguments).await;
    assert_eq!(again["replayed"], true, "{again}");
    assert_eq!(std::fs::read_to_string(made).unwrap(), "x", "once");
}
