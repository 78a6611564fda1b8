//! The host's side: lines in, lines out.
//!
//! A pipe or a Unix socket, which is what hosts hand us, is driven by the reactor itself: the detour through a blocking
//! thread costs 70 to 100 µs a message. Files and terminals cannot be polled and take that detour.

mod gather;
mod input;
mod output;

pub(crate) use input::{Incoming, Input};
pub(crate) use output::{HostGone, Line, Output, Writer, flatten};

#[cfg(unix)]
mod descriptor {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::FileTypeExt as _;
    use std::os::unix::net::UnixStream;

    /// A standard stream, by how it can be waited for.
    pub(super) enum Descriptor {
        Pipe(OwnedFd),
        Socket(UnixStream),
        /// A file or a terminal: a thread has to wait for it.
        Blocking,
    }

    /// Finds out what `stream` is. The descriptor is duplicated, so that the standard library keeps its own.
    pub(super) fn classify(stream: impl AsFd) -> io::Result<Descriptor> {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        if kind.is_fifo() {
            return Ok(Descriptor::Pipe(file.into()));
        }
        if kind.is_socket() {
            let socket = UnixStream::from(OwnedFd::from(file));
            // A socket of another family cannot tell its address as a Unix one.
            if socket.local_addr().is_ok() {
                socket.set_nonblocking(true)?;
                return Ok(Descriptor::Socket(socket));
            }
        }
        Ok(Descriptor::Blocking)
    }
}
