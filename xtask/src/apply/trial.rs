//! Another Airflow beside the one that is locked: a lock in a folder of its own, its packages, and a copy of a database
//! that it migrates there and back. Nothing of the tree or of an environment is written.

use super::lock::{Locked, Upgrade, lock};
use crate::doors::package_index::Index;
use crate::doors::proc::Cmd;
use crate::doors::toolchain::{self, Venv};
use crate::doors::{env, fs, time};
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::secret::Secret;
use crate::model::text::tail;
use crate::plan::upgrade::requirements;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What is locked for a trial: Airflow, and what has to agree with it.
const SOURCES: [&str; 3] = ["airflow/requirements", "airflow/requirements-mysql", "dev/requirements"];
/// The environments of so many trials are kept, so that repeating one installs nothing.
const KEPT: usize = 2;
const USED: &str = ".used";

/// A project that consists of requirements alone.
pub struct Trial {
    /// The project that is tried.
    project: PathBuf,
    pub root: PathBuf,
    /// Held as long as the trial goes on: there is one at a time.
    _turn: fs::Turn,
}

impl Trial {
    /// Copies the requirements, with this Airflow in them. What earlier trials of other versions left is deleted.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn begin(project: &Path, version: &str, sink: &Sink) -> Result<Self> {
        let folder = project.join(".ductwork/upgrade-test");
        let turn = fs::lock(&project.join(".ductwork/upgrade-test.lock"))?;
        let root = folder.join(version);
        for other in fs::list(&folder)?.iter().filter(|other| **other != root) {
            fs::remove(other)?;
        }
        for name in SOURCES {
            for file in [format!("{name}.in"), format!("{name}.lock")] {
                let Some(text) = fs::read_if_there(&project.join(&file))? else { continue };
                let text = match name {
                    "airflow/requirements" if file.ends_with(".in") => {
                        requirements(&String::from_utf8_lossy(&text), version).into_bytes()
                    }
                    _ => text,
                };
                fs::write(&root.join(file), &text)?;
            }
        }
        fs::write(&root.join("airflow/tools.lock"), &fs::read(&project.join("airflow/tools.lock"))?)?;
        let trial = Self { project: project.to_owned(), root, _turn: turn };
        let venvs = trial.venvs();
        fs::create_dir(&venvs)?;
        fs::create_dir(&trial.root.join(".ductwork"))?;
        fs::link(&trial.root.join(".ductwork/venvs"), &venvs)?;
        let uv = toolchain::uv(project, None, sink)?;
        if let Some(tools) = uv.ancestors().nth(2) {
            trial.borrow(tools)?;
        }
        Ok(trial)
    }

    /// Beside those of the project, so that none of these is mistaken for a trial's.
    fn venvs(&self) -> PathBuf {
        toolchain::venvs(&self.project).join("tried")
    }

    /// Uses what is installed for the project already.
    fn borrow(&self, folder: &Path) -> Result<()> {
        match folder.file_name() {
            Some(name) => fs::link(&self.venvs().join(name), folder),
            None => Ok(()),
        }
    }

    /// Resolves the requirements; what the project has locked stays where it fits.
    ///
    /// # Errors
    /// Requirements that contradict each other, with what wants what.
    pub fn lock(&self, sink: &Sink) -> Result<Vec<Locked>> {
        lock(&self.root, &Upgrade::default(), sink)
    }

    /// Takes the packages of the project if it has the same lock.
    ///
    /// # Errors
    /// There is no lock.
    pub fn borrow_installed(&self) -> Result<()> {
        let installed = toolchain::folder(&self.project, &self.root, Venv::Airflow)?;
        if fs::exists(&installed.join(".complete")) { self.borrow(&installed) } else { Ok(()) }
    }

    /// The Python of the lock's packages, which are installed if need be; those of older trials are deleted.
    ///
    /// # Errors
    /// An index that cannot be reached, a full disk.
    pub fn install(&self, index: Option<Index>, sink: &Sink) -> Result<PathBuf> {
        let folder = toolchain::venv_from(&self.root, Venv::Airflow, index, sink)?;
        collect(&self.venvs(), &folder)?;
        Ok(folder.join("bin/python"))
    }
}

/// Deletes the environments that have not been used for longest. One that is borrowed is only a link.
fn collect(venvs: &Path, current: &Path) -> Result<()> {
    let mut others = Vec::new();
    for folder in fs::list(venvs)? {
        let named = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("airflow-"));
        if !named || folder.extension().is_some() || folder == current {
            continue;
        }
        if folder.is_symlink() {
            fs::remove(&folder)?;
        } else {
            others.push((fs::read_if_there(&folder.join(USED))?.unwrap_or_default(), folder));
        }
    }
    others.sort();
    for (_, folder) in others.iter().rev().skip(KEPT - 1) {
        fs::remove(folder)?;
        fs::remove(&folder.with_extension("lock"))?;
    }
    if current.is_symlink() { Ok(()) } else { fs::write(&current.join(USED), time::now().as_bytes()) }
}

/// The database that is copied.
pub struct Source {
    pub host: String,
    pub port: String,
    pub name: String,
    pub user: String,
    pub password: Secret,
}

/// A stage as `localcloud/databases/trial.py` tells it.
#[derive(Debug, Deserialize)]
pub struct Told {
    pub name: String,
    pub outcome: String,
    pub seconds: f64,
    pub summary: String,
}

#[derive(Deserialize)]
struct Document {
    stages: Vec<Told>,
}

