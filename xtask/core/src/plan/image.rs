//! Puts an image together: our layers on those of a base, which nobody has to unpack for it.
//!
//! Configuration and manifest are bytes with a digest. They follow from what is given alone; keys are in order.

use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::image::{Base, Layer, Start};
pub use crate::model::image::{INDEX, MANIFEST};
use oci_spec::image::{
    Config, Descriptor, History, HistoryBuilder, ImageConfiguration, ImageIndexBuilder, ImageManifestBuilder,
    MediaType, Os, Platform, PlatformBuilder, RootFs, Sha256Digest,
};
use serde::Serialize;
use std::collections::HashMap;
use std::str::FromStr as _;

/// A layer of the image, with what it says of itself in the image's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    pub layer: Layer,
    pub about: String,
}

/// A document of an image, by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub bytes: Vec<u8>,
    pub digest: Digest,
}

/// An image for one architecture.
#[derive(Clone, Debug, PartialEq)]
pub struct Assembled {
    pub configuration: Document,
    pub manifest: Document,
    /// Layers of the base, lowest first.
    pub below: Vec<Descriptor>,
    /// Ours, above them.
    pub above: Vec<Layer>,
    pub platform: Platform,
}

/// # Errors
/// A layer of the base that nobody may copy.
pub fn assemble(base: &Base, added: &[Added], start: &Start) -> Result<Assembled> {
    let below = below(base)?;
    let configuration = document(&configuration(base, added, start))?;
    let ours = added
        .iter()
        .map(|added| descriptor(MediaType::ImageLayerGzip, &added.layer.digest, added.layer.size));
    let manifest = ImageManifestBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageManifest)
        .config(of_document(MediaType::ImageConfig, &configuration))
        .layers(below.iter().cloned().chain(ours).collect::<Vec<_>>())
        .build()
        .map_err(|error| Fail::bug("an image without a manifest").because(error))?;
    let platform = PlatformBuilder::default()
        .architecture(base.configuration.architecture().clone())
        .os(Os::Linux)
        .build()
        .map_err(|error| Fail::bug("an image without a platform").because(error))?;
    Ok(Assembled {
        configuration,
        manifest: document(&manifest)?,
        below,
        above: added.iter().map(|added| added.layer).collect(),
        platform,
    })
}

/// One document for several architectures.
///
/// # Errors
/// A bug here.
pub fn index(images: &[Assembled]) -> Result<Document> {
    let manifests: Vec<Descriptor> = images
        .iter()
        .map(|image| {
            let mut found = of_document(MediaType::ImageManifest, &image.manifest);
            found.set_platform(Some(image.platform.clone()));
            found
        })
        .collect();
    let index = ImageIndexBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()
        .map_err(|error| Fail::bug("images without an index").because(error))?;
    document(&index)
}

/// The base's layers as the OCI names their kind: the bytes are the same as Docker's.
fn below(base: &Base) -> Result<Vec<Descriptor>> {
    base.manifest
        .layers()
        .iter()
        .map(|layer| {
            let kind = match layer.media_type() {
                MediaType::ImageLayer | MediaType::ImageLayerGzip | MediaType::ImageLayerZstd => {
                    layer.media_type().clone()
                }
                MediaType::Other(kind) if kind == "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
                    MediaType::ImageLayerGzip
                }
                other => {
                    return Err(Fail::failed(format!(
                        "the base image has a layer of the kind `{other}`, which cannot be copied"
                    ))
                    .hint("choose another base under `image.base`"));
                }
            };
            let mut layer = layer.clone();
            layer.set_media_type(kind);
            Ok(layer)
        })
        .collect()
}

fn configuration(base: &Base, added: &[Added], start: &Start) -> ImageConfiguration {
    let mut made = base.configuration.clone();
    let config = made.config().clone().unwrap_or_default();
    made.set_config(Some(started(config, start)));
    made.set_created(Some(start.created.clone()));
    made.set_author(None);
    made.set_os(Os::Linux);
    let mut content = made.rootfs().diff_ids().clone();
    content.extend(added.iter().map(|added| format!("sha256:{}", added.layer.content)));
    let mut rootfs = RootFs::default();
    rootfs.set_typ("layers".to_owned());
    rootfs.set_diff_ids(content);
    made.set_rootfs(rootfs);
    let mut history = made.history().clone().unwrap_or_default();
    history.extend(added.iter().filter_map(|added| past(added, start)));
    made.set_history(Some(history));
    made
}

fn past(added: &Added, start: &Start) -> Option<History> {
    HistoryBuilder::default().created(start.created.clone()).created_by(added.about.clone()).build().ok()
}

fn started(mut config: Config, start: &Start) -> Config {
    let base: Vec<String> = config.env().clone().unwrap_or_default();
    config.set_env(Some(variables(&base, start)));
    config.set_entrypoint(Some(start.entrypoint.clone()));
    // Of the base: the Python prompt.
    config.set_cmd(None);
    config.set_user(Some(start.user.clone()));
    config.set_working_dir(Some(start.folder.clone()));
    config.set_stop_signal(Some("SIGTERM".to_owned()));
    config.set_exposed_ports(Some(start.ports.clone()));
    config.set_volumes(Some(start.volumes.clone()));
    let labels: HashMap<String, String> = start.labels.clone().into_iter().collect();
    config.set_labels(Some(labels));
    config
}

/// The variables of the base with ours instead of or after them.
fn variables(base: &[String], start: &Start) -> Vec<String> {
    let before = |name: &str| {
        base.iter().find_map(|variable| variable.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    };
    let standard = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let rest = Some(before("PATH")).filter(|path| !path.is_empty()).unwrap_or(standard);
    let path = format!("{}:{rest}", start.path.join(":"));
    let kept = base.iter().filter(|variable| {
        let name = variable.split('=').next().unwrap_or_default();
        name != "PATH" && !start.variables.contains_key(name)
    });
    let ours = start.variables.iter().map(|(name, value)| format!("{name}={value}"));
    std::iter::once(format!("PATH={path}")).chain(kept.cloned()).chain(ours).collect()
}

fn descriptor(kind: MediaType, digest: &Digest, size: u64) -> Descriptor {
    #[expect(clippy::unwrap_used, reason = "64 hex digits")]
    let digest = Sha256Digest::from_str(&digest.to_string()).unwrap();
    Descriptor::new(kind, size, digest)
}

fn of_document(kind: MediaType, document: &Document) -> Descriptor {
    descriptor(kind, &document.digest, document.bytes.len() as u64)
}

/// Canonical JSON: the same bytes for the same value.
pub(super) fn document<T: Serialize>(value: &T) -> Result<Document> {
    let mut value =
        serde_json::to_value(value).map_err(|error| Fail::bug("a document of an image").because(error))?;
    value.sort_all_objects();
    let bytes = value.to_string().into_bytes();
    Ok(Document { digest: Digest::of(&bytes), bytes })
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
