//! An archive that is ready: the DAG bundle or the host revision.

use super::digest::Digest;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The sha256 of the archive: its identity and its name.
    pub digest: Digest,
    /// Where it is on this machine.
    pub path: PathBuf,
    /// How many files are in it.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes of the archive.
    pub zip_bytes: u64,
}
