//! The packages of an image as an environment of this machine.

use crate::config::Architecture;
use crate::doors::{fs, unpack};
use crate::fail::{Fail, Result};
use crate::model::image::{Layer, places};
use std::path::{Path, PathBuf};

/// The Python of the environment, unpacked once for each layer; `interpreter` is the one that the image has elsewhere.
pub fn python(cache: &Path, layer: &Layer, interpreter: &Path) -> Result<PathBuf> {
    let folder = cache.join("unpacked").join(layer.digest.to_string());
    let venv = folder.join(places::VENV);
    if !fs::exists(&folder) {
        let scratch = fs::scratch_dir(cache)?;
        let made = scratch.path().join("made");
        unpack::unpack_layer(&cache.join("blobs").join(layer.digest.to_string()), &made)?;
        let inside = made.join(places::VENV);
        fs::link(&inside.join("bin/python"), interpreter)?;
        let home = interpreter.parent().unwrap_or(interpreter).display();
        let config = format!("home = {home}\ninclude-system-site-packages = false\n");
        fs::write(&inside.join("pyvenv.cfg"), config.as_bytes())?;
        fs::create_dir(&cache.join("unpacked"))?;
        fs::rename(&made, &folder)?;
    }
    Ok(venv.join("bin/python"))
}

/// The processor that programs of this machine are for.
///
/// # Errors
/// There are no images for it.
pub fn this_machine() -> Result<Architecture> {
    let word = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    };
    Architecture::parse(word).map_err(|_| {
        Fail::usage(format!("packages of an image do not run on a machine of `{word}`"))
            .hint("run this on x86_64 or arm64")
    })
}
