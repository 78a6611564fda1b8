//! Subscriptions to resources: what a stream on any replica asks when it hears that some resource changed.
//!
//! | What is read at a URI | changes when |
//! |---|---|
//! | records of ours, or another system's | somebody calls `tx.resources().touch(uri)` in the transaction of the change |
//! | a text of the catalogue | another catalogue is in force |
//! | a file beside the catalogue | it has another time or length than at the last look |
//!
//! After a touch every process hears of [`Topic::Resources`](crate::store::Topic::Resources), and each stream asks which
//! of its URIs it was. Nobody says that a file changed: streams that watch one look at it now and then.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::House;
use crate::{
    access::{Principal, judge},
    catalogue::{
        Driver,
        offers::{Body, FileBody, Variables},
    },
    domain::offers::{FileStand, file_stand},
    store::{ResourceStamp, StoreError},
};

/// Most resources that one stream watches: each costs a look at every change.
pub const MOST_WATCHED: usize = 100;

/// The resources that a stream watches, and how each stood when it was looked at.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    seen: BTreeMap<String, Stand>,
}

/// How a resource stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stand {
    /// What was said of it in the store, if anything, for as long as that is remembered.
    told: Option<ResourceStamp>,
    /// What the catalogue says is read there.
    stored: Option<u64>,
    /// Whether that is a file, and how it stands.
    file: Option<Option<FileStand>>,
}

impl Stand {
    fn differs_from(&self, earlier: &Self) -> bool {
        // A row that is gone was quiet for so long that its change was told before.
        let told = self.told.is_some() && self.told != earlier.told;
        told || self.stored != earlier.stored || self.file != earlier.file
    }
}

/// A resource that may be read, for a look at it.
struct Readable {
    /// The URI as changes spell it.
    address: String,
    stored: Option<u64>,
    file: Option<(FileBody, Map<String, Value>)>,
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

    /// Whether something is watched of which nobody says when it changes.
    pub fn has_files(&self) -> bool {
        self.seen.values().any(|stand| stand.file.is_some())
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
            .filter_map(|uri| Some((uri.to_owned(), self.readable(principal, uri)?)));
        let seen = self
            .look(principal, readable.take(MOST_WATCHED).collect())
            .await?;
        Ok(Watched { seen })
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
        let readable = watched
            .uris()
            .filter_map(|uri| Some((uri.to_owned(), self.readable(principal, uri)?)));
        let now = self.look(principal, readable.collect()).await?;
        let changed = now.iter().filter(|(uri, stand)| {
            let earlier = watched.seen.get(*uri);
            earlier.is_none_or(|earlier| stand.differs_from(earlier))
        });
        let changed = changed.map(|(uri, _)| uri.clone()).collect();
        watched.seen = now;
        Ok(changed)
    }

    /// How each of these resources stands.
    async fn look(
        &self,
        principal: &Principal,
        readable: Vec<(String, Readable)>,
    ) -> Result<BTreeMap<String, Stand>, StoreError> {
        if readable.is_empty() {
            return Ok(BTreeMap::new());
        }
        let addresses: Vec<String> = readable.iter().map(|(_, one)| one.address.clone()).collect();
        let told: Vec<Option<ResourceStamp>> = self
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
        let stands = move || -> BTreeMap<String, Stand> {
            let stand = |((uri, one), told): ((String, Readable), _)| {
                let file = one.file.map(|(file, variables)| file_stand(&file, &variables));
                let stored = one.stored;
                (uri, Stand { told, stored, file })
            };
            readable.into_iter().zip(told).map(stand).collect()
        };
        // A file may lie on a disk that sleeps.
        tokio::task::spawn_blocking(stands)
            .await
            .map_err(|_| StoreError::Invalid {
                what: "a look at files was cut off".into(),
            })
    }

    /// Whether the principal may watch what is at a URI: some resource or template of theirs is named so.
    pub fn may_watch(&self, principal: &Principal, uri: &str) -> bool {
        self.readable(principal, uri).is_some()
    }

    /// What is at a URI, when the principal may read there.
    fn readable(&self, principal: &Principal, uri: &str) -> Option<Readable> {
        let bound = self.edition_of(principal)?;
        let (resource, variables) = bound.edition.offers.resource(uri)?;
        judge(&bound.edition, &resource.row, principal).ok()?;
        let address = resource.address.fill(&variables);
        let Driver::Stored(stored) = &resource.row.driver else {
            return Some(Readable {
                address,
                stored: None,
                file: None,
            });
        };
        let file = match &stored.body {
            Body::File(file) => Some((file.clone(), as_arguments(variables))),
            Body::Text(_) | Body::Blob(_) => None,
        };
        Some(Readable {
            address,
            stored: Some(stored.digest),
            file,
        })
    }
}

/// What a URI says, as its handler gets it.
fn as_arguments(variables: Variables) -> Map<String, Value> {
    let mut arguments = Map::new();
    for (name, value) in variables {
        arguments.insert(name, Value::String(value));
    }
    arguments
}
