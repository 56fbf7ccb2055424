//! Files and folders of this machine; every error names the path, every write is whole or not there.
#![allow(clippy::disallowed_methods)]

use crate::fail::{Context as _, Fail, Kind, Result};
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// The cure of a full disk.
const FULL: &str = "free some disk space and run the command again";
/// Less than this is what another program leaves of a disk that it has filled.
const LITTLE: u64 = 64 << 20;

pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).failed(|| format!("cannot read `{}`", path.display()))
}

pub fn read_to_string(path: &Path) -> Result<String> {
    fs::read_to_string(path).failed(|| format!("cannot read `{}`", path.display()))
}

/// The content, or nothing if there is no such file.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(unreadable(path, error)),
    }
}

/// Below a file there is as little as in a folder that does not exist.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, error: std::io::Error) -> Fail {
    Fail::failed(format!("cannot read `{}`", path.display())).because(error)
}

#[must_use]
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| unwritable(path, error))
}

/// Why nothing could be written there, and the cure.
pub fn unwritable(path: &Path, error: std::io::Error) -> Fail {
    let fail = Fail::usage(format!("cannot write `{}`", path.display()));
    let there = path.ancestors().find(|path| exists(path)).unwrap_or(path);
    let in_the_way = there.is_file() && (there != path || error.kind() == ErrorKind::AlreadyExists);
    let there = there.display();
    let fail = match error.kind() {
        _ if in_the_way => fail.hint(format!("remove the file that is in the way: rm '{there}'")),
        ErrorKind::PermissionDenied => {
            fail.hint(format!("make it writable for you: sudo chown -R \"$(id -un)\" '{there}'"))
        }
        ErrorKind::ReadOnlyFilesystem => fail.hint("work in a writable copy of the project"),
        ErrorKind::StorageFull => fail.hint(FULL),
        _ => fail,
    };
    fail.because(error)
}

/// Says that the disk of a folder is full, if it is: what another program could not do may come of that.
#[must_use]
pub fn short_of_space(fail: Fail, folder: &Path) -> Fail {
    let free = rustix::fs::statvfs(folder).map(|disk| disk.f_bavail * disk.f_frsize);
    let Some(free) = free.ok().filter(|free| *free < LITTLE) else { return fail };
    fail.with_kind(Kind::Usage)
        .cause(format!("`{}` is on a disk with only {} MB left", folder.display(), free >> 20))
        .hint(FULL)
}

/// Writes beside the target and renames: a reader sees the old file or the new one.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_dir(folder)?;
    let mut scratch = tempfile::NamedTempFile::new_in(folder).map_err(|e| unwritable(path, e))?;
    scratch.write_all(bytes).map_err(|e| unwritable(path, e))?;
    scratch.persist(path).map_err(|e| unwritable(path, e.error))?;
    Ok(())
}

/// A new scratch file in `folder`, to be filled and then put in place with [`put`].
pub fn scratch(folder: &Path) -> Result<tempfile::NamedTempFile> {
    create_dir(folder)?;
    tempfile::NamedTempFile::new_in(folder).map_err(|e| unwritable(folder, e))
}

/// Renames a filled scratch file to `path`.
pub fn put(scratch: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    scratch.persist(path).map_err(|e| unwritable(path, e.error))?;
    Ok(())
}

/// A scratch folder that goes with the returned value.
pub fn scratch_dir(folder: &Path) -> Result<tempfile::TempDir> {
    create_dir(folder)?;
    tempfile::TempDir::new_in(folder).map_err(|e| unwritable(folder, e))
}

/// Removes a file or a whole folder; nothing there is fine.
pub fn remove(path: &Path) -> Result<()> {
    let result = match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unwritable(path, error)),
        _ => Ok(()),
    }
}

/// A link in place of whatever is there.
pub fn link(path: &Path, target: &Path) -> Result<()> {
    remove(path)?;
    std::os::unix::fs::symlink(target, path).map_err(|error| unwritable(path, error))
}

/// Puts a whole folder in place under another name, where there is none yet.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| unwritable(to, error))
}

/// The path without links; as it is where it leads nowhere yet.
#[must_use]
pub fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The names in a folder, sorted; nothing if there is no such folder.
pub fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(path, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|error| unreadable(path, error))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Opens a file to read.
pub fn open(path: &Path) -> Result<fs::File> {
    fs::File::open(path).map_err(|error| unreadable(path, error))
}

/// Opens a log file to add to.
pub fn open_append(path: &Path) -> Result<fs::File> {
    if let Some(folder) = path.parent() {
        create_dir(folder)?;
    }
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.map_err(|error| unwritable(path, error))
}

/// Ends when it is dropped, and with the process.
pub type Turn = fs::File;

/// An advisory lock on `path`, held as long as the returned file lives; waits for its turn.
pub fn lock(path: &Path) -> Result<Turn> {
    let file = open_append(path)?;
    file.lock().map_err(|error| unwritable(path, error))?;
    Ok(file)
}
