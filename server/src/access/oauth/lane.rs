//! Where signatures are checked: off the threads that serve calls, a few at a time, and with a queue that no single
//! address can fill (security.md K11).

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The queue.
pub(super) struct Lane {
    permits: Arc<Semaphore>,
    waiting: Arc<Mutex<Waiting>>,
    most: u32,
}

#[derive(Default)]
struct Waiting {
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// A place in the queue; given back when dropped.
struct Place {
    waiting: Arc<Mutex<Waiting>>,
    address: IpAddr,
}

impl Lane {
    pub(super) fn new(at_once: usize, most: u32) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(at_once.max(1))),
            waiting: Arc::default(),
            most: most.max(8),
        }
    }

    /// Runs work when it is its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        address: IpAddr,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Full> {
        let place = self.enter(address).ok_or(Full)?;
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| Full)?;
        tokio::task::spawn_blocking(move || {
            // Held by the work itself: a caller that goes away does not make room for another at once.
            let _held = (place, permit);
            work()
        })
        .await
        .map_err(|_| Full)
    }

    fn enter(&self, address: IpAddr) -> Option<Place> {
        let mut waiting = self.waiting.lock();
        let own = waiting.by_address.get(&address).copied().unwrap_or(0);
        if waiting.all >= self.most || own >= self.most / 8 {
            return None;
        }
        waiting.all += 1;
        waiting.by_address.insert(address, own + 1);
        Some(Place {
            waiting: Arc::clone(&self.waiting),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        waiting.all = waiting.all.saturating_sub(1);
        if let Some(own) = waiting.by_address.get_mut(&self.address) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                waiting.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_cannot_fill_the_queue() {
        let lane = Lane::new(1, 16);
        let [one, two] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        let held: Vec<_> = (0..2).map(|_| lane.enter(one).unwrap()).collect();
        assert_eq!(lane.run(one, || ()).await, Err(Full));
        assert_eq!(lane.run(two, || 7).await, Ok(7));
        drop(held);
        assert_eq!(lane.run(one, || 7).await, Ok(7));
        assert!(lane.waiting.lock().by_address.is_empty());
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_place_back() {
        let lane = Lane::new(1, 8);
        let address = IpAddr::from([127, 0, 0, 1]);
        assert!(lane.run(address, || assert_eq!(1, 2)).await.is_err());
        assert_eq!(lane.run(address, || 7).await, Ok(7));
    }
}
