//! A piece of work whose types are hidden.
//!
//! Every transaction of the server has a closure and a result of its own. The engines see neither: they are compiled once,
//! not once for each of them.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{BoxFuture, Session, StoreError};

/// Runs in a session and tells whether its effects are to be kept.
pub(super) type Work = Box<dyn for<'s> FnOnce(&'s mut Session) -> BoxFuture<'s, bool> + Send>;

/// Where the work leaves its result and its caller finds it, once the engine has said how the transaction ended.
pub(super) struct Slot<T, E>(Arc<Mutex<Option<Result<T, E>>>>);

impl<T, E> Slot<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    /// Hides the types of `work`, whose result will be in the slot.
    pub(super) fn hide<F>(work: F) -> (Work, Self)
    where
        F: for<'s> FnOnce(&'s mut Session, Self) -> BoxFuture<'s, bool> + Send + 'static,
    {
        let slot = Self(Arc::default());
        let filled = Self(Arc::clone(&slot.0));
        (Box::new(move |session| work(session, filled)), slot)
    }

    /// Leaves the result. An error of the work's own undoes its transaction.
    pub(super) fn fill(&self, result: Result<T, E>) -> bool {
        let keep = result.is_ok();
        *self.0.lock() = Some(result);
        keep
    }

    /// Takes the result of work that ran to its end.
    pub(super) fn take(&self) -> Result<T, E> {
        let result = self.0.lock().take();
        result.unwrap_or_else(|| Err(StoreError::Work("was never run").into()))
    }
}
