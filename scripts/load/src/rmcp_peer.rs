//! `rmcp`: the protocol's own library for Rust as a server, beside ours and the floor.
//!
//! In: POSTs of JSON-RPC. Out: the very results our server gave, through the library's types. It is set up as it costs least:
//! without sessions, answers as JSON, no tool macro, no router in front, results that are made once and cloned. It reads no key,
//! checks no schema and keeps no log.

use crate::floor::Options;
use crate::wire::Failure;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What is said, prepared once.
#[derive(Clone)]
struct Peer(Arc<Canned>);

struct Canned {
    list: ListToolsResult,
    replies: Vec<(String, CallToolResult)>,
}

impl ServerHandler for Peer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let found = self.0.replies.iter().find(|(name, _)| *name == request.name);
        found
            .map(|(_, reply)| reply.clone().into())
            .ok_or_else(|| ErrorData::invalid_params(format!("Unknown tool: {}", request.name), None))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(self.0.list.clone())
    }
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T, Failure> {
    let text = std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    serde_json::from_slice(&text).map_err(|e| format!("{} is no result for rmcp: {e}", file.display()).into())
}

/// Serves on one thread until the process is ended.
pub(crate) fn serve(options: &Options) -> Result<(), Failure> {
    let list = options.list_file.as_deref().ok_or("--list is missing")?;
    let replies = options.replies.iter();
    let peer = Peer(Arc::new(Canned {
        list: read(list)?,
        replies: replies
            .map(|(tool, file)| Ok((tool.clone(), read(file)?)))
            .collect::<Result<_, Failure>>()?,
    }));
    let mut config = StreamableHttpServerConfig::default();
    config.legacy_session_mode = false;
    config.json_response = true;
    let service = StreamableHttpService::new(
        move || Ok(peer.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(accept(&options.listen, service))
}

async fn accept(
    listen: &str,
    service: StreamableHttpService<Peer, NeverSessionManager>,
) -> Result<(), Failure> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|e| format!("cannot listen on {listen}: {e}"))?;
    writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?)?;
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let mut builder = hyper::server::conn::http1::Builder::new();
            // A peer that goes away ends the conversation; nobody is to be told.
            let _ = builder
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
