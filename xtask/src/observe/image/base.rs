//! The base of an image: which one it is, for good, and what its registry says of it.
//!
//! A tag may mean another image tomorrow. The first build writes down which one it was (`airflow/base.lock`).

use crate::config::Architecture;
use crate::doors::fs;
use crate::doors::registry::{Blob, Reference, Registry};
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::image::{self, Base};
use oci_spec::image::{Arch, ImageIndex, MediaType, Os};
use std::collections::BTreeMap;
use std::path::Path;

pub const LOCK: &str = "airflow/base.lock";

type Digests = BTreeMap<String, String>;

/// The base with its digest, if that is known.
///
/// # Errors
/// The lock is damaged.
pub fn pinned(root: &Path, reference: &Reference) -> Result<Option<Reference>> {
    if reference.digest().is_some() {
        return Ok(Some(reference.clone()));
    }
    let digest = digests(root)?.remove(&reference.whole());
    Ok(digest.map(|digest| reference.clone_with_digest(digest)))
}

/// Writes down what the tag of a base means.
pub fn pin(root: &Path, reference: &Reference, digest: &Digest) -> Result<Reference> {
    let mut digests = digests(root)?;
    let digest = format!("sha256:{digest}");
    digests.insert(reference.whole(), digest.clone());
    let text = serde_json::to_string_pretty(&digests).map_err(|e| Fail::bug(LOCK).because(e))?;
    fs::write(&root.join(LOCK), format!("{text}\n").as_bytes())?;
    Ok(reference.clone_with_digest(digest))
}

fn digests(root: &Path) -> Result<Digests> {
    let Some(bytes) = fs::read_if_there(&root.join(LOCK))? else { return Ok(Digests::new()) };
    serde_json::from_slice(&bytes).map_err(|error| {
        Fail::usage(format!("`{LOCK}` is damaged"))
            .because(error)
            .hint(format!("restore it: git checkout -- {LOCK}; or remove it, and the next build writes it"))
    })
}

/// What a tag means just now.
pub async fn digest(registry: &Registry, reference: &Reference) -> Result<Digest> {
    registry.manifest(reference).await?.map(|(_, digest)| digest).ok_or_else(|| absent(reference))
}

/// The base for one architecture; what was read once is in `blobs`.
pub async fn base(
    registry: &Registry,
    reference: &Reference,
    architecture: Architecture,
    blobs: &Path,
) -> Result<Base> {
    let mut manifest = document(registry, reference, blobs).await?;
    if let Ok(index) = serde_json::from_slice::<ImageIndex>(&manifest) {
        let chosen = chosen(&index, reference, architecture)?;
        manifest = document(registry, &reference.clone_with_digest(chosen), blobs).await?;
    }
    let head: oci_spec::image::ImageManifest = serde_json::from_slice(&manifest)
        .map_err(|error| Fail::failed(format!("`{reference}` is not an image")).because(error))?;
    let configuration = configuration(registry, reference, head.config(), blobs).await?;
    let base = Base::read(&manifest, &configuration)?;
    let found = base.configuration.architecture();
    if *found != image::architecture(architecture.as_str()) || *base.configuration.os() != Os::Linux {
        return Err(unfit(reference, architecture, &[format!("{}/{found}", base.configuration.os())]));
    }
    Ok(base)
}

fn chosen(index: &ImageIndex, reference: &Reference, architecture: Architecture) -> Result<String> {
    let wanted: Arch = image::architecture(architecture.as_str());
    let mut others = Vec::new();
    for manifest in index.manifests() {
        let Some(platform) = manifest.platform() else { continue };
        if *platform.os() == Os::Linux && *platform.architecture() == wanted {
            return Ok(manifest.digest().to_string());
        }
        others.push(format!("{}/{}", platform.os(), platform.architecture()));
    }
    Err(unfit(reference, architecture, &others))
}

fn unfit(reference: &Reference, architecture: Architecture, others: &[String]) -> Fail {
    let wanted = image::architecture(architecture.as_str());
    Fail::usage(format!("the base image `{reference}` is not for linux/{wanted}"))
        .cause(format!(
            "it is for {}",
            if others.is_empty() { "nothing".to_owned() } else { others.join(", ") }
        ))
        .hint("choose another under `image.base`, or other `image.architectures`, in the environment file")
}

/// A manifest or an index, by its digest.
async fn document(registry: &Registry, reference: &Reference, blobs: &Path) -> Result<Vec<u8>> {
    let name = reference.digest().and_then(|digest| digest.strip_prefix("sha256:")).unwrap_or_default();
    let file = blobs.join(name);
    if let Some(bytes) = whole(&file, name)? {
        return Ok(bytes);
    }
    let (bytes, digest) = registry.manifest(reference).await?.ok_or_else(|| absent(reference))?;
    if digest.to_string() != name {
        return Err(Fail::failed(format!("the registry answered `{reference}` with another image")));
    }
    fs::write(&file, &bytes)?;
    Ok(bytes)
}

async fn configuration(
    registry: &Registry,
    reference: &Reference,
    descriptor: &oci_spec::image::Descriptor,
    blobs: &Path,
) -> Result<Vec<u8>> {
    let known = [MediaType::ImageConfig, MediaType::from("application/vnd.docker.container.image.v1+json")];
    if !known.contains(descriptor.media_type()) {
        return Err(Fail::usage(format!("`{reference}` is not an image but `{}`", descriptor.media_type())));
    }
    let name = descriptor.digest().digest().to_owned();
    let file = blobs.join(&name);
    if let Some(bytes) = whole(&file, &name)? {
        return Ok(bytes);
    }
    let digest: Digest = name.parse().map_err(|error| {
        Fail::failed(format!("`{reference}` has a digest of another kind")).because(error)
    })?;
    let bytes = registry.read(reference, &Blob { digest, size: descriptor.size() }).await?;
    fs::write(&file, &bytes)?;
    Ok(bytes)
}

/// What is in the cache, unless it is damaged.
fn whole(file: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    Ok(fs::read_if_there(file)?.filter(|bytes| Digest::of(bytes).to_string() == name))
}

fn absent(reference: &Reference) -> Fail {
    Fail::usage(format!("there is no base image `{reference}`")).hint(
        "check `image.base` in the environment file; a private registry may hide what it does not show you",
    )
}
