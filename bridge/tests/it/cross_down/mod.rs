//! A legacy host and a modern server: the rules X-01 to X-36 of protocol.md §4.1, each named by its tests, and the probing of
//! §3.6.

mod batches;
mod events;
mod probing;
mod requests;
mod rounds;
mod tasks;

use serde_json::{Value, json};

use crate::harness::{Bridge, Request, Stub, Wire};

/// What the servers of these tests offer.
const CAPABILITIES: &str = r#"{"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true},"prompts":{},"completions":{},"logging":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

/// A server that speaks the modern era only: it refuses everything else, in the manner of its revision.
fn modern_only(handler: impl Fn(&Request, &mut Wire<'_>) + Send + Sync + 'static) -> Stub {
    Stub::start(move |request, wire| {
        let body = request.json();
        let claim = &body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
        let fine = request.method == "POST"
            && claim == "2026-07-28"
            && request.header("mcp-protocol-version") == Some("2026-07-28")
            && request.header("mcp-method") == body["method"].as_str()
            && request.header("mcp-session-id").is_none()
            && body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"].is_object();
        if !fine {
            let error = format!(
                r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32022,"message":"No.","data":{{"supported":["2026-07-28"]}}}}}}"#,
                request.id()
            );
            return wire.json(400, &error);
        }
        match request.rpc().as_str() {
            "server/discover" => wire.result(request, &discovered(CAPABILITIES)),
            _ => handler(request, wire),
        }
    })
}

/// The result of `server/discover`.
fn discovered(capabilities: &str) -> String {
    format!(
        r#"{{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{capabilities},"instructions":"Be kind.","ttlMs":0,"cacheScope":"private","_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"stub","version":"3"}}}}}}"#
    )
}

/// The `initialize` of a host.
fn initialize(revision: &str, capabilities: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"init","method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{capabilities},"clientInfo":{{"name":"host","version":"9"}}}}}}"#
    )
}

/// A bridge behind which a host of `revision` has been crossed.
fn crossed(stub: &Stub, revision: &str, capabilities: &str) -> Bridge {
    crossed_with(stub, revision, capabilities, &[])
}

fn crossed_with(stub: &Stub, revision: &str, capabilities: &str, variables: &[(&str, &str)]) -> Bridge {
    let mut bridge = Bridge::to_with(stub, variables);
    bridge.send(&initialize(revision, capabilities));
    let answer = bridge.json();
    assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
    bridge.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    bridge
}

/// Any request of a host.
fn request(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

/// The host's answer to a question of the bridge.
fn answer(question: &Value, result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string()
}

/// A complete result of a tool.
const DONE: &str = r#"{"resultType":"complete","content":[{"type":"text","text":"done"}],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"stub","version":"3"}}}"#;

/// Answers a listen request with its acknowledgement of everything asked for and leaves the stream open.
fn acknowledge(request: &Request, wire: &mut Wire<'_>) {
    wire.stream();
    let filter = request.json()["params"]["notifications"].to_string();
    wire.acknowledge(request, &filter);
}

/// Answers what these tests are not about: the listen stream stays silent.
fn manners(request: &Request, wire: &mut Wire<'_>) -> bool {
    if request.rpc() != "subscriptions/listen" {
        return false;
    }
    acknowledge(request, wire);
    wire.wait_closed();
    true
}
