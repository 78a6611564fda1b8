//! What a call costs of its month's calls: one, paid when it is let through. A call that confirms an earlier one is free,
//! for the preview was paid (catalogue.md §2.8).

use std::sync::Arc;

use parking_lot::Mutex;

use super::CallError;
use crate::limits::{CapError, Ticket};

/// A reserved call, or why none could be. Dropped unpaid, it goes back.
#[derive(Clone)]
pub(super) struct Fare(Arc<Mutex<Option<Result<Ticket, CapError>>>>);

impl Fare {
    pub(super) fn new(reserved: Result<Ticket, CapError>) -> Self {
        Self(Arc::new(Mutex::new(Some(reserved))))
    }

    /// Refuses a call that could not be paid.
    pub(super) fn check(&self) -> Result<(), CallError> {
        match self.0.lock().as_ref() {
            Some(Err(error)) => Err(error.clone().into()),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Pays, once for the whole call.
    pub(super) fn pay(&self) -> Result<(), CallError> {
        match self.0.lock().take() {
            Some(Ok(ticket)) => {
                ticket.spend();
                Ok(())
            }
            Some(Err(error)) => Err(error.into()),
            None => Ok(()),
        }
    }
}
