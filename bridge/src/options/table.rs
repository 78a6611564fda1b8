//! The one list of commands and options. The parser accepts it, `--help` prints it, `OPTIONS.md`, the manual page and the
//! shell completions are made from it.

use crate::brand::{self, variable};

/// The variable a person sets to say where the server is.
pub(crate) const URL_VARIABLE: &str = variable!("URL");
/// The variable that holds the key.
pub(crate) const KEY_VARIABLE: &str = variable!("KEY");
/// The variable that names the variable with the key.
pub(crate) const KEY_ENV_VARIABLE: &str = variable!("KEY_ENV");
/// The variable that names a file with the key.
pub(crate) const KEY_FILE_VARIABLE: &str = variable!("KEY_FILE");
/// The variable that names the client id agreed on with an authorization server.
pub(crate) const CLIENT_ID_VARIABLE: &str = variable!("CLIENT_ID");
/// The variable that holds its secret.
pub(crate) const CLIENT_SECRET_VARIABLE: &str = variable!("CLIENT_SECRET");
/// The variable that says whether to sign in.
pub(crate) const SIGN_IN_VARIABLE: &str = variable!("SIGN_IN");
/// The variable that allows plain HTTP to other machines.
pub(crate) const ALLOW_HTTP_VARIABLE: &str = variable!("ALLOW_HTTP");

/// The variable that names certificates to trust.
pub(crate) const CA_FILE_VARIABLE: &str = variable!("CA_FILE");
/// The variable that names the certificate we show.
pub(crate) const CLIENT_CERT_VARIABLE: &str = variable!("CLIENT_CERT");
/// The variable that names the key of that certificate.
pub(crate) const CLIENT_KEY_VARIABLE: &str = variable!("CLIENT_KEY");
/// The variable that lets modern clients talk to handshake-era servers.
pub(crate) const TRANSLATE_VARIABLE: &str = variable!("TRANSLATE");

/// What the program can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Carry messages; no word on the command line.
    Connect,
    /// Write the entry of a client's configuration.
    Setup,
    /// Check everything between this machine and a live list of tools.
    Doctor,
    /// Sign in now.
    Login,
    /// Forget a sign-in.
    Logout,
}

/// A command as people see it.
pub(crate) struct Command {
    pub(crate) verb: Verb,
    /// The word on the command line. Empty: no word.
    pub(crate) word: &'static str,
    /// What may follow the word besides options.
    pub(crate) operand: &'static str,
    pub(crate) help: &'static str,
}

/// Every command.
pub(crate) const COMMANDS: &[Command] = &[
    Command {
        verb: Verb::Connect,
        word: "",
        operand: "",
        help: "Carry messages between this client (stdin and stdout) and the server",
    },
    Command {
        verb: Verb::Setup,
        word: "setup",
        operand: "[CLIENT]",
        help: "Add the server to a client's configuration, or remove it",
    },
    Command {
        verb: Verb::Doctor,
        word: "doctor",
        operand: "[CLIENT]",
        help: "Check every step from the configuration to a live list of tools",
    },
    Command {
        verb: Verb::Login,
        word: "login",
        operand: "",
        help: "Sign in to the server in a browser, ahead of the first use",
    },
    Command {
        verb: Verb::Logout,
        word: "logout",
        operand: "",
        help: "Forget the sign-in to the server",
    },
];

const EVERY: &[Verb] = &[
    Verb::Connect,
    Verb::Setup,
    Verb::Doctor,
    Verb::Login,
    Verb::Logout,
];
const CONNECT: &[Verb] = &[Verb::Connect];
const SETUP: &[Verb] = &[Verb::Setup];
const DOCTOR: &[Verb] = &[Verb::Doctor];

/// One option.
pub(crate) struct Row {
    /// The flag without its dashes. Empty: there is none.
    pub(crate) flag: &'static str,
    /// The environment variable. Empty: there is none.
    pub(crate) variable: &'static str,
    /// What stands for the value in `--help`. Empty: the flag is a switch.
    pub(crate) value: &'static str,
    /// The value taken when nothing is set.
    pub(crate) default: &'static str,
    /// The commands that take it.
    pub(crate) of: &'static [Verb],
    pub(crate) help: &'static str,
}

