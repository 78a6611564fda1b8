//! Why each problem matters and what ends it (clients.md §6).

use super::report::Advice;
use crate::brand::variable;
use crate::diagnosis::Diagnosis;

const SETUP: &str = concat!(
    "run `",
    env!("BRAND_NAME"),
    " setup CLIENT`, or put the value in the entry's `env` yourself"
);
const KEY: &str = "copy the key again to where it is kept, or create another one on the server";

/// The advice for a problem.
pub(super) fn of(diagnosis: Diagnosis) -> Advice {
    let (why, fix) = match diagnosis {
        Diagnosis::UrlMissing => ("without an address there is nothing to connect to", SETUP),
        Diagnosis::UrlMalformed => (
            "the address cannot be read, so nothing was tried",
            concat!(
                "correct ",
                variable!("URL"),
                "; it looks like https://mcp.example.com/mcp"
            ),
        ),
        Diagnosis::Unencrypted => (
            "everybody on the way could read the key and every message",
            concat!(
                "use https://, or set ",
                variable!("ALLOW_HTTP"),
                "=1 on a private network you trust"
            ),
        ),
        Diagnosis::WebPage | Diagnosis::NotMcp => (
            "the server answers, but not at this path",
            concat!(
                "correct the path in ",
                variable!("URL"),
                "; the operator of the server knows it"
            ),
        ),
        Diagnosis::KeyMissing => ("the server answers nobody it does not know", SETUP),
        Diagnosis::KeyPlaceholder | Diagnosis::KeySample | Diagnosis::KeyDressed => (
            "the server would refuse what stands in the place of the key",
            SETUP,
        ),
        Diagnosis::KeyChecksum | Diagnosis::KeyRefused => {
            ("the server refuses every request with this key", KEY)
        }
        Diagnosis::KeyKind => (
            "what such a token may do is not what an assistant may, so the server's tools do not take it",
            "create an access key on the server and put it in the place of this",
        ),
        Diagnosis::KeyFile => (
            "a key that others can read is no secret, and one that cannot be read is no key",
            concat!(
                "correct ",
                variable!("KEY_FILE"),
                " or the file it names; `chmod 600` keeps others out"
            ),
        ),
        Diagnosis::NameNotFound => (
            "without its address the server cannot be reached",
            concat!(
                "check the spelling in ",
                variable!("URL"),
                " and this machine's network; in a container `localhost` is the container"
            ),
        ),
        Diagnosis::NoConnection => (
            "no message reaches the server",
            "check that the server runs and that no firewall or proxy stands in the way",
        ),
        Diagnosis::TlsUntrusted => (
            "whoever stands in between could read the key",
            concat!(
                "name the authority's certificate in ",
                variable!("CA_FILE"),
                ", or install it in this system"
            ),
        ),
        Diagnosis::TlsCertificate => (
            "the server cannot prove who it is",
            "the server's operator has to correct the certificate; check this machine's clock as well",
        ),
        Diagnosis::Proxy => (
            "no message gets past the proxy",
            "correct HTTPS_PROXY, or name the server in NO_PROXY",
        ),
        Diagnosis::ScopeMissing => (
            "the key is valid, but not for this",
            "ask an administrator of the server for a key with the scopes named",
        ),
        Diagnosis::Busy => (
            "the server refuses requests for the moment",
            "try again after the time named",
        ),
        Diagnosis::SignIn => (
            "the server answers nobody it does not know",
            concat!(
                "run `",
                env!("BRAND_NAME"),
                " login` with the settings of this entry, and agree in the browser"
            ),
        ),
        Diagnosis::Handshake => (
            "the client gets no tools",
            "if the server is newer than this program, update this program; else tell the server's operator",
        ),
        Diagnosis::Buffered => (
            "progress, questions and changes come late or never, and the proxy cuts calls that take long",
            "have the operator switch buffering off for the server's path: it must hand on what it gets at once",
        ),
        Diagnosis::StartSlow => (
            "some clients give a server 10 seconds to start and then drop it",
            "start it on a quieter machine, or tell the server's operator",
        ),
        Diagnosis::Orphans => (
            "they hold connections and memory for nobody",
            "end them; a client that leaves them behind may be out of date",
        ),
    };
    Advice { why, fix }
}
