//! The HTTP side and stdio, through real sockets and pipes.

mod calls;
mod confirm;
mod discovery;
mod documents;
mod gate;
mod http2;
mod offers;
mod patience;
mod schema;
mod stdio;
mod stopping;
mod streams;
mod transcripts;
mod wire;
