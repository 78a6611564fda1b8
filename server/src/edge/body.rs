//! The bytes of an answer on their way out: at once, in parts that are not copied, or as events.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use footbridge_protocol::sse;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::{
    line::{Note, Step, Work},
    reply::Reply,
};

/// An answer's body. What is attached to it is released when the last byte was handed over, or nobody wants it.
pub(super) struct Outgoing {
    content: Content,
    /// Held, not used: the request counts as under way until this is dropped.
    _attached: Option<Box<dyn Send + Sync>>,
}

enum Content {
    /// Nothing, or the one part that is left.
    Part(Option<Bytes>),
    /// Parts in reverse order, none of them empty.
    Parts(Vec<Bytes>),
    Events(Box<EventStream>),
    /// What a router answered.
    Page(axum::body::Body),
}

impl Outgoing {
    pub(super) fn empty() -> Self {
        Self {
            content: Content::Part(None),
            _attached: None,
        }
    }

    pub(super) fn of(bytes: impl Into<Bytes>) -> Self {
        let part = Some(bytes.into()).filter(|part| !part.is_empty());
        Self {
            content: Content::Part(part),
            _attached: None,
        }
    }

    /// Several parts, in order.
    pub(super) fn parts(mut parts: Vec<Bytes>) -> Self {
        parts.retain(|part| !part.is_empty());
        parts.reverse();
        Self {
            content: Content::Parts(parts),
            _attached: None,
        }
    }

    /// An answer of the router of pages and REST endpoints.
    pub(super) fn page(body: axum::body::Body) -> Self {
        Self {
            content: Content::Page(body),
            _attached: None,
        }
    }

    /// A reply as the one event of a stream, for clients that read nothing else.
    pub(super) fn single_event(reply: Reply) -> Self {
        let mut out = Vec::new();
        sse::write_event(&mut out, &reply.into_bytes());
        Self::of(out)
    }

    /// A stream: a message that is already there, then whatever the work brings.
    pub(super) fn events(first: &Note, work: Work, keep_alive: Duration) -> Self {
        let waiting = event(first);
        let stream = EventStream {
            waiting: Some(waiting),
            work: Some(work),
            keep_alive,
            quiet: Box::pin(sleep(keep_alive)),
        };
        Self {
            content: Content::Events(Box::new(stream)),
            _attached: None,
        }
    }

    /// Attaches what is to be released when this answer is over.
    #[must_use]
    pub(super) fn with(mut self, attached: impl Send + Sync + 'static) -> Self {
        self._attached = Some(Box::new(attached));
        self
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    /// Only a page that is being streamed can fail; its connection then breaks off.
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.get_mut().content {
            Content::Part(part) => Poll::Ready(part.take().map(|part| Ok(Frame::data(part)))),
            Content::Parts(parts) => Poll::Ready(parts.pop().map(|part| Ok(Frame::data(part)))),
            Content::Events(stream) => stream
                .poll_next(cx)
                .map(|bytes| bytes.map(|b| Ok(Frame::data(b.into())))),
            Content::Page(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Part(part) => part.is_none(),
            Content::Parts(parts) => parts.is_empty(),
            Content::Events(_) => false,
            Content::Page(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Part(part) => SizeHint::with_exact(part.as_ref().map_or(0, |part| part.len() as u64)),
            Content::Parts(parts) => SizeHint::with_exact(parts.iter().map(|part| part.len() as u64).sum()),
            Content::Events(_) => SizeHint::default(),
            Content::Page(body) => body.size_hint(),
        }
    }
}

/// A running call whose messages leave as events.
struct EventStream {
    waiting: Option<Vec<u8>>,
    work: Option<Work>,
    keep_alive: Duration,
    quiet: Pin<Box<Sleep>>,
}

impl EventStream {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        if let Some(waiting) = self.waiting.take() {
            return Poll::Ready(Some(waiting));
        }
        let Some(work) = &mut self.work else {
            return Poll::Ready(None);
        };
        let note = match work.poll_step(cx) {
            Poll::Ready(Step::Message(note)) => note,
            Poll::Ready(Step::LetGo) => {
                self.work = None;
                return Poll::Ready(None);
            }
            Poll::Ready(Step::Answer(reply)) => {
                self.work = None;
                // A stream of notices has no answer at its end.
                if reply.is_empty() {
                    return Poll::Ready(None);
                }
                Note {
                    data: reply.into_bytes(),
                    position: None,
                }
            }
            Poll::Pending => {
                if self.quiet.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.rearm();
                let mut comment = Vec::new();
                sse::write_comment(&mut comment);
                return Poll::Ready(Some(comment));
            }
        };
        self.rearm();
        Poll::Ready(Some(event(&note)))
    }

    fn rearm(&mut self) {
        self.quiet.as_mut().reset(Instant::now() + self.keep_alive);
    }
}

/// A note as an event. One that says nothing and stands nowhere is a comment.
fn event(note: &Note) -> Vec<u8> {
    let mut out = Vec::with_capacity(note.data.len() + 64);
    match &note.position {
        Some(position) => sse::write_position(&mut out, &position.id, position.retry_ms),
        None if note.data.is_empty() => {
            sse::write_comment(&mut out);
            return out;
        }
        None => {}
    }
    sse::write_event(&mut out, &note.data);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;
    use crate::edge::line::{Events, Line};

    #[tokio::test]
    async fn parts_leave_in_order_with_their_length_known() {
        let body = Outgoing::parts(vec![
            Bytes::from_static(b"one "),
            Bytes::new(),
            Bytes::from_static(b"two"),
        ]);
        assert_eq!(body.size_hint().exact(), Some(7));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "one two");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_stays_alive_and_ends_with_its_answer() {
        let line = Line::new(Events::Welcome);
        let sender = Arc::clone(&line);
        let work = Work::new(line, async move {
            tokio::time::sleep(Duration::from_secs(45)).await;
            sender.send(b"{\"second\":1}".to_vec());
            Reply::raw(200, b"{\"answer\":1}".to_vec())
        });
        let first = Note {
            data: b"{\"first\":1}".to_vec(),
            position: None,
        };
        let body = Outgoing::events(&first, work, Duration::from_secs(20));
        let text = body.collect().await.unwrap().to_bytes();
        assert_eq!(
            text,
            "data: {\"first\":1}\n\n:\n:\ndata: {\"second\":1}\n\ndata: {\"answer\":1}\n\n"
        );
    }
}
