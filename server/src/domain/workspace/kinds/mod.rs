//! One typed document for each record of catalogue.md §3.2. What all have in common (tags, custom fields, who made it)
//! stands in [`Document`](super::record::Document); what each is found, sorted and shown by is declared beside it.

pub(crate) mod account;
pub(crate) mod article;
pub(crate) mod bot;
pub(crate) mod channel;
pub(crate) mod comment;
pub(crate) mod contact;
pub(crate) mod conversation;
pub(crate) mod flow;
pub(crate) mod lead;
pub(crate) mod member;
pub(crate) mod message;
pub(crate) mod note;
pub(crate) mod opportunity;
pub(crate) mod ticket;
pub(crate) mod widget;
mod words;
