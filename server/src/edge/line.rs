//! What a call under way and whoever waits for it tell each other: messages before the answer, the answer, and
//! whether the work goes on when nobody waits any more.
//!
//! Both ends are polled by one task, the connection's own, so a message costs a push and no wake-up.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;

use super::reply::Reply;

/// Whether an answer may come as a stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Events {
    /// The client does not read them.
    Never,
    /// Only where nothing else can carry the answer.
    IfNeeded,
    /// The client asked for them by name.
    Welcome,
}

/// One message ahead of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// JSON, or nothing: such a note only opens the stream.
    pub(super) data: Vec<u8>,
    /// Where in a stream that can be asked for again it stands.
    pub(super) position: Option<Position>,
}

/// A place in a stream that can be asked for again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// What the client names to get what comes after.
    pub(super) id: String,
    /// How long it waits before it does, in milliseconds.
    pub(super) retry_ms: Option<u64>,
}

/// The connection between a call and its waiter.
#[derive(Debug)]
pub(super) struct Line {
    events: Events,
    may_outlive: bool,
    outlives_caller: AtomicBool,
    let_go: AtomicBool,
    messages: Mutex<VecDeque<Note>>,
}

impl Line {
    pub(super) fn new(events: Events) -> Arc<Self> {
        let outlives_caller = AtomicBool::new(false);
        Arc::new(Self {
            events,
            may_outlive: true,
            outlives_caller,
            let_go: AtomicBool::new(false),
            messages: Mutex::default(),
        })
    }

    /// A line whose work always ends with its waiter: on stdio whoever stops waiting said so.
    pub(super) fn attached(events: Events) -> Arc<Self> {
        let outlives_caller = AtomicBool::new(false);
        Arc::new(Self {
            events,
            may_outlive: false,
            outlives_caller,
            let_go: AtomicBool::new(false),
            messages: Mutex::default(),
        })
    }

    pub(super) fn events(&self) -> Events {
        self.events
    }

    /// From here on the work is finished even if its waiter goes away (protocol.md S-46).
    pub(super) fn outlive_caller(&self) {
        self.outlives_caller.store(self.may_outlive, Ordering::Release);
    }

    /// Sends one message ahead of the answer.
    pub(super) fn send(&self, message: Vec<u8>) {
        self.note(Note {
            data: message,
            position: None,
        });
    }

    /// The same, with its place in the stream.
    pub(super) fn note(&self, note: Note) {
        self.messages.lock().push_back(note);
    }

    /// Ends the waiting once everything said so far was handed out. The work goes on if it outlives its waiter.
    pub(super) fn let_go(&self) {
        self.let_go.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Note> {
        self.messages.lock().pop_front()
    }
}

/// What comes next from a call.
#[derive(Debug)]
pub(super) enum Step {
    /// Something ahead of the answer.
    Message(Note),
    /// The answer; nothing follows.
    Answer(Reply),
    /// No answer on this line: its waiter was let go.
    LetGo,
}

/// A call under way.
pub(super) struct Work {
    future: Option<BoxFuture<'static, Reply>>,
    answer: Option<Reply>,
    line: Arc<Line>,
}

impl Work {
    pub(super) fn new(line: Arc<Line>, future: impl Future<Output = Reply> + Send + 'static) -> Self {
        Self {
            future: Some(Box::pin(future)),
            answer: None,
            line,
        }
    }

    /// The next message, or the answer once all messages sent before it were handed out.
    pub(super) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if let Some(message) = self.line.take() {
                return Poll::Ready(Step::Message(message));
            }
            if self.line.let_go.load(Ordering::Acquire) && self.answer.is_none() {
                return Poll::Ready(Step::LetGo);
            }
            if let Some(answer) = self.answer.take() {
                return Poll::Ready(Step::Answer(answer));
            }
            // Taken out while it is polled: a future that panicked is never polled again.
            let Some(mut future) = self.future.take() else {
                return Poll::Pending;
            };
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(Poll::Ready(answer)) => self.answer = Some(answer),
                Ok(Poll::Pending) => {
                    self.future = Some(future);
                    if self.line.messages.lock().is_empty() && !self.line.let_go.load(Ordering::Acquire) {
                        return Poll::Pending;
                    }
                }
                Err(_) => self.answer = Some(Reply::broken()),
            }
        }
    }

    /// Waits for the next step.
    pub(super) async fn step(&mut self) -> Step {
        std::future::poll_fn(|cx| self.poll_step(cx)).await
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let Some(future) = self.future.take() else { return };
        if !self.line.outlives_caller.load(Ordering::Acquire) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Nobody reads the answer; a panic was counted by whoever raised it.
            runtime.spawn(AssertUnwindSafe(future).catch_unwind().map(drop));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn messages_come_before_the_answer() {
        let line = Line::new(Events::Welcome);
        let sender = Arc::clone(&line);
        let mut work = Work::new(line, async move {
            sender.send(b"one".to_vec());
            tokio::task::yield_now().await;
            sender.send(b"two".to_vec());
            Reply::accepted()
        });
        for expected in [&b"one"[..], b"two"] {
            assert!(matches!(work.step().await, Step::Message(m) if m.data == expected));
        }
        assert!(matches!(work.step().await, Step::Answer(_)));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let mut work = Work::new(Line::new(Events::Never), async { panic!("on purpose") });
        assert!(matches!(work.step().await, Step::Answer(reply) if reply.status == 500));
    }

    #[tokio::test]
    async fn only_work_that_outlives_its_caller_goes_on() {
        for outlives in [true, false] {
            let line = Line::new(Events::Never);
            let (go, wait) = oneshot::channel::<()>();
            let (done, finished) = oneshot::channel();
            let own = Arc::clone(&line);
            let mut work = Work::new(line, async move {
                if outlives {
                    own.outlive_caller();
                }
                let _ = wait.await;
                let _ = done.send(());
                Reply::accepted()
            });
            assert!(futures_util::poll!(std::pin::pin!(work.step())).is_pending());
            drop(work);
            let _ = go.send(());
            assert_eq!(finished.await.is_ok(), outlives);
        }
    }
}
