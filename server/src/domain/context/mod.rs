//! The engine of the `context` edition: folders become searchable chunks (catalogue.md §7.1).
//!
//! In reading order: a folder is walked (`scan`), a file is understood (`document`, from `frontmatter`,
//! `markdown`, `rst` and `blocks`) and cut (`chunk`); its words (`words`) are counted and compared
//! (`lexicon`, `ngram`, `vectors`); a question becomes words (`query`) and bounded full-text searches (`plan`), and the ranked
//! lists that come back become one (`fuse`). `inbox` writes notes, `watch` says when a folder changed.
//!
//! Nothing here knows the store, a tenant or a principal: paths come from the operator's configuration
//! and texts from the folders. The handlers that do are built on top of these parts.

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
pub mod vectors;
pub mod watch;
pub mod words;
