//! Answers to an array of requests: held back until all are there, then written as one array (protocol.md X-14).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use footbridge_protocol::jsonrpc::{Id, Message, OwnedId, Rules, decode};

use super::Line;

/// The arrays whose answers are not complete. While there are none, a line costs one look at a flag.
#[derive(Debug, Default)]
pub(super) struct Gathers {
    active: AtomicBool,
    open: Mutex<Vec<Gather>>,
}

/// One array.
#[derive(Debug)]
struct Gather {
    /// Ids without an answer.
    waiting: HashSet<OwnedId>,
    /// The answers that are there, each followed by a comma.
    answers: Vec<u8>,
}

impl Gathers {
    fn open(&self) -> MutexGuard<'_, Vec<Gather>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds back the answers to `ids` from now on.
    pub(super) fn add(&self, ids: HashSet<OwnedId>) {
        if ids.is_empty() {
            return;
        }
        self.open().push(Gather {
            waiting: ids,
            answers: Vec::new(),
        });
        self.active.store(true, Ordering::Relaxed);
    }

    /// Takes a line on its way; returns what is to be written instead, if anything.
    pub(super) fn pass(&self, line: Line) -> Option<Line> {
        if !self.active.load(Ordering::Relaxed) {
            return Some(line);
        }
        let id = match decode(&line.to_bytes(), &Rules::BRIDGE) {
            Ok(Message::Response(response)) => response.id.map(Id::to_owned),
            _ => None,
        };
        match id {
            Some(id) if self.open().iter().any(|gather| gather.waiting.contains(&id)) => {
                self.settle(&id, &line.to_bytes())
            }
            _ => Some(line),
        }
    }

    /// Expects no answer to `id` any more; returns the array if that was the last one missing.
    pub(super) fn forget(&self, id: &OwnedId) -> Option<Line> {
        self.active
            .load(Ordering::Relaxed)
            .then(|| self.settle(id, b""))
            .flatten()
    }

    fn settle(&self, id: &OwnedId, answer: &[u8]) -> Option<Line> {
        let mut open = self.open();
        let at = open.iter().position(|gather| gather.waiting.contains(id))?;
        let gather = open.get_mut(at)?;
        gather.waiting.remove(id);
        if !answer.is_empty() {
            gather.answers.extend_from_slice(answer.trim_ascii_end());
            gather.answers.push(b',');
        }
        if !gather.waiting.is_empty() {
            return None;
        }
        let mut answers = open.swap_remove(at).answers;
        self.active.store(!open.is_empty(), Ordering::Relaxed);
        // A comma follows every answer; without one there is nothing to write.
        answers.pop()?;
        let mut array = Vec::with_capacity(answers.len() + 2);
        array.push(b'[');
        array.append(&mut answers);
        array.push(b']');
        Some(Line::new(array))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: i64) -> Line {
        Line::new(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#).into_bytes())
    }

    fn ids(ids: &[i64]) -> HashSet<OwnedId> {
        ids.iter().map(|id| OwnedId::from_integer(*id)).collect()
    }

    #[test]
    fn x14_answers_are_gathered_and_everything_else_passes() {
        let gathers = Gathers::default();
        gathers.add(ids(&[1, 2]));
        gathers.add(ids(&[3]));
        gathers.add(HashSet::new());
        assert_eq!(gathers.pass(line(9)), Some(line(9)));
        assert_eq!(gathers.pass(line(2)), None);
        let notice = || Line::new(br#"{"jsonrpc":"2.0","method":"n"}"#.to_vec());
        assert_eq!(gathers.pass(notice()), Some(notice()));
        assert_eq!(
            gathers.pass(line(3)).unwrap().to_bytes().as_ref(),
            b"[{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}]\n"
        );
        assert_eq!(
            gathers.pass(line(1)).unwrap().to_bytes().as_ref(),
            b"[{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}},{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}]\n"
        );
        assert_eq!(gathers.pass(line(1)), Some(line(1)));
    }

    #[test]
    fn x14_a_cancelled_request_is_not_waited_for() {
        let gathers = Gathers::default();
        gathers.add(ids(&[1, 2]));
        assert_eq!(gathers.pass(line(1)), None);
        assert!(gathers.forget(&OwnedId::from_integer(2)).is_some());
        gathers.add(ids(&[1]));
        assert!(gathers.forget(&OwnedId::from_integer(1)).is_none());
        assert_eq!(gathers.pass(line(1)), Some(line(1)));
    }
}
