//! Makes the Python environments under `.ductwork/venvs` from hash-locked files, once per lock.
//!
//! A folder's name carries its lock's digest and a marker says that it is complete, so that a
//! half-made environment is never used and an unchanged lock costs one look.

use super::proc::{self, Cmd};
use super::{env, fs, time};
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Written last; whoever finds it may use the environment.
const COMPLETE: &str = ".complete";
/// The oldest Python that Airflow 3.3 runs on, and the first one it does not know yet.
const OLDEST: (u32, u32) = (3, 10);
const TOO_NEW: (u32, u32) = (3, 15);

/// The environments of this project, each with its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Venv {
    /// Airflow itself, the very lock that runs on the hosts.
    Airflow,
    /// The local cloud.
    Cloud,
    /// Linters and test runners.
    Dev,
    /// checkov alone: it pins much that others need in other versions.
    Checkov,
}

impl Venv {
    fn name(self) -> &'static str {
        match self {
            Venv::Airflow => "airflow",
            Venv::Cloud => "cloud",
            Venv::Dev => "dev",
            Venv::Checkov => "checkov",
        }
    }

    fn lock(self) -> &'static str {
        match self {
            Venv::Airflow => "airflow/requirements.lock",
            Venv::Cloud => "localcloud/requirements.lock",
            Venv::Dev => "dev/requirements.lock",
            Venv::Checkov => "dev/checkov.lock",
        }
    }
}

/// The folder all environments of a project are in.
#[must_use]
pub fn venvs(root: &Path) -> PathBuf {
    // By its real path: installed programs carry the path in their first line, and a folder that is
    // reached by a link of another checkout outlives that checkout.
    fs::real(&root.join(".ductwork/venvs"))
}

/// The folder of an environment, made if need be. Its programs are in `bin/`.
pub fn venv(root: &Path, which: Venv, sink: &Sink) -> Result<PathBuf> {
    let lock = root.join(which.lock());
    let text = fs::read(&lock)
        .map_err(|e| e.with_kind(crate::fail::Kind::Usage).hint("restore the file from git"))?;
    let folder = venvs(root).join(format!("{}-{}", which.name(), Digest::of(&text).short()));
    if fs::exists(&folder.join(COMPLETE)) {
        return Ok(folder);
    }
    let uv = uv(root, sink)?;
    let python = python()?;
    let _turn = fs::lock(&folder.with_extension("lock"))?;
    if fs::exists(&folder.join(COMPLETE)) {
        return Ok(folder);
    }
    sink.progress(format!("installing {} (once)", which.lock()));
    fs::remove(&folder)?;
    installer(&uv, root)
        .arg("venv")
        .arg("--python")
        .arg(&python.path)
        .arg(&folder)
        .run()
        .map_err(explained)?;
    let pip =
        installer(&uv, root).args(["pip", "sync", "--require-hashes", "--compile-bytecode", "--python"]);
    pip.arg(folder.join("bin/python")).arg(&lock).run().map_err(explained)?;
    fs::write(&folder.join(COMPLETE), python.version.as_bytes())?;
    Ok(folder)
}

/// The uv of `airflow/tools.lock`, installed by pip into an environment of its own.
pub fn uv(root: &Path, sink: &Sink) -> Result<PathBuf> {
    let lock = root.join("airflow/tools.lock");
    let text = fs::read(&lock)
        .map_err(|e| e.with_kind(crate::fail::Kind::Usage).hint("restore the file from git"))?;
    let folder = venvs(root).join(format!("tools-{}", Digest::of(&text).short()));
    let uv = folder.join("bin/uv");
    if fs::exists(&folder.join(COMPLETE)) {
        return Ok(uv);
    }
    let python = python()?;
    let _turn = fs::lock(&folder.with_extension("lock"))?;
    if fs::exists(&folder.join(COMPLETE)) {
        return Ok(uv);
    }
    sink.progress("installing uv (once)");
    fs::remove(&folder)?;
    let made = installer(&python.path, root).args(["-m", "venv"]).arg(&folder).run();
    made.map_err(|fail| without_venv(fail, &python))?;
    let pip = installer(&folder.join("bin/python"), root);
    let pip = pip.args([
        "-m",
        "pip",
        "install",
        // Errors only: a warning for each of five retries would bury the reason.
        "-qq",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
    ]);
    pip.arg(&lock).run().map_err(explained)?;
    fs::write(&folder.join(COMPLETE), python.version.as_bytes())?;
    Ok(uv)
}

