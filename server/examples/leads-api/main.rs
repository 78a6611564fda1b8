//! A small REST API to try HTTP-backed tools with: leads in memory, entity tags, `If-Match`, a bearer token.
//!
//! `cargo run -p footbridge-server --example leads-api` listens on 127.0.0.1:8077; `leads.toml` beside this file turns
//! it into tools.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

/// What callers have to present. A sample's secret is no secret.
const TOKEN: &str = "Bearer sample";

#[derive(Clone, Serialize)]
struct Lead {
    id: String,
    name: String,
    status: String,
    version: u64,
}

#[derive(Deserialize)]
struct Change {
    name: Option<String>,
    status: Option<String>,
}

type Leads = Arc<Mutex<BTreeMap<String, Lead>>>;

#[tokio::main]
async fn main() -> Result<(), std::io::Error> {
    let leads = [("1", "Ada Byron", "new"), ("2", "Charles Babbage", "working")].map(|(id, name, status)| {
        let lead = Lead {
            id: id.to_owned(),
            name: name.to_owned(),
            status: status.to_owned(),
            version: 1,
        };
        (id.to_owned(), lead)
    });
    let leads: Leads = Arc::new(Mutex::new(BTreeMap::from(leads)));
    let router = Router::new()
        .route("/v1/leads", get(list))
        .route("/v1/leads/{id}", get(read).patch(change))
        .layer(middleware::from_fn(authorised))
        .with_state(leads);
    let port = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(8077);
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    writeln!(
        std::io::stdout(),
        "leads on http://{}/v1/leads",
        listener.local_addr()?
    )?;
    axum::serve(listener, router).await
}

async fn authorised(request: Request, next: Next) -> Response {
    match request.headers().get(header::AUTHORIZATION) {
        Some(token) if token == TOKEN => next.run(request).await,
        _ => fault(StatusCode::UNAUTHORIZED, "present the token"),
    }
}

async fn list(State(leads): State<Leads>) -> Response {
    let leads: Vec<Lead> = leads.lock().await.values().cloned().collect();
    Json(leads).into_response()
}

async fn read(State(leads): State<Leads>, Path(id): Path<String>) -> Response {
    match leads.lock().await.get(&id) {
        Some(lead) => shown(lead),
        None => fault(StatusCode::NOT_FOUND, &format!("no lead {id}")),
    }
}

async fn change(
    State(leads): State<Leads>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(change): Json<Change>,
) -> Response {
    let mut leads = leads.lock().await;
    let Some(lead) = leads.get_mut(&id) else {
        return fault(StatusCode::NOT_FOUND, &format!("no lead {id}"));
    };
    if headers
        .get(header::IF_MATCH)
        .is_some_and(|expected| *expected != tag(lead))
    {
        return fault(
            StatusCode::PRECONDITION_FAILED,
            "somebody changed the lead meanwhile",
        );
    }
    lead.name = change.name.unwrap_or_else(|| lead.name.clone());
    lead.status = change.status.unwrap_or_else(|| lead.status.clone());
    lead.version += 1;
    shown(lead)
}

fn tag(lead: &Lead) -> String {
    format!("\"v{}\"", lead.version)
}

fn shown(lead: &Lead) -> Response {
    ([(header::ETAG, tag(lead))], Json(lead)).into_response()
}

fn fault(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}
