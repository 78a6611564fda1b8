//! Notices commits by other processes.
//!
//! `PRAGMA data_version` changes on a connection when any *other* connection committed, ours included; it
//! costs a read of shared memory. Only then the counters are read.

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use rusqlite::Connection;

use super::{SqliteConnection, lookups::Lookups};
use crate::store::{StoreError, StoreSettings, changes::Changes};

/// Ends the watcher when dropped.
pub(super) struct Stop {
    _hold: mpsc::Sender<()>,
}

pub(super) fn start(
    raw: Connection,
    changes: &Arc<Changes>,
    lookups: &Arc<Lookups>,
    settings: &StoreSettings,
) -> Result<(Stop, JoinHandle<()>), StoreError> {
    let (hold, ended) = mpsc::channel::<()>();
    let (changes, lookups, poll) = (Arc::clone(changes), Arc::clone(lookups), settings.poll);
    let watch = move || {
        let connection = SqliteConnection::new(raw, Arc::default());
        let mut last = None;
        while ended.recv_timeout(poll) == Err(mpsc::RecvTimeoutError::Timeout) {
            lookups.rest();
            // A failing read is the readers' and the writer's to report; the next round tries again.
            let Ok(version) = connection.query("PRAGMA data_version", &[], |row| row.int(0)) else {
                continue;
            };
            if last.as_ref() == Some(&version) {
                continue;
            }
            if let Ok(counters) = connection.counters() {
                last = Some(version);
                lookups.changed();
                changes.tell_all(counters);
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name("store-watch".into())
        .spawn(watch)
        .map_err(|e| StoreError::Io {
            detail: e.to_string(),
        })?;
    Ok((Stop { _hold: hold }, thread))
}
