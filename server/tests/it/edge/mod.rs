//! The HTTP side and stdio, through real sockets and pipes.

mod bound;
mod calls;
mod changes;
mod confirm;
mod discovery;
mod documents;
mod gate;
mod http2;
mod offers;
mod patience;
mod review_tasks;
mod schema;
mod sessions;
mod stdio;
mod stopping;
mod streams;
mod too_many;
mod transcripts;
mod unrecorded;
mod wire;
