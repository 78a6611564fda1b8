//! Tokens that were verified a moment ago, by their digest: a hot client's token is not verified with every call.
//!
//! Bounded without a clock hand: when the young half is full it becomes the old half, and what was old is forgotten.
//! Only tokens that passed every check come in, so strangers cannot fill it.

use std::{collections::HashMap, mem, sync::Arc};

use parking_lot::Mutex;

use super::token::Claims;
use crate::{access::Principal, vocabulary::Timestamp};

/// SHA-256 of a token.
pub(super) type Digest = [u8; 32];

/// A verified token.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) claims: Arc<Claims>,
    pub(super) principal: Principal,
    /// The state of people and tenants that the principal was made from.
    pub(super) epoch: u64,
    /// The edition as of which its tools were judged.
    pub(super) serial: u64,
    /// When it must be verified anew.
    pub(super) until: Timestamp,
}

/// The tokens of one edition.
pub(super) struct VerifiedTokens {
    halves: Mutex<Halves>,
    most: usize,
}

#[derive(Default)]
struct Halves {
    young: HashMap<Digest, Verified>,
    old: HashMap<Digest, Verified>,
}

impl VerifiedTokens {
    pub(super) fn new(most: usize) -> Self {
        Self {
            halves: Mutex::default(),
            most: most.max(2),
        }
    }

    /// The token of that digest, unless its time is over.
    pub(super) fn find(&self, digest: &Digest, now: Timestamp) -> Option<Verified> {
        let mut halves = self.halves.lock();
        let known = match halves.young.get(digest) {
            Some(known) => known.clone(),
            None => {
                let known = halves.old.remove(digest)?;
                self.put(&mut halves, *digest, known.clone());
                known
            }
        };
        (known.until > now).then_some(known)
    }

    /// Whether the token of that digest was verified, however long ago.
    pub(super) fn has_seen(&self, digest: &Digest) -> bool {
        let halves = self.halves.lock();
        halves.young.contains_key(digest) || halves.old.contains_key(digest)
    }

    /// Remembers a token.
    pub(super) fn add(&self, digest: Digest, token: Verified) {
        self.put(&mut self.halves.lock(), digest, token);
    }

    fn put(&self, halves: &mut Halves, digest: Digest, token: Verified) {
        if halves.young.len() >= self.most / 2 {
            halves.old = mem::take(&mut halves.young);
        }
        halves.young.insert(digest, token);
    }
}