impl Trial {
    /// Copies the database, or has the locked Airflow make a new one; lets the Airflow of this Python migrate it, run
    /// the smoke DAG and take it back.
    ///
    /// # Errors
    /// What is needed cannot be installed; the program ends unexpectedly. What Airflow cannot do is in the stages.
    pub fn database(&self, python: &Path, source: &Result<Source, String>, sink: &Sink) -> Result<Vec<Told>> {
        let project = &self.project;
        let old = match source {
            Ok(_) => python.to_owned(),
            Err(_) => toolchain::venv(project, Venv::Airflow, sink)?.join("bin/python"),
        };
        let cloud = toolchain::venv(project, Venv::Cloud, sink)?;
        let why = match source {
            Ok(_) => "a copy of that of the environment",
            Err(why) => why,
        };
        let mut command = Cmd::new(cloud.join("bin/python"), project)
            .args(["-m", "localcloud.databases.trial", "--why", why])
            .arg("--folder")
            .arg(self.root.join("database"))
            .arg("--old")
            .arg(old)
            .arg("--new")
            .arg(python)
            .arg("--airflow")
            .arg(project.join("airflow"))
            .envs(env::for_installers())
            .env("PYTHONPATH", project);
        if let Ok(Source { host, port, name, user, password }) = source {
            command = command.args(["--source", host, port, user, name]);
            command = command.env("DUCTWORK_SOURCE_PASSWORD", password.expose());
        }
        sink.progress("migrating a copy of the database there and back");
        let output = command.output()?;
        let document: Document = serde_json::from_slice(&output.stdout).map_err(|error| {
            Fail::failed(format!("the trial of the database ended unexpectedly ({})", output.status))
                .because(error)
                .cause(tail(&String::from_utf8_lossy(&output.stderr)))
        })?;
        Ok(document.stages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(venvs: &Path, name: &str, used: &str) -> PathBuf {
        let folder = venvs.join(name);
        fs::write(&folder.join(USED), used.as_bytes()).unwrap();
        fs::write(&folder.with_extension("lock"), b"").unwrap();
        folder
    }

    #[test]
    fn environments_of_trials_do_not_pile_up() {
        let scratch = fs::scratch_dir(&std::env::temp_dir()).unwrap();
        let (venvs, own) = (scratch.path().join("tried"), scratch.path().join("airflow-own"));
        installed(scratch.path(), "airflow-own", "");
        let old = installed(&venvs, "airflow-a", "2026-01-01T00:00:00Z");
        let newer = installed(&venvs, "airflow-b", "2026-02-01T00:00:00Z");
        let current = installed(&venvs, "airflow-c", "2025-01-01T00:00:00Z");
        let tools = installed(&venvs, "tools-a", "");
        fs::link(&venvs.join("airflow-own"), &own).unwrap();
        collect(&venvs, &current).unwrap();
        let left: Vec<PathBuf> = fs::list(&venvs).unwrap();
        let expected = [&newer, &newer.with_extension("lock"), &current, &current.with_extension("lock")];
        let expected: Vec<PathBuf> = expected.into_iter().cloned().collect();
        assert_eq!(left[..4], expected[..], "{left:?}");
        assert!(!fs::exists(&old) && fs::exists(&tools) && fs::exists(&own), "{left:?}");
        let used = fs::read_to_string(&current.join(USED)).unwrap();
        assert!(used.as_str() > "2026-02", "it is the one that was used last: {used}");
    }

    #[test]
    fn a_trial_has_requirements_of_its_own_and_leaves_the_project_s_alone() {
        let scratch = fs::scratch_dir(&std::env::temp_dir()).unwrap();
        let project = scratch.path();
        fs::write(&project.join("airflow/tools.lock"), b"uv==1").unwrap();
        fs::write(&project.join("airflow/requirements.in"), b"apache-airflow==3.3.2\nboto3\n").unwrap();
        fs::write(&project.join("airflow/requirements.lock"), b"apache-airflow==3.3.2\n").unwrap();
        let digest = crate::model::digest::Digest::of(b"uv==1").short();
        fs::write(&project.join(format!(".ductwork/venvs/tools-{digest}/.complete")), b"").unwrap();
        fs::write(&project.join(".ductwork/upgrade-test/3.3.9/airflow/requirements.in"), b"").unwrap();
        let trial = Trial::begin(project, "3.4.0", &Sink::null()).unwrap();
        let text = |file: &str| fs::read_to_string(&trial.root.join(file)).unwrap();
        assert_eq!(text("airflow/requirements.in"), "apache-airflow==3.4.0\nboto3\n");
        assert_eq!(text("airflow/requirements.lock"), "apache-airflow==3.3.2\n", "what stays, stays");
        let own = fs::read_to_string(&project.join("airflow/requirements.in")).unwrap();
        assert_eq!(own, "apache-airflow==3.3.2\nboto3\n");
        assert!(!fs::exists(&project.join(".ductwork/upgrade-test/3.3.9")), "of an earlier trial");
        let is_installed = || toolchain::is_made(&trial.root, Venv::Airflow).unwrap();
        trial.borrow_installed().unwrap();
        assert!(!is_installed());
        let name = toolchain::folder(project, &trial.root, Venv::Airflow).unwrap();
        fs::write(&name.join(".complete"), b"").unwrap();
        trial.borrow_installed().unwrap();
        assert!(is_installed(), "the project has the same lock installed");
    }
}
