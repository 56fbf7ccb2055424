//! The layer of locked packages for one architecture, made once for each lock.
//!
//! uv installs wheels for the image's platform, whatever this machine's is; it builds nothing from source. Of packages
//! that are published as source alone, it gets wheels that a stage of `airflow/Dockerfile` has made (`wheels.rs`).

use super::locked::{Wheel, replaced};
use super::project::with_folders;
use super::wheels::Wheels;
use crate::config::{Architecture, Container};
use crate::doors::archive::all_processors;
use crate::doors::archive::layer::{self, Member};
use crate::doors::fs;
use crate::doors::package_index::Index;
use crate::doors::proc::Cmd;
use crate::doors::stat::Stat;
use crate::doors::toolchain::{self, Python};
use crate::fail::{Context as _, Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::image::{Layer, Package, places};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is installed: the locks of hosts and of images.
pub(super) const LOCKS: [&str; 2] = ["airflow/requirements.lock", "airflow/image.lock"];
/// What prepares the packages, whose changes change the layer.
const PREPARER: &str = "airflow/ductwork_airflow/images/packages.py";
/// The oldest C library that the wheels are made for: that of Debian 10 and Amazon Linux 2023 is newer.
const MANYLINUX: &str = "manylinux_2_28";

/// What the layer is made of.
pub struct Packages<'a> {
    pub root: &'a Path,
    /// `.ductwork/cache/image`
    pub cache: &'a Path,
    pub container: &'a Container,
    pub architecture: Architecture,
    /// What compiles byte code.
    pub compiler: &'a Python,
    /// Where the packages come from. Their checksums are in the lock, so it is not part of the key.
    pub index: &'a Index,
    /// The base of the image, by its digest.
    pub base: &'a str,
    /// What is installed, by names relative to `root`; nothing if there are none.
    pub locks: &'a [String],
}

/// The layer that was made, and what is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Installed {
    pub layer: Layer,
    pub packages: Vec<Package>,
}

