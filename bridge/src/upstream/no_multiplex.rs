//! What stands for `multiplex.rs` in a build without HTTP/2. No server is offered it, so nothing here ever exists; the types
//! let the rest of the code be the same.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::http1::Outgoing;
use super::pool::Failed;
use super::stream::Stream;

/// A connection shared by exchanges: there is none.
pub(super) enum Multiplex {}

/// The right to one stream: nobody has it.
pub(crate) enum Turn {}

/// The body of a reply: none comes.
pub(crate) enum Multiplexed {}

/// Why a connection or a stream failed: there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {}

/// Status, headers, and the body to come.
pub(super) type Response = (StatusCode, HeaderMap, Multiplexed);

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
    pub(super) async fn send(&mut self, _: &Outgoing<'_>) -> Result<Response, Failed> {
        match *self {}
    }
}

impl Multiplexed {
    #[expect(clippy::unused_async, reason = "called as the other one is")]
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match *self {}
    }

    pub(super) fn is_over(&self) -> bool {
        match *self {}
    }

    pub(super) fn left(&self) -> u64 {
        match *self {}
    }
}
