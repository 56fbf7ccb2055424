//! A registry of images of Debian's, on a free port and stopped by its pid; with bases in it that hold no program.

use super::repository;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use xtask::doors::archive::all_processors;
use xtask::doors::archive::layer::{self, Member};
use xtask::doors::registry::{Blob, Login, Reference, Registry, RegistryOperation};
use xtask::model::digest::Digest;

/// The version of this machine's Python, without its third number.
pub fn minor() -> String {
    let python = xtask::doors::toolchain::python().unwrap();
    python.version.rsplit_once('.').unwrap().0.to_owned()
}

pub struct Server {
    process: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

/// Debian's program, from the path or from `dev/registry.sh`; none where there is neither.
fn program() -> Option<PathBuf> {
    let own = repository().join(".ductwork/servers/registry/usr/bin/docker-registry");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("docker-registry"));
    let fetched = || {
        let done = Command::new(repository().join("dev/registry.sh")).output().unwrap();
        done.status.success().then_some(own.clone())
    };
    found.chain([own.clone()]).find(|file| file.is_file()).or_else(fetched)
}

impl Server {
    /// `password` is that of the user `me`, as htpasswd has it with bcrypt; without one, everybody may push.
    pub fn start(password: Option<&str>) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        let port = super::free_ports();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let auth = password.map(|entry| {
            fs::write(folder.path().join("htpasswd"), format!("me:{entry}\n")).unwrap();
            format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file("htpasswd"))
        });
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: 127.0.0.1:{port}}}\n{}",
            file("storage"),
            auth.unwrap_or_default()
        );
        fs::write(folder.path().join("config.yml"), config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(program)
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, port, folder };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(120), "{}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    /// What it said, and every request.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it keeps the content with this digest.
    pub fn stored(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.folder.path().join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// An image of one small layer for each architecture, as an index behind the tag `3`.
    pub fn base(&self, architectures: &[&str]) -> String {
        self.base_with(architectures, &minor())
    }

    /// The same with a version of Python of its own.
    pub fn base_with(&self, architectures: &[&str], python: &str) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let name = format!("{}/base:3", self.host());
        let image = Reference::try_from(name.as_str()).unwrap();
        runtime.block_on(async {
            let registry = Registry::of(&image, Login::Anonymous);
            registry.login(&image, RegistryOperation::Push).await.unwrap();
            let mut manifests = Vec::new();
            for architecture in architectures {
                manifests.push(one(&registry, &image, (architecture, python), self.folder.path()).await);
            }
            let index = serde_json::json!({
                "schemaVersion": 2, "mediaType": xtask::plan::image::INDEX, "manifests": manifests,
            });
            registry
                .push_manifest(&image, index.to_string().into_bytes(), xtask::plan::image::INDEX)
                .await
                .unwrap();
        });
        name
    }
}

async fn one(
    registry: &Registry,
    image: &Reference,
    (architecture, python): (&str, &str),
    folder: &Path,
) -> serde_json::Value {
    let members = [Member::bytes("etc/base", architecture, false)];
    let layer = layer::write(&members, folder, all_processors()).unwrap();
    let blob = Blob { digest: layer.digest, size: layer.size };
    registry.push_file(image, &blob, &folder.join(layer.digest.to_string()), |_| ()).await.unwrap();
    let configuration = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": {"Env": ["PATH=/usr/bin", format!("PYTHON_VERSION={python}.1")]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", layer.content)]},
    })
    .to_string()
    .into_bytes();
    let size = configuration.len();
    let digest = format!("sha256:{}", Digest::of(&configuration));
    registry.push_bytes(image, configuration).await.unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": xtask::plan::image::MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": size, "digest": digest},
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "size": layer.size, "digest": format!("sha256:{}", layer.digest),
        }],
    })
    .to_string()
    .into_bytes();
    let (size, digest) = (manifest.len(), format!("sha256:{}", Digest::of(&manifest)));
    registry
        .push_manifest(&image.clone_with_digest(digest.clone()), manifest, xtask::plan::image::MANIFEST)
        .await
        .unwrap();
    serde_json::json!({
        "mediaType": xtask::plan::image::MANIFEST, "size": size, "digest": digest,
        "platform": {"architecture": architecture, "os": "linux"},
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
