//! Writes a deterministic zip on all cores while hashing it, in bounded memory.
//!
//! The bytes depend on the names, modes and contents of the entries and on nothing else: not on the
//! order in which files are found, their times, the time zone, the umask or the number of threads.
//! A change of anything here that changes them must raise [`FORMAT`].
//!
//! The headers are written by hand, not by the `zip` crate, for three reasons: it takes an entry
//! only as one piece of memory when made by another thread, which would hold a 1 GB file whole;
//! it allocates and clears a compressor of 300 KB per entry, which alone takes longer than the aim
//! for 10,000 small files; and its headers may change with any of its releases, and with them
//! the identity of every bundle.

mod format;
pub mod layer;
mod ordered;
mod pack;

use super::fs;
use super::stat::Stat;
use crate::fail::{Context as _, Fail, Result};
use crate::model::digest::Digest;
use format::{Header, Method};
use pack::{Packed, Packer, Trouble, Unit};
use sha2::{Digest as _, Sha256};
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// The version of the bytes: what was zipped by another one is not known to be the same.
pub const FORMAT: u32 = 1;

/// The largest file: sizes are 32 bits wide without extra fields.
pub const LARGEST: u64 = u32::MAX as u64 - 1;

/// How much all files in work may take, raw and deflated at their worst, whatever the number of threads.
const IN_FLIGHT: usize = 96 << 20;

/// One file to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative, with forward slashes; entries are sorted by its bytes.
    pub name: String,
    /// Where the content is read.
    pub source: PathBuf,
    /// What the source was when it was found; a source that differs when it is read is an error.
    pub stat: Stat,
    pub mode: Mode,
}

/// The permissions an entry is unpacked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `rw-r--r--`
    Plain,
    /// `rwxr-xr-x`
    Program,
}

/// A finished archive at `<folder>/<digest>.zip`.
#[derive(Clone, Debug)]
pub struct Archive {
    pub digest: Digest,
    pub path: PathBuf,
    /// Bytes of the contents.
    pub bytes: u64,
    /// Bytes of the archive.
    pub zip_bytes: u64,
}

/// Why there is no archive.
#[derive(Debug)]
pub enum Error {
    /// This source cannot be opened or read.
    Unreadable(PathBuf, std::io::Error),
    /// Anything else, said in full.
    Other(Fail),
}

impl From<Fail> for Error {
    fn from(fail: Fail) -> Self {
        Self::Other(fail)
    }
}

/// As many threads as there are processors.
#[must_use]
pub fn all_processors() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Zips `entries`, which are sorted by name, and puts the archive in place whole.
pub fn write(entries: &[Entry], folder: &Path, threads: NonZeroUsize) -> Result<Archive, Error> {
    check(entries)?;
    let scratch = fs::scratch(folder)?;
    let units = pack::units(entries);
    let batches = pack::batches(&units);
    let mut zip = Zip::new(scratch.as_file());
    let cost = |batch: &&[Unit]| pack::cost(batch);
    let work = |packer: &mut Packer, batch: &&[Unit]| {
        batch.iter().map(|unit| packer.pack(&entries[unit.entry], unit)).collect()
    };
    let take = |batch: &&[Unit], results: Vec<Result<Packed, Trouble>>| -> Result<(), Error> {
        for (unit, packed) in batch.iter().zip(results) {
            let entry = &entries[unit.entry];
            zip.add(entry, unit, &packed.map_err(|trouble| explain(entry, trouble))?)?;
        }
        Ok(())
    };
    ordered::each(&batches, threads, IN_FLIGHT, cost, Packer::new, work, take)?;
    let (digest, zip_bytes) = zip.finish()?;
    let path = folder.join(format!("{digest}.zip"));
    fs::put(scratch, &path)?;
    Ok(Archive { digest, path, bytes: entries.iter().map(|entry| entry.stat.size).sum(), zip_bytes })
}