fn installer(program: &Path, dir: &Path) -> Cmd {
    Cmd::new(program, dir).envs(env::for_installers())
}

fn without_venv(fail: Fail, python: &Python) -> Fail {
    let text = fail.to_string();
    if text.contains("ensurepip") || text.contains("No module named venv") {
        return Fail::usage(format!("`{}` cannot make virtual environments", python.path.display()))
            .cause("its modules venv and ensurepip are a separate package on this system")
            .hint("install them, on Debian and Ubuntu: sudo apt-get install python3-venv");
    }
    fail
}

/// Tells a missing network from everything else an installer can say.
fn explained(fail: Fail) -> Fail {
    let text = fail.to_string();
    let signs = [
        "error sending request",
        "dns error",
        "Temporary failure in name resolution",
        "Failed to establish",
        "Connection refused",
        "Network is unreachable",
        "timed out",
        "tunnel",
    ];
    // All that pip says in the end, whatever the reason.
    let nothing_found = text.contains("No matching distribution");
    if nothing_found || signs.iter().any(|sign| text.contains(sign)) {
        let rest = if nothing_found { ", or lacks what is locked" } else { "" };
        return fail
            .context(format!("the package index cannot be reached{rest}"))
            .with_kind(crate::fail::Kind::Usage)
            .hint("connect to the network, or name a proxy or mirror in HTTPS_PROXY, PIP_INDEX_URL and UV_INDEX_URL")
            .hint("run the same command again: it goes on where it stopped");
    }
    fail
}

/// An interpreter that Airflow runs on.
#[derive(Debug)]
pub struct Python {
    pub path: PathBuf,
    pub version: String,
}

/// `DUCTWORK_PYTHON`, or the first Python on the path that is recent enough.
pub fn python() -> Result<Python> {
    let names = ["python3", "python3.13", "python3.12", "python3.11", "python3.10", "python3.14"];
    let candidates: Vec<PathBuf> = match env::python() {
        Some(given) => vec![proc::find(&given).unwrap_or_else(|| PathBuf::from(given))],
        None => names.iter().filter_map(|name| proc::find(name)).collect(),
    };
    let mut seen = Vec::new();
    for path in candidates {
        match version(&path) {
            Some((pair, text)) if pair >= OLDEST && pair < TOO_NEW => {
                return Ok(Python { path, version: text });
            }
            Some((_, text)) => seen.push(format!("`{}` is Python {text}", path.display())),
            None => seen.push(format!("`{}` does not run", path.display())),
        }
    }
    let fail = Fail::usage("no Python from 3.10 to 3.14 was found");
    let fail = if seen.is_empty() {
        fail.cause("there is no python3 on the path")
    } else {
        fail.cause(seen.join(", "))
    };
    Err(fail
        .hint("install one, on Debian and Ubuntu: sudo apt-get install python3 python3-venv")
        .hint("or name one: DUCTWORK_PYTHON=/path/to/python3.12 cargo xtask deploy --env local"))
}

fn version(python: &Path) -> Option<((u32, u32), String)> {
    let code = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
    let text = installer(python, Path::new("/")).args(["-I", "-c", code]).run().ok()?;
    let text = text.trim().to_owned();
    let mut parts = text.split('.').filter_map(|part| part.parse().ok());
    Some(((parts.next()?, parts.next()?), text))
}

/// Waits until `ready` says yes, up to `limit`, looking ever less often.
pub fn wait_until(limit: Duration, mut ready: impl FnMut() -> Result<bool>) -> Result<bool> {
    let watch = time::Stopwatch::start();
    let mut pause = Duration::from_millis(20);
    while watch.elapsed() < limit {
        if ready()? {
            return Ok(true);
        }
        time::block(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
    }
    Ok(false)
}
