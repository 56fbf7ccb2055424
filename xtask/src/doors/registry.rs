//! A registry of images: manifests and layers by their digests, read, copied and pushed.
//!
//! Whatever a registry has is not sent again, so a push that was interrupted goes on where it was.

use super::fs;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::image::{INDEX, MANIFEST};
use futures_util::{Stream, StreamExt as _};
use oci_client::Client;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError as Error, OciErrorCode};
use oci_client::manifest::OciDescriptor;
pub use oci_client::secrets::RegistryAuth as Login;
pub use oci_client::{Reference, RegistryOperation};
use std::path::Path;
use std::time::Duration;
use tokio_util::io::ReaderStream;

const CONNECT: Duration = Duration::from_secs(20);
/// Between two pieces of an answer; a registry that stores a large layer says nothing for a while.
const SILENCE: Duration = Duration::from_secs(300);
/// What is read from a file at once.
const CHUNK: usize = 256 << 10;

/// Every kind of manifest that may be behind a tag.
pub const MANIFESTS: [&str; 4] = [
    INDEX,
    MANIFEST,
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Something in a registry that is known by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    pub size: u64,
}

impl Blob {
    fn name(&self) -> String {
        format!("sha256:{}", self.digest)
    }
}

/// One registry, with what it wants to see.
pub struct Registry {
    client: Client,
    login: Login,
}

