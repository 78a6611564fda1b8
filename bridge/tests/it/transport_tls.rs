//! TLS: whom the bridge believes, what it says when it does not, and how it proves who it is itself.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};

use crate::harness::{Bridge, Gate, ReadWrite, Stub, call};

/// An authority of the test's own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: NamedTempFile,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let pem = NamedTempFile::new().unwrap();
        std::fs::write(pem.path(), certificate.pem()).unwrap();
        Authority {
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// The path of its certificate.
    pub(crate) fn path(&self) -> &str {
        self.pem.path().to_str().unwrap()
    }

    /// A certificate made from `params`, and its key, both as PEM.
    fn sign_pem(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn sign(&self, params: &CertificateParams) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        (vec![certificate.der().clone()], key)
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        Arc::new(roots)
    }

    /// A server's side of TLS with a certificate for `name`.
    pub(crate) fn server(&self, name: &str, protocols: &[&str]) -> Arc<ServerConfig> {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        self.server_with(&params, protocols, false)
    }

    /// The same with any certificate, that wants to see one of this authority's from the client, too.
    fn server_with(&self, params: &CertificateParams, protocols: &[&str], mutual: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = if mutual {
            let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider)
                .build()
                .unwrap();
            config.with_client_cert_verifier(verifier)
        } else {
            config.with_no_client_auth()
        };
        let (chain, key) = self.sign(params);
        let mut config = config.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = protocols
            .iter()
            .map(|protocol| protocol.as_bytes().to_vec())
            .collect();
        Arc::new(config)
    }
}

/// A server's end of a secure connection, if the handshake succeeds.
pub(crate) fn secured(
    config: &Arc<ServerConfig>,
    mut stream: TcpStream,
) -> Option<StreamOwned<ServerConnection, TcpStream>> {
    let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
    while connection.is_handshaking() {
        // A refused handshake is the bridge's right.
        connection.complete_io(&mut stream).ok()?;
    }
    Some(StreamOwned::new(connection, stream))
}

/// A server that answers every request with an empty result over TLS.
fn stub(config: Arc<ServerConfig>) -> Stub {
    Stub::start_with(
        move |stream| Some(Box::new(secured(&config, stream)?) as Box<dyn ReadWrite>),
        |request, wire| wire.result(request, "{}"),
    )
}

/// One call over a bridge with these variables.
fn outcome(variables: &[(&str, &str)]) -> Value {
    let mut bridge = Bridge::with(variables);
    bridge.send(&call("1", "t"));
    bridge.json()
}

/// The message of the call's failure before anything was sent.
fn failure(variables: &[(&str, &str)]) -> String {
    let mut bridge = Bridge::with(variables);
    bridge.send(&call("1", "t"));
    let error = bridge.error("1", -31001);
    assert_eq!(error["data"]["sent"], false);
    format!(
        "{} {}",
        error["data"]["check"].as_str().unwrap(),
        error["message"].as_str().unwrap()
    )
}

