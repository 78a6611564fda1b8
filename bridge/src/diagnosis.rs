//! The checks that can fail, each with the code that names it wherever it is spoken of: in the JSON-RPC error of the host, on
//! stderr, and by `doctor` (clients.md §6). The words stand where the failure is found, so all three say the same.

/// Makes the enumeration and both directions of its code from one list.
macro_rules! diagnoses {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A check between the configuration and a live list of tools, by what has gone wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(not(feature = "setup"), allow(dead_code, reason = "some are found by `doctor` alone"))]
        pub(crate) enum Diagnosis {
            $($(#[$doc])* $name,)*
        }

        impl Diagnosis {
            /// The code, stable over releases.
            pub(crate) fn code(self) -> &'static str {
                match self {
                    $(Diagnosis::$name => $code,)*
                }
            }

            /// The check with this code.
            #[cfg(feature = "setup")]
            pub(crate) fn find(code: &str) -> Option<Diagnosis> {
                match code {
                    $($code => Some(Diagnosis::$name),)*
                    _ => None,
                }
            }
        }
    };
}

diagnoses! {
    /// No address.
    UrlMissing = "FB101",
    /// The address is no URL.
    UrlMalformed = "FB102",
    /// Plain HTTP to another machine.
    Unencrypted = "FB103",
    /// The address leads to a web page.
    WebPage = "FB104",
    /// The server wants a key and there is none.
    KeyMissing = "FB111",
    /// A variable that the client did not expand.
    KeyPlaceholder = "FB112",
    /// The sample text of a guide.
    KeySample = "FB113",
    /// Quotes, blanks or `Bearer` around the key.
    KeyDressed = "FB114",
    /// A token of the server that is no access key.
    KeyKind = "FB115",
    /// The key lost or changed a character.
    KeyChecksum = "FB116",
    /// The key file cannot be used.
    KeyFile = "FB117",
    /// The host has no address.
    NameNotFound = "FB121",
    /// Nobody answers there.
    NoConnection = "FB122",
    /// Nobody known has signed the certificate.
    TlsUntrusted = "FB123",
    /// The certificate has another name or date.
    TlsCertificate = "FB124",
    /// The proxy refused.
    Proxy = "FB125",
    /// The server does not accept the key.
    KeyRefused = "FB131",
    /// The key is valid, not for this.
    ScopeMissing = "FB133",
    /// No MCP endpoint at this path.
    NotMcp = "FB134",
    /// A limit, or the server is starting or draining.
    Busy = "FB135",
    /// The server wants a sign-in and there is none.
    SignIn = "FB136",
    /// The first exchange failed otherwise.
    Handshake = "FB141",
    /// A proxy gathers event streams.
    Buffered = "FB142",
    /// The first answer took long.
    StartSlow = "FB143",
    /// Processes of this program without a parent.
    Orphans = "FB161",
}
