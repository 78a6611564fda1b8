//! `floor` and `stub`: the least a server of this protocol can be.
//!
//! In: POSTs of JSON-RPC. Out: replies of a given size. Plain hyper for the HTTP, serde_json for the body, nothing else:
//! no key, no scope, no schema, no audit. As the *floor* it stands beside our server with the very bytes of our replies;
//! as the *stub* it stands behind a bridge and can also wait and send big replies. What is asked for under `/v1/` it answers
//! as a REST API does.

use crate::wire::{Failure, LEGACY};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// How a floor is set up.
#[derive(Default)]
pub(crate) struct Options {
    /// Address, `127.0.0.1:0` for any port.
    pub(crate) listen: String,
    /// Worker threads; 1 is a single-threaded runtime.
    pub(crate) threads: usize,
    /// File with the `result` of `tools/list`.
    pub(crate) list_file: Option<PathBuf>,
    /// Tool and the file with the `result` of a call of it; a call of any other tool is the stub's.
    pub(crate) replies: Vec<(String, PathBuf)>,
    /// File with what a `tools/list` is refused with, as HTTP 401: nobody looks at its token.
    pub(crate) refusal_file: Option<PathBuf>,
    /// Bytes of the made-up list where no file is given.
    pub(crate) list_bytes: usize,
    /// Refuses the modern era, as a server of the handshake era does.
    pub(crate) legacy_only: bool,
    /// Certificate and key in PEM; TLS with them, plain HTTP without.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
}

/// What a REST API answers, whatever is asked of it.
const LEAD: &[u8] = br#"{"id":"7","name":"Ada Byron","status":"new","company":"Analytical Engines"}"#;

/// What is sent, prepared once.
struct Canned {
    list: Box<RawValue>,
    refusal: Option<Bytes>,
    replies: Vec<(String, Box<RawValue>)>,
    legacy_only: bool,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: &'a str,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<&'a str>,
}

#[derive(Serialize)]
struct Reply<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
}

/// Arguments the stub's tools read.
#[derive(Deserialize, Default)]
struct Arguments {
    #[serde(default)]
    text: String,
    #[serde(default)]
    wait_ms: u64,
    #[serde(default)]
    bytes: usize,
}

/// Serves until the process is ended.
pub(crate) fn serve(options: Options) -> Result<(), Failure> {
    let runtime = match options.threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?,
        threads => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?,
    };
    runtime.block_on(accept(options))
}

async fn accept(options: Options) -> Result<(), Failure> {
    let read = |file: &PathBuf| -> Result<Box<RawValue>, Failure> {
        let text =
            std::fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
        Ok(RawValue::from_string(text)?)
    };
    let canned = Arc::new(Canned {
        list: match &options.list_file {
            Some(file) => read(file)?,
            None => RawValue::from_string(made_up_list(options.list_bytes)?)?,
        },
        refusal: options
            .refusal_file
            .as_ref()
            .map(|file| std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display())))
            .transpose()?
            .map(Bytes::from),
        replies: options
            .replies
            .iter()
            .map(|(tool, file)| Ok((tool.clone(), read(file)?)))
            .collect::<Result<Vec<_>, Failure>>()?,
        legacy_only: options.legacy_only,
    });
    let tls = options
        .tls
        .as_ref()
        .map(|(certificate, key)| crate::tls::acceptor(certificate, key))
        .transpose()?;
    let address: SocketAddr = options
        .listen
        .parse()
        .map_err(|e| format!("--listen {}: {e}", options.listen))?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| format!("cannot listen on {address}: {e}"))?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let canned = Arc::clone(&canned);
        match tls.clone() {
            None => drop(tokio::spawn(converse(stream, canned))),
            Some(tls) => drop(tokio::spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    converse(stream, canned).await;
                }
            })),
        }
    }
}

