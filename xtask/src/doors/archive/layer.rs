//! Writes one layer of an image: a tar, compressed on all cores while it is hashed, in bounded memory.
//!
//! The bytes depend on names, modes, owners and contents alone. The tar is cut into pieces, each a gzip member of its
//! own, which every reader of gzip takes for one stream; so all threads work on one layer, and no thread holds a file.

use super::ordered;
use crate::doors::{fs, stat::Stat};
use crate::fail::{Context as _, Fail, Result};
use crate::model::digest::Digest;
use crate::model::image::Layer;
use libdeflater::{CompressionLvl, Compressor};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

/// The version of the bytes: a layer that was made by another one is made anew.
pub const FORMAT: u32 = 1;

/// The time of every file, 1980-01-01: older ones cannot be in a zip, which Python tools make of files.
const TIME: u64 = 315_532_800;
/// How much of the tar goes into one gzip member.
const MEMBER: u64 = 4 << 20;
const IN_FLIGHT: usize = 96 << 20;
/// On two cores a deployment waits less for this than for the bytes that a higher level saves.
const LEVEL: i32 = 4;
const BLOCK: usize = 512;

/// A file of the layer to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// In the image, without a slash in front.
    pub name: String,
    pub content: Content,
    pub mode: u32,
    /// User and group.
    pub owner: (u64, u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Folder,
    /// What it was when it was found; a file that differs when it is read is an error.
    File(PathBuf, Stat),
    Bytes(Vec<u8>),
    Link(String),
}

impl Member {
    fn new(name: impl Into<String>, content: Content, mode: u32) -> Self {
        Self { name: name.into(), content, mode, owner: (0, 0) }
    }

    /// A folder that everybody may read.
    pub fn folder(name: impl Into<String>) -> Self {
        Self::new(name, Content::Folder, 0o755)
    }

    pub fn file(name: impl Into<String>, source: PathBuf, stat: Stat, program: bool) -> Self {
        Self::new(name, Content::File(source, stat), if program { 0o755 } else { 0o644 })
    }

    pub fn bytes(name: impl Into<String>, bytes: impl Into<Vec<u8>>, program: bool) -> Self {
        Self::new(name, Content::Bytes(bytes.into()), if program { 0o755 } else { 0o644 })
    }

    pub fn link(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self::new(name, Content::Link(target.into()), 0o777)
    }

    fn size(&self) -> u64 {
        match &self.content {
            Content::File(_, stat) => stat.size,
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Folder | Content::Link(_) => 0,
        }
    }

    fn header(&self) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(match self.content {
            Content::Folder => EntryType::Directory,
            Content::Link(_) => EntryType::Symlink,
            Content::File(..) | Content::Bytes(_) => EntryType::Regular,
        });
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(TIME);
        header.set_size(self.size());
        header
    }

    /// The bytes from `offset` on.
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        match &self.content {
            Content::Folder | Content::Link(_) => Ok(Vec::new()),
            #[expect(clippy::cast_possible_truncation, reason = "within bytes that are in memory")]
            Content::Bytes(bytes) => Ok(bytes[offset as usize..offset as usize + length].to_vec()),
            Content::File(source, stat) => read(source, stat, offset, length),
        }
    }
}

fn read(source: &Path, stat: &Stat, offset: u64, length: usize) -> Result<Vec<u8>> {
    let place = || format!("cannot read `{}`", source.display());
    let file = File::open(source).failed(place)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset).failed(place)?;
    if stat.is_still(&Stat::of(&file.metadata().failed(place)?)) {
        return Ok(bytes);
    }
    let changed = Fail::failed(format!("`{}` changed while it was being read", source.display()));
    Err(changed.hint("wait until nothing writes there any more, then run the command again"))
}

/// A part of a file that goes into one piece of the tar.
#[derive(Clone, Copy)]
struct Part {
    member: usize,
    offset: u64,
    length: usize,
}

/// What becomes one gzip member.
type Piece = Vec<Part>;

/// Writes the layer of `members`, which are sorted by name, to `<folder>/<sha256>`.
///
/// # Errors
/// A file that cannot be read or changes meanwhile; a full disk.
pub fn write(members: &[Member], folder: &Path, threads: NonZeroUsize) -> Result<Layer> {
    if let Some(pair) = members.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        return Err(Fail::bug(format!("files of a layer out of order at `{}`", pair[1].name)));
    }
    let scratch = fs::scratch(folder)?;
    let mut output = Output::new(scratch.as_file(), folder);
    let cost = |piece: &Piece| piece.iter().map(|part| 2 * part.length + 4 * BLOCK).sum();
    let work = |compressor: &mut Compressor, piece: &Piece| {
        let raw = tar(members, piece)?;
        let gzip = compressed(compressor, &raw)?;
        Ok((raw, gzip))
    };
    let take = |_: &Piece, made: Result<(Vec<u8>, Vec<u8>)>| {
        let (raw, gzip) = made?;
        output.add(&raw, &gzip)
    };
    ordered::each(&pieces(members), threads, IN_FLIGHT, cost, compressor, work, take)?;
    // The end of a tar: two empty blocks.
    let end = [0; 2 * BLOCK];
    output.add(&end, &compressed(&mut compressor(), &end)?)?;
    let layer = output.finish()?;
    fs::put(scratch, &folder.join(layer.digest.to_string()))?;
    Ok(layer)
}

