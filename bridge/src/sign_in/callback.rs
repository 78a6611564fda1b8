//! The place a browser comes back to: a port of this machine, open for one sign-in (protocol.md C-10).
//!
//! Anybody on this machine, and any web page, can send requests here. Only one that knows the state counts; the others are
//! turned away and change nothing. The browser is answered when the outcome is known, so that its page tells the truth.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::form;
use crate::brand;

/// The path of the address that is registered. Fixed, because some authorization servers compare it.
pub(super) const PATH: &str = "/callback";
/// A browser sends its request at once; connections it opens ahead of need send none.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Larger than any request a browser makes.
const REQUEST_BYTES: usize = 32 * 1024;
/// Connections held at once.
const CONNECTIONS: usize = 32;

/// Listens already; nobody knows yet.
pub(super) struct Callback {
    listener: TcpListener,
    port: u16,
}

/// What the browser brought back, and the browser, waiting for its page.
pub(super) struct Answer {
    pub(super) parameters: Vec<(String, String)>,
    browser: TcpStream,
}

impl Callback {
    /// Listens on `port`, or on any other one if that is taken or zero.
    pub(super) async fn open(port: u16) -> std::io::Result<Callback> {
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(_) if port != 0 => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
            bound => bound?,
        };
        let port = listener.local_addr()?.port();
        Ok(Callback { listener, port })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The address to come back to.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Waits for the request that knows `state`.
    pub(super) async fn wait(&self, state: &str) -> std::io::Result<Answer> {
        let mut visitors = JoinSet::new();
        loop {
            let visitor = tokio::select! {
                accepted = self.listener.accept(), if visitors.len() < CONNECTIONS => {
                    let (stream, _) = accepted?;
                    visitors.spawn(async move {
                        tokio::time::timeout(REQUEST_LIMIT, read(stream)).await.ok().flatten()
                    });
                    continue;
                }
                Some(visitor) = visitors.join_next() => visitor,
            };
            let Ok(Some((target, mut stream))) = visitor else {
                continue;
            };
            let Some(query) = target.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('?')) else {
                respond(&mut stream, "404 Not Found", "There is nothing here.").await;
                continue;
            };
            let parameters = form::decode(query).unwrap_or_default();
            let knows = parameters
                .iter()
                .any(|(name, value)| name == "state" && same(value, state));
            if knows {
                return Ok(Answer {
                    parameters,
                    browser: stream,
                });
            }
            crate::log::warn(format_args!(
                "an answer that belongs to no sign-in of this process was turned away"
            ));
            respond(
                &mut stream,
                "400 Bad Request",
                "This answer belongs to another sign-in. Start again.",
            )
            .await;
        }
    }
}

impl Answer {
    /// A parameter's value.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Shows the person how it came out.
    pub(super) async fn finish(mut self, is_signed_in: bool) {
        if is_signed_in {
            respond(
                &mut self.browser,
                "200 OK",
                "You are signed in. You can close this page.",
            )
            .await;
        } else {
            respond(
                &mut self.browser,
                "400 Bad Request",
                "The sign-in did not succeed. The program that asked for it says why.",
            )
            .await;
        }
    }
}

/// Compares without telling by its duration how much was right.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// The target of a GET request that came to this machine by its address: a page whose name was made to lead here says
/// another one.
async fn read(mut stream: TcpStream) -> Option<(String, TcpStream)> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 || head.len() > REQUEST_BYTES {
            return None;
        }
        head.extend_from_slice(buffer.get(..count)?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?, first.next()?.to_owned());
    let host = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| value.trim())?;
    let is_ours = ["127.0.0.1", "localhost"].contains(&host.rsplit_once(':').map_or(host, |(host, _)| host));
    if method != "GET" || !is_ours {
        respond(&mut stream, "400 Bad Request", "There is nothing here.").await;
        return None;
    }
    Some((target, stream))
}

async fn respond(stream: &mut TcpStream, status: &str, words: &str) {
    let title = env!("BRAND_TITLE");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <body style=\"font:1.2em sans-serif;max-width:32em;margin:4em auto;padding:0 1em\"><h1>{title}</h1><p>{words}</p></body></html>\n"
    );
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\nServer: {}\r\n\r\n{page}",
        page.len(),
        brand::NAME,
    );
    // A browser that is gone needs no page.
    let _ = tokio::time::timeout(Duration::from_secs(2), async {
        stream.write_all(reply.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(port: u16, head: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    #[tokio::test]
    async fn c10_only_the_request_that_knows_the_state_counts() {
        let callback = Callback::open(0).await.unwrap();
        let port = callback.port();
        let waiting = tokio::spawn(async move {
            let answer = callback.wait("s3").await.unwrap();
            let code = answer.find("code").map(str::to_owned);
            answer.finish(true).await;
            code
        });
        let _silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        for (target, host, status) in [
            ("/", "127.0.0.1", "404"),
            ("/favicon.ico", "127.0.0.1", "404"),
            ("/callback2?state=s3&code=x", "127.0.0.1", "404"),
            ("/callback?code=x", "127.0.0.1", "400"),
            ("/callback?code=x&state=s4", "127.0.0.1", "400"),
            ("/callback?code=x&state=s4&state=s3", "127.0.0.1", "400"),
            ("/callback?code=x&state=s3", "evil.example", "400"),
        ] {
            let reply = ask(
                port,
                &format!("GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"),
            )
            .await;
            assert!(
                reply.starts_with(&format!("HTTP/1.1 {status} ")),
                "{target}: {reply}"
            );
            assert!(!waiting.is_finished());
        }
        let post = format!("POST /callback?code=x&state=s3 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        assert!(ask(port, &post).await.starts_with("HTTP/1.1 400 "));
        let reply = ask(
            port,
            &format!("GET /callback?code=a%2Fb&state=s3 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
        )
        .await;
        assert!(reply.contains("You are signed in"), "{reply}");
        assert_eq!(waiting.await.unwrap().as_deref(), Some("a/b"));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_no_obstacle() {
        let first = Callback::open(0).await.unwrap();
        let second = Callback::open(first.port()).await.unwrap();
        assert_ne!(first.port(), second.port());
    }
}
