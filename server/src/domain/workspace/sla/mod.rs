//! Service levels (catalogue.md §3.6): opening hours (`hours`), and clocks that count within them (`clock`), both
//! arithmetic over moments that are given to them. `rules` finds what a channel promises, `timers` wakes when a clock has
//! something to say.

mod clock;
mod hours;
pub(crate) mod rules;
pub(crate) mod timers;

pub(crate) use clock::{Promises, Sla};
pub(crate) use hours::{BusinessHours, Calendar};
