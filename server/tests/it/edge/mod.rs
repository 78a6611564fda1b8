//! The HTTP side and stdio, through real sockets and pipes.

mod transcripts;
