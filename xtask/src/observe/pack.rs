//! Turns entries into an archive in the cache, or finds that the one made last is still right.
//!
//! The record of the last archive holds a fingerprint of what the kernel said of every entry and of
//! the archive itself. When nothing differs the archive is as it was, at the price of the walk.
//! A record that is damaged, of another version or does not fit is as good as none.

use super::tree;
use crate::doors::archive::{self, Archive, Entry, Error};
use crate::doors::{fs, stat::Stat, time};
use crate::fail::{Fail, Problem, Result};
use crate::model::bundle::Bundle;
use crate::model::digest::Digest;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The coarsest clock of a file system in use ticks every 2 s (FAT).
const COARSEST_TICK: i64 = 2;
/// Older archives are removed: they are in S3, and made again from a checkout at any time.
const KEPT: usize = 5;
/// What an interrupted run left behind is removed after this time.
const ABANDONED: Duration = Duration::from_secs(3600);

/// What is packed, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Packing<'a> {
    /// Such as `the DAG bundle`.
    pub name: &'a str,
    /// Where its archives and its record are kept.
    pub folder: &'a Path,
}

/// Packs what [`tree::read`] found; or all problems, those of the reading included.
pub fn pack(
    root: &Path,
    packing: Packing<'_>,
    mut entries: Vec<Entry>,
    mut problems: Vec<Problem>,
    threads: NonZeroUsize,
) -> Result<Bundle> {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    if !problems.is_empty() {
        problems.extend(tree::unreadable(root, &entries));
        return Err(refused(packing, problems));
    }
    let fingerprint = fingerprint(&entries);
    if let Some(bundle) = Record::of(packing.folder, fingerprint) {
        return Ok(bundle);
    }
    let began = time::unix();
    let archive = match archive::write(&entries, packing.folder, threads) {
        Ok(archive) => archive,
        Err(Error::Other(fail)) => return Err(fail.context(format!("cannot pack {}", packing.name))),
        Err(Error::Unreadable(path, error)) => {
            let problems = tree::unreadable(root, &entries);
            let fail = Fail::failed(format!("cannot read `{}`", path.display())).because(error);
            return Err(if problems.is_empty() { fail } else { refused(packing, problems) });
        }
    };
    let bundle = bundle(archive, entries.len());
    if entries.iter().all(|entry| entry.stat.changed.0 < began - COARSEST_TICK) {
        Record::keep(packing.folder, fingerprint, &bundle);
    }
    prune(packing.folder, &[&bundle.path], KEPT);
    Ok(bundle)
}

fn refused(packing: Packing<'_>, mut problems: Vec<Problem>) -> Fail {
    problems.sort_by(|a, b| (&a.location, &a.kind).cmp(&(&b.location, &b.kind)));
    problems.dedup();
    Fail::problems(format!("cannot pack {}", packing.name), problems)
}

fn bundle(archive: Archive, files: usize) -> Bundle {
    let Archive { digest, path, bytes, zip_bytes } = archive;
    Bundle { digest, path, files: files as u64, bytes, zip_bytes }
}

/// Of everything that the archive depends on, short of the contents themselves.
fn fingerprint(entries: &[Entry]) -> Digest {
    let mut bytes = Vec::with_capacity(entries.len() * 128);
    bytes.extend(archive::FORMAT.to_le_bytes());
    bytes.extend(env!("CARGO_PKG_VERSION").as_bytes());
    for Entry { name, stat, mode, source: _ } in entries {
        bytes.push(0);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&[0, *mode as u8]);
        bytes.extend_from_slice(&stat.mode.to_le_bytes());
        for number in [stat.size, stat.device, stat.inode] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for (seconds, nanoseconds) in [stat.modified, stat.changed] {
            bytes.extend_from_slice(&seconds.to_le_bytes());
            bytes.extend_from_slice(&nanoseconds.to_le_bytes());
        }
    }
    Digest::of(&bytes)
}

/// What the last packing found and made.
#[derive(Serialize, Deserialize)]
struct Record {
    fingerprint: Digest,
    bundle: Bundle,
    archive: Stat,
}

impl Record {
    fn file(folder: &Path) -> PathBuf {
        folder.join("last.json")
    }

    fn of(folder: &Path, fingerprint: Digest) -> Option<Bundle> {
        let bytes = fs::read_if_there(&Self::file(folder)).ok()??;
        let record: Self = serde_json::from_slice(&bytes).ok()?;
        let same = record.fingerprint == fingerprint
            && record.bundle.path == folder.join(format!("{}.zip", record.bundle.digest))
            && stat(&record.bundle.path) == Some(record.archive);
        same.then_some(record.bundle)
    }

    /// A record that cannot be written only costs time next time.
    fn keep(folder: &Path, fingerprint: Digest, bundle: &Bundle) {
        let Some(archive) = stat(&bundle.path) else { return };
        let record = Self { fingerprint, bundle: bundle.clone(), archive };
        if let Ok(json) = serde_json::to_vec(&record) {
            let _ = fs::write(&Self::file(folder), &json);
        }
    }
}

fn stat(path: &Path) -> Option<Stat> {
    path.symlink_metadata().ok().map(|meta| Stat::of(&meta))
}

/// Keeps `current` and the latest others, so many in all. Failing to tidy up is not an error.
pub fn prune(folder: &Path, current: &[&Path], kept: usize) {
    let Ok(paths) = fs::list(folder) else { return };
    let (mut zips, others): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| path.extension().is_some_and(|extension| extension == "zip"));
    zips.retain(|path| !current.contains(&path.as_path()));
    zips.sort_by_key(|path| std::cmp::Reverse(stat(path).map(|stat| stat.modified)));
    let old = zips.into_iter().skip(kept.saturating_sub(current.len()));
    let limit = time::unix() - ABANDONED.as_secs().cast_signed();
    let abandoned = others.into_iter().filter(|path| {
        let scratch = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp"));
        scratch && stat(path).is_some_and(|stat| stat.modified.0 < limit)
    });
    for path in old.chain(abandoned) {
        let _ = fs::remove(&path);
    }
}
