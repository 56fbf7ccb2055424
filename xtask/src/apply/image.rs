//! Brings an image to a registry: what is not there yet of the base and of ours, then the documents.

mod copy;

use crate::doors::registry::{Blob, Reference, Registry, RegistryOperation};
use crate::doors::time;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::{Ending, Sink};
use crate::model::text::{bytes as size_of, pace};
use crate::plan::image::{Assembled, Document, INDEX, MANIFEST};
use crate::plan::sbom;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Layers on their way at the same time.
const TOGETHER: usize = 4;

/// An image that has been made.
pub struct Made {
    /// One for each architecture.
    pub images: Vec<Assembled>,
    /// What the tag leads to: the only manifest, or the index of all.
    pub document: Document,
    pub kind: &'static str,
    /// What is in it.
    pub sbom: Document,
}

/// An image on its way to a registry.
pub struct Pushing {
    /// What it is there already, or will be.
    pub digest: Digest,
    /// None if the registry has it, or another one has it.
    pub made: Option<Made>,
    /// Where another environment has it.
    pub promoted: Option<(Registry, Reference)>,
    pub registry: Registry,
    /// By its tag.
    pub image: Reference,
    /// Where the base comes from, if there is one.
    pub base: Option<(Registry, Reference)>,
    /// The folder of our layers.
    pub blobs: PathBuf,
}

impl std::fmt::Debug for Pushing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pushing({})", self.image)
    }
}

impl Pushing {
    /// Sends what the registry lacks, nothing if it has the image; the digest there. If somebody else has pushed the
    /// same meanwhile, theirs is the image: a tag never means another one.
    pub async fn push(&self, sink: &Sink) -> Result<(Digest, Option<Sent>)> {
        if let Some((registry, from)) = &self.promoted {
            let sent =
                copy::whole(&self.digest, (registry, from), (&self.registry, &self.image), sink).await?;
            return Ok((self.digest, sent));
        }
        let Some(made) = &self.made else { return Ok((self.digest, None)) };
        match self.send(made, sink).await {
            Ok(sent) => Ok((self.digest, Some(sent))),
            Err(fail) => match self.registry.manifest(&self.image).await {
                Ok(Some((_, digest))) => Ok((digest, None)),
                _ => Err(fail),
            },
        }
    }

    async fn send(&self, made: &Made, sink: &Sink) -> Result<Sent> {
        self.registry.login(&self.image, RegistryOperation::Push).await?;
        let way = Way { to: (&self.registry, &self.image), base: self.base.as_ref(), blobs: &self.blobs };
        push(made, &way, sink).await
    }

    /// Registry and repository.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.image.registry(), self.image.repository())
    }

    /// As tasks name it: a tag could mean another image one day.
    #[must_use]
    pub fn by_digest(&self) -> String {
        format!("{}@sha256:{}", self.name(), self.digest)
    }
}

/// Where an image goes, and where its base comes from.
struct Way<'a> {
    to: (&'a Registry, &'a Reference),
    base: Option<&'a (Registry, Reference)>,
    blobs: &'a Path,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub layers: usize,
    pub bytes: u64,
}

/// A layer that the registry is to have.
struct Wanted {
    blob: Blob,
    /// Our file; none for a layer of the base.
    file: Option<PathBuf>,
}

/// Layers first, then what names them: an image that can be pulled is whole.
async fn push(made: &Made, way: &Way<'_>, sink: &Sink) -> Result<Sent> {
    let layers = stream::iter(wanted(made, way.blobs)?);
    let sent: Vec<Sent> =
        layers.map(|layer| bring(layer, way, sink)).buffer_unordered(TOGETHER).try_collect().await?;
    let (registry, image) = way.to;
    for assembled in &made.images {
        registry.push_bytes(image, assembled.configuration.bytes.clone()).await?;
        if assembled.manifest.digest != made.document.digest {
            let named = image.clone_with_digest(format!("sha256:{}", assembled.manifest.digest));
            let bytes = assembled.manifest.bytes.clone();
            registry.push_manifest(&named, bytes, MANIFEST).await?;
        }
    }
    attach(made, way.to).await?;
    registry.push_manifest(image, made.document.bytes.clone(), made.kind).await?;
    let layers = sent.iter().filter(|sent| sent.bytes > 0).count();
    Ok(Sent { layers, bytes: sent.iter().map(|sent| sent.bytes).sum() })
}

