//! Unpacks what this tool made itself; names that would leave the folder are refused.
#![allow(clippy::disallowed_methods)]

use crate::fail::{Context as _, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Cursor, Read as _};
use std::path::Path;

pub fn unpack(zip: &Path, into: &Path) -> Result<()> {
    let file = File::open(zip).failed(|| format!("cannot read `{}`", zip.display()))?;
    let what = || format!("cannot unpack `{}`", zip.display());
    zip::ZipArchive::new(file).failed(what)?.extract(into).failed(what)
}

/// A file of an archive in memory, as text; none if the archive has no such file.
pub fn member(zip: &[u8], name: &str) -> Result<Option<String>> {
    let what = || format!("cannot read `{name}` of an archive");
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).failed(what)?;
    let mut file = match archive.by_name(name) {
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        file => file.failed(what)?,
    };
    let mut text = String::new();
    file.read_to_string(&mut text).failed(what)?;
    Ok(Some(text))
}

/// A layer of an image.
pub fn unpack_layer(layer: &Path, into: &Path) -> Result<()> {
    let file = File::open(layer).failed(|| format!("cannot read `{}`", layer.display()))?;
    let tar = MultiGzDecoder::new(BufReader::with_capacity(1 << 18, file));
    tar::Archive::new(tar).unpack(into).failed(|| format!("cannot unpack `{}`", layer.display()))
}
