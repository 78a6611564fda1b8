//! Between the eras: one side speaks the modern revision, the other the handshake one (protocol.md §4).

pub(crate) mod up;
