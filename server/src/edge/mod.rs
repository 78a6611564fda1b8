//! The HTTP side: sockets come in, calls into the hall go out, and what the hall says goes back.
//!
//! Nothing here decides what a caller may do; the edge judges form, the hall judges rights. Reading order:
//!
//! 1. [`settings`](EdgeSettings): every size and time, with its reason.
//! 2. `listener`, `connection`, `socket`, `tls`: from a listening port to HTTP requests, with every limit armed.
//! 3. `names`, `gate`, `intake`: the checks that need no body (protocol.md §1.2, rows 1 to 5), and the body.
//! 4. `front`, `exchange`, `http`: one HTTP request and its reply.
//! 5. `envelope`, `modern`, `legacy`: a message → what it asks for, one file per era.
//! 6. `desk`: the work itself, `offers` for prompts and resources, `discovery` for three tools in place of all; `batch`, `progress`, and `listen`, the one call that
//!    only streams. For clients with a session `messenger` asks on an open stream, `tape` keeps what was said on it,
//!    `notices` serves their GET. `tasks`: calls that go on after
//!    their reply.
//! 7. `refusal`, `challenge`, `reply`, `shape`, `body`, `line`: from an outcome or error to status, code, text and bytes.
//! 8. `well_known`, `oauth_documents`, `metrics`: documents and figures for machines that look after this one.
//! 9. `visit`: requests that are no MCP message, handed to the router of pages and REST endpoints.
//! 10. `stdio`: the same desk for one local process.

mod batch;
mod body;
mod calls;
mod challenge;
mod connection;
mod desk;
mod discovery;
mod ears;
mod envelope;
mod exchange;
mod front;
mod gate;
mod http;
mod intake;
mod legacy;
mod line;
mod listen;
mod listener;
mod messenger;
mod metrics;
mod modern;
mod names;
mod notices;
mod oauth_documents;
mod offers;
mod progress;
mod refusal;
mod reply;
mod session;
mod settings;
mod shape;
mod socket;
pub mod stdio;
mod tape;
mod tasks;
mod tls;
mod visit;
mod well_known;

pub use gate::{TwoCredentials, credential};
pub use http::{request_id, show_rate, show_usage};
pub use listener::{EdgeError, Server, listen};
pub use refusal::auth_status;
pub use reply::{details, log};
pub use settings::EdgeSettings;
pub use tls::{TlsError, TlsFiles, check_tls};
pub use visit::{BodyTooSlow, Site, Visit};

/// A stranger's text for a log line: control characters escaped, at most 200 characters.
struct Logged<'a>(&'a str);

impl std::fmt::Display for Logged<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .chars()
            .take(200)
            .flat_map(char::escape_debug)
            .try_for_each(|c| std::fmt::Write::write_char(f, c))
    }
}

#[cfg(test)]
mod tests {
    use super::Logged;

    #[test]
    fn a_logged_text_stays_on_its_line_and_is_short() {
        assert_eq!(Logged("a\n\u{1b}[31m").to_string(), "a\\n\\u{1b}[31m");
        assert_eq!(Logged(&"x".repeat(9000)).to_string().len(), 200);
    }
}
