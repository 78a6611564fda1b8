//! Proxies: which way a connection takes, what a proxy is told, and what is said when it refuses.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;

use crate::harness::{Bridge, KEY, ReadWrite, Stub, call};
use crate::transport_tls::{Authority, secured};

/// A proxy that answers each `CONNECT` with the same words. If they agree to it, every way leads to one server.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

const AGREES: &str = "HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\n";

impl Proxy {
    fn start(answer: &'static str, to: SocketAddr) -> Proxy {
        Self::start_with(None, answer, to)
    }

    /// The same, itself reached over TLS if `tls` is given.
    fn start_with(tls: Option<Arc<ServerConfig>>, answer: &'static str, to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (tls, seen) = (tls.clone(), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    match tls {
                        None => {
                            let other = stream.try_clone().unwrap();
                            serve(stream, Some(other), answer, to, &seen)
                        }
                        Some(tls) => {
                            let stream = secured(&tls, stream)?;
                            stream.sock.set_read_timeout(Some(TURN)).unwrap();
                            serve(stream, None, answer, to, &seen)
                        }
                    }
                });
            }
        });
        Proxy { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Serves one connection. `plain` is the same connection once more, if it is one that can be read and written apart.
fn serve(
    mut stream: impl ReadWrite,
    plain: Option<TcpStream>,
    answer: &str,
    to: SocketAddr,
    seen: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if in_turn(stream.read(&mut byte))?.is_some() {
            head.push(byte[0]);
        }
    }
    seen.lock().unwrap().push(String::from_utf8(head).unwrap());
    stream.write_all(answer.as_bytes()).ok()?;
    stream.flush().ok()?;
    if answer != AGREES {
        return None;
    }
    let server = TcpStream::connect(to).unwrap();
    match plain {
        Some(plain) => {
            let (from, mut back) = (server.try_clone().unwrap(), plain);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut &from, &mut back);
                let _ = back.shutdown(Shutdown::Both);
            });
            let _ = std::io::copy(&mut stream, &mut &server);
            let _ = server.shutdown(Shutdown::Both);
        }
        None => {
            // The two ways of TLS share a state, so they are looked after in turn.
            let mut buffer = [0; 16_384];
            server.set_read_timeout(Some(TURN)).unwrap();
            loop {
                if let Some(bytes) = in_turn(stream.read(&mut buffer))? {
                    (&server).write_all(&buffer[..bytes]).ok()?;
                }
                if let Some(bytes) = in_turn((&server).read(&mut buffer))? {
                    stream.write_all(&buffer[..bytes]).ok()?;
                    stream.flush().ok()?;
                }
            }
        }
    }
    None
}

/// How long one side is waited for before the other one has its turn.
const TURN: Duration = Duration::from_millis(5);

/// What a turn brought: bytes, nothing yet, or the end.
fn in_turn(outcome: std::io::Result<usize>) -> Option<Option<usize>> {
    match outcome {
        Ok(0) => None,
        Ok(bytes) => Some(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Some(None),
        Err(_) => None,
    }
}

/// A server for `mcp.example.com`, which nobody can look up.
fn example(authority: &Authority) -> Stub {
    let config = authority.server("mcp.example.com", &[]);
    Stub::start_with(
        move |stream| Some(Box::new(secured(&config, stream)?) as Box<dyn ReadWrite>),
        |request, wire| wire.result(request, "{}"),
    )
}

const URL: (&str, &str) = ("FOOTBRIDGE_URL", "https://mcp.example.com/mcp");

/// The message of a call's failure before anything was sent.
fn failure(variables: &[(&str, &str)]) -> String {
    let mut bridge = Bridge::with(variables);
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", -31001);
    assert_eq!(error["data"]["sent"], false);
    let stderr = bridge.end().stderr;
    assert!(!stderr.contains("s3cret"), "{stderr}");
    format!(
        "{} {}",
        error["data"]["check"].as_str().unwrap(),
        error["message"].as_str().unwrap()
    )
}

#[test]
fn b16_https_goes_through_the_proxy_with_its_credentials_and_nothing_of_ours() {
    let authority = Authority::new("Example Root CA");
    let stub = example(&authority);
    let proxy = Proxy::start(AGREES, stub.address);
    let address = format!("http://ada:s3cret%21@{}", proxy.address);
    let ca = ("FOOTBRIDGE_CA_FILE", authority.path());
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let mut bridge = Bridge::with(&[URL, ca, (variable, &address)]);
        for id in 0..3 {
            bridge.send(&call(&id.to_string(), "t"));
            assert_eq!(bridge.json()["id"], id);
        }
        let stderr = bridge.end().stderr;
        assert!(!stderr.contains("s3cret") && !stderr.contains("YWRh"), "{stderr}");
    }
    let heads = proxy.heads();
    assert_eq!(heads.len(), 3);
    for head in heads {
        assert!(
            head.starts_with("CONNECT mcp.example.com:443 HTTP/1.1\r\nHost: mcp.example.com:443\r\n"),
            "{head}"
        );
        // `ada:s3cret!`
        assert!(
            head.contains("\r\nProxy-Authorization: Basic YWRhOnMzY3JldCE=\r\n"),
            "{head}"
        );
        assert!(!head.contains(KEY) && !head.contains("/mcp"), "{head}");
    }
    let request = stub.last();
    assert_eq!(request.header("host"), Some("mcp.example.com"));
    assert!(request.header("proxy-authorization").is_none());
}

