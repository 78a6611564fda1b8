//! `[upstream.<name>]` and `[tool.http]` as they stand in a file. Whether they make sense is judged elsewhere.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

/// One REST API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct UpstreamRow {
    /// Where its paths begin: `https://host/prefix/`.
    pub base_url: String,
    /// How calls are authorised.
    #[serde(default)]
    pub auth: AuthRow,
    /// Sent with every call.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The longest wait for a whole answer, in milliseconds.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u64,
    /// Whether the API may stand on a private or loopback address, and be spoken to without TLS.
    #[serde(default)]
    pub allow_private: bool,
    /// PEM file of authorities to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// The largest answer read, in KiB.
    #[serde(default = "default_response")]
    pub max_response_kib: usize,
}

fn default_timeout() -> u64 {
    15_000
}

fn default_response() -> usize {
    1024
}

/// Where `vault:PATH#FIELD` references point: a server with the interface of HashiCorp Vault's key-value store, version 2.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct VaultRow {
    /// `https://host:port`.
    pub address: String,
    /// What opens it, by reference: `env:NAME` or `file:path`. Read at every look, since such tokens are renewed beside us.
    pub token: String,
    /// Its namespace, where it has some.
    pub namespace: Option<String>,
    /// Whether it may stand on a private or loopback address, and be spoken to without TLS.
    #[serde(default)]
    pub allow_private: bool,
    /// PEM file of authorities to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// How long a secret that was read is used before it is read again.
    #[serde(default = "five_minutes")]
    pub cache_seconds: u64,
}

fn five_minutes() -> u64 {
    300
}

/// How calls are authorised. Secrets are references: `env:NAME`, `file:path` or `vault:path#field`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::catalogue) enum AuthRow {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer …`.
    Bearer {
        /// The token.
        secret: String,
    },
    /// A header of the API's own.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        secret: String,
    },
    /// HTTP basic authentication (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The password.
        secret: String,
    },
    /// The client credentials grant (RFC 6749 §4.4).
    #[serde(rename = "oauth2_client")]
    ClientCredentials {
        /// Where tokens are given out.
        token_url: String,
        /// The client.
        client_id: String,
        /// Its secret.
        secret: String,
        /// Scopes to ask for.
        #[serde(default)]
        scopes: Vec<String>,
    },
    /// A secret of the caller's tenant: `{tenant}` in the reference is its name.
    PerTenant {
        /// The secret, with `{tenant}` in it.
        secret: String,
        /// The header that takes it.
        #[serde(default = "authorization")]
        header: String,
        /// What stands before it there.
        #[serde(default = "bearer")]
        prefix: String,
    },
}

fn authorization() -> String {
    "authorization".to_owned()
}

fn bearer() -> String {
    "Bearer ".to_owned()
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As JSON.
    #[default]
    Json,
    /// As a form; a list is its name once for each item.
    Form,
    /// As a form; a list's items have their places behind its name: `a[0]`.
    FormIndexed,
}

/// What a tool calls.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct HttpRow {
    /// The `[upstream]` that is called.
    pub upstream: String,
    /// GET, HEAD, POST, PUT, PATCH or DELETE.
    pub method: String,
    /// The path below the base, with `{argument}` holes; each takes one piece of a path.
    pub path: String,
    /// Argument → name of a query parameter.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Argument → name of a header.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Argument → name of a member of the JSON body.
    #[serde(default)]
    pub body: BTreeMap<String, String>,
    /// Values that the caller cannot set, placed like arguments.
    /// `$principal.tenant`, `$principal.user`, `$principal.email` and `$principal.role` are the caller's own.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub bind: toml::Table,
    /// How long lists go on.
    pub paging: Option<Paging>,
    /// Pointers to what alone is kept of the answer; `*` stands for every item.
    #[serde(default)]
    pub select: Vec<String>,
    /// Pointers to what is taken out of the answer.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Pointer → new name of that member.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// Status → what it means here.
    #[serde(default)]
    pub errors: BTreeMap<String, FaultCode>,
    /// How the body is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How to show what a call would change. With it, a change is made with `If-Match`, and only if nobody changed the record since.
    pub preview: Option<PreviewRow>,
    /// Resources of the edition that read otherwise after a call: URIs, with `{argument}` holes.
    #[serde(default)]
    pub changes: Vec<String>,
    /// The header that makes a repeated call harmless; the input `idempotency_key` goes there.
    pub idempotency_header: Option<String>,
    /// Whether failed calls that may safely be repeated are; on unless switched off.
    #[serde(default = "yes")]
    pub retry: bool,
}

fn yes() -> bool {
    true
}

/// How to show what a call would change.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::catalogue) struct PreviewRow {
    /// `GET /path/{id}`: where the record stands as it is now.
    pub current: String,
}

/// How an API hands out long lists. The tool's input `cursor` continues, its answer's `next_cursor` says where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Paging {
    /// The answer names the next page.
    Cursor {
        /// Query parameter that takes the cursor.
        param: String,
        /// Pointer to the next cursor; null, absent or empty at the end.
        next: String,
    },
    /// Pages are counted from 1.
    Page {
        /// Query parameter of the page's number.
        param: String,
        /// Items on a full page: a page with fewer is the last.
        size: u64,
        /// Query parameter that asks for that size.
        size_param: Option<String>,
        /// Pointer to the items; empty: the answer itself.
        #[serde(default)]
        items: String,
    },
    /// Items are counted from 0.
    Offset {
        /// Query parameter of the first item's number.
        param: String,
        /// Items asked for.
        size: u64,
        /// Query parameter that asks for that many.
        size_param: Option<String>,
        /// Pointer to the items; empty: the answer itself.
        #[serde(default)]
        items: String,
    },
    /// A `Link` header with `rel="next"` (RFC 8288); of its address only one parameter is used.
    Link {
        /// Query parameter that changes from page to page.
        param: String,
    },
}

/// What an upstream's status means to the caller (catalogue.md §2.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultCode {
    /// The arguments are wrong.
    InvalidArguments,
    /// No such record.
    NotFound,
    /// Another change was first.
    Conflict,
    /// A rule says no.
    RuleViolation,
    /// Money is missing.
    PaymentRequired,
    /// Too often.
    RateLimited,
    /// The API failed.
    UpstreamError,
    /// The API took too long.
    Timeout,
}
