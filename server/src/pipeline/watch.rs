//! Subscriptions to resources: what a stream on any replica asks when it hears that some resource changed.
//!
//! Whoever changes what is read at a URI calls `tx.resources().touch(uri)` in the transaction of the change. After the
//! commit every process hears of [`Topic::Resources`](crate::store::Topic::Resources), and each stream asks which of its
//! URIs it was.

use std::collections::BTreeMap;

use super::House;
use crate::{
    access::{Principal, judge},
    catalogue::offers::Address,
    store::{ResourceStamp, StoreError},
};

/// Most resources that one stream watches: each costs a look at every change.
pub const MOST_WATCHED: usize = 100;

/// The resources that a stream watches, and how each stood when it was looked at.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    seen: BTreeMap<String, (String, Option<ResourceStamp>)>,
}

impl Watched {
    /// The URIs as the subscriber spelled them, in order.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.seen.keys().map(String::as_str)
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Watches what is wanted now; what was watched before keeps how it was last seen.
    pub fn adopt(&mut self, wanted: Self) {
        self.seen.retain(|uri, _| wanted.seen.contains_key(uri));
        for (uri, seen) in wanted.seen {
            self.seen.entry(uri).or_insert(seen);
        }
    }

    /// Stops watching one.
    pub fn remove(&mut self, uri: &str) {
        self.seen.remove(uri);
    }
}

impl House {
    /// Begins to watch those of these URIs that the principal may read, the first [`MOST_WATCHED`] of them. Subscribe to
    /// the store's changes before: then nothing is missed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn watch<'u>(
        &self,
        principal: &Principal,
        uris: impl IntoIterator<Item = &'u str>,
    ) -> Result<Watched, StoreError> {
        let readable = uris
            .into_iter()
            .filter_map(|uri| Some((uri.to_owned(), (self.readable(principal, uri)?, None))));
        let mut watched = Watched {
            seen: readable.take(MOST_WATCHED).collect(),
        };
        self.changed(principal, &mut watched).await?;
        Ok(watched)
    }

    /// Those of the watched URIs that changed since the last look. What the principal may not read any more is not
    /// watched any more.
    ///
    /// # Errors
    /// When the store cannot be read; nothing is taken note of then.
    pub async fn changed(
        &self,
        principal: &Principal,
        watched: &mut Watched,
    ) -> Result<Vec<String>, StoreError> {
        watched
            .seen
            .retain(|uri, _| self.readable(principal, uri).is_some());
        if watched.is_empty() {
            return Ok(Vec::new());
        }
        let addresses: Vec<String> = watched
            .seen
            .values()
            .map(|(address, _)| address.clone())
            .collect();
        let stamps: Vec<Option<ResourceStamp>> = self
            .store
            .read(principal.tenant(), move |tx| {
                Box::pin(async move {
                    let mut stamps = Vec::with_capacity(addresses.len());
                    for address in &addresses {
                        stamps.push(tx.resources().stamp(address).await?);
                    }
                    Ok::<_, StoreError>(stamps)
                })
            })
            .await?;
        let mut changed = Vec::new();
        for ((uri, (_, seen)), now) in watched.seen.iter_mut().zip(stamps) {
            // A row that is gone was quiet for so long that its change was told before.
            if now.is_some() && *seen != now {
                changed.push(uri.clone());
            }
            *seen = now;
        }
        Ok(changed)
    }

    /// Whether the principal may watch what is at a URI: some resource or template of theirs is named so.
    pub fn may_watch(&self, principal: &Principal, uri: &str) -> bool {
        self.readable(principal, uri).is_some()
    }

    /// The URI as changes spell it, when the principal may read there.
    fn readable(&self, principal: &Principal, uri: &str) -> Option<String> {
        let bound = self.edition_of(principal)?;
        let (resource, variables) = bound.edition.offers.resource(uri)?;
        judge(&bound.edition, &resource.row, principal).ok()?;
        Some(match &resource.address {
            Address::Fixed(uri) => uri.clone(),
            Address::Template(template) => template.fill(&variables),
        })
    }
}
