//! The real binary on a data folder of its own, and a client that speaks to it over a plain socket.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, mpsc},
    time::Duration,
};

use footbridge_server::store::StoreUrl;
use serde_json::{Value, json};

/// A folder for one test's data, with the commands that work on it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    store: Option<String>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            store: None,
        }
    }

    /// The same, with its rows in another store than the embedded one.
    pub(crate) fn on(store: &StoreUrl) -> Self {
        let store = match store {
            StoreUrl::Sqlite(path) => path.display().to_string(),
            StoreUrl::Postgres(url) => url.clone(),
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            store: Some(store),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// A note in the folder that tests add as a source.
    pub(crate) fn note(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join("notes").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The configuration file of all commands, once a test has written one.
    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_footbridge-server"));
        command
            .env_remove("FOOTBRIDGE_KEY")
            .env("FOOTBRIDGE_DATA", self.data())
            .stdin(Stdio::null());
        match &self.store {
            Some(url) => command.env("FOOTBRIDGE_STORE", url),
            None => command.env_remove("FOOTBRIDGE_STORE"),
        };
        match self.config().exists() {
            true => command.env("FOOTBRIDGE_CONFIG", self.config()),
            false => command.env_remove("FOOTBRIDGE_CONFIG"),
        };
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// The stdout of a command that must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The stderr of a command that must fail.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn key(&self, scopes: &str) -> String {
        let minted = self.ok(&[
            "key",
            "mint",
            "--edition",
            "context",
            "--scopes",
            scopes,
            "--rate-per-minute",
            "100000",
            "--json",
        ]);
        serde_json::from_str::<Value>(&minted).unwrap()["key"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn serve(&self) -> Server {
        let mut command = self.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        Server::start(command)
    }
}

/// A running server, killed when the test ends.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    printed: Mutex<mpsc::Receiver<String>>,
}

/// An HTTP reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut named = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

impl Server {
    /// Starts a program that prints the URL at which it listens.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (sender, printed) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Nobody reads any more once the test is over.
                let _ = sender.send(line);
            }
        });
        let mut server = Self {
            child,
            address: String::new(),
            printed: Mutex::new(printed),
        };
        let line = server.printed_until("http://");
        let address = line.split_once("http://").unwrap().1.split('/').next();
        server.address = address.unwrap().to_owned();
        server
    }

    /// The next line on stdout that holds `part`.
    pub(crate) fn printed_until(&self, part: &str) -> String {
        loop {
            let line = self.printed.lock().unwrap().recv_timeout(Duration::from_secs(20));
            let line = line.unwrap_or_else(|_| panic!("the server did not print `{part}`"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Sends one request with exactly these headers besides those that HTTP needs.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        socket.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// A bare JSON-RPC call: bearer and content type, nothing else.
    pub(crate) fn bare(&self, key: &str, tool: &str, arguments: Value) -> Reply {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}});
        let bearer = format!("Bearer {key}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
        ];
        self.request("POST", "/mcp", &headers, &body.to_string())
    }

    /// A request as an MCP client of 2025-11-25 sends it after its handshake.
    pub(crate) fn legacy(&self, key: &str, method: &str, params: Value) -> Value {
        self.legacy_at("/context/mcp", key, method, params)
    }

    /// The same at another endpoint.
    pub(crate) fn legacy_at(&self, endpoint: &str, key: &str, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let bearer = format!("Bearer {key}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2025-11-25"),
        ];
        self.request("POST", endpoint, &headers, &body.to_string()).json()
    }

    /// The `structuredContent` of a call that must succeed.
    pub(crate) fn call(&self, key: &str, tool: &str, arguments: Value) -> Value {
        let reply = self.legacy(key, "tools/call", json!({"name": tool, "arguments": arguments}));
        let result = &reply["result"];
        assert_ne!(result["isError"], true, "{tool}: {reply}");
        result["structuredContent"].clone()
    }

    /// The text of a call that must fail with a tool error.
    pub(crate) fn call_fails(&self, key: &str, tool: &str, arguments: Value) -> String {
        let reply = self.legacy(key, "tools/call", json!({"name": tool, "arguments": arguments}));
        assert_eq!(reply["result"]["isError"], true, "{tool}: {reply}");
        reply["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Sends the process a signal, e.g. `-HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Asks the server to stop, and waits for it: how it ended, and what it printed that nobody read yet.
    pub(crate) fn terminate_and_read(mut self) -> (std::process::ExitStatus, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let rest: Vec<_> = self.printed.lock().unwrap().iter().collect();
        (status, rest.join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
