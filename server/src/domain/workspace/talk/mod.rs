//! Conversations that really talk (catalogue.md §3.1): what comes in (`inbound`, through a channel's `secret` address or a
//! `widget`), who gets it (`assign` by the rules of `routing`), how a conversation moves and its clocks with it (`moves`),
//! what people do with it (`acts`, by tools or on `pages`), what goes out (`outbound`) and what becomes of it (`fate`). `tickets` opens tickets, from a conversation or without one.

pub(crate) mod acts;
pub(crate) mod assign;
mod door;
pub(crate) mod fate;
pub(crate) mod inbound;
pub(crate) mod moves;
pub(crate) mod outbound;
mod pages;
mod routing;
pub(crate) mod secret;
pub(crate) mod tickets;
mod widget;

pub use door::{ChannelSecrets, Knock, Refused};
pub use pages::{ConversationPage, Inbox, InboxItem, Pile, Said};
pub use widget::{Guest, WidgetView};