impl Packages<'_> {
    /// Of everything that the layer depends on.
    pub fn key(&self) -> Result<Digest> {
        let mut bytes = format!(
            "{} {} {} {} {MANYLINUX}\0",
            layer::FORMAT,
            self.architecture,
            self.compiler.version,
            self.container.interpreter.as_str()
        )
        .into_bytes();
        for file in self.locks.iter().map(String::as_str).chain([PREPARER]) {
            let text = fs::read(&self.root.join(file)).map_err(|e| e.hint("restore the file from git"))?;
            bytes.extend_from_slice(&Digest::of(&text).bytes()[..]);
        }
        if let Some(wheels) = self.wheels() {
            bytes.extend_from_slice(&wheels.key()?.bytes()[..]);
        }
        Ok(Digest::of(&bytes))
    }

    /// Whether the layer is there, so that nothing has to be installed.
    pub fn is_made(&self) -> Result<bool> {
        Ok(self.known(&self.record()?)?.is_some())
    }

    fn record(&self) -> Result<PathBuf> {
        Ok(self.cache.join("packages").join(format!("{}.json", self.key()?)))
    }

    /// What is compiled, if anything is.
    fn wheels(&self) -> Option<Wheels<'_>> {
        let Self { root, cache, container, architecture, base, .. } = *self;
        (!container.compile.is_empty()).then_some(Wheels { root, cache, container, architecture, base })
    }

    /// The layer in `<cache>/blobs/`, made if it is not there.
    pub fn layer(&self, sink: &Sink) -> Result<Installed> {
        let record = self.record()?;
        if let Some(known) = self.known(&record)? {
            return Ok(known);
        }
        fs::create_dir(&self.cache.join("packages"))?;
        let _turn = fs::lock(&record.with_extension("lock"))?;
        if let Some(known) = self.known(&record)? {
            return Ok(known);
        }
        let scratch = fs::scratch_dir(self.cache)?;
        let made = self.made(scratch.path(), sink);
        let made = made.map_err(|fail| fs::short_of_space(fail, scratch.path()))?;
        let json = serde_json::to_vec(&made).map_err(|e| Fail::bug("the record of a layer").because(e))?;
        fs::write(&record, &json)?;
        Ok(made)
    }

    fn made(&self, scratch: &Path, sink: &Sink) -> Result<Installed> {
        let site = scratch.join("site");
        let locks = self.locks(scratch, sink)?;
        fs::create_dir(&site)?;
        if let Some(name) = self.locks.first() {
            sink.progress(format!("installing {name} for {} (once)", self.architecture));
            self.install(name, &locks, &site, sink)?;
        }
        sink.progress(format!("compiling the packages for {}", self.architecture));
        self.prepare(&site)?;
        sink.progress(format!("compressing the packages for {}", self.architecture));
        let members = self.members(&site)?;
        let layer = layer::write(&members, &self.cache.join("blobs"), all_processors())?;
        Ok(Installed { layer, packages: packages(&site)? })
    }

    /// The locks, with what was compiled in place of what cannot be installed.
    fn locks(&self, scratch: &Path, sink: &Sink) -> Result<Vec<PathBuf>> {
        let Some(wheels) = self.wheels() else {
            return Ok(self.locks.iter().map(PathBuf::from).collect());
        };
        let made = wheels.made(sink)?;
        let mut known = Vec::new();
        for (package, file) in &made {
            known.push(Wheel { package, file, digest: Digest::of(&fs::read(file)?) });
        }
        let mut locks = Vec::new();
        for name in self.locks {
            let lock = scratch.join(name);
            fs::write(&lock, replaced(&fs::read_to_string(&self.root.join(name))?, &known).as_bytes())?;
            locks.push(lock);
        }
        Ok(locks)
    }

    fn known(&self, record: &Path) -> Result<Option<Installed>> {
        let known: Option<Installed> =
            fs::read_if_there(record)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let whole = |known: &Installed| {
            let blob = self.cache.join("blobs").join(known.layer.digest.to_string());
            blob.metadata().is_ok_and(|meta| meta.len() == known.layer.size)
        };
        Ok(known.filter(whole))
    }

    fn install(&self, name: &str, locks: &[PathBuf], site: &Path, sink: &Sink) -> Result<()> {
        let machine = match self.architecture {
            Architecture::X86 => "x86_64",
            Architecture::Arm => "aarch64",
        };
        let uv = toolchain::uv(self.root, Some(self.index), sink)?;
        Cmd::new(uv, self.root)
            .envs(self.index.for_uv())
            // Links into uv's cache: the folder lasts for seconds, and copying would take longer than compressing.
            .args(["pip", "sync", "--require-hashes", "--no-build", "--link-mode", "symlink", "--no-config"])
            .args(["--python-platform", &format!("{machine}-{MANYLINUX}")])
            .args(["--python-version", &self.container.python.to_string()])
            .arg("--python")
            .arg(&self.compiler.path)
            .arg("--target")
            .arg(site)
            .args(locks)
            .run()
            .map(drop)
            .map_err(|fail| {
                toolchain::explained(fail, name, self.index).hint(if name == LOCKS[0] {
                    "a package without a wheel for the image's platform has to be compiled: name it under image.compile in the environment file, or choose another version of it in airflow/requirements.in"
                } else {
                    "a package needs a wheel for the image's platform: choose another version of what has none"
                })
            })
    }

    fn prepare(&self, site: &Path) -> Result<()> {
        Cmd::new(&self.compiler.path, self.root)
            .arg("-I")
            .arg(self.root.join(PREPARER))
            .arg(site)
            .args([
                "--python",
                &format!("/{}/bin/python", places::VENV),
                "--place",
                &format!("/{}", self.site()),
            ])
            .env("LANG", "C.UTF-8")
            .run()
            .map(drop)
    }

    /// Where the packages are in the image.
    fn site(&self) -> String {
        format!("{}/lib/python{}/site-packages", places::VENV, self.container.python)
    }

    /// A virtual environment on the Python of the base, as `python -m venv` would make it there.
    fn members(&self, site: &Path) -> Result<Vec<Member>> {
        let interpreter = self.container.interpreter.as_str();
        let home = interpreter.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let python = &self.container.python;
        let config = format!("home = {home}\ninclude-system-site-packages = false\nversion = {python}\n");
        let bin = |name: &str| format!("{}/bin/{name}", places::VENV);
        let mut members = vec![
            Member::bytes(format!("{}/pyvenv.cfg", places::VENV), config, false),
            Member::link(bin("python"), interpreter),
            Member::link(bin("python3"), "python"),
        ];
        collect(&site.join("bin"), &bin(""), &mut members)?;
        let prefix = format!("{}/", self.site());
        collect(site, &prefix, &mut members)?;
        let commands = format!("{prefix}bin/");
        members.retain(|member| !member.name.starts_with(&commands));
        Ok(with_folders(members))
    }
}

/// What every package says of itself.
fn packages(site: &Path) -> Result<Vec<Package>> {
    let mut found = Vec::new();
    for folder in fs::list(site)? {
        let is_info = folder.extension().is_some_and(|extension| extension == "dist-info");
        if let Some(text) = fs::read_if_there(&folder.join("METADATA"))?.filter(|_| is_info) {
            found.extend(package(&String::from_utf8_lossy(&text)));
        }
    }
    Ok(found)
}

/// The headers of a package's metadata (<https://packaging.python.org/en/latest/specifications/core-metadata/>).
fn package(metadata: &str) -> Option<Package> {
    let headers = || metadata.lines().take_while(|line| !line.is_empty());
    let header = |name: &str| {
        headers().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    Some(Package {
        name: header("Name")?,
        version: header("Version")?,
        license: header("License-Expression"),
    })
}

/// Every file below a folder.
fn collect(folder: &Path, prefix: &str, members: &mut Vec<Member>) -> Result<()> {
    let unreadable = || format!("cannot read `{}`", folder.display());
    for path in fs::list(folder)? {
        let meta = path.metadata().failed(unreadable)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if meta.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), members)?;
        } else {
            let stat = Stat::of(&meta);
            members.push(Member::file(format!("{prefix}{name}"), path, stat, stat.is_program()));
        }
    }
    Ok(())
}
