//! What was built and pushed of an image.

use super::Output;
use crate::model::digest::Digest;
use crate::model::text::{bytes, count};
use crate::plan::image::Assembled;
use serde::Serialize;

#[derive(Serialize)]
pub struct Built {
    tag: String,
    digest: Digest,
    base: String,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Layer {
    digest: String,
    bytes: u64,
    /// Whether the base has it.
    base: bool,
}

impl Built {
    #[must_use]
    pub fn new(tag: String, base: String, digest: Digest, images: &[Assembled]) -> Self {
        let layers = images.iter().flat_map(|image| {
            let below = image.below.iter().map(|layer| Layer {
                digest: layer.digest().to_string(),
                bytes: layer.size(),
                base: true,
            });
            let above = image.above.iter().map(|layer| Layer {
                digest: format!("sha256:{}", layer.digest),
                bytes: layer.size,
                base: false,
            });
            below.chain(above).collect::<Vec<_>>()
        });
        Self { tag, digest, base, layers: layers.collect() }
    }
}

impl Output for Built {
    fn text(&self) -> String {
        let sum = |base: bool| {
            let layers = self.layers.iter().filter(|layer| layer.base == base);
            bytes(layers.map(|layer| layer.bytes).sum())
        };
        format!(
            "image  sha256:{}\ntag    {}\nsize   {} on {} of the base\nbase   {}\n",
            self.digest,
            self.tag,
            sum(false),
            sum(true),
            self.base
        )
    }
}

#[derive(Serialize)]
pub struct Pushed {
    /// By its digest, as it is deployed.
    image: String,
    tag: String,
    digest: Digest,
    pushed: bool,
    layers: usize,
    bytes: u64,
}

impl Pushed {
    /// `sent` are the layers and bytes that had to be sent; none if the registry had the image.
    #[must_use]
    pub fn new(repository: &str, tag: String, digest: Digest, sent: Option<(usize, u64)>) -> Self {
        let (layers, bytes) = sent.unwrap_or_default();
        let image = format!("{repository}@sha256:{digest}");
        Self { image, tag, digest, pushed: sent.is_some(), layers, bytes }
    }
}

impl Output for Pushed {
    fn text(&self) -> String {
        let said = if self.pushed {
            format!("pushed: {}, {}", count(self.layers, "layer"), bytes(self.bytes))
        } else {
            "nothing to push: the registry has it".to_owned()
        };
        format!("image  {}\ntag    {}\n{said}\n", self.image, self.tag)
    }
}
