//! What is in an image, as CycloneDX (<https://cyclonedx.org/docs/1.6/json/>), and how it is tied to the image.

use super::image::{Document, document};
use crate::fail::Result;
use crate::model::image::Package;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The kind of the document, and of what refers to an image with it.
pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// What an artifact has that has no configuration (OCI image specification 1.1, "Guidance for an Empty Descriptor").
const EMPTY_KIND: &str = "application/vnd.oci.empty.v1+json";
pub const EMPTY: &[u8] = b"{}";

/// The packages of an image, each once, and its base. The same packages make the same bytes.
///
/// # Errors
/// A bug here.
pub fn sbom(base: Option<(&str, &str)>, created: &str, packages: &[Package]) -> Result<Document> {
    let mut packages = packages.to_vec();
    packages.sort();
    packages.dedup();
    let below = base.into_iter().map(|(name, digest)| {
        json!({
            "type": "container",
            "bom-ref": format!("{name}@{digest}"),
            "name": name,
            "version": digest,
            "hashes": [{"alg": "SHA-256", "content": digest.trim_start_matches("sha256:")}],
        })
    });
    let components: Vec<Value> = below.chain(packages.iter().map(component)).collect();
    document(&json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": {"type": "container", "bom-ref": "image", "name": "airflow"},
            "tools": {"components": [{"type": "application", "name": "ductwork"}]},
        },
        "components": components,
    }))
}

/// What such a document lists, with the versions; nothing if it is none.
#[must_use]
pub fn listing(document: &[u8]) -> BTreeMap<String, String> {
    let document: Value = serde_json::from_slice(document).unwrap_or_default();
    let components = document["components"].as_array().cloned().unwrap_or_default();
    let listed = components.iter().filter_map(|one| {
        let (name, version) = (one["name"].as_str()?, one["version"].as_str()?);
        let name = if one["type"] == "container" { format!("base {name}") } else { name.to_owned() };
        Some((name, version.to_owned()))
    });
    listed.collect()
}

fn component(package: &Package) -> Value {
    let Package { name, version, license } = package;
    // As the package URL specification writes names of PyPI.
    let purl = format!("pkg:pypi/{}@{version}", name.to_lowercase().replace('_', "-"));
    let mut component =
        json!({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl});
    if let Some(license) = license {
        component["licenses"] = json!([{"expression": license}]);
    }
    component
}

/// A manifest that refers to an image: `subject` is the image's document and its kind.
///
/// # Errors
/// A bug here.
pub fn referrer(sbom: &Document, subject: (&Document, &str)) -> Result<Document> {
    let descriptor = |kind: &str, bytes: &[u8], digest: String| json!({"mediaType": kind, "size": bytes.len(), "digest": digest});
    let (image, kind) = subject;
    let of = |document: &Document| format!("sha256:{}", document.digest);
    document(&json!({
        "schemaVersion": 2,
        "mediaType": super::image::MANIFEST,
        "artifactType": CYCLONEDX,
        "config": descriptor(EMPTY_KIND, EMPTY, format!("sha256:{}", crate::model::digest::Digest::of(EMPTY))),
        "layers": [descriptor(CYCLONEDX, &sbom.bytes, of(sbom))],
        "subject": descriptor(kind, &image.bytes, of(image)),
    }))
}

/// What a registry without a list of referrers has instead: an index behind a tag that follows from the image's digest
/// (OCI distribution specification 1.1, "Referrers Tag Schema"). `known` is what is behind it already.
///
/// # Errors
/// A bug here.
pub fn listed(referrer: &Document, known: &[Value]) -> Result<Document> {
    let digest = format!("sha256:{}", referrer.digest);
    let ours = json!({
        "mediaType": super::image::MANIFEST, "size": referrer.bytes.len(), "digest": digest,
        "artifactType": CYCLONEDX,
    });
    let others = known.iter().filter(|one| one["digest"] != ours["digest"]).cloned();
    let manifests: Vec<Value> = others.chain([ours.clone()]).collect();
    document(&json!({"schemaVersion": 2, "mediaType": super::image::INDEX, "manifests": manifests}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;

    fn package(name: &str, license: Option<&str>) -> Package {
        Package { name: name.to_owned(), version: "1.0".to_owned(), license: license.map(str::to_owned) }
    }

    #[test]
    fn every_package_is_named_once_in_order_and_so_is_the_base() {
        let packages =
            [package("Zope_x", None), package("attrs", Some("MIT")), package("attrs", Some("MIT"))];
        let base = Some(("docker.io/library/python:3.12-slim", "sha256:0a"));
        let made = sbom(base, "2026-11-28T00:00:00Z", &packages).unwrap();
        let turned: Vec<Package> = packages.iter().rev().cloned().collect();
        assert_eq!(made, sbom(base, "2026-11-28T00:00:00Z", &turned).unwrap());
        let value: Value = serde_json::from_slice(&made.bytes).unwrap();
        let components = value["components"].as_array().unwrap();
        let purls: Vec<_> = components.iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
        let expected =
            ["docker.io/library/python:3.12-slim@sha256:0a", "pkg:pypi/zope-x@1.0", "pkg:pypi/attrs@1.0"];
        assert_eq!(purls, expected);
        let listing = listing(&made.bytes);
        assert_eq!(listing["base docker.io/library/python:3.12-slim"], "sha256:0a");
        assert_eq!((listing["attrs"].as_str(), listing.len()), ("1.0", 3));
        assert_eq!(components[2]["licenses"], json!([{"expression": "MIT"}]));
    }

    #[test]
    fn a_list_of_referrers_keeps_what_others_put_there() {
        let bytes = b"referrer".to_vec();
        let ours = Document { digest: Digest::of(&bytes), bytes };
        let other = json!({"digest": "sha256:0b"});
        let list = listed(&ours, std::slice::from_ref(&other)).unwrap();
        let first: Value = serde_json::from_slice(&list.bytes).unwrap();
        let manifests = first["manifests"].as_array().unwrap();
        assert_eq!((manifests.len(), &manifests[0]), (2, &other));
        assert_eq!(listed(&ours, manifests).unwrap(), list, "what is listed is not listed again");
    }
}