impl Registry {
    /// The registry of `image`. As with Docker, one on this machine may do without TLS.
    #[must_use]
    pub fn of(image: &Reference, login: Login) -> Self {
        // Without effect if the process has one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let host = image.resolve_registry();
        let config = ClientConfig {
            protocol: if is_this_machine(host) { ClientProtocol::Http } else { ClientProtocol::Https },
            use_monolithic_push: true,
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            user_agent: concat!("ductwork/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        Self { client: Client::new(config), login }
    }

    /// Logs in once, for everything that follows.
    pub async fn login(&self, image: &Reference, operation: RegistryOperation) -> Result<()> {
        let entered = self.client.auth(image, &self.login, operation).await;
        entered.map(drop).map_err(|error| explained(error, image))
    }

    /// A manifest with its digest; none if there is no such tag or digest.
    pub async fn manifest(&self, image: &Reference) -> Result<Option<(Vec<u8>, Digest)>> {
        match self.client.pull_manifest_raw(image, &self.login, &MANIFESTS).await {
            Ok((bytes, _)) => Ok(Some((bytes.to_vec(), Digest::of(&bytes)))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(explained(error, image)),
        }
    }

    /// The whole of something small, such as the configuration of an image.
    pub async fn read(&self, image: &Reference, blob: &Blob) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let descriptor = descriptor(blob);
        let pulled = self.client.pull_blob(image, &descriptor, &mut bytes).await;
        pulled.map(|_| bytes).map_err(|error| explained(error, image))
    }

    pub async fn has(&self, image: &Reference, blob: &Blob) -> Result<bool> {
        self.client.blob_exists(image, &blob.name()).await.map_err(|error| explained(error, image))
    }

    /// Takes a layer over from another repository of the same registry; false if the registry would rather have it
    /// sent.
    pub async fn mount(&self, image: &Reference, from: &Reference, blob: &Blob) -> bool {
        image.resolve_registry() == from.resolve_registry()
            && self.client.mount_blob(image, from, &blob.name()).await.is_ok()
    }

    /// Sends a file; `sent` hears of every piece.
    pub async fn push_file(
        &self,
        image: &Reference,
        blob: &Blob,
        file: &Path,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<()> {
        let file = tokio::fs::File::from_std(fs::open(file)?);
        let stream = ReaderStream::with_capacity(file, CHUNK);
        self.push(image, blob, stream, sent).await
    }

    /// Sends what another registry has, without keeping it here.
    pub async fn copy(
        &self,
        image: &Reference,
        blob: &Blob,
        (other, from): (&Registry, &Reference),
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<()> {
        let descriptor = descriptor(blob);
        let pulled = other.client.pull_blob_stream(from, &descriptor).await;
        let pulled = pulled.map_err(|error| explained(error, from))?;
        self.push(image, blob, pulled.stream, sent).await
    }

    async fn push(
        &self,
        image: &Reference,
        blob: &Blob,
        stream: impl Stream<Item = std::io::Result<bytes::Bytes>> + Send + 'static,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<()> {
        let stream = stream.map(move |piece| {
            let piece = piece?;
            sent(piece.len() as u64);
            Ok(piece)
        });
        let pushed = self.client.push_blob_stream(image, stream, &blob.name(), Some(blob.size)).await;
        pushed.map(drop).map_err(|error| explained(error, image))
    }

    /// Sends something small.
    pub async fn push_bytes(&self, image: &Reference, bytes: Vec<u8>) -> Result<()> {
        let digest = format!("sha256:{}", Digest::of(&bytes));
        let pushed = self.client.push_blob(image, bytes, &digest).await;
        pushed.map(drop).map_err(|error| explained(error, image))
    }

    /// What refers to an image, as an index lists it; nothing where nothing does.
    pub async fn referrers(&self, image: &Reference) -> Result<Vec<serde_json::Value>> {
        let found = self.client.pull_referrers(image, None).await.map_err(|error| explained(error, image))?;
        let index = serde_json::to_value(&found).map_err(|error| Fail::bug("an index").because(error))?;
        Ok(index["manifests"].as_array().cloned().unwrap_or_default())
    }

    /// Puts a manifest behind the tag or the digest of `image`.
    pub async fn push_manifest(&self, image: &Reference, bytes: Vec<u8>, kind: &'static str) -> Result<()> {
        let kind = http::HeaderValue::from_static(kind);
        let pushed = self.client.push_manifest_raw(image, bytes, kind).await;
        pushed.map(drop).map_err(|error| explained(error, image))
    }
}

fn descriptor(blob: &Blob) -> OciDescriptor {
    let size = i64::try_from(blob.size).unwrap_or(i64::MAX);
    OciDescriptor { digest: blob.name(), size, ..OciDescriptor::default() }
}

/// Whether a registry may do without TLS.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback())
}

fn is_absent(error: &Error) -> bool {
    let codes = [OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound];
    match error {
        Error::ImageManifestNotFoundError(_) | Error::ServerError { code: 404, .. } => true,
        Error::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| codes.contains(&error.code))
        }
        _ => false,
    }
}

/// With the cure for what commonly goes wrong.
fn explained(error: Error, image: &Reference) -> Fail {
    let host = image.resolve_registry().to_owned();
    let denied = |envelope: &oci_client::errors::OciEnvelope| {
        let codes = [OciErrorCode::Denied, OciErrorCode::Unauthorized];
        envelope.errors.iter().any(|error| codes.contains(&error.code))
    };
    match &error {
        Error::UnauthorizedError { .. } | Error::AuthenticationFailure(_) => denied_by(&host, image, error),
        Error::RegistryError { envelope, .. } if denied(envelope) => denied_by(&host, image, error),
        _ if is_absent(&error) => Fail::usage(format!(
            "the registry `{host}` has no repository `{}`",
            image.repository()
        ))
        .because(error)
        .hint(
            "create it there; the one of the AWS account is made by the first deployment: cargo xtask deploy",
        ),
        Error::RequestError(request) if request.is_connect() || request.is_timeout() => {
            Fail::failed(format!("cannot reach the registry `{host}`"))
                .because(error)
                .hint("check its name, and the proxy or firewall between it and this machine")
        }
        Error::RequestError(_) | Error::IoError(_) => {
            Fail::failed(format!("the transfer from or to the registry `{host}` was interrupted"))
                .because(error)
                .hint("run the same command again: what has arrived is not sent again")
        }
        _ => Fail::failed(format!("the registry `{host}` refused `{image}`")).because(error),
    }
}

fn denied_by(host: &str, image: &Reference, error: Error) -> Fail {
    Fail::failed(format!("the registry `{host}` does not let you use `{}`", image.repository()))
        .because(error)
        .hint("check the credential of `image.repository`; see \"The image\" in README.md")
}
