//! Packages of the operating system: `airflow/Dockerfile`, built by whatever this machine has for it, as layers
//! between the base and ours.

use crate::config::{Architecture, Container};
use crate::doors::archive::{all_processors, layer};
use crate::doors::proc::{self, Cmd};
use crate::doors::{env, fs};
use crate::fail::{Context as _, Fail, Kind, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::image::Layer;
use oci_spec::image::ImageConfiguration;
use serde::Deserialize;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub const DOCKERFILE: &str = "airflow/Dockerfile";
/// Whoever comes first is taken.
const BUILDERS: [&str; 3] = ["docker", "podman", "buildah"];

/// What is built.
pub struct System<'a> {
    pub root: &'a Path,
    pub cache: &'a Path,
    pub container: &'a Container,
    pub architecture: Architecture,
    /// By its digest.
    pub base: &'a str,
    /// How many layers of the result are those of the base.
    pub below: usize,
}

/// What the archive of an image says of it (`docker save`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

/// Of everything that the layers depend on.
pub fn key(root: &Path, container: &Container, base: &str) -> Result<Digest> {
    let text = fs::read(&root.join(DOCKERFILE)).map_err(|e| e.hint("restore the file from git"))?;
    let packages = container.system_packages();
    let parts = format!("{} {base} {packages} {}", layer::FORMAT, Digest::of(&text));
    Ok(Digest::of(parts.as_bytes()))
}

impl System<'_> {
    /// The layers in `<cache>/blobs/`, made if they are not there; none if the environment names no packages.
    pub fn layers(&self, sink: &Sink) -> Result<Vec<Layer>> {
        if self.container.packages.is_empty() {
            return Ok(Vec::new());
        }
        let key = key(self.root, self.container, self.base)?;
        let record = self.cache.join("system").join(format!("{key}-{}.json", self.architecture));
        let known: Option<Vec<Layer>> =
            fs::read_if_there(&record)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let is_there = |layer: &Layer| fs::exists(&self.cache.join("blobs").join(layer.digest.to_string()));
        if let Some(layers) = known.filter(|layers| layers.iter().all(is_there)) {
            return Ok(layers);
        }
        let builder = builder()?;
        let scratch = fs::scratch_dir(self.cache)?;
        sink.progress(format!("building {DOCKERFILE} for {} with {builder}", self.architecture));
        let archive = self.build(&builder, scratch.path(), &key)?;
        sink.progress("compressing packages of the operating system");
        let layers = self.added(&archive, scratch.path())?;
        let json = serde_json::to_vec(&layers).map_err(|e| Fail::bug("the record of layers").because(e))?;
        fs::write(&record, &json)?;
        Ok(layers)
    }

    fn build(&self, builder: &str, scratch: &Path, key: &Digest) -> Result<PathBuf> {
        let (context, archive) = (scratch.join("context"), scratch.join("image.tar"));
        fs::create_dir(&context)?;
        let tag = format!("ductwork-base:{}", key.short());
        let platform = match self.architecture {
            Architecture::X86 => "linux/amd64",
            Architecture::Arm => "linux/arm64",
        };
        let command = |words: &[&str]| Cmd::new(builder, &context).envs(env::for_builders()).args(words);
        let mut build =
            command(&["build", "--network", "host", "--platform", platform, "--tag", &tag, "--file"]);
        build = build.arg(self.root.join(DOCKERFILE));
        build = build.args(["--build-arg", &format!("BASE={}", self.base)]);
        build = build.args(["--build-arg", &format!("PACKAGES={}", self.container.system_packages())]);
        // Their values come from the environment: one may hold a password.
        for (name, _) in
            env::for_builders().iter().filter(|(name, _)| name.to_uppercase().ends_with("_PROXY"))
        {
            build = build.args(["--build-arg", name]);
        }
        build.arg(&context).run().map_err(|fail| failed(fail, builder))?;
        let save = match builder {
            "buildah" => command(&["push", &tag, &format!("docker-archive:{}", archive.display())]),
            _ => command(&["save", "--output"]).arg(&archive).arg(&tag),
        };
        save.run().map_err(|fail| failed(fail, builder))?;
        Ok(archive)
    }

    /// The layers above those of the base.
    fn added(&self, archive: &Path, scratch: &Path) -> Result<Vec<Layer>> {
        let unfit = || "the builder saved an image that cannot be read".to_owned();
        let folder = scratch.join("saved");
        tar::Archive::new(File::open(archive).failed(unfit)?).unpack(&folder).failed(unfit)?;
        let saved: Vec<Saved> =
            serde_json::from_slice(&fs::read(&folder.join("manifest.json"))?).failed(unfit)?;
        let saved = saved.into_iter().next().ok_or_else(|| Fail::failed(unfit()))?;
        let configuration: ImageConfiguration =
            serde_json::from_slice(&fs::read(&folder.join(&saved.config))?).failed(unfit)?;
        if saved.layers.len() != configuration.rootfs().diff_ids().len() {
            return Err(Fail::failed(unfit()));
        }
        let above = saved.layers.iter().skip(self.below);
        above.map(|layer| self.stored(&folder.join(layer))).collect()
    }

    fn stored(&self, layer: &Path) -> Result<Layer> {
        let unread = || format!("cannot read `{}`", layer.display());
        let mut file = File::open(layer).failed(unread)?;
        let mut start = [0; 2];
        let is_gzip = file.read_exact(&mut start).is_ok() && start == [0x1f, 0x8b];
        let file = File::open(layer).failed(unread)?;
        let blobs = self.cache.join("blobs");
        if is_gzip {
            return layer::compress(flate2::read::MultiGzDecoder::new(file), &blobs, all_processors());
        }
        layer::compress(file, &blobs, all_processors())
    }
}

fn builder() -> Result<String> {
    let found = BUILDERS.into_iter().find(|name| proc::find(name).is_some());
    found.map(str::to_owned).ok_or_else(|| {
        Fail::usage(format!("nothing on this machine builds {DOCKERFILE}, which `image.packages` needs"))
            .cause(format!("there is none of {} on the path", BUILDERS.join(", ")))
            .hint("install one, on Debian and Ubuntu: sudo apt-get install podman")
            .hint("or remove `image.packages` from the environment file")
    })
}

fn failed(fail: Fail, builder: &str) -> Fail {
    fail.context(format!("{builder} cannot build {DOCKERFILE}"))
        .with_kind(Kind::Failed)
        .hint(format!("see whether its service runs: {builder} info"))
        .hint("see whether the packages exist: image.packages in the environment file")
}
