//! Mail that comes in (catalogue.md §3.1): bytes of RFC 5322 in, what a conversation needs of them out.
//!
//! `skim` keeps a mail's text and shape while its attachments pass by, `read` understands it, `quote` folds what it
//! repeats of earlier mails. They know no store, and trust no header: whether a mail may continue a conversation is decided
//! where conversations are known.

mod quote;
mod read;
mod skim;

pub(crate) use read::{Ignored, Mail, MailFault, clean, email, read};
pub use skim::Skim;
