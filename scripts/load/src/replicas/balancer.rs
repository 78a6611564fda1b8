//! A plain HTTP balancer: each request goes to the next replica in turn, whatever connection it came on.
//!
//! In: requests on one port. Out: the replicas' answers. It probes `/health/ready`, and tries the next replica where a
//! request surely did not run: no connection, a connection that closed before the request was taken, or an answer of 503.
//! It does no more than that: a call that may have begun is never sent twice, and its loss shows as a 502.

use crate::wire::Failure;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How often a replica is asked whether it is ready. Out at the first no, in at the first yes.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(100);
/// A probe without an answer is a no.
const PROBE_PATIENCE: Duration = Duration::from_millis(500);

type Whole = Full<Bytes>;

struct Replica {
    address: SocketAddr,
    ready: AtomicBool,
    idle: Mutex<Vec<SendRequest<Whole>>>,
    answered: AtomicU64,
}

/// A running balancer. It runs until the process ends.
pub(super) struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    replicas: Vec<Replica>,
    turn: AtomicUsize,
    retried: AtomicU64,
}

impl Balancer {
    /// Starts in a thread of its own, in front of replicas on these ports of the loopback.
    pub(super) fn start(ports: &[u16]) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            replicas: ports
                .iter()
                .map(|port| Replica {
                    address: SocketAddr::from(([127, 0, 0, 1], *port)),
                    ready: AtomicBool::new(false),
                    idle: Mutex::default(),
                    answered: AtomicU64::new(0),
                })
                .collect(),
            turn: AtomicUsize::new(0),
            retried: AtomicU64::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let inside = Arc::clone(&shared);
        std::thread::spawn(move || runtime.block_on(serve(listener, inside)));
        Ok(Self { address, shared })
    }

    /// Port on the loopback.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Calls answered by each replica.
    pub(super) fn answered(&self) -> Vec<u64> {
        let replicas = self.shared.replicas.iter();
        replicas
            .map(|replica| replica.answered.load(Ordering::Relaxed))
            .collect()
    }

    /// Requests that were given to another replica.
    pub(super) fn retried(&self) -> u64 {
        self.shared.retried.load(Ordering::Relaxed)
    }

    /// Which replicas take requests now.
    pub(super) fn ready(&self) -> Vec<bool> {
        let replicas = self.shared.replicas.iter();
        replicas
            .map(|replica| replica.ready.load(Ordering::Acquire))
            .collect()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    for at in 0..shared.replicas.len() {
        tokio::spawn(probe(Arc::clone(&shared), at));
    }
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(pass_on(&shared, request).await) }
            });
            // A client that goes away ends the conversation; nobody is to be told.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn probe(shared: Arc<Shared>, at: usize) {
    let Some(replica) = shared.replicas.get(at) else {
        return;
    };
    loop {
        let asked = tokio::time::timeout(PROBE_PATIENCE, ask(replica.address)).await;
        replica
            .ready
            .store(matches!(asked, Ok(Ok(true))), Ordering::Release);
        tokio::time::sleep(PROBE_EVERY).await;
    }
}

async fn ask(address: SocketAddr) -> Result<bool, Failure> {
    let mut sender = connect(address).await?;
    let request = Request::get("/health/ready")
        .header("host", address.to_string())
        .body(Whole::default())?;
    Ok(sender.send_request(request).await?.status() == StatusCode::OK)
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Whole>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // How it ends shows at the sender.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

impl Replica {
    fn kept(&self) -> Option<SendRequest<Whole>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: SendRequest<Whole>) {
        if !sender.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(sender);
        }
    }
}

/// What one replica did with a request.
enum Tried {
    Answered(Response<Whole>),
    /// It surely did not run.
    NotRun(Option<Response<Whole>>),
    /// It may have run.
    Lost(String),
}

async fn pass_on(shared: &Shared, request: Request<Incoming>) -> Response<Whole> {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return plain(StatusCode::BAD_REQUEST, "the body did not come whole");
    };
    let body = body.to_bytes();
    parts.headers.remove(CONNECTION);
    let count = shared.replicas.len();
    let first = shared.turn.fetch_add(1, Ordering::Relaxed);
    let mut refused = None;
    // Those that are ready first; if none is, perhaps one is after all.
    for only_ready in [true, false] {
        for step in 0..count {
            let Some(replica) = shared.replicas.get((first + step) % count) else {
                continue;
            };
            if replica.ready.load(Ordering::Acquire) != only_ready {
                continue;
            }
            // The head is shown to the replica under its own name, as proxies do by default.
            let mut head = parts.clone();
            if let Ok(host) = HeaderValue::from_str(&replica.address.to_string()) {
                head.headers.insert("host", host);
            }
            match replica
                .try_once(Request::from_parts(head, Full::new(body.clone())))
                .await
            {
                Tried::Answered(response) => {
                    replica.answered.fetch_add(1, Ordering::Relaxed);
                    return response;
                }
                Tried::NotRun(response) => {
                    shared.retried.fetch_add(1, Ordering::Relaxed);
                    refused = response.or(refused);
                }
                Tried::Lost(reason) => return plain(StatusCode::BAD_GATEWAY, &reason),
            }
        }
    }
    refused.unwrap_or_else(|| plain(StatusCode::BAD_GATEWAY, "no replica takes connections"))
}

impl Replica {
    async fn try_once(&self, request: Request<Whole>) -> Tried {
        let mut request = request;
        loop {
            let (mut sender, fresh) = match self.kept() {
                Some(sender) => (sender, false),
                None => match connect(self.address).await {
                    Ok(sender) => (sender, true),
                    Err(_) => return Tried::NotRun(None),
                },
            };
            if sender.ready().await.is_err() {
                if fresh {
                    return Tried::NotRun(None);
                }
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return self.answer(sender, response).await,
                Err(mut error) => match error.take_message() {
                    // It was not taken: the connection had closed meanwhile.
                    Some(_) if fresh => return Tried::NotRun(None),
                    Some(back) => request = back,
                    None => return Tried::Lost(format!("{}: {}", self.address, error.into_error())),
                },
            }
        }
    }

    async fn answer(&self, sender: SendRequest<Whole>, response: Response<Incoming>) -> Tried {
        let (mut parts, body) = response.into_parts();
        let closes = parts
            .headers
            .get(CONNECTION)
            .is_some_and(|value| value == "close");
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Tried::Lost(format!("{}: the answer broke off: {error}", self.address)),
        };
        if !closes {
            self.keep(sender);
        }
        // This side's connection goes on.
        parts.headers.remove(CONNECTION);
        let unavailable = parts.status == StatusCode::SERVICE_UNAVAILABLE;
        let response = Response::from_parts(parts, Full::new(body));
        if unavailable {
            Tried::NotRun(Some(response))
        } else {
            Tried::Answered(response)
        }
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Whole> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}
