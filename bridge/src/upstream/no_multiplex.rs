//! What stands for `multiplex.rs` in a build without HTTP/2. No server is offered it, so nothing here ever exists; the types
//! let the rest of the code be the same.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::pool::Failed;
use super::stream::Stream;

/// A connection shared by exchanges: there is none.
pub(super) enum Multiplex {}

/// The right to one stream: nobody has it.
pub(crate) enum Turn {}

/// How many streams a server allows: nothing is known.
#[derive(Default)]
pub(super) struct Room;

impl Multiplex {
    #[expect(clippy::unused_async, reason = "called as the other one is")]
    pub(super) async fn open(_: Stream, _: &Arc<Room>) -> Result<Multiplex, String> {
        Err("the server chose HTTP/2, which this build does not speak".to_owned())
    }

    pub(super) fn turn(&self) -> Option<Turn> {
        match *self {}
    }

    pub(super) fn is_over(&self) -> bool {
        match *self {}
    }
}

impl Turn {
    #[expect(clippy::unused_async, reason = "called as the other one is")]
    pub(super) async fn send(&mut self, _: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failed> {
        match *self {}
    }
}
