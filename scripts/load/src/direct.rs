//! The direct client: what a host would do without a bridge.
//!
//! hyper's HTTP/1.1 client on one thread, one keep-alive connection per call in flight: not the leanest client there can
//! be (that is `generator.rs`), but the kind a remote-capable host really has.

use crate::wire::{Call, FIRST_ID, Failure, Target, check};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// A client for one upstream.
pub(crate) struct Direct {
    target: Target,
    runtime: Runtime,
}

type Sender = SendRequest<Full<Bytes>>;

impl Direct {
    /// Prepares a single-threaded client.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            target: Target::parse(url, None)?,
            runtime,
        })
    }

    /// Makes `count` calls one after the other; their latencies in nanoseconds.
    pub(crate) fn one_at_a_time(&self, call: &Call, count: usize) -> Result<Vec<u64>, Failure> {
        LocalSet::new().block_on(&self.runtime, async {
            let mut sender = connect(&self.target).await?;
            let mut samples = Vec::with_capacity(count);
            for id in (FIRST_ID..).take(count) {
                let line = call.body(id);
                let from = Instant::now();
                let body = post(&mut sender, &self.target, call, line).await?;
                samples.push(u64::try_from(from.elapsed().as_nanos())?);
                check(&body, id)?;
            }
            Ok(samples)
        })
    }

    /// Keeps `in_flight` calls going; calls per second.
    pub(crate) fn flood(
        &self,
        call: &Call,
        in_flight: usize,
        warm_up: Duration,
        measure: Duration,
    ) -> Result<f64, Failure> {
        LocalSet::new().block_on(&self.runtime, async {
            let done = Rc::new(Cell::new(0_u64));
            let from = Instant::now() + warm_up;
            let until = from + measure;
            let mut workers = Vec::with_capacity(in_flight);
            for _ in 0..in_flight {
                let mut sender = connect(&self.target).await?;
                let (target, call, done) = (self.target.clone(), call.clone(), Rc::clone(&done));
                workers.push(tokio::task::spawn_local(async move {
                    for id in FIRST_ID.. {
                        let body = post(&mut sender, &target, &call, call.body(id)).await?;
                        check(&body, id)?;
                        let now = Instant::now();
                        if now >= until {
                            break;
                        }
                        if now >= from {
                            done.set(done.get() + 1);
                        }
                    }
                    Ok::<_, Failure>(())
                }));
            }
            for worker in workers {
                worker.await??;
            }
            Ok(done.get() as f64 / measure.as_secs_f64())
        })
    }
}

async fn connect(target: &Target) -> Result<Sender, Failure> {
    let stream = TcpStream::connect(&target.authority).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // The connection ends with its sender; what it says then is of no interest.
    drop(tokio::task::spawn_local(connection));
    Ok(sender)
}

async fn post(sender: &mut Sender, target: &Target, call: &Call, line: String) -> Result<Bytes, Failure> {
    let mut request = Request::post(&target.path)
        .header("host", &target.authority)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in call.headers() {
        request = request.header(name, value);
    }
    sender.ready().await?;
    let response = sender
        .send_request(request.body(Full::new(Bytes::from(line)))?)
        .await?;
    if response.status() != StatusCode::OK {
        return Err(format!("HTTP {}", response.status()).into());
    }
    Ok(response.into_body().collect().await?.to_bytes())
}
