//! Service levels (catalogue.md §3.6): opening hours (`hours`), and clocks that count within them (`clock`).
//!
//! Both are arithmetic over moments that are given to them.

pub mod clock;
pub mod hours;

pub use clock::{Clock, ClockState, Goals, News, Priority, Sla};
pub use hours::{BusinessHours, Calendar, HoursError};
