//! A reply that survives the cut of its connection: what is said on it is kept, each message has its place, and the
//! client that lost it asks for the rest by the last place it saw (`Last-Event-ID`).
//!
//! Kept are the questions to the client and the answer. Progress and log messages are told and forgotten: whoever was
//! away needs none of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use footbridge_protocol::era::ProtocolVersion;
use tokio::sync::OnceCell;
use tracing::warn;

use super::{
    desk::{Caller, Common},
    line::{Line, Note, Position},
    reply::Reply,
};
use crate::{
    access::Principal,
    pipeline::{House, Said},
    store::Topic,
};

/// A reply that is kept once it has become a stream.
pub(super) struct Tape {
    house: Arc<House>,
    principal: Principal,
    id: String,
    /// Whether its id is worth anything; set when the stream is opened.
    opened: OnceCell<bool>,
    /// The place of the newest message.
    last: AtomicU32,
    /// Whether the client knows where the stream begins.
    placed: AtomicBool,
    /// Whether an event without data may open the stream, which older clients do not understand.
    primes: bool,
    retry_ms: u64,
    kept_ms: i64,
}

impl Tape {
    /// `None`: the machine has no random bytes to name it by.
    pub(super) fn new(common: &Common, caller: &Caller, version: ProtocolVersion) -> Option<Self> {
        let settings = &common.settings;
        Some(Self {
            house: Arc::clone(&common.house),
            principal: caller.principal.clone(),
            id: common.house.new_stream()?,
            opened: OnceCell::new(),
            last: AtomicU32::new(0),
            placed: AtomicBool::new(false),
            primes: version >= ProtocolVersion::V2025_11_25,
            retry_ms: settings.retry_ms,
            kept_ms: i64::try_from(settings.reply_kept_ms).unwrap_or(i64::MAX),
        })
    }

    /// Makes the reply a stream, if it is none yet.
    pub(super) async fn open(&self, line: &Line) {
        self.opened
            .get_or_init(|| async {
                let kept = self.keep(0, Vec::new(), false).await;
                if kept && self.primes {
                    line.note(Note {
                        data: Vec::new(),
                        position: self.place(0),
                    });
                }
                kept
            })
            .await;
    }

    /// Says something that must arrive.
    pub(super) async fn say(&self, line: &Line, message: Vec<u8>) {
        self.open(line).await;
        let at = self.last.fetch_add(1, Ordering::AcqRel) + 1;
        let kept = self.is_kept() && self.keep(at, message.clone(), false).await;
        line.note(Note {
            data: message,
            position: self.place(at).filter(|_| kept),
        });
    }

    /// Says something that need not.
    pub(super) async fn pass(&self, line: &Line, message: Vec<u8>) {
        self.open(line).await;
        let first = self.is_kept() && !self.placed.load(Ordering::Acquire);
        line.note(Note {
            data: message,
            position: self.place(0).filter(|_| first),
        });
    }

    /// Keeps the answer, if the reply is a stream.
    pub(super) async fn end(&self, reply: &Reply) {
        if self.is_kept() {
            let at = self.last.fetch_add(1, Ordering::AcqRel) + 1;
            self.keep(at, reply.to_bytes(), true).await;
        }
    }

    fn is_kept(&self) -> bool {
        self.opened.get() == Some(&true)
    }

    async fn keep(&self, position: u32, message: Vec<u8>, is_last: bool) -> bool {
        let said = Said {
            position,
            message,
            is_last,
        };
        let kept = self
            .house
            .keep_said(&self.principal, &self.id, said, self.kept_ms)
            .await;
        if let Err(error) = &kept {
            warn!(error = %error, "a reply is not kept: it is lost if its connection is");
        }
        kept.is_ok()
    }

    fn place(&self, at: u32) -> Option<Position> {
        let first = !self.placed.swap(true, Ordering::AcqRel);
        Some(Position {
            id: format!("{}.{at}", self.id),
            retry_ms: first.then_some(self.retry_ms),
        })
    }
}

/// A place as a client names it.
pub(super) fn place_of(id: &str) -> Option<(&str, u32)> {
    let (stream, position) = id.rsplit_once('.')?;
    Some((stream, position.parse().ok()?))
}

/// Plays the rest of a reply to its end. `false`: no such reply is kept.
pub(super) async fn play(
    common: &Common,
    principal: &Principal,
    stream: &str,
    mut position: u32,
    line: &Line,
) -> bool {
    // Heard from before the first look: nothing that is said after it is missed.
    let mut changes = common.house.store().listen(&[Topic::Replies]);
    let end = tokio::time::Instant::now() + Duration::from_millis(common.settings.reply_kept_ms);
    let mut known = false;
    loop {
        match common.house.said_after(principal, stream, position).await {
            Ok(None) => return known,
            Ok(Some(said)) => {
                known = true;
                for said in said {
                    position = said.position;
                    line.note(Note {
                        data: said.message,
                        position: Some(Position {
                            id: format!("{stream}.{position}"),
                            retry_ms: None,
                        }),
                    });
                    if said.is_last {
                        return true;
                    }
                }
            }
            Err(error) => {
                warn!(error = %error, "the rest of a reply is not read");
                return known;
            }
        }
        tokio::select! {
            () = common.draining.cancelled() => return true,
            () = tokio::time::sleep_until(end) => return true,
            change = changes.next() => if change.is_none() {
                return true;
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        assert_eq!(place_of("a-B_9.12"), Some(("a-B_9", 12)));
        for no in ["", "a", "a.", "a.-1", "a.99999999999"] {
            assert_eq!(place_of(no), None, "{no}");
        }
    }
}
