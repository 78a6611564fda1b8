//! Rates and monthly caps: who is refused, when, how, and that exactly so many calls pass.

mod caps;
