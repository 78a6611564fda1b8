//! The rooms of a call as spans of their own, below the call's. In a program that is built without the feature `otel`, and for
//! a call that nobody traces, all of this is empty values.

use futures_util::future::BoxFuture;

#[cfg(feature = "otel")]
use super::export::{Above, OpenRoom, Seen};

/// A room whose time is told apart, under the name that ARCHITECTURE.md gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The request, from its first byte until the call is known: its body is read, and who asks is found out.
    Edge,
    /// Who asks. Inside [`Room::Edge`].
    Access,
    /// Concurrency, and the month's calls.
    Limits,
    /// The tool, its mirrored headers, and whether its scopes are held.
    Catalogue,
    /// The arguments against the tool's schema.
    Arguments,
    /// Whether somebody must agree.
    Policy,
    /// A transaction: the wait for it, what is done in it, and its commit.
    Store,
    /// The tool's handler, inside [`Room::Store`] where it works in a transaction.
    Domain,
    /// The row of the call log, where it does not commit with the effect.
    Audit,
}

impl Room {
    /// The span's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Access => "access",
            Self::Limits => "limits",
            Self::Catalogue => "catalogue",
            Self::Arguments => "catalogue/arguments",
            Self::Policy => "policy",
            Self::Store => "store",
            Self::Domain => "domain",
            Self::Audit => "audit",
        }
    }
}

/// Where rooms are entered: below a call, or below another room.
#[derive(Clone, Debug, Default)]
pub struct Rooms {
    #[cfg(feature = "otel")]
    above: Option<Above>,
}

impl Rooms {
    #[cfg(feature = "otel")]
    pub(super) fn below(above: Option<Above>) -> Self {
        Self { above }
    }

    /// Enters a room.
    #[cfg_attr(
        not(feature = "otel"),
        expect(unused_variables, reason = "there is nothing to open")
    )]
    pub fn enter(&self, room: Room) -> RoomSpan {
        RoomSpan {
            #[cfg(feature = "otel")]
            open: self.above.as_ref().and_then(|above| above.enter(room)),
        }
    }

    /// The same work, done in a room. Nothing is put around it where nothing is traced.
    #[cfg_attr(
        not(feature = "otel"),
        expect(unused_variables, reason = "there is nothing to open")
    )]
    pub fn within<'w, T: Send + 'w>(self, room: Room, work: BoxFuture<'w, T>) -> BoxFuture<'w, T> {
        #[cfg(feature = "otel")]
        if self.above.is_some() {
            return Box::pin(async move {
                let _inside = self.enter(room);
                work.await
            });
        }
        work
    }
}

/// A room that a call is in, until it leaves or this is dropped.
#[must_use = "a room is left when this is dropped"]
#[derive(Debug)]
pub struct RoomSpan {
    #[cfg(feature = "otel")]
    open: Option<OpenRoom>,
}

impl RoomSpan {
    /// Where rooms inside this one are entered.
    pub fn inside(&self) -> Rooms {
        Rooms {
            #[cfg(feature = "otel")]
            above: self.open.as_ref().map(OpenRoom::above),
        }
    }

    /// Leaves it.
    pub fn leave(self) {}
}

/// When a request came, and when it was known who asks. The call it turns out to be began then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival {
    #[cfg(feature = "otel")]
    pub(super) seen: Option<Seen>,
}

impl Arrival {
    /// A request comes in.
    pub fn now() -> Self {
        Self {
            #[cfg(feature = "otel")]
            seen: Seen::now(),
        }
    }

    /// Its credential is looked at from now on.
    pub fn asked(&mut self) {
        #[cfg(feature = "otel")]
        if let Some(seen) = &mut self.seen {
            seen.asked();
        }
    }

    /// It is known who asks.
    pub fn admitted(&mut self) {
        #[cfg(feature = "otel")]
        if let Some(seen) = &mut self.seen {
            seen.admitted();
        }
    }
}