#[test]
fn plain_http_takes_a_tunnel_as_well() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let proxy = Proxy::start(AGREES, stub.address);
    let address = proxy.address.to_string();
    let url = ("FOOTBRIDGE_URL", "http://mcp.example.com:8080/mcp");
    let allowed = ("FOOTBRIDGE_ALLOW_HTTP", "1");
    let mut bridge = Bridge::with(&[url, allowed, ("http_proxy", &address)]);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
    assert!(proxy.heads()[0].starts_with("CONNECT mcp.example.com:8080 "));
    assert_eq!(stub.last().target, "/mcp");
    // HTTPS_PROXY is for https only.
    let text = failure(&[url, allowed, ("HTTPS_PROXY", &address)]);
    assert!(text.starts_with("FB121"), "{text}");
}

#[test]
fn a_proxy_may_be_reached_over_tls_itself() {
    let authority = Authority::new("Example Root CA");
    let stub = example(&authority);
    let proxy = Proxy::start_with(Some(authority.server("localhost", &[])), AGREES, stub.address);
    let address = format!("https://ada:s3cret@localhost:{}", proxy.address.port());
    let ca = ("FOOTBRIDGE_CA_FILE", authority.path());
    let mut bridge = Bridge::with(&[URL, ca, ("HTTPS_PROXY", &address)]);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
    // A proxy nobody vouches for gets no password.
    let text = failure(&[URL, ("HTTPS_PROXY", &address)]);
    assert!(
        text.starts_with("FB125 The proxy https://localhost:") && text.contains("\"Example Root CA\""),
        "{text}"
    );
    assert_eq!(proxy.heads().len(), 1);
}

#[test]
fn exceptions_and_this_machine_are_reached_directly() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let proxy = Proxy::start(AGREES, stub.address);
    let address = format!("http://{}", proxy.address);
    let mut bridge = Bridge::to_with(&stub, &[("http_proxy", &address), ("ALL_PROXY", &address)]);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
    for except in ["*", "example.com", "x,.example.com:443", "mcp.example.com"] {
        let text = failure(&[URL, ("HTTPS_PROXY", &address), ("NO_PROXY", except)]);
        assert!(text.starts_with("FB121"), "{except}: {text}");
    }
    assert!(proxy.heads().is_empty());
}

#[test]
fn fb125_what_a_proxy_answers_is_told_with_what_to_do() {
    let nowhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let endless: &'static str = Box::leak("x".repeat(100_000).into_boxed_str());
    for (answer, user, says) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
            "",
            "answered 407: it wants a user and password",
        ),
        (
            "HTTP/1.1 407 No\r\n\r\n",
            "ada:s3cret@",
            "answered 407: it refused the user and password in HTTPS_PROXY",
        ),
        (
            "HTTP/1.0 403 Not\tin\x07 this house\r\n\r\n",
            "ada:s3cret@",
            "answered 403 (Not in this house) when it was asked for a way to `mcp.example.com`",
        ),
        ("HTTP/1.1 502 \r\n\r\n", "", "answered 502 when"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "", "not HTTP"),
        (endless, "", "not HTTP"),
        ("", "ada:s3cret@", "without an answer"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "", "more than an answer"),
    ] {
        let proxy = Proxy::start(answer, nowhere);
        let address = format!("http://{user}{}", proxy.address);
        let text = failure(&[URL, ("HTTPS_PROXY", &address)]);
        let begin = format!("FB125 The proxy http://{} (HTTPS_PROXY) ", proxy.address);
        assert!(text.starts_with(&begin) && text.contains(says), "{text}");
        assert!(!text.contains("s3cret") && !text.contains("ada"), "{text}");
    }
    let refused = failure(&[URL, ("HTTPS_PROXY", "http://ada:s3cret@127.0.0.1:1")]);
    assert!(
        refused.contains("The proxy http://127.0.0.1:1 (HTTPS_PROXY)")
            && refused.contains("refused the connection"),
        "{refused}"
    );
    let socks = failure(&[URL, ("ALL_PROXY", "socks5://ada:s3cret@127.0.0.1:1")]);
    assert!(socks.contains("ALL_PROXY") && socks.contains("SOCKS"), "{socks}");
}

#[test]
fn b46_a_proxy_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let text = failure(&[
        URL,
        ("HTTPS_PROXY", &address),
        ("FOOTBRIDGE_CONNECT_TIMEOUT", "0.3"),
    ]);
    assert!(
        text.starts_with("FB125") && text.contains("within 0.3 s"),
        "{text}"
    );
}