#[test]
fn b16_a_server_is_believed_if_a_named_authority_signed_its_certificate() {
    let authority = Authority::new("Example Root CA");
    let stub = stub(authority.server("localhost", &[]));
    let url = format!("https://localhost:{}/mcp", stub.address.port());
    for variable in ["FOOTBRIDGE_CA_FILE", "SSL_CERT_FILE"] {
        assert_eq!(
            outcome(&[("FOOTBRIDGE_URL", &url), (variable, authority.path())])["id"],
            1
        );
    }
    let served = stub.requests().len();
    assert!(served > 0);

    let text = failure(&[("FOOTBRIDGE_URL", &url)]);
    assert!(
        text.starts_with("FB123 The certificate of `localhost:")
            && text.contains("is signed by \"Example Root CA\", which this system does not trust")
            && text.contains("FOOTBRIDGE_CA_FILE"),
        "{text}"
    );
    let text = failure(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_CA_FILE", "/nowhere.pem")]);
    assert!(text.contains("/nowhere.pem"), "{text}");
    // Nothing in it is a certificate.
    let empty = NamedTempFile::new().unwrap();
    let path = empty.path().to_str().unwrap();
    let text = failure(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_CA_FILE", path)]);
    assert!(text.contains("no usable PEM certificate"), "{text}");

    let other = url.replace("localhost", "127.0.0.1");
    let text = failure(&[
        ("FOOTBRIDGE_URL", &other),
        ("FOOTBRIDGE_CA_FILE", authority.path()),
    ]);
    assert!(
        text.starts_with("FB124 The certificate is for localhost, not 127.0.0.1."),
        "{text}"
    );
    assert_eq!(
        stub.requests().len(),
        served,
        "nothing was sent over a connection that was not trusted"
    );
}

#[test]
fn d16_the_systems_authorities_are_asked_when_ours_know_nothing() {
    let authority = Authority::new("Company Root CA");
    let stub = stub(authority.server("localhost", &[]));
    let url = format!("https://localhost:{}/mcp", stub.address.port());
    let system = TempDir::new().unwrap();
    let path = system.path().to_str().unwrap();
    let variables = [("FOOTBRIDGE_URL", url.as_str()), ("SSL_CERT_DIR", path)];
    let text = failure(&variables);
    assert!(text.contains("signed by \"Company Root CA\""), "{text}");
    // Directories of OpenSSL name certificates by a hash of their subject.
    std::fs::copy(authority.path(), system.path().join("0a1b2c3d.0")).unwrap();
    let mut bridge = Bridge::with(&variables);
    for id in 0..3 {
        bridge.send(&call(&id.to_string(), "t"));
        assert_eq!(bridge.json()["id"], id);
    }
    let read = "authorities of the system";
    assert_eq!(bridge.end().stderr.matches(read).count(), 1, "they are read once");
    // Who needs none of them does not read them.
    let mut bridge = Bridge::with(&[
        variables[0],
        variables[1],
        ("FOOTBRIDGE_CA_FILE", authority.path()),
    ]);
    bridge.send(&call("1", "t"));
    assert_eq!(bridge.json()["id"], 1);
    assert!(!bridge.end().stderr.contains(read));
}

#[test]
fn b10_a_certificate_out_of_date_or_of_its_own_making_is_refused_in_words() {
    let authority = Authority::new("Example Root CA");
    let params = |begin: i32, end: i32| {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(begin, 1, 1);
        params.not_after = rcgen::date_time_ymd(end, 2, 3);
        params
    };
    for (params, says) in [
        (
            params(2019, 2020),
            "expired on 2020-02-03. The server's operator has to renew it",
        ),
        (
            params(2090, 2099),
            "is not valid before 2090-01-01. Check this machine's clock",
        ),
    ] {
        let stub = stub(authority.server_with(&params, &[], false));
        let url = format!("https://localhost:{}/mcp", stub.address.port());
        let text = failure(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_CA_FILE", authority.path())]);
        assert!(text.starts_with("FB124") && text.contains(says), "{text}");
        assert!(stub.requests().is_empty());
    }
    // An authority's own certificate, as `openssl req -x509` makes it: trusted or not, no server may use it.
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let stub = stub(authority.server_with(&params, &[], false));
    let url = format!("https://localhost:{}/mcp", stub.address.port());
    let text = failure(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_CA_FILE", authority.path())]);
    assert!(text.starts_with("FB124") && text.contains("CA:FALSE"), "{text}");

    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let stub = self::stub(Arc::new(config));
    let url = format!("https://localhost:{}/mcp", stub.address.port());
    let text = failure(&[("FOOTBRIDGE_URL", &url)]);
    assert!(
        text.starts_with("FB123") && text.contains("is signed by itself"),
        "{text}"
    );
}

#[test]
fn b46_a_server_that_stalls_in_the_handshake_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/mcp", listener.local_addr().unwrap());
    let text = failure(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_CONNECT_TIMEOUT", "0.3")]);
    assert!(
        text.contains("did not accept a connection within 0.3 s"),
        "{text}"
    );
}

#[test]
fn the_first_connection_is_given_up_before_the_client_gives_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/mcp", listener.local_addr().unwrap());
    let text = failure(&[("FOOTBRIDGE_URL", &url)]);
    assert!(
        text.contains("did not accept a connection within 4.5 s"),
        "{text}"
    );
}

#[test]
fn calls_that_wait_for_a_connection_share_its_failure() {
    const CALLS: usize = 200;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/mcp", listener.local_addr().unwrap());
    let mut bridge = Bridge::with(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_CONNECT_TIMEOUT", "0.5")]);
    for id in 0..CALLS {
        bridge.send(&call(&id.to_string(), "t"));
    }
    // One after the other they would need a hundred seconds, which is longer than anything may take here.
    for _ in 0..CALLS {
        assert_eq!(bridge.json()["error"]["code"], -31001);
    }
}

#[test]
fn a_server_that_speaks_http1_over_tls_gets_a_connection_for_each_exchange() {
    const CALLS: usize = 20;
    let authority = Authority::new("Example Root CA");
    for protocols in [&["http/1.1"][..], &[]] {
        let config = authority.server("localhost", protocols);
        let (arrived, gate) = (AtomicUsize::new(0), Gate::default());
        let stub = Stub::start_with(
            move |stream| Some(Box::new(secured(&config, stream)?) as Box<dyn ReadWrite>),
            move |request, wire| {
                if arrived.fetch_add(1, Ordering::SeqCst) + 1 == CALLS {
                    gate.open();
                }
                gate.pass();
                wire.result(request, "{}");
            },
        );
        let url = format!("https://localhost:{}/mcp", stub.address.port());
        let mut bridge = Bridge::with(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_CA_FILE", authority.path())]);
        for id in 0..CALLS {
            bridge.send(&call(&id.to_string(), "t"));
        }
        for _ in 0..CALLS {
            assert!(bridge.json()["result"].is_object());
        }
    }
}

#[test]
fn https_to_a_server_without_tls_is_explained() {
    let stub = Stub::start(|request, wire| wire.result(request, "{}"));
    let url = format!("https://{}/mcp", stub.address);
    failure(&[("FOOTBRIDGE_URL", &url), ("FOOTBRIDGE_CONNECT_TIMEOUT", "2")]);
}

/// Writes a file only its owner has access to, or everybody.
fn write(path: &Path, text: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_the_one_that_is_set() {
    let authority = Authority::new("Example Root CA");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let stub = stub(authority.server_with(&params, &[], true));
    let url = format!("https://localhost:{}/mcp", stub.address.port());
    let home = TempDir::new().unwrap();
    let (certificate, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    let (certificate_pem, key_pem) = authority.sign_pem(&CertificateParams::default());
    write(&certificate, &certificate_pem, 0o644);
    write(&key, &key_pem, 0o600);
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let all = |certificate: &str, key: &str| {
        [
            ("FOOTBRIDGE_URL", url.clone()),
            ("FOOTBRIDGE_CA_FILE", authority.path().to_owned()),
            ("FOOTBRIDGE_CLIENT_CERT", String::from(certificate)),
            ("FOOTBRIDGE_CLIENT_KEY", String::from(key)),
        ]
    };
    let with = |certificate: &str, key: &str| {
        let all = all(certificate, key);
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        outcome(&all)
    };
    assert_eq!(with(certificate, key)["id"], 1);
    let served = stub.requests().len();

    // The server's refusal comes after the handshake as the bridge sees it (TLS 1.3), so it may look like a lost reply.
    let refused = with("", "");
    assert!(refused["error"]["code"].is_i64(), "{refused}");
    for (certificate, key, says) in [
        (certificate, "", "FOOTBRIDGE_CLIENT_KEY"),
        ("", key, "FOOTBRIDGE_CLIENT_CERT"),
        (certificate, "/nowhere.pem", "/nowhere.pem"),
        ("/nowhere.pem", key, "/nowhere.pem"),
        (key, key, "no PEM certificate"),
        (certificate, certificate, "Check FOOTBRIDGE_CLIENT_KEY"),
    ] {
        let error = with(certificate, key);
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
    }
    write(Path::new(key), &key_pem, 0o640);
    let error = with(certificate, key);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("chmod 600"), "{message}");
    write(Path::new(key), &authority.sign_pem(&params).1, 0o600);
    let error = with(certificate, key);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("belong to each other"), "{message}");
    assert_eq!(stub.requests().len(), served);
}
