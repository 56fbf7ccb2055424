//! Creates the Python environments under `.ductwork/venvs` from hash-locked files, once per lock.
//!
//! A folder's name carries its lock's digest and a marker says that it is complete, so that a
//! half-made environment is never used and an unchanged lock costs one look.

use super::package_index::Index;
use super::proc::{self, Cmd};
use super::stat::Stat;
use super::{env, fs, time};
use crate::fail::{Fail, Kind, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::python::MINORS;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Written last: an environment that has it is complete.
const COMPLETE: &str = ".complete";

/// The lock of uv itself.
const TOOLS: &str = "airflow/tools.lock";

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

/// The folder of an environment, created if necessary. Its programs are in `bin/`.
pub fn venv(root: &Path, which: Venv, sink: &Sink) -> Result<PathBuf> {
    venv_from(root, which, None, sink)
}

/// Whether [`venv`] has nothing to install.
pub fn is_made(root: &Path, which: Venv) -> Result<bool> {
    folder(root, root, which).map(|folder| fs::exists(&folder.join(COMPLETE)))
}

/// Where the environments of `root` have that of a lock of `locked`, made or not.
pub fn folder(root: &Path, locked: &Path, which: Venv) -> Result<PathBuf> {
    let text = fs::read(&locked.join(which.lock()));
    let text = text.map_err(|e| e.with_kind(Kind::Usage).hint("restore the file from git"))?;
    Ok(venvs(root).join(format!("{}-{}", which.name(), Digest::of(&text).short())))
}

/// The same, from an index that is known already.
pub fn venv_from(root: &Path, which: Venv, index: Option<Index>, sink: &Sink) -> Result<PathBuf> {
    let folder = folder(root, root, which)?;
    if fs::exists(&folder.join(COMPLETE)) {
        return Ok(folder);
    }
    let index = index.map_or_else(|| Index::of(root), Ok)?;
    let uv = uv(root, Some(&index), sink)?;
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
        .map_err(|fail| explained(fail, which.lock(), &index))?;
    let pip = Cmd::new(&uv, root).envs(index.for_uv());
    let pip = pip.args(["pip", "sync", "--require-hashes", "--compile-bytecode", "--python"]);
    let done = pip.arg(folder.join("bin/python")).arg(root.join(which.lock())).run();
    done.map_err(|fail| explained(fail, which.lock(), &index))?;
    fs::write(&folder.join(COMPLETE), python.version.as_bytes())?;
    Ok(folder)
}

/// The uv of `airflow/tools.lock`, installed by pip into an environment of its own: from this index, or from the
/// project's.
pub fn uv(root: &Path, index: Option<&Index>, sink: &Sink) -> Result<PathBuf> {
    let lock = root.join(TOOLS);
    let text = fs::read(&lock).map_err(|e| e.with_kind(Kind::Usage).hint("restore the file from git"))?;
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
    let index = index.map_or_else(|| Index::of(root), |index| Ok(index.clone()))?;
    sink.progress("installing uv (once)");
    fs::remove(&folder)?;
    let made = installer(&python.path, root).args(["-m", "venv"]).arg(&folder).run();
    made.map_err(|fail| without_venv(fail, &python))?;
    let pip = Cmd::new(folder.join("bin/python"), root).envs(index.for_pip());
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
    pip.arg(&lock).run().map_err(|fail| explained(fail, TOOLS, &index))?;
    fs::write(&folder.join(COMPLETE), python.version.as_bytes())?;
    Ok(uv)
}

fn installer(program: &Path, dir: &Path) -> Cmd {
    Cmd::new(program, dir).envs(env::for_installers())
}

/// Some systems ship the modules that make environments as a package of their own: the interpreter is asked.
fn without_venv(fail: Fail, python: &Python) -> Fail {
    let ask =
        |module: &str| installer(&python.path, Path::new("/")).args(["-I", "-m", module, "--help"]).run();
    if ask("venv").is_ok() && ask("ensurepip").is_ok() {
        return fail;
    }
    Fail::usage(format!("`{}` cannot create virtual environments", python.path.display()))
        .cause("its modules venv and ensurepip are a separate package on this system")
        .hint("install them, on Debian and Ubuntu: sudo apt-get install python3-venv")
}

/// An installer that fails has nearly always not reached its index, or an index that lacks a package; which,
/// it says only in its own words.
pub fn explained(fail: Fail, lock: &str, index: &Index) -> Fail {
    let fail = index.explained(fail).context(format!("cannot install the packages of `{lock}`"));
    fail.hint("run the same command again: it continues where it stopped")
}

/// An interpreter that Airflow runs on.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
            Some(((3, minor), text)) if MINORS.contains(&minor) => {
                return Ok(Python { path, version: text });
            }
            Some((_, text)) => seen.push(format!("`{}` is Python {text}", path.display())),
            None => seen.push(format!("`{}` does not run", path.display())),
        }
    }
    let fail = Fail::usage(format!("no Python from 3.{} to 3.{} was found", MINORS.start(), MINORS.end()));
    let fail = if seen.is_empty() {
        fail.cause("there is no python3 on the path")
    } else {
        fail.cause(seen.join(", "))
    };
    Err(fail
        .hint("install one, on Debian and Ubuntu: sudo apt-get install python3 python3-venv")
        .hint("or name one: DUCTWORK_PYTHON=/path/to/python3.12 cargo xtask deploy --env local"))
}

