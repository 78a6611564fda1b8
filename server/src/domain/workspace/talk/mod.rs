//! Conversations that talk: who gets them (`routing`).

pub mod routing;
