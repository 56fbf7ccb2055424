//! Brings an image from one registry to another as it is: the same manifests, so the same digest.

use super::{Blob, Digest, Fail, MANIFEST, Reference, Registry, RegistryOperation, Result, Sent, Sink};
use crate::doors::registry::MANIFESTS;
use crate::model::image::INDEX;
use serde_json::Value;

type At<'a> = (&'a Registry, &'a Reference);

/// What is sent of it; none if it is there already. What refers to it, such as the list of its packages, stays behind.
pub(super) async fn whole(digest: &Digest, from: At<'_>, to: At<'_>, sink: &Sink) -> Result<Option<Sent>> {
    let name = format!("sha256:{digest}");
    let (source, target) = (from.1.clone_with_digest(name.clone()), to.1.clone_with_digest(name));
    if to.0.manifest(&target).await?.is_some() {
        return Ok(None);
    }
    let (from, to) = ((from.0, &source), (to.0, to.1));
    to.0.login(to.1, RegistryOperation::Push).await?;
    let bytes = manifest(from).await?;
    let document = parsed(&bytes)?;
    let mut sent = Sent::default();
    for part in document["manifests"].as_array().into_iter().flatten() {
        let digest = digest_of(part)?;
        let named = from.1.clone_with_digest(format!("sha256:{digest}"));
        let bytes = manifest((from.0, &named)).await?;
        blobs(&parsed(&bytes)?, from, to, (&mut sent, sink)).await?;
        to.0.push_manifest(&to.1.clone_with_digest(format!("sha256:{digest}")), bytes, MANIFEST).await?;
    }
    blobs(&document, from, to, (&mut sent, sink)).await?;
    // Behind a tag: registries may clear away what has none.
    to.0.push_manifest(to.1, bytes, kind(&document)).await?;
    Ok(Some(sent))
}

async fn manifest((registry, image): At<'_>) -> Result<Vec<u8>> {
    let found = registry.manifest(image).await?.map(|(bytes, _)| bytes);
    found.ok_or_else(|| {
        Fail::usage(format!("the image `{image}` is gone"))
            .hint("promote another release, or deploy that one again where it comes from")
    })
}

async fn blobs(manifest: &Value, from: At<'_>, to: At<'_>, (sent, sink): (&mut Sent, &Sink)) -> Result<()> {
    let layers = manifest["layers"].as_array().into_iter().flatten();
    for part in Some(&manifest["config"]).filter(|config| config.is_object()).into_iter().chain(layers) {
        let blob = Blob { digest: digest_of(part)?, size: part["size"].as_u64().unwrap_or_default() };
        if to.0.has(to.1, &blob).await? || to.0.mount(to.1, from.1, &blob).await {
            continue;
        }
        sink.progress(format!("layer {}", blob.digest.short()));
        to.0.copy(to.1, &blob, from, |_| ()).await?;
        sent.layers += 1;
        sent.bytes += blob.size;
    }
    Ok(())
}

fn parsed(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| Fail::failed("a manifest is not JSON").because(error))
}

fn digest_of(part: &Value) -> Result<Digest> {
    let text = part["digest"].as_str().unwrap_or_default();
    let hex = text.trim_start_matches("sha256:");
    hex.parse().map_err(|error| Fail::failed(format!("`{text}` is not a digest")).because(error))
}

/// As the document says itself; those of OCI need not.
fn kind(document: &Value) -> &'static str {
    let said = document["mediaType"].as_str();
    let known = MANIFESTS.into_iter().find(|kind| said == Some(*kind));
    known.unwrap_or(if document["manifests"].is_array() { INDEX } else { MANIFEST })
}
