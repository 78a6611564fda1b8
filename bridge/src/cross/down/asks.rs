//! Questions to the host: requests of the bridge, each with its answer awaited (protocol.md X-25, X-28).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use footbridge_protocol::jsonrpc::{OwnedId, write_notification, write_request};
use tokio::sync::oneshot;

use crate::brand;
use crate::stdio::{HostGone, Line, Output};

/// The open questions of the process, and the numbers for everything the bridge has to name.
#[derive(Debug)]
pub(crate) struct Asks {
    /// Begins every id made here. Random, so that no host and no server has made the same one.
    prefix: String,
    numbers: AtomicU64,
    open: Mutex<HashMap<OwnedId, oneshot::Sender<Vec<u8>>>>,
}

impl Default for Asks {
    fn default() -> Self {
        // Unlikely is enough: the ids need not be secret.
        Asks {
            prefix: format!("{}-{:016x}-", brand::NAME, RandomState::new().hash_one(0_u8)),
            numbers: AtomicU64::new(1),
            open: Mutex::default(),
        }
    }
}

/// A question whose answer has not come. Dropping it withdraws the question.
pub(super) struct Ask {
    asks: Arc<Asks>,
    output: Output,
    id: OwnedId,
    answer: oneshot::Receiver<Vec<u8>>,
    settled: bool,
}

impl Asks {
    fn open(&self) -> MutexGuard<'_, HashMap<OwnedId, oneshot::Sender<Vec<u8>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name nothing else has.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.prefix, self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// An id nothing else has.
    pub(super) fn id(&self) -> OwnedId {
        OwnedId::from_string(&self.name())
    }

    /// Hands the host's answer to whoever asked; false if nobody did.
    pub(super) fn settle(&self, id: &OwnedId, line: &[u8]) -> bool {
        match self.open().remove(id) {
            // Whoever asked may have given up in this moment.
            Some(asker) => {
                let _ = asker.send(line.to_vec());
                true
            }
            None => false,
        }
    }

    /// Writes a question to the host.
    pub(super) async fn ask(
        self: &Arc<Self>,
        output: &Output,
        method: &str,
        params: Option<&str>,
    ) -> Result<Ask, HostGone> {
        let id = self.id();
        let (sender, answer) = oneshot::channel();
        self.open().insert(id.clone(), sender);
        let mut line = Vec::with_capacity(params.map_or(0, str::len) + 128);
        write_request(&mut line, id.as_id(), method, params.map(str::as_bytes));
        let mut ask = Ask {
            asks: Arc::clone(self),
            output: output.clone(),
            id,
            answer,
            // Nothing to withdraw before the host has seen it.
            settled: true,
        };
        output.send(Line::new(line)).await?;
        ask.settled = false;
        Ok(ask)
    }
}

impl Ask {
    /// Waits for the host's answer, as long as it takes.
    pub(super) async fn answer(&mut self) -> Vec<u8> {
        let answer = (&mut self.answer).await;
        self.settled = true;
        // Invariant: the sender lives in the table until an answer is sent through it.
        answer.unwrap_or_default()
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        self.asks.open().remove(&self.id);
        if self.settled {
            return;
        }
        let mut line = Vec::with_capacity(160);
        let params = format!(
            r#"{{"requestId":{},"reason":"The call it belongs to has ended"}}"#,
            self.id.as_raw()
        );
        write_notification(&mut line, "notifications/cancelled", Some(params.as_bytes()));
        tell(&self.output, line);
    }
}

/// Writes a line from where nothing can be waited for. At the end of the program it is dropped.
pub(super) fn tell(output: &Output, line: Vec<u8>) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let output = output.clone();
        runtime.spawn(async move {
            let _ = output.send(Line::new(line)).await;
        });
    }
}
