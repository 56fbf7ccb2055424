//! Docker, Podman or Buildah: what builds stages of `airflow/Dockerfile` on this machine.

use super::environment::this_machine;
use crate::config::{Architecture, Builder};
use crate::doors::proc::{self, Cmd};
use crate::doors::registry::is_this_machine;
use crate::doors::{env, fs};
use crate::fail::{Context as _, Fail, Kind, Result};
use oci_spec::image::ImageConfiguration;
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Seek as _};
use std::path::{Path, PathBuf};

pub const DOCKERFILE: &str = "airflow/Dockerfile";

/// A builder that works here.
pub struct Tool {
    name: Builder,
    /// Docker's plug-in, the only one that loads what a builder in a container has made.
    buildx: bool,
}

/// What is built.
pub struct Stage<'a> {
    pub name: &'a str,
    pub root: &'a Path,
    pub architecture: Architecture,
    /// By its digest.
    pub base: &'a str,
    pub arguments: Vec<(&'a str, String)>,
    /// The files that it may copy.
    pub context: &'a Path,
    pub tag: String,
}

/// What the archive of an image says of it (`docker save`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

impl Tool {
    /// The one that is named, or else the first that works.
    ///
    /// # Errors
    /// None does; every one that is installed is named with its reason.
    pub fn find(named: Option<Builder>) -> Result<Self> {
        let candidates = named.map_or(Builder::ALL.to_vec(), |named| vec![named]);
        let mut idle = Vec::new();
        for name in candidates.iter().copied().filter(|name| proc::find(name.as_str()).is_some()) {
            match command(name, Path::new("/")).arg("info").run() {
                Ok(_) => return Ok(Self { name, buildx: name == Builder::Docker && has_buildx() }),
                Err(fail) => idle.push((name, fail)),
            }
        }
        Err(none(&candidates, idle))
    }

    #[must_use]
    pub fn name(&self) -> Builder {
        self.name
    }

    /// The tars of the layers of a stage, without those of the first `below`; they are in `scratch`.
    pub fn build(&self, stage: &Stage, scratch: &Path, below: usize) -> Result<Vec<PathBuf>> {
        let told = |fail| fs::short_of_space(self.failed(fail, stage), scratch);
        self.command(stage).run().map_err(told)?;
        let archive = scratch.join("image.tar");
        self.save(stage, &archive).run().map_err(told)?;
        let layers = unpacked(&archive, &scratch.join("saved"));
        let layers = layers.map_err(|fail| fs::short_of_space(fail, scratch))?;
        Ok(layers.into_iter().skip(below).collect())
    }

    fn command(&self, stage: &Stage) -> Cmd {
        let platform = match stage.architecture {
            Architecture::X86 => "linux/amd64",
            Architecture::Arm => "linux/arm64",
        };
        let mut build = command(self.name, stage.context);
        build = if self.buildx { build.args(["buildx", "build", "--load"]) } else { build.arg("build") };
        build = build.args(["--network", "host", "--platform", platform, "--target", stage.name]);
        if self.name != Builder::Docker && is_this_machine(stage.base.split('/').next().unwrap_or_default()) {
            build = build.arg("--tls-verify=false");
        }
        build = build.args(["--build-arg", &format!("BASE={}", stage.base)]);
        for (name, value) in &stage.arguments {
            build = build.args(["--build-arg", &format!("{name}={value}")]);
        }
        // Their values come from the environment: one may hold a password.
        for (name, _) in env::for_builders().iter().filter(|(name, _)| is_for_downloads(name)) {
            build = build.args(["--build-arg", name]);
        }
        build.args(["--tag", &stage.tag, "--file"]).arg(stage.root.join(DOCKERFILE)).arg(stage.context)
    }

    fn save(&self, stage: &Stage, archive: &Path) -> Cmd {
        let save = command(self.name, stage.context);
        match self.name {
            Builder::Buildah => save.args([
                "push",
                &stage.tag,
                &format!("docker-archive:{}:{}", archive.display(), stage.tag),
            ]),
            _ => save.args(["save", "--output"]).arg(archive).arg(&stage.tag),
        }
    }

