//! What the kernel says of a file: enough to tell that it is still the one that was seen.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// Two equal values mean the same content, unless both were taken within the same tick of the
/// file system's clock as a write: `changed` then is too fresh to be trusted later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    pub size: u64,
    /// Seconds and nanoseconds since 1970. Anybody can set it.
    pub modified: (i64, i64),
    /// Likewise, but set by the kernel alone, with every write, rename and change of mode.
    pub changed: (i64, i64),
    pub device: u64,
    pub inode: u64,
    pub mode: u32,
}

impl Stat {
    #[must_use]
    pub fn of(meta: &Metadata) -> Self {
        Self {
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            device: meta.dev(),
            inode: meta.ino(),
            mode: meta.mode(),
        }
    }

    /// Whether it is still the same, unless somebody sets times back. Another hard link changes `changed` and nothing of
    /// the file: a cache gives one to whoever installs from it.
    #[must_use]
    pub fn is_still(&self, now: &Self) -> bool {
        Self { changed: now.changed, ..*self } == *now
    }

    /// Whether the owner may execute it.
    #[must_use]
    pub fn is_program(&self) -> bool {
        self.mode & 0o100 != 0
    }
}
