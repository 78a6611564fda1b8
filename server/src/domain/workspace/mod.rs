//! The engine of the `workspace` edition (catalogue.md §3): a team's CRM, conversations, tickets and knowledge as typed
//! records, and the tools over them.
//!
//! In reading order: what a record is (`record`, and one document for each in `kinds`), how it may move (`state`), how
//! callers name it (`refs`), how it is listed (`listing`), how a change becomes a plan (`change`) and is carried out
//! (`write`), what happens besides (`events`). `custom` judges the fields that tenants add, `once` keeps creating calls from
//! creating twice. `grammar` puts words into sentences. `history`, `related` and `snippet` are what answers show of records; `restore` brings deleted ones back.
//! `flow` carries automations out, `report` counts; `start` is what a new tenant finds, `demo` a workspace for a first walk,
//! `upkeep` what is done without a call. `handlers` are the tools; most of them are a registration of the generic ones with
//! the declarations of a kind.
//!
//! Conversations come in as mail (`mail`) or messages and go out again (`talk`); `sla` has the clocks of tickets and
//! conversations, `bot` answers first.

mod bot;
mod change;
mod custom;
mod declare;
pub mod demo;
mod engine;
mod events;
pub mod flow;
mod grammar;
mod handlers;
mod history;
mod kinds;
mod listing;
mod mail;
mod markdown;
mod once;
mod record;
mod refs;
mod related;
pub mod report;
mod restore;
mod shelf;
mod sla;
mod snippet;
mod start;
mod state;
mod talk;
pub mod team;
mod upkeep;
mod write;

pub use custom::FieldType;
pub use declare::{KINDS_WITH_FIELDS, OwnField};
pub use engine::{Workspace, WorkspaceSettings};
pub use handlers::{Charts, charts};
pub use mail::Skim;
pub use markdown::page_html;
pub use shelf::{OnShelf, PublicArticle};
pub use talk::{
    ChannelSecrets, ConversationPage, Guest, Inbox, InboxItem, Knock, Pile, Refused, Said, WidgetView,
};
