//! One check of a token's signature at a time: a client that calls many tools at once has one token, and would take every place
//! in the queue of checks with it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::verified::Digest;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The tokens that are being checked, by their digest.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Digest, Lock>>);

/// A token's turn, or its place in the line for one. The next in line has it when it is dropped.
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    digest: Digest,
    lock: Option<Lock>,
    taken: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until nobody else checks the token.
    pub(super) async fn of(&self, digest: Digest) -> Turn<'_> {
        let lock = Arc::clone(self.0.lock().entry(digest).or_default());
        // Made before the wait: who gives up leaves nothing behind.
        let mut turn = Turn {
            turns: self,
            digest,
            lock: Some(Arc::clone(&lock)),
            taken: None,
        };
        turn.taken = Some(lock.lock_owned().await);
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.turns.0.lock();
        // While nobody can join the line: the last one removes it.
        drop((self.taken.take(), self.lock.take()));
        if turns
            .get(&self.digest)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            turns.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_after_the_other_has_the_turn_and_nothing_is_left() {
        let turns = Turns::default();
        let first = turns.of([1; 32]).await;
        let mut second = Box::pin(turns.of([1; 32]));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(turns.of([2; 32]).now_or_never().is_some(), "another token");
        let mut gone = Box::pin(turns.of([1; 32]));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        drop(first);
        drop(second.await);
        assert!(turns.0.lock().is_empty());
    }
}
