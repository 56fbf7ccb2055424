//! What an image is made of, and what is known of one that is in a registry.

use super::digest::Digest;
use crate::fail::{Fail, Result};
use oci_spec::image::{Arch, ImageConfiguration, ImageManifest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kinds of what a tag leads to.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A layer as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Of the compressed bytes: its name in registries.
    pub digest: Digest,
    /// Of what it unpacks to, which the configuration of an image lists (`diff_ids`).
    pub content: Digest,
    /// Bytes, compressed.
    pub size: u64,
}

/// A package that is in an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// As SPDX writes it, if the package says it so.
    pub license: Option<String>,
}

/// A base for one architecture, as its registry has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    pub manifest: ImageManifest,
    pub configuration: ImageConfiguration,
}

/// What a container of the image starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Set over the variables of the base.
    pub variables: BTreeMap<String, String>,
    /// Folders that come before those of the base in `PATH`.
    pub path: Vec<String>,
    pub entrypoint: Vec<String>,
    pub user: String,
    pub folder: String,
    pub ports: Vec<String>,
    /// Folders that components write to. On Fargate a volume belongs to root unless the image declares its folder.
    pub volumes: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// RFC 3339.
    pub created: String,
}

impl Base {
    /// # Errors
    /// Either is not what the OCI says it is, or they do not belong together.
    pub fn read(manifest: &[u8], configuration: &[u8]) -> Result<Self> {
        let unfit = |what: &str, error: serde_json::Error| {
            Fail::failed(format!("the {what} of the base image cannot be read")).because(error)
        };
        let manifest: ImageManifest =
            serde_json::from_slice(manifest).map_err(|error| unfit("manifest", error))?;
        let configuration: ImageConfiguration =
            serde_json::from_slice(configuration).map_err(|error| unfit("configuration", error))?;
        if manifest.layers().len() != configuration.rootfs().diff_ids().len() {
            return Err(Fail::failed("the manifest and the configuration of the base image do not agree"));
        }
        Ok(Self { manifest, configuration })
    }

    /// What an image has that is put on nothing.
    ///
    /// # Errors
    /// A bug here.
    pub fn scratch(architecture: &Arch) -> Result<Self> {
        let bug = |error| Fail::bug("a base without layers").because(error);
        let rootfs = serde_json::json!({"type": "layers", "diff_ids": []});
        let configuration =
            serde_json::json!({"architecture": architecture, "os": "linux", "rootfs": rootfs});
        let nothing = serde_json::json!({"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
            "digest": format!("sha256:{}", Digest::of(b"{}"))});
        let manifest = serde_json::json!({"schemaVersion": 2, "config": nothing, "layers": []});
        Ok(Self {
            manifest: serde_json::from_value(manifest).map_err(bug)?,
            configuration: serde_json::from_value(configuration).map_err(bug)?,
        })
    }

    /// The version of Python that the base says it has: official images do.
    #[must_use]
    pub fn python(&self) -> Option<&str> {
        let variables = self.configuration.config().as_ref()?.env().as_ref()?;
        variables.iter().find_map(|variable| variable.strip_prefix("PYTHON_VERSION="))
    }
}

/// The word of the OCI for an architecture of ours (`x86_64`, `arm64`).
#[must_use]
pub fn architecture(word: &str) -> Arch {
    match word {
        "arm64" => Arch::ARM64,
        _ => Arch::Amd64,
    }
}

/// Where things are in an image: as on hosts.
pub mod places {
    pub const HOME: &str = "opt/ductwork";
    pub const REVISION: &str = "opt/ductwork/revision";
    pub const VENV: &str = "opt/ductwork/venv";
    pub const STATE: &str = "var/lib/ductwork";
    pub const LOGS: &str = "var/log/ductwork";
    /// What components write to.
    pub const WRITABLE: [&str; 3] = [STATE, "var/lib/ductwork/airflow", LOGS];
    /// The user that containers run as, and its group: root's, as platforms expect that choose the user themselves.
    pub const OWNER: (u64, u64) = (50000, 0);
}

/// Numbers of findings by severity, such as `high`.
pub type Findings = BTreeMap<String, i32>;

/// An image for one architecture, as a registry has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    pub platform: String,
    pub digest: Digest,
    /// Bytes of its layers, compressed.
    pub bytes: u64,
    pub created: Option<String>,
    /// The commit.
    pub revision: Option<String>,
    pub base: Option<String>,
    /// None where the registry has not scanned it, or scans nothing.
    pub findings: Option<Findings>,
}
