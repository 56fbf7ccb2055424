//! Unpacks what this tool made itself; names that would leave the folder are refused.
#![allow(clippy::disallowed_methods)]

use crate::fail::{Context as _, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

pub fn unpack(zip: &Path, into: &Path) -> Result<()> {
    let file = File::open(zip).failed(|| format!("cannot read `{}`", zip.display()))?;
    let what = || format!("cannot unpack `{}`", zip.display());
    zip::ZipArchive::new(file).failed(what)?.extract(into).failed(what)
}

/// A layer of an image.
pub fn unpack_layer(layer: &Path, into: &Path) -> Result<()> {
    let file = File::open(layer).failed(|| format!("cannot read `{}`", layer.display()))?;
    let tar = MultiGzDecoder::new(BufReader::with_capacity(1 << 18, file));
    tar::Archive::new(tar).unpack(into).failed(|| format!("cannot unpack `{}`", layer.display()))
}
