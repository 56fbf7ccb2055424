//! What was built and pushed of an image.

use super::Output;
use crate::model::digest::Digest;
use crate::model::image::{Findings, Stored};
use crate::model::text::{bytes, count};
use crate::plan::image::Assembled;
use serde::Serialize;
use std::fmt::Write as _;

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

/// The image of a tree as a registry has it, if it does.
#[derive(Serialize)]
pub struct Shown {
    pub repository: String,
    pub tag: String,
    pub digest: Option<Digest>,
    /// One for each architecture.
    pub images: Vec<Stored>,
}

impl Output for Shown {
    fn text(&self) -> String {
        let Some(digest) = &self.digest else {
            return format!(
                "`{}` has no image of this tree; push it: cargo xtask image push\n",
                self.repository
            );
        };
        let mut text = format!("image     {}@sha256:{digest}\ntag       {}\n", self.repository, self.tag);
        for image in &self.images {
            let _ = writeln!(text, "\nplatform  {}\nsize      {}", image.platform, bytes(image.bytes));
            for (name, value) in
                [("created", &image.created), ("commit", &image.revision), ("base", &image.base)]
            {
                if let Some(value) = value {
                    let _ = writeln!(text, "{name:9} {value}");
                }
            }
            let _ = writeln!(text, "{:9} {}", "findings", findings(image.findings.as_ref()));
        }
        text
    }
}

/// The worst first.
fn findings(found: Option<&Findings>) -> String {
    const SEVERITIES: [&str; 6] = ["critical", "high", "medium", "low", "informational", "undefined"];
    let Some(found) = found else { return "the registry has not scanned it".to_owned() };
    let known = SEVERITIES.iter().filter_map(|name| found.get(*name).map(|count| format!("{count} {name}")));
    let text = known.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_shown_with_what_its_scan_has_found() {
        let image = Stored {
            platform: "linux/arm64".to_owned(),
            digest: Digest::of(b"one"),
            bytes: 216_000_000,
            created: Some("2026-11-28T00:00:00Z".to_owned()),
            revision: None,
            base: Some("docker.io/library/python:3.12-slim-bookworm".to_owned()),
            findings: Some(Findings::from([("low".to_owned(), 9), ("high".to_owned(), 2)])),
        };
        let unscanned = Stored { platform: "linux/amd64".to_owned(), findings: None, ..image.clone() };
        let clean = Stored { findings: Some(Findings::new()), ..image.clone() };
        let shown = |digest, images| Shown {
            repository: "r.example/a".to_owned(),
            tag: "0a1b".to_owned(),
            digest,
            images,
        };
        let digest = Digest::of(b"index");
        insta::assert_snapshot!(shown(Some(digest), vec![image, unscanned]).text(), @r"
        image     r.example/a@sha256:1bc04b5291c26a46d918139138b992d2de976d6851d0893b0476b85bfbdfc6e6
        tag       0a1b

        platform  linux/arm64
        size      216 MB
        created   2026-11-28T00:00:00Z
        base      docker.io/library/python:3.12-slim-bookworm
        findings  2 high, 9 low

        platform  linux/amd64
        size      216 MB
        created   2026-11-28T00:00:00Z
        base      docker.io/library/python:3.12-slim-bookworm
        findings  the registry has not scanned it
        ");
        assert!(shown(Some(digest), vec![clean]).text().ends_with("findings  none\n"));
        insta::assert_snapshot!(shown(None, Vec::new()).text(), @"`r.example/a` has no image of this tree; push it: cargo xtask image push");
    }
}