/// A Python of this minor version (`3.12`), for work on packages of an image.
///
/// uv's own build of it, which is the same for every user of `airflow/tools.lock`; `UV_PYTHON_PREFERENCE` names others.
/// What uv finds is kept: its answer takes longer than all else that a build of nothing does.
pub fn python_of(root: &Path, minor: &str, index: &Index, sink: &Sink) -> Result<Python> {
    let preference = env::python_preference();
    let uv = uv(root, Some(index), sink)?;
    let kept =
        venvs(root).join(format!("python-{minor}-{}.json", preference.as_deref().unwrap_or("managed")));
    if let Some(known) = Kept::read(&kept)? {
        return Ok(known.python);
    }
    let python = found_by_uv(root, &uv, (minor, preference.is_some()), sink)?;
    if let Some(program) = stat(&python.path) {
        let json = serde_json::to_vec(&Kept { python: python.clone(), program });
        fs::write(&kept, &json.map_err(|error| Fail::bug("a Python without JSON").because(error))?)?;
    }
    Ok(python)
}

/// A Python that uv has found, and the file that it was.
#[derive(Serialize, Deserialize)]
struct Kept {
    python: Python,
    program: Stat,
}

impl Kept {
    /// What is in the file, while the Python is still the same program.
    fn read(file: &Path) -> Result<Option<Self>> {
        let known: Option<Self> =
            fs::read_if_there(file)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(known.filter(|known| stat(&known.python.path).as_ref() == Some(&known.program)))
    }
}

/// Of the program itself, whatever links lead to it.
fn stat(program: &Path) -> Option<Stat> {
    program.metadata().ok().map(|meta| Stat::of(&meta))
}

fn found_by_uv(root: &Path, uv: &Path, (minor, is_free): (&str, bool), sink: &Sink) -> Result<Python> {
    let command = |verb: &str| {
        let command = installer(uv, root).args(["python", verb, "--no-config"]);
        if is_free { command } else { command.arg("--managed-python") }
    };
    let find = || command("find").args(["--no-project", "--system", minor]).run();
    let found = find().or_else(|_| {
        sink.progress(format!("fetching Python {minor} (once)"));
        command("install").arg(minor).run().and_then(|_| find())
    });
    let path = program(&found.map_err(|fail| without_python(fail, minor))?);
    match version(&path) {
        Some((_, version)) => Ok(Python { path, version }),
        None => Err(Fail::usage(format!("`{}` does not run", path.display()))),
    }
}

/// The program itself: it is kept for others, and a link on somebody's path may be gone by then.
fn program(found: &str) -> PathBuf {
    fs::real(Path::new(found.trim()))
}

fn without_python(fail: Fail, minor: &str) -> Fail {
    fail.context(format!("there is no Python {minor} to compile the packages of the image with"))
        .with_kind(Kind::Usage)
        .hint("connect to the network: uv fetches it from GitHub, or from UV_PYTHON_INSTALL_MIRROR")
        .hint(format!(
            "or use one of this machine, python{minor}: UV_PYTHON_PREFERENCE=only-system; images are then the same \
             only where its third number is"
        ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_another_program_now_is_not_the_one_that_was_kept() {
        let folder = fs::scratch_dir(&std::env::temp_dir()).unwrap();
        let (path, kept) = (folder.path().join("python3.12"), folder.path().join("kept.json"));
        let known = |file: &Path| Kept::read(file).unwrap().map(|kept| kept.python.version);
        fs::write(&path, b"one").unwrap();
        let python = Python { path: path.clone(), version: "3.12.1".to_owned() };
        let json = serde_json::to_vec(&Kept { python, program: stat(&path).unwrap() }).unwrap();
        assert_eq!(known(&kept), None, "nothing is kept");
        fs::write(&kept, &json).unwrap();
        assert_eq!(known(&kept).as_deref(), Some("3.12.1"));
        fs::write(&path, b"another").unwrap();
        assert_eq!(known(&kept), None, "it was upgraded");
        fs::remove(&path).unwrap();
        assert_eq!(known(&kept), None, "it is gone");
        fs::write(&kept, b"{").unwrap();
        assert_eq!(known(&kept), None, "what was kept is damaged");
    }

    #[test]
    fn what_is_kept_is_the_program_and_no_link_to_it() {
        let folder = fs::scratch_dir(&std::env::temp_dir()).unwrap();
        let (file, link) = (folder.path().join("python3.12"), folder.path().join("python3"));
        fs::write(&file, b"").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(program(&format!("{}\n", link.display())), fs::real(&file));
    }
}
