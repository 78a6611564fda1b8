//! The same desk for one local process: a line in is a message, a line out is a message (protocol.md §3.1).
//!
//! Whoever starts the process owns its data and brings the principal along. There are no headers here, so nothing is
//! compared with any; a legacy client's revision is the one its `initialize` settled.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use footbridge_protocol::{
    codes,
    era::{self, ProtocolVersion},
    jsonrpc::{ErrorObject, Message, OwnedId, Rules, decode, id_in_prefix, write_error},
    meta::ClientInfo,
    sse::flatten_newlines,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    desk::{Caller, Common, Desk},
    envelope::Mirror,
    http::request_id,
    legacy,
    line::{Events, Line, Step, Work},
    session::client_facts,
    settings::EdgeSettings,
};
use crate::{
    access::Principal,
    pipeline::{ClientSession, House},
    telemetry::Arrival,
    vocabulary::Listing,
};

/// Lines that may wait for a slow reader before calls wait in turn.
const LINES_WAITING: usize = 64;

/// Serves `input` to `output` until the input ends or `shutdown` fires; then calls under way may still end, within
/// the time that draining has.
///
/// # Errors
/// When reading or writing fails, or the principal's edition is not served.
pub async fn serve<R, W>(
    house: Arc<House>,
    settings: EdgeSettings,
    principal: Principal,
    mut input: R,
    output: W,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let settings = Arc::new(settings);
    let common = Arc::new(Common::new(house, Arc::clone(&settings)));
    let edition = &principal.facts().edition;
    let editions = common.house.editions();
    let bound = editions.iter().find(|bound| bound.edition.name == *edition);
    let bound = bound.ok_or_else(|| io::Error::other(format!("the edition `{edition}` is not served")))?;
    let desk = Desk::new(Arc::clone(&common), Arc::clone(bound));
    let (lines, waiting) = mpsc::channel(LINES_WAITING);
    let writer = tokio::spawn(write_lines(output, waiting));
    let mut session = Session {
        desk,
        principal,
        lines,
        settled: None,
        client: None,
        process: request_id(),
        in_flight: Arc::default(),
        work: TaskTracker::new(),
    };
    let mut line = Vec::new();
    let ended = loop {
        let read = tokio::select! {
            read = read_line(&mut input, &mut line, settings.body_bytes) => read,
            () = shutdown.cancelled() => break Ok(()),
        };
        match read {
            Ok(Read::Line) => session.take(&line).await,
            Ok(Read::TooLong) => session.refuse_long(&line, settings.body_bytes).await,
            Ok(Read::End) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    common.draining.cancel();
    session.work.close();
    // What is still under way then is dropped with the runtime; its log says so.
    let _ = timeout(Duration::from_millis(settings.drain_ms), session.work.wait()).await;
    session
        .in_flight
        .lock()
        .drain()
        .for_each(|(_, cancel)| cancel.cancel());
    drop(session);
    writer.await.map_err(io::Error::other)??;
    ended
}

enum Read {
    Line,
    TooLong,
    End,
}

/// Reads one line without its end. A line that is too long is skipped; its beginning stays for the error.
async fn read_line<R: AsyncBufRead + Unpin>(
    input: &mut R,
    line: &mut Vec<u8>,
    limit: usize,
) -> io::Result<Read> {
    line.clear();
    let most = (limit as u64).saturating_add(1);
    let read = (&mut *input).take(most).read_until(b'\n', line).await?;
    if read == 0 {
        return Ok(Read::End);
    }
    if line.pop_if(|last| *last == b'\n').is_some() || line.len() <= limit {
        return Ok(Read::Line);
    }
    loop {
        let waiting = input.fill_buf().await?;
        let end = waiting.iter().position(|byte| *byte == b'\n');
        let (skip, done) = (
            end.map_or(waiting.len(), |at| at + 1),
            end.is_some() || waiting.is_empty(),
        );
        input.consume(skip);
        if done {
            return Ok(Read::TooLong);
        }
    }
}

async fn write_lines<W: AsyncWrite + Unpin>(
    mut output: W,
    mut waiting: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(mut line) = waiting.recv().await {
        flatten_newlines(&mut line);
        line.push(b'\n');
        output.write_all(&line).await?;
        if waiting.is_empty() {
            output.flush().await?;
        }
    }
    output.shutdown().await
}

struct Session {
    desk: Arc<Desk>,
    principal: Principal,
    lines: mpsc::Sender<Vec<u8>>,
    settled: Option<ProtocolVersion>,
    /// What the client said of itself when it shook hands: it can be asked while its calls run.
    client: Option<ClientSession>,
    /// What this process is known by.
    process: String,
    in_flight: Arc<Mutex<HashMap<OwnedId, CancellationToken>>>,
    work: TaskTracker,
}

impl Session {
    /// Takes one line: requests run beside each other, the rest is done on the spot.
    async fn take(&mut self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match decode(line, &Rules::SERVER) {
            Ok(Message::Request(request)) => {
                let opens = request.method == "initialize" && !request.params.meta().is_modern_claim();
                if opens {
                    let asked = request
                        .params
                        .protocol_version()
                        .ok()
                        .flatten()
                        .unwrap_or_default();
                    let version = era::negotiate(&asked);
                    self.settled = Some(legacy::shapes_of(version));
                    let params = &request.params;
                    let said = params.client_info().ok().flatten();
                    let info = said.map(ClientInfo::read).unwrap_or_default();
                    let facts = client_facts(&info, params.capabilities().ok().flatten(), version);
                    let house = &self.desk.common.house;
                    self.client = Some(house.process_session(facts, &self.process));
                }
                self.run(line.to_vec(), Some(request.id.to_owned()));
            }
            Ok(Message::Notification(notification)) if notification.method == "notifications/cancelled" => {
                if let Ok(Some(id)) = notification.params.request_id()
                    && let Some(cancel) = self.in_flight.lock().remove(&id.to_owned())
                {
                    cancel.cancel();
                }
            }
            // Nothing is ever said to a notification.
            Ok(Message::Notification(_)) => {}
            // An answer to a question of a call that runs; one that nobody asked for is dropped there.
            Ok(Message::Response(_)) if self.client.is_some() => self.run(line.to_vec(), None),
            Ok(Message::Response(_)) => {}
            Err(_) => self.run(line.to_vec(), None),
        }
    }

    fn run(&self, line: Vec<u8>, id: Option<OwnedId>) {
        let cancel = CancellationToken::new();
        if let Some(id) = &id {
            self.in_flight.lock().insert(id.clone(), cancel.clone());
        }
        let caller = Caller {
            entrance: None,
            listing: Listing::default(),
            arrival: Arrival::now(),
            principal: self.principal.clone(),
            address: None,
            request_id: request_id(),
            counted: self.desk.common.house.count_request(&self.principal),
        };
        let (desk, settled, client) = (Arc::clone(&self.desk), self.settled, self.client.clone());
        let (lines, in_flight) = (self.lines.clone(), Arc::clone(&self.in_flight));
        self.work.spawn(async move {
            let messages = Line::attached(Events::Welcome);
            let own = Arc::clone(&messages);
            let mut work = Work::new(messages, async move {
                let session = client.as_ref();
                let mirror = Mirror::Stdio { settled, session };
                desk.answer(&caller, mirror, &line, &own).await
            });
            let answered = async {
                loop {
                    let (message, last) = match work.step().await {
                        Step::Message(note) => (note.data, false),
                        Step::Answer(reply) => (reply.into_bytes(), true),
                        Step::LetGo => (Vec::new(), true),
                    };
                    // An empty answer is none; a closed output means that nobody reads any more.
                    let gone = !message.is_empty() && lines.send(message).await.is_err();
                    if last || gone {
                        break;
                    }
                }
            };
            tokio::select! {
                // Cancelled means silence from here on (protocol.md S-105).
                () = cancel.cancelled() => {}
                () = answered => if let Some(id) = id { in_flight.lock().remove(&id); },
            }
        });
    }

    async fn refuse_long(&self, beginning: &[u8], limit: usize) {
        let text = format!("A message may have at most {limit} bytes.");
        let id = id_in_prefix(beginning);
        let mut out = Vec::new();
        write_error(
            &mut out,
            id.as_ref().map(OwnedId::as_id),
            &ErrorObject::new(codes::INVALID_REQUEST, text),
        );
        // A closed output ends the process elsewhere.
        let _ = self.lines.send(out).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_up_to_their_limit_and_long_ones_are_skipped_whole() {
        let mut input: &[u8] = b"12345\n123456789\n123456\n\n12";
        let mut line = Vec::new();
        let mut seen = Vec::new();
        loop {
            match read_line(&mut input, &mut line, 5).await.unwrap() {
                Read::Line => seen.push(String::from_utf8_lossy(&line).into_owned()),
                Read::TooLong => seen.push("too long".to_owned()),
                Read::End => break,
            }
        }
        assert_eq!(seen, ["12345", "too long", "too long", "", "12"]);
    }
}
