//! Unpacks a zip that this tool made itself; names that would leave the folder are refused.
#![allow(clippy::disallowed_methods)]

use crate::fail::{Context as _, Result};
use std::fs::File;
use std::path::Path;

pub fn unpack(zip: &Path, into: &Path) -> Result<()> {
    let file = File::open(zip).failed(|| format!("cannot read `{}`", zip.display()))?;
    let what = || format!("cannot unpack `{}`", zip.display());
    zip::ZipArchive::new(file).failed(what)?.extract(into).failed(what)
}
