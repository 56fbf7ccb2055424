//! Packages of the operating system: a stage of `airflow/Dockerfile` as layers between the base and ours.

use super::builder::{DOCKERFILE, Stage, Tool, plain};
use crate::config::{Architecture, Container};
use crate::doors::archive::{all_processors, layer};
use crate::doors::fs;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::image::Layer;
use std::path::Path;

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
        let layers = self.made(&key, sink)?;
        let json = serde_json::to_vec(&layers).map_err(|e| Fail::bug("the record of layers").because(e))?;
        fs::write(&record, &json)?;
        Ok(layers)
    }

    fn made(&self, key: &Digest, sink: &Sink) -> Result<Vec<Layer>> {
        let tool = Tool::find(self.container.builder)?;
        let scratch = fs::scratch_dir(self.cache)?;
        let context = scratch.path().join("context");
        fs::create_dir(&context)?;
        sink.progress(format!("building {DOCKERFILE} for {} with {}", self.architecture, tool.name()));
        let stage = Stage {
            name: "system",
            root: self.root,
            architecture: self.architecture,
            base: self.base,
            arguments: vec![("PACKAGES", self.container.system_packages())],
            context: &context,
            tag: format!("ductwork-base:{}", key.short()),
        };
        let layers = tool.build(&stage, scratch.path(), self.below)?;
        sink.progress("compressing packages of the operating system");
        let blobs = self.cache.join("blobs");
        layers.iter().map(|tar| layer::compress(plain(tar)?, &blobs, all_processors())).collect()
    }
}
