//! Flows: when something happens and conditions hold, steps are carried out (catalogue.md §3.5).
//!
//! In reading order: a `definition` comes from a file, with every fault named at once; its `condition`s and `template`s
//! look at `facts`, what a record is after an event and was before it; a `step` says what is done, `pace` when it is
//! tried again; a `run` is one event in one flow, written down as it goes. Those parts know neither store nor clock.
//!
//! On top of them: the `book` has a tenant's flows and finds those that an event starts, `gather` reads the records that
//! they look at, `act` changes records, `carry` does so step after step, a `hook` tells a receiver. `begin` makes runs of events, the
//! `worker` carries on those that wait, both from jobs, which the `pump` feeds them.

mod act;
mod begin;
pub mod book;
mod carry;
pub mod condition;
pub mod definition;
pub mod facts;
pub(crate) mod gather;
pub mod hook;
pub mod pace;
pub(crate) mod pump;
pub mod run;
pub mod step;
pub mod template;
pub mod trigger;
pub(crate) mod worker;
