//! The checks that can fail, each with the code that names it wherever it is spoken of: in the JSON-RPC error of the host, on
//! stderr, and by `doctor` (clients.md §6). The words stand where the failure is found, so all three say the same.

/// A check between the configuration and a live list of tools, by what has gone wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Diagnosis {
    UrlMissing,
    UrlMalformed,
    Unencrypted,
    WebPage,
    KeyMissing,
    KeyPlaceholder,
    KeySample,
    KeyDressed,
    KeyChecksum,
    KeyFile,
    NameNotFound,
    NoConnection,
    TlsUntrusted,
    TlsCertificate,
    Proxy,
    KeyRefused,
    ScopeMissing,
    NotMcp,
    Busy,
    Handshake,
}

impl Diagnosis {
    /// The code, stable over releases.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Diagnosis::UrlMissing => "FB101",
            Diagnosis::UrlMalformed => "FB102",
            Diagnosis::Unencrypted => "FB103",
            Diagnosis::WebPage => "FB104",
            Diagnosis::KeyMissing => "FB111",
            Diagnosis::KeyPlaceholder => "FB112",
            Diagnosis::KeySample => "FB113",
            Diagnosis::KeyDressed => "FB114",
            Diagnosis::KeyChecksum => "FB116",
            Diagnosis::KeyFile => "FB117",
            Diagnosis::NameNotFound => "FB121",
            Diagnosis::NoConnection => "FB122",
            Diagnosis::TlsUntrusted => "FB123",
            Diagnosis::TlsCertificate => "FB124",
            Diagnosis::Proxy => "FB125",
            Diagnosis::KeyRefused => "FB131",
            Diagnosis::ScopeMissing => "FB133",
            Diagnosis::NotMcp => "FB134",
            Diagnosis::Busy => "FB135",
            Diagnosis::Handshake => "FB141",
        }
    }
}
