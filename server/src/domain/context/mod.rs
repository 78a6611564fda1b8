//! The engine of the `context` edition: folders become searchable chunks (catalogue.md §7.1).
//!
//! In reading order: a folder is walked (`scan`), a file is understood (`document`, from `frontmatter`,
//! `markdown`, `rst` and `blocks`) and cut (`chunk`); its words (`words`) are counted and compared
//! (`lexicon`, `ngram`, `vectors`); a question becomes words (`query`) and bounded full-text searches (`plan`), and the ranked
//! lists that come back become one (`fuse`). `inbox` writes notes, `watch` says when a folder changed.
//!
//! Those parts know neither store nor tenant. On top of them stands the engine: a source (`source`) is kept in
//! step with its folder (`sync`), by hand or by itself (`background`), and forgets what has expired (`purge`); the words of each tenant are kept in
//! memory (`lexicons`) for rankings (`ranking`); `handlers` are the tools, `budget` what a key may read.
//!
//! Answers never say where on the machine a folder is: a file's address is `source://<source>/<path>`.

pub mod blocks;
pub mod chunk;
pub mod document;
pub mod frontmatter;
pub mod fuse;
pub mod inbox;
pub mod lexicon;
pub mod markdown;
pub mod ngram;
pub mod plan;
pub mod query;
pub mod rst;
pub mod scan;
pub mod source;
pub mod sync;
pub mod vectors;
pub mod watch;
pub mod words;

mod background;
mod budget;
mod engine;
mod handlers;
mod lexicons;
mod purge;
mod ranking;

/// Where an entity is read, and where its changes are told.
fn entity_uri(id: &str) -> String {
    address("entity", id)
}

/// Where a memory is read, and where its changes are told.
fn memory_uri(key: &str) -> String {
    address("memory", key)
}

/// Spelled as the templates of `context_resources.toml` spell it; a test holds the two together.
fn address(kind: &str, name: &str) -> String {
    format!("context://{kind}/{}", one_segment(name))
}

pub use engine::Context;
use engine::new_uuid;

use crate::catalogue::offers::one_segment;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{BUILTIN, Catalogue};

    #[test]
    fn changes_are_told_where_things_are_read() {
        let catalogue = Catalogue::load(&BUILTIN[..1]).unwrap();
        let offers = &catalogue.editions()[0].offers;
        for (uri, name, value) in [
            (entity_uri("a-1"), "entity", "a-1"),
            (memory_uri("team/plan 1"), "memory", "team/plan 1"),
        ] {
            let (resource, values) = offers.resource(&uri).unwrap();
            assert_eq!(
                (resource.name.as_str(), values[0].1.as_str()),
                (name, value),
                "{uri}"
            );
        }
    }
}