/// The list of what is in the image, as something that refers to it; before the tag, so that no image is without it
/// (OCI distribution specification 1.1: a referrer may come before its subject).
async fn attach(made: &Made, (registry, image): (&Registry, &Reference)) -> Result<()> {
    let referrer = sbom::referrer(&made.sbom, (&made.document, made.kind))?;
    registry.push_bytes(image, sbom::EMPTY.to_vec()).await?;
    registry.push_bytes(image, made.sbom.bytes.clone()).await?;
    let named = |document: &Document| image.clone_with_digest(format!("sha256:{}", document.digest));
    registry.push_manifest(&named(&referrer), referrer.bytes.clone(), MANIFEST).await?;
    let known = registry.referrers(&named(&made.document)).await?;
    let digest = format!("sha256:{}", referrer.digest);
    if known.iter().any(|one| one["digest"] == digest.as_str()) {
        return Ok(());
    }
    // The registry keeps no list of its own.
    let list = sbom::listed(&referrer, &known)?;
    let tag = format!("sha256-{}", made.document.digest);
    let place = Reference::with_tag(image.registry().to_owned(), image.repository().to_owned(), tag);
    registry.push_manifest(&place, list.bytes, INDEX).await
}

/// Every layer of every architecture, once.
fn wanted(made: &Made, blobs: &Path) -> Result<Vec<Wanted>> {
    let mut all: Vec<Wanted> = Vec::new();
    let mut add = |wanted: Wanted| {
        if !all.iter().any(|known| known.blob.digest == wanted.blob.digest) {
            all.push(wanted);
        }
    };
    for image in &made.images {
        for layer in &image.above {
            let file = Some(blobs.join(layer.digest.to_string()));
            add(Wanted { blob: Blob { digest: layer.digest, size: layer.size }, file });
        }
        for layer in &image.below {
            let digest: Digest = layer.digest().digest().parse().map_err(|error| {
                Fail::failed("a layer of the base image has a digest of another kind").because(error)
            })?;
            add(Wanted { blob: Blob { digest, size: layer.size() }, file: None });
        }
    }
    Ok(all)
}

/// One layer: there already, taken over from the base's repository, or sent.
async fn bring(layer: Wanted, way: &Way<'_>, sink: &Sink) -> Result<Sent> {
    let Wanted { blob, file } = layer;
    let step = sink.step(&format!("layer {}", blob.digest.short()));
    let watch = time::Stopwatch::start();
    let (registry, image) = way.to;
    if registry.has(image, &blob).await? {
        step.ended(Ending::Skipped, watch.elapsed(), format!("{}, present", size_of(blob.size)));
        return Ok(Sent::default());
    }
    if let (None, Some((_, base))) = (&file, way.base)
        && registry.mount(image, base, &blob).await
    {
        step.ended(Ending::Done, watch.elapsed(), format!("{}, mounted", size_of(blob.size)));
        return Ok(Sent::default());
    }
    step.started();
    let heard = heard(&step, blob.size);
    let brought = match (&file, way.base) {
        (Some(file), _) => registry.push_file(image, &blob, file, heard).await,
        (None, Some((other, base))) => registry.copy(image, &blob, (other, base), heard).await,
        (None, None) => Err(Fail::bug("a layer of a base that is not there")),
    };
    if let Err(fail) = brought {
        step.ended(Ending::Failed, watch.elapsed(), String::new());
        return Err(fail);
    }
    step.ended(Ending::Done, watch.elapsed(), pace(blob.size, watch.elapsed()));
    Ok(Sent { layers: 1, bytes: blob.size })
}

/// Tells how far a layer is, ten times a second at most.
fn heard(step: &Sink, size: u64) -> impl Fn(u64) + Send + Sync + 'static {
    let (step, sent, told) = (step.clone(), AtomicU64::new(0), AtomicU64::new(0));
    let watch = time::Stopwatch::start();
    move |more| {
        let sent = sent.fetch_add(more, Ordering::Relaxed) + more;
        let tenths = u64::try_from(watch.elapsed().as_millis() / 100).unwrap_or(u64::MAX);
        if told.fetch_max(tenths, Ordering::Relaxed) < tenths {
            step.progress(format!("{} of {}", pace(sent, watch.elapsed()), size_of(size)));
        }
    }
}
