//! Crossing the eras: a host of one era, a server of the other (protocol.md §4).

pub(crate) mod down;
pub(crate) mod object;
pub(crate) mod up;