/// One connection, from its first request to its last.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, canned: Arc<Canned>) {
    let service = service_fn(move |request| {
        let canned = Arc::clone(&canned);
        async move { Ok::<_, Infallible>(answer(request, &canned).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    // A peer that goes away ends the conversation; nobody is to be told.
    let _ = builder
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, canned: &Canned) -> Response<Full<Bytes>> {
    if request.method() == Method::GET && request.uri().path().starts_with("/v1/") {
        return written(Bytes::from_static(LEAD));
    }
    if request.method() != Method::POST {
        let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let Ok(body) = request.into_body().collect().await else {
        return status(StatusCode::BAD_REQUEST);
    };
    let body = body.to_bytes();
    let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
        return status(StatusCode::BAD_REQUEST);
    };
    let Some(id) = message.id else {
        return status(StatusCode::ACCEPTED);
    };
    let params = message.params.as_ref();
    let modern = params
        .and_then(|p| p.meta.as_ref())
        .is_some_and(|meta| meta.version.is_some());
    if modern && canned.legacy_only {
        return json(id, None, Some(r#"{"code":-32601,"message":"Method not found"}"#));
    }
    match message.method {
        "tools/call" => {
            let tool = params.and_then(|p| p.name).unwrap_or_default();
            if let Some((_, reply)) = canned.replies.iter().find(|(name, _)| name == tool) {
                return write(&Reply {
                    jsonrpc: "2.0",
                    id,
                    result: Some(reply),
                    error: None,
                });
            }
            let arguments = params
                .and_then(|p| p.arguments)
                .and_then(|text| serde_json::from_str(text.get()).ok());
            call(id, tool, arguments.unwrap_or_default(), modern).await
        }
        "tools/list" if let Some(refusal) = &canned.refusal => {
            let mut response = written(refusal.clone());
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response
        }
        "tools/list" => write(&Reply {
            jsonrpc: "2.0",
            id,
            result: Some(&canned.list),
            error: None,
        }),
        "initialize" => json(
            id,
            Some(&format!(
                r#"{{"protocolVersion":"{LEGACY}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"floor","version":"0"}}}}"#
            )),
            None,
        ),
        "server/discover" if modern => json(
            id,
            Some(
                r#"{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"floor","version":"0"}}}"#,
            ),
            None,
        ),
        "ping" => json(id, Some("{}"), None),
        _ => {
            let mut response = json(id, None, Some(r#"{"code":-32601,"message":"Method not found"}"#));
            if modern {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            response
        }
    }
}

/// The stub's tools: `echo {text}`, `wait {wait_ms}`, `big {bytes}`.
async fn call(id: &RawValue, tool: &str, arguments: Arguments, modern: bool) -> Response<Full<Bytes>> {
    let text = match tool {
        "wait" => {
            tokio::time::sleep(Duration::from_millis(arguments.wait_ms)).await;
            "waited".to_owned()
        }
        "big" => "x".repeat(arguments.bytes),
        _ => arguments.text,
    };
    let extra = if modern { r#","resultType":"complete""# } else { "" };
    let Ok(text) = serde_json::to_string(&text) else {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    json(
        id,
        Some(&format!(
            r#"{{"content":[{{"type":"text","text":{text}}}]{extra}}}"#
        )),
        None,
    )
}

fn json(id: &RawValue, result: Option<&str>, error: Option<&str>) -> Response<Full<Bytes>> {
    let raw = |text: Option<&str>| {
        text.map(|text| RawValue::from_string(text.to_owned()))
            .transpose()
    };
    match (raw(result), raw(error)) {
        (Ok(result), Ok(error)) => write(&Reply {
            jsonrpc: "2.0",
            id,
            result: result.as_deref(),
            error: error.as_deref(),
        }),
        _ => status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn write(reply: &Reply<'_>) -> Response<Full<Bytes>> {
    match serde_json::to_vec(reply) {
        Ok(bytes) => written(bytes.into()),
        Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn written(bytes: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(bytes));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}

/// A list of plausible tools, at least `bytes` long.
fn made_up_list(bytes: usize) -> Result<String, Failure> {
    let mut tools = Vec::new();
    let mut length = 0;
    while length < bytes.max(1) {
        let number = tools.len();
        let tool = serde_json::json!({
            "name": format!("tool_{number}"),
            "title": format!("Tool {number}"),
            "description": "Finds the records that match a query, newest first, and returns a page of them with a cursor for the next.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "query": { "type": "string", "minLength": 1, "maxLength": 1000, "description": "Words to look for." },
                    "status": { "type": "string", "enum": ["open", "waiting", "closed"] },
                    "limit": { "type": "integer", "minimum": 1, "maximum": 100, "default": 20 },
                    "cursor": { "type": "string" }
                },
                "required": ["query"],
                "additionalProperties": false
            },
            "annotations": { "readOnlyHint": true, "openWorldHint": false }
        });
        length += serde_json::to_string(&tool)?.len() + 1;
        tools.push(tool);
    }
    Ok(serde_json::to_string(
        &serde_json::json!({ "tools": tools, "resultType": "complete", "ttlMs": 0, "cacheScope": "private" }),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_made_up_list_has_about_the_size_asked_for() {
        let list = made_up_list(40_000).expect("serialises");
        assert!((40_000..41_500).contains(&list.len()), "{}", list.len());
    }
}
