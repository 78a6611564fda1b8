//! The README's walk over one's own API, by its own commands: the sample API as a program, the server as another, and a client.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::process::{Place, Server};

const README: &str = include_str!("../../../README.md");
const CATALOGUE: &str = include_str!("../../examples/leads-api/leads.toml");
/// Where the README and its file expect the sample API.
const ADDRESS: &str = "127.0.0.1:8077";
/// What the sample API asks for.
const TOKEN: (&str, &str) = ("Authorization", "Bearer sample");

/// The commands of the section, without their comments.
fn commands() -> Vec<&'static str> {
    let section = README.split_once("\n## Your own API as tools\n").unwrap().1;
    let block = section
        .split_once("```sh\n")
        .unwrap()
        .1
        .split_once("\n```")
        .unwrap()
        .0;
    block
        .lines()
        .map(|line| line.split('#').next().unwrap().trim())
        .collect()
}

/// The sample API, which `cargo test` builds together with the tests; when one test is asked for alone, it may not be there yet.
fn sample_api() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_footbridge-server"))
        .parent()
        .unwrap();
    let program = folder
        .join("examples")
        .join(format!("leads-api{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "footbridge-server",
            "--example",
            "leads-api",
        ]);
        assert!(
            build.status().unwrap().success(),
            "the sample API could not be built"
        );
    }
    program
}

/// A running pair, and what a person of the README holds.
struct Walk {
    place: Place,
    api: Server,
    server: Server,
    key: String,
}

impl Walk {
    fn start() -> Self {
        let commands = commands();
        let [run_api, exports, mint, serve] = commands.as_slice() else {
            panic!("the section has other commands than four: {commands:?}");
        };
        assert_eq!(*run_api, "cargo run --example leads-api &");
        let mut api = Command::new(sample_api());
        api.arg("0");
        let api = Server::start(api);

        let place = Place::new();
        let file = place.path().join("leads.toml");
        assert!(CATALOGUE.contains(ADDRESS), "the sample's address");
        std::fs::write(&file, CATALOGUE.replace(ADDRESS, &api.address)).unwrap();
        let exports = exports.replace(
            "server/examples/leads-api/leads.toml",
            &file.display().to_string(),
        );
        assert!(exports.contains(&file.display().to_string()), "{exports}");
        let shell = |line: &str| {
            let ours = Path::new(env!("CARGO_BIN_EXE_footbridge-server"));
            let path = std::env::var("PATH").unwrap_or_default();
            let mut command = Command::new("sh");
            command
                .args(["-euc", &format!("{exports}\n{line}")])
                .env("PATH", format!("{}:{path}", ours.parent().unwrap().display()))
                .env("FOOTBRIDGE_DATA", place.data())
                .env_remove("FOOTBRIDGE_STORE")
                .env_remove("FOOTBRIDGE_CONFIG")
                .stdin(Stdio::null());
            command
        };
        let minted = shell(mint).output().unwrap();
        assert!(minted.status.success(), "{minted:?}");
        let key = String::from_utf8(minted.stdout).unwrap().trim().to_owned();
        let server = Server::start(shell(&format!("exec {serve} --listen 127.0.0.1:0")));
        Self {
            place,
            api,
            server,
            key,
        }
    }

    /// What a tool answers.
    fn call(&self, tool: &str, arguments: &Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        let reply = self
            .server
            .legacy_at("/leads/mcp", &self.key, "tools/call", params);
        assert!(reply["result"].is_object(), "{tool}: {reply}");
        reply["result"].clone()
    }

    /// What a tool answers that must succeed.
    fn done(&self, tool: &str, arguments: &Value) -> Value {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], true, "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// The lead as the API itself has it.
    fn lead(&self) -> Value {
        let reply = self.api.request("GET", "/v1/leads/1", &[TOKEN], "");
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }
}

#[test]
fn the_leads_of_the_readme_are_listed_previewed_and_changed_once() {
    let walk = Walk::start();
    let listed = walk.done("list_leads", &json!({}));
    assert!(listed.to_string().contains("Ada Byron"), "{listed}");

    let mut change = json!({ "id": "1", "status": "won" });
    let preview = walk.done("update_lead", &change);
    let shown = preview["preview"].to_string();
    assert!(shown.contains("new") && shown.contains("won"), "{preview}");
    let before = json!({ "id": "1", "name": "Ada Byron", "status": "new", "version": 1 });
    assert_eq!(walk.lead(), before, "a preview changes nothing");

    change["confirmation_token"] = preview["confirmation_token"].clone();
    walk.done("update_lead", &change);
    let after = json!({ "id": "1", "name": "Ada Byron", "status": "won", "version": 2 });
    assert_eq!(walk.lead(), after);
    walk.done("update_lead", &change);
    assert_eq!(walk.lead(), after, "one token is one change");

    // Somebody else is faster: what was agreed to is not what would happen.
    let mut change = json!({ "id": "1", "status": "working" });
    let preview = walk.done("update_lead", &change);
    let headers = [TOKEN, ("Content-Type", "application/json")];
    let other = walk
        .api
        .request("PATCH", "/v1/leads/1", &headers, r#"{"name":"Ada Lovelace"}"#);
    assert_eq!(other.status, 200, "{other:?}");
    change["confirmation_token"] = preview["confirmation_token"].clone();
    walk.call("update_lead", &change);
    let theirs = json!({ "id": "1", "name": "Ada Lovelace", "status": "won", "version": 3 });
    assert_eq!(walk.lead(), theirs);

    let whole = walk.place.ok(&["audit", "verify"]);
    assert!(whole.contains("whole"), "{whole}");
}