    fn failed(&self, fail: Fail, stage: &Stage) -> Fail {
        let fail = fail.context(format!("{} cannot build {DOCKERFILE}", self.name)).with_kind(Kind::Failed);
        foreign(fail, stage.architecture, this_machine().ok()).hint(
            "see whether the packages exist: image.packages and image.build_packages in the environment file",
        )
    }
}

/// Programs of another architecture need help to run.
fn foreign(fail: Fail, wanted: Architecture, here: Option<Architecture>) -> Fail {
    match here {
        Some(here) if here != wanted => {
            fail.cause(format!("the image is for {wanted}, this machine is {here}")).hint(
                "let this machine run programs of the other architecture, on Debian and Ubuntu: sudo apt-get install \
                 binfmt-support qemu-user-static; or build on a machine of that architecture",
            )
        }
        _ => fail,
    }
}

fn command(name: Builder, dir: &Path) -> Cmd {
    // Without attestations, which are images of no architecture beside the one that is saved.
    Cmd::new(name.as_str(), dir).envs(env::for_builders()).env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
}

fn has_buildx() -> bool {
    command(Builder::Docker, Path::new("/")).args(["buildx", "version"]).run().is_ok()
}

fn is_for_downloads(name: &str) -> bool {
    name.starts_with("PIP_") || name.to_uppercase().ends_with("_PROXY")
}

fn none(candidates: &[Builder], idle: Vec<(Builder, Fail)>) -> Fail {
    let needs = "which `image.packages` and `image.compile` need";
    let fail = Fail::usage(format!("nothing on this machine builds {DOCKERFILE}, {needs}"));
    let names: Vec<&str> = candidates.iter().map(|name| name.as_str()).collect();
    let fail = match (idle.is_empty(), names.as_slice()) {
        (false, _) => idle.into_iter().fold(fail, without_service),
        (true, [one]) => fail.cause(format!("there is no {one} on the path, which `image.builder` names")),
        (true, _) => fail.cause(format!("there is none of {} on the path", names.join(", "))),
    };
    fail.hint("install another builder, on Debian and Ubuntu: sudo apt-get install podman")
        .hint("or remove `image.packages`, `image.compile` and `image.builder` from the environment file")
}

fn without_service(told: Fail, (name, fail): (Builder, Fail)) -> Fail {
    let told = told.cause(format!("{name} is installed and does not work: {}", fail.causes().join(": ")));
    match name {
        Builder::Docker => told.hint(
            "start Docker's service: sudo systemctl start docker; or point DOCKER_HOST to where it runs",
        ),
        _ => told.hint(format!("see what it lacks: {name} info")),
    }
}

/// The tars in the archive of an image, from the bottom up.
fn unpacked(archive: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let unfit = || "the builder saved an image that cannot be read".to_owned();
    tar::Archive::new(File::open(archive).failed(unfit)?).unpack(folder).failed(unfit)?;
    let saved: Vec<Saved> =
        serde_json::from_slice(&fs::read(&folder.join("manifest.json"))?).failed(unfit)?;
    let saved = saved.into_iter().next().ok_or_else(|| Fail::failed(unfit()))?;
    let configuration: ImageConfiguration =
        serde_json::from_slice(&fs::read(&folder.join(&saved.config))?).failed(unfit)?;
    if saved.layers.len() != configuration.rootfs().diff_ids().len() {
        return Err(Fail::failed(unfit()));
    }
    Ok(saved.layers.iter().map(|layer| folder.join(layer)).collect())
}

/// The tar of a layer, whether the builder has compressed it or not.
pub fn plain(layer: &Path) -> Result<Box<dyn Read>> {
    let unread = || format!("cannot read `{}`", layer.display());
    let mut file = File::open(layer).failed(unread)?;
    let mut start = [0; 2];
    let is_gzip = file.read_exact(&mut start).is_ok() && start == [0x1f, 0x8b];
    file.rewind().failed(unread)?;
    Ok(if is_gzip { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) })
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