/// Whoever found the entries has refused such names long before; a reader must never meet one.
fn check(entries: &[Entry]) -> Result<()> {
    let bad = |name: &str| {
        let part = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\\', '\0']);
        name.split('/').any(part) || name.len() > usize::from(u16::MAX)
    };
    if let Some(entry) = entries.iter().find(|entry| bad(&entry.name)) {
        return Err(Fail::bug(format!("an archive entry named `{}`", entry.name.escape_debug())));
    }
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        return Err(Fail::bug(format!("archive entries out of order at `{}`", pair[1].name)));
    }
    Ok(())
}

fn explain(entry: &Entry, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Io(error) => Error::Unreadable(entry.source.clone(), error),
        Trouble::Changed => Error::Other(
            Fail::failed(format!("`{}` changed while it was being read", entry.source.display()))
                .hint("wait until nothing writes there any more, then run the command again"),
        ),
        Trouble::Deflate => Error::Other(Fail::bug(format!("cannot deflate `{}`", entry.source.display()))),
    }
}

/// The archive as it grows: every byte goes to the file and to the hash.
struct Zip<'a> {
    file: BufWriter<&'a std::fs::File>,
    hash: Sha256,
    length: u64,
    central: Vec<u8>,
    entries: u64,
    /// The entry that is being written, and the checksum of it so far.
    header: Header,
    crc: crc32fast::Hasher,
}

impl<'a> Zip<'a> {
    fn new(file: &'a std::fs::File) -> Self {
        Self {
            file: BufWriter::with_capacity(1 << 18, file),
            hash: Sha256::new(),
            length: 0,
            central: Vec::new(),
            entries: 0,
            header: Header::default(),
            crc: crc32fast::Hasher::new(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        self.file.write_all(bytes).failed(|| "cannot write the archive".to_owned())
    }

    /// A file in one piece has its sizes in front, a streamed one behind.
    fn header(&self, entry: &Entry, unit: &Unit, packed: &Packed) -> Result<Header> {
        let crc = packed.crc.clone().finalize();
        let (deflated, size) = (packed.data.len() as u64, packed.raw as u64);
        Ok(Header {
            name: entry.name.clone(),
            mode: entry.mode,
            method: packed.method,
            offset: format::narrow(self.length)?,
            front: unit.last.then_some((crc, format::narrow(deflated)?, format::narrow(size)?)),
            ..Header::default()
        })
    }

    /// The next piece of an entry, the first with its header.
    fn add(&mut self, entry: &Entry, unit: &Unit, packed: &Packed) -> Result<()> {
        if unit.offset == 0 {
            self.header = self.header(entry, unit, packed)?;
            self.crc.reset();
            self.write(&self.header.local())?;
        }
        self.crc.combine(&packed.crc);
        self.header.add(packed)?;
        self.write(&packed.data)?;
        if unit.last {
            self.header.crc = self.crc.clone().finalize();
            if self.header.front.is_none() {
                self.write(&self.header.descriptor())?;
            }
            self.header.central(&mut self.central);
            self.entries += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Digest, u64)> {
        let central = std::mem::take(&mut self.central);
        let end =
            format::end(self.entries, format::narrow(self.length)?, format::narrow(central.len() as u64)?);
        self.write(&central)?;
        self.write(&end)?;
        self.file.flush().failed(|| "cannot write the archive".to_owned())?;
        Ok((Digest::from_hasher(self.hash), self.length))
    }
}

impl Header {
    fn add(&mut self, packed: &Packed) -> Result<()> {
        self.size = format::narrow(u64::from(self.size) + packed.raw as u64)?;
        self.deflated = format::narrow(u64::from(self.deflated) + packed.data.len() as u64)?;
        Ok(())
    }
}

impl Default for Header {
    fn default() -> Self {
        Self {
            name: String::new(),
            mode: Mode::Plain,
            method: Method::Stored,
            offset: 0,
            crc: 0,
            deflated: 0,
            size: 0,
            front: None,
        }
    }
}