/// Every option.
pub(crate) const TABLE: &[Row] = &[
    Row {
        flag: "url",
        variable: URL_VARIABLE,
        value: "URL",
        default: brand::DEFAULT_URL,
        of: EVERY,
        help: "The server's MCP address, for example https://mcp.example.com/mcp; a local server's socket is written \
               unix:/run/example.sock:/mcp",
    },
    Row {
        flag: "",
        variable: KEY_VARIABLE,
        value: "KEY",
        default: "",
        of: EVERY,
        help: "The access key, sent to the server as a bearer token. Never a flag: command lines are public",
    },
    Row {
        flag: "key-env",
        variable: KEY_ENV_VARIABLE,
        value: "VARIABLE",
        default: "",
        of: EVERY,
        help: "The variable that holds the key instead. setup has the entry refer to it where the client expands variables, \
               and else name it",
    },
    Row {
        flag: "key-file",
        variable: KEY_FILE_VARIABLE,
        value: "PATH",
        default: "",
        of: EVERY,
        help: "A file that holds the key instead; only its owner may have access to it",
    },
    Row {
        flag: "ca-file",
        variable: CA_FILE_VARIABLE,
        value: "PATH",
        default: "",
        of: EVERY,
        help: "Certificates (PEM) to trust besides the built-in ones; SSL_CERT_FILE means the same. Those of the operating \
               system (or of SSL_CERT_DIR) are consulted when neither suffices",
    },
    Row {
        flag: "client-cert",
        variable: CLIENT_CERT_VARIABLE,
        value: "PATH",
        default: "",
        of: EVERY,
        help: "A certificate (PEM) that proves to the server who this is, for servers that ask for one",
    },
    Row {
        flag: "client-key",
        variable: CLIENT_KEY_VARIABLE,
        value: "PATH",
        default: "",
        of: EVERY,
        help: "The private key (PEM) of that certificate; only its owner may have access to it",
    },
    Row {
        flag: "allow-http",
        variable: ALLOW_HTTP_VARIABLE,
        value: "",
        default: "",
        of: EVERY,
        help: "Allow plain http:// to other machines. The key then travels unencrypted",
    },
    Row {
        flag: "sign-in",
        variable: SIGN_IN_VARIABLE,
        value: "WHEN",
        default: "auto",
        of: EVERY,
        help: "auto: sign in with a browser when no key is set and the server offers it. kept: use and renew an earlier sign-in, open no browser. never: neither",
    },
    Row {
        flag: "sign-in-timeout",
        variable: variable!("SIGN_IN_TIMEOUT"),
        value: "SECONDS",
        default: "300",
        of: EVERY,
        help: "Longest wait for the person in the browser",
    },
    Row {
        flag: "client-id",
        variable: CLIENT_ID_VARIABLE,
        value: "ID",
        default: "",
        of: EVERY,
        help: "The client id agreed on with the authorization server; else one is registered",
    },
    Row {
        flag: "",
        variable: CLIENT_SECRET_VARIABLE,
        value: "SECRET",
        default: "",
        of: EVERY,
        help: "The secret of that client id, if it has one. Never a flag: command lines are public",
    },
    Row {
        flag: "client-secret-file",
        variable: variable!("CLIENT_SECRET_FILE"),
        value: "PATH",
        default: "",
        of: EVERY,
        help: "A file that holds the secret instead; only its owner may have access to it",
    },
    Row {
        flag: "client-metadata-url",
        variable: variable!("CLIENT_METADATA_URL"),
        value: "URL",
        default: "",
        of: EVERY,
        help: "The https address of a document about this client, for authorization servers that take one as client id",
    },
    Row {
        flag: "scopes",
        variable: variable!("SCOPES"),
        value: "SCOPES",
        default: "",
        of: EVERY,
        help: "The scopes to ask for, separated by blanks, instead of those the server names",
    },
    Row {
        flag: "grant",
        variable: variable!("GRANT"),
        value: "GRANT",
        default: "authorization_code",
        of: EVERY,
        help: "client_credentials: sign in as the client itself, with its id and secret and without a browser",
    },
    Row {
        flag: "callback-port",
        variable: variable!("CALLBACK_PORT"),
        value: "PORT",
        default: "0",
        of: EVERY,
        help: "The port of 127.0.0.1 that the browser comes back to; 0 is any free one",
    },
    Row {
        flag: "upstream",
        variable: variable!("UPSTREAM"),
        value: "ERA",
        default: "auto",
        of: CONNECT,
        help: "What the server speaks: modern, legacy, or auto to find out. With legacy nothing is translated",
    },
    Row {
        flag: "translate",
        variable: TRANSLATE_VARIABLE,
        value: "",
        default: "",
        of: CONNECT,
        help: "Serve clients of the modern revision from a server that only knows the older ones, in a session of their own",
    },
    Row {
        flag: "connect-timeout",
        variable: variable!("CONNECT_TIMEOUT"),
        value: "SECONDS",
        default: "10",
        of: EVERY,
        help: "Longest wait for a connection, TLS included",
    },
    Row {
        flag: "response-timeout",
        variable: variable!("RESPONSE_TIMEOUT"),
        value: "SECONDS",
        default: "120",
        of: CONNECT,
        help: "Longest wait for the server to begin its reply",
    },
    Row {
        flag: "call-timeout",
        variable: variable!("CALL_TIMEOUT"),
        value: "SECONDS",
        default: "900",
        of: CONNECT,
        help: "Longest time for one request from start to end, progress or not",
    },
    Row {
        flag: "max-message",
        variable: variable!("MAX_MESSAGE"),
        value: "BYTES",
        default: "67108864",
        of: CONNECT,
        help: "Largest message carried, each way",
    },
    Row {
        flag: "max-in-flight",
        variable: variable!("MAX_IN_FLIGHT"),
        value: "COUNT",
        default: "1024",
        of: CONNECT,
        help: "Requests in flight at once; more wait in order. Over HTTP/1.1 each has a connection to itself",
    },
    Row {
        flag: "log",
        variable: variable!("LOG"),
        value: "LEVEL",
        default: "warn",
        of: EVERY,
        help: "What stderr is told: off, warn, info or debug. Never a body, a header value or the key",
    },
    Row {
        flag: "list",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "List the clients found here: where each keeps its entries, and whether ours is there",
    },
    Row {
        flag: "all",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "Every client found here that can be set up without pasting",
    },
    Row {
        flag: "direct",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "The client connects to the server itself; taken where it can",
    },
    Row {
        flag: "bridge",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "The client starts this program",
    },
    Row {
        flag: "project",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "The file of the project in this directory instead of the user's",
    },
    Row {
        flag: "name",
        variable: "",
        value: "NAME",
        default: "",
        of: SETUP,
        help: "What the entry is called; this program's name when not given",
    },
    Row {
        flag: "key-stdin",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "Read the key from standard input",
    },
    Row {
        flag: "no-key",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "Write an entry without a key: the server needs none, or the client signs in",
    },
    Row {
        flag: "print",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "Print what to paste and the link to click; touch nothing",
    },
    Row {
        flag: "dry-run",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "Show what would change; write nothing",
    },
    Row {
        flag: "yes",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "Write without asking",
    },
    Row {
        flag: "remove",
        variable: "",
        value: "",
        default: "",
        of: SETUP,
        help: "Take the entry out again",
    },
    Row {
        flag: "json",
        variable: "",
        value: "",
        default: "",
        of: DOCTOR,
        help: "Print one JSON document instead of lines",
    },
    Row {
        flag: "help",
        variable: "",
        value: "",
        default: "",
        of: EVERY,
        help: "Print this and exit",
    },
    Row {
        flag: "version",
        variable: "",
        value: "",
        default: "",
        of: EVERY,
        help: "Print the version and exit",
    },
];

/// Variables that other programs read as well, so that they have no row: names and what they do here.
pub(crate) const STANDARD: &[(&str, &str)] = &[
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY",
        "The proxy (http:// or https://) through which https://, http:// or all addresses are reached, always by CONNECT; lower \
         case wins. This machine is never reached through one",
    ),
    (
        "NO_PROXY",
        "What is reached directly: hosts with everything below them, addresses, networks (10.0.0.0/8), host:port, or *",
    ),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "Certificates to trust besides the built-in ones, and the directory that stands for the operating system's",
    ),
];
