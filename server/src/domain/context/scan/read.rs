//! Opens and reads one file: a name in an open folder in, its text or its problem out.

use std::io::Read;
use std::time::SystemTime;

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, OpenOptions};
use sha2::{Digest, Sha256};

use super::{Known, Problem, Scanned, ScannedFile, Stamp, nanoseconds};
use crate::domain::context::blocks::TextType;

/// Reads the file `name` in `dir`, whose path below the root is `path`.
pub(super) fn read_file(
    dir: &Dir,
    name: &str,
    path: &str,
    text_type: TextType,
    limit: u64,
    now: SystemTime,
    known: Option<Known>,
) -> Result<Scanned, Problem> {
    let unreadable = |error: std::io::Error| Problem::Unreadable(error.kind().to_string());
    let listed = dir.symlink_metadata(name).map_err(unreadable)?;
    let modified = |metadata: &cap_std::fs::Metadata| {
        metadata
            .modified()
            .map_or(SystemTime::UNIX_EPOCH, cap_std::time::SystemTime::into_std)
    };
    // A stamp of zero is never remembered as settled, so an equal one was.
    let stamp = Stamp::of(listed.len(), modified(&listed), now);
    if stamp.modified_ns != 0 && known.is_some_and(|known| known.stamp == stamp) {
        return Ok(Scanned::Unchanged {
            path: path.to_owned(),
        });
    }
    if listed.len() > limit {
        return Err(Problem::TooLarge {
            bytes: listed.len(),
            limit,
        });
    }
    // Not blocking, for opening a pipe somebody put in the file's place would wait for ever.
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    let file = dir.open_with(name, &options).map_err(|error| {
        // What was listed as a file and no longer opens as one was swapped.
        if dir
            .symlink_metadata(name)
            .is_ok_and(|metadata| !metadata.is_file())
        {
            Problem::Raced
        } else {
            unreadable(error)
        }
    })?;
    let opened = file.metadata().map_err(unreadable)?;
    if !opened.is_file() {
        return Err(Problem::Raced);
    }
    if opened.nlink() > 1 {
        return Err(Problem::HardLink);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(opened.len().min(limit)).unwrap_or_default() + 1);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let size = bytes.len() as u64;
    if size > limit {
        return Err(Problem::TooLarge {
            bytes: size.max(opened.len()),
            limit,
        });
    }
    // The time from the open file: if it was written meanwhile, the next scan sees a newer one.
    let fresh = Known {
        stamp: Stamp::of(size, modified(&opened), now),
        sha256: Sha256::digest(&bytes).into(),
    };
    if known.is_some_and(|known| known.sha256 == fresh.sha256) {
        return Ok(Scanned::Touched {
            path: path.to_owned(),
            known: fresh,
        });
    }
    let text = decode(bytes)?;
    Ok(Scanned::Changed(ScannedFile {
        path: path.to_owned(),
        text_type,
        text,
        known: fresh,
        modified_ns: nanoseconds(modified(&opened)),
    }))
}

pub(super) fn decode(bytes: Vec<u8>) -> Result<String, Problem> {
    if bytes.contains(&0) {
        return Err(Problem::Binary);
    }
    let mut text = String::from_utf8(bytes).map_err(|error| Problem::NotUtf8 {
        at: error.utf8_error().valid_up_to(),
    })?;
    if text.starts_with('\u{FEFF}') {
        text.drain(..'\u{FEFF}'.len_utf8());
    }
    Ok(text)
}