/// Stores a layer that another program made, as one of ours is stored.
///
/// # Errors
/// It cannot be read; a full disk.
pub fn compress(mut tar: impl Read, folder: &Path, threads: NonZeroUsize) -> Result<Layer> {
    let scratch = fs::scratch(folder)?;
    let mut output = Output::new(scratch.as_file(), folder);
    loop {
        // A round of pieces at a time: what is read waits in memory.
        let pieces = read_pieces(&mut tar, threads.get())?;
        if pieces.is_empty() {
            break;
        }
        let work = |compressor: &mut Compressor, piece: &Vec<u8>| compressed(compressor, piece);
        let take = |piece: &Vec<u8>, gzip: Result<Vec<u8>>| output.add(piece, &gzip?);
        ordered::each(&pieces, threads, IN_FLIGHT, |piece| 2 * piece.len(), compressor, work, take)?;
    }
    let layer = output.finish()?;
    fs::put(scratch, &folder.join(layer.digest.to_string()))?;
    Ok(layer)
}

fn read_pieces(tar: &mut impl Read, count: usize) -> Result<Vec<Vec<u8>>> {
    let mut pieces = Vec::new();
    for _ in 0..count {
        let mut piece = Vec::new();
        let read = tar.by_ref().take(MEMBER).read_to_end(&mut piece);
        if read.failed(|| "cannot read a layer".to_owned())? == 0 {
            break;
        }
        pieces.push(piece);
    }
    Ok(pieces)
}

fn compressor() -> Compressor {
    Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default())
}

fn pieces(members: &[Member]) -> Vec<Piece> {
    let (mut pieces, mut piece, mut length) = (Vec::new(), Piece::new(), 0);
    for (member, size) in members.iter().map(Member::size).enumerate() {
        let mut offset = 0;
        loop {
            let step = MEMBER.min(size - offset);
            if length + step > MEMBER && !piece.is_empty() {
                pieces.push(std::mem::take(&mut piece));
                length = 0;
            }
            #[expect(clippy::cast_possible_truncation, reason = "a gzip member at most")]
            piece.push(Part { member, offset, length: step as usize });
            length += step + BLOCK as u64;
            offset += step;
            if offset == size {
                break;
            }
        }
    }
    pieces.extend((!piece.is_empty()).then_some(piece));
    pieces
}

/// The tar of a piece, without the end of an archive.
fn tar(members: &[Member], piece: &Piece) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in piece {
        let member = &members[part.member];
        if part.offset == 0 {
            bytes.extend(head(member).failed(|| format!("cannot put `{}` into a layer", member.name))?);
        }
        bytes.extend(member.read(part.offset, part.length)?);
        // Only the last part of a file can end within a block.
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    Ok(bytes)
}

/// What stands in front of the content: one block, and more for a long name.
fn head(member: &Member) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = member.header();
    match &member.content {
        Content::Link(target) => builder.append_link(&mut header, &member.name, target)?,
        _ => builder.append_data(&mut header, &member.name, std::io::empty())?,
    }
    let length = builder.get_ref().len();
    let mut head = builder.into_inner()?;
    // Without the end of an archive.
    head.truncate(length);
    Ok(head)
}

fn compressed(compressor: &mut Compressor, raw: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = vec![0; compressor.gzip_compress_bound(raw.len())];
    let length = compressor
        .gzip_compress(raw, &mut gzip)
        .map_err(|error| Fail::bug("cannot compress a layer").because(error))?;
    gzip.truncate(length);
    Ok(gzip)
}

/// The layer as it grows: known by what it is compressed, and by what it unpacks to.
struct Output<'a> {
    file: BufWriter<&'a File>,
    folder: &'a Path,
    digest: Sha256,
    content: Sha256,
    size: u64,
}

impl<'a> Output<'a> {
    fn new(file: &'a File, folder: &'a Path) -> Self {
        Self {
            file: BufWriter::with_capacity(1 << 18, file),
            folder,
            digest: Sha256::new(),
            content: Sha256::new(),
            size: 0,
        }
    }

    fn add(&mut self, raw: &[u8], gzip: &[u8]) -> Result<()> {
        self.content.update(raw);
        self.digest.update(gzip);
        self.size += gzip.len() as u64;
        self.file.write_all(gzip).map_err(|error| fs::unwritable(self.folder, error))
    }

    fn finish(mut self) -> Result<Layer> {
        self.file.flush().map_err(|error| fs::unwritable(self.folder, error))?;
        Ok(Layer {
            digest: Digest::from_hasher(self.digest),
            content: Digest::from_hasher(self.content),
            size: self.size,
        })
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
