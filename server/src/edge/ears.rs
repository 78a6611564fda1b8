//! What a stream of notices listens to, the same for both eras: changes in the store, another catalogue, its own end.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{desk::Common, listen::Watch};
use crate::store::{Listener, Topic};

/// What a stream hears next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is time to look what there is to tell.
    Look,
    /// Something of a session changed, or may have.
    Session,
    /// The stream is over.
    End,
}

/// The ears of one stream. Invariant: they are opened before the stream's first word, so that nothing after it is missed.
pub(super) struct Ears {
    changes: Listener,
    catalogue: watch::Receiver<u64>,
    draining: CancellationToken,
    end: Instant,
}

impl Ears {
    pub(super) fn open(common: &Common) -> Self {
        Self {
            changes: common.house.store().listen(&[
                Topic::Sessions,
                Topic::Catalogue,
                Topic::Keys,
                Topic::Users,
                Topic::Tenants,
                Topic::Resources,
            ]),
            catalogue: common.house.catalogue_changes(),
            draining: common.draining.clone(),
            end: Instant::now() + Duration::from_millis(common.settings.listen_ms),
        }
    }

    /// Waits for what comes next; `watch` takes note of everything in between.
    pub(super) async fn next(&mut self, watch: &mut Watch) -> Heard {
        loop {
            tokio::select! {
                () = self.draining.cancelled() => return Heard::End,
                () = sleep_until(self.end) => return Heard::End,
                Ok(()) = self.catalogue.changed() => watch.hear(Topic::Catalogue),
                change = self.changes.next() => match change {
                    Some(Topic::Sessions) => return Heard::Session,
                    Some(topic) => watch.hear(topic),
                    None => return Heard::End,
                },
                () = watch.due() => return Heard::Look,
                () = watch.files_due() => watch.look_at_files(),
            }
        }
    }
}
