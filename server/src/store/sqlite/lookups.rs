//! Connections that answer lookups on the asker's own thread, one for each core.
//!
//! A lookup of one row takes a few microseconds, and so do the locks that SQLite takes and gives back around it. So a
//! connection holds its snapshot from one lookup to the next, until the store has changed: this process counts its own commits,
//! and those of others are seen [`HELD`] later at most.
//!
//! A snapshot that is held keeps the write-ahead log from beginning anew. Of each [`ROUND`] commits the last two find none.

use std::{
    panic::AssertUnwindSafe,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    SqliteConnection, WordCounts,
    open::{Role, connect},
    writer::finish_now,
};
use crate::{
    store::{Engine, Session, StoreError, StoreSettings, work::Work},
    vocabulary::{Clock, Timestamp},
};

/// Most connections. Each holds a page cache, and more could only be of use to more cores.
const MOST: usize = 4;
/// How long a snapshot is used at most. Whatever another process commits is seen by whoever asks so much later.
const HELD: Duration = Duration::from_millis(5);
/// After so many commits the log begins anew, if it is long enough: the first of two without a snapshot moves it into the
/// file as a whole, and the second finds that nobody needs it any more.
const ROUND: u64 = 16;

/// The connections.
pub(super) struct Lookups {
    /// Until the engine stops. A free one is found or none is waited for.
    places: Vec<Mutex<Option<Place>>>,
    /// Commits of this process.
    commits: AtomicU64,
    /// Grows with each of them, and when those of others are noticed.
    version: AtomicU64,
}

struct Place {
    session: Session,
    held: Option<Held>,
}

/// A snapshot: of which version it is at least, and when it was taken.
struct Held {
    version: u64,
    since: Instant,
}

impl Lookups {
    pub(super) fn open(
        path: &Path,
        settings: &StoreSettings,
        clock: &Clock,
        counts: &Arc<WordCounts>,
    ) -> Result<Self, StoreError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let place = |_| {
            let connection =
                SqliteConnection::new(connect(path, settings, Role::Lookup)?, Arc::clone(counts));
            let session = Session::new(Engine::Sqlite(connection), clock.now());
            Ok(Mutex::new(Some(Place { session, held: None })))
        };
        Ok(Self {
            places: (0..cores.min(MOST))
                .map(place)
                .collect::<Result<_, StoreError>>()?,
            commits: AtomicU64::new(0),
            version: AtomicU64::new(0),
        })
    }

    /// Runs work that reads a few rows by their keys on this very thread: to wake another one and to be woken by it costs more
    /// than such a read.
    ///
    /// # Errors
    /// The work itself, where every connection is in use.
    pub(super) fn run(&self, work: Work, now: Timestamp) -> Result<Result<(), StoreError>, Work> {
        let Some(mut place) = self.places.iter().find_map(Mutex::try_lock) else {
            return Err(work);
        };
        Ok(match place.as_mut() {
            Some(place) => self.run_in(place, work, now),
            None => Err(StoreError::Closed),
        })
    }

    fn run_in(&self, place: &mut Place, work: Work, now: Timestamp) -> Result<(), StoreError> {
        place.session.reset(now);
        // Read before the snapshot is taken: what is committed meanwhile makes it old, at worst without need.
        let version = self.version.load(Ordering::Acquire);
        let began = Instant::now();
        let is_new = |held: &Held| held.version == version && began.duration_since(held.since) < HELD;
        if !place.held.as_ref().is_some_and(is_new) {
            place.let_go()?;
            place.connection()?.execute("BEGIN", &[])?;
            place.held = Some(Held {
                version,
                since: began,
            });
        }
        let ran = std::panic::catch_unwind(AssertUnwindSafe(|| finish_now(work(&mut place.session))));
        let failed = place.session.take_failure().is_some();
        if failed || !matches!(ran, Ok(Some(_))) || !self.may_hold() {
            place.let_go()?;
        }
        match ran {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(StoreError::Work("awaited something other than its transaction")),
            Err(_) => Err(StoreError::Work("panicked")),
        }
    }

    /// Whether the next commit may find snapshots.
    fn may_hold(&self) -> bool {
        self.commits.load(Ordering::Acquire) % ROUND < ROUND - 2
    }

    /// Somebody has changed the store. Called before anybody hears of it.
    pub(super) fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// This process has. Called before anybody hears of it.
    pub(super) fn committed(&self) {
        self.changed();
        self.commits.fetch_add(1, Ordering::AcqRel);
        if !self.may_hold() {
            self.let_go(|_| true);
        }
    }

    /// Lets go of snapshots that nobody asks any more. Called now and then.
    pub(super) fn rest(&self) {
        self.let_go(|held| held.since.elapsed() >= HELD);
    }

    fn let_go(&self, of: impl Fn(&Held) -> bool) {
        for place in &self.places {
            // Whoever is at one lets go by itself.
            if let Some(mut place) = place.try_lock()
                && let Some(place) = place.as_mut()
                && place.held.as_ref().is_some_and(&of)
            {
                // A connection that cannot end its transaction says so to the next who asks.
                let _ = place.let_go();
            }
        }
    }

    pub(super) fn close(&self) {
        for place in &self.places {
            drop(place.lock().take());
        }
    }
}

impl Place {
    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        match &mut self.session.engine {
            Engine::Sqlite(connection) => Ok(connection),
            Engine::Postgres(_) => Err(StoreError::Work("runs on the wrong engine")),
        }
    }

    fn let_go(&mut self) -> Result<(), StoreError> {
        self.held = None;
        let connection = self.connection()?;
        // SQLite has ended it by itself, after an I/O error.
        if connection.raw.is_autocommit() {
            return Ok(());
        }
        // Nothing was written, so it does not matter how the transaction ends, only that it does.
        connection.execute("ROLLBACK", &[]).map(|_| ())
    }
}
