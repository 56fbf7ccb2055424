//! Makes the lock files from what people write down, and tells what has changed in them.

use crate::doors::package_index::Index;
use crate::doors::proc::Cmd;
use crate::doors::{fs, toolchain};
use crate::fail::{Fail, Problem, Result};
use crate::model::event::Sink;
use crate::model::package_index::{PackageIndex, REQUIREMENTS, problems_elsewhere};
use crate::model::python::MINORS;
use std::collections::BTreeMap;
use std::path::Path;

/// The oldest Python that hosts and machines may have; locks are good for all newer ones, too.
/// Where the versions of Airflow's lock are written for locks that must agree with it.
const CONSTRAINTS: &str = ".ductwork/constraints.txt";
const AIRFLOW: &str = "airflow/requirements";

/// Lock files without their ending, in the order in which they are made; and whether they have to agree with
/// Airflow's, because their packages share an environment or a process with it.
const LOCKS: [(&str, bool); 8] = [
    (AIRFLOW, false),
    ("airflow/requirements-mysql", true),
    ("airflow/image", false),
    ("airflow/tools", false),
    ("localcloud/requirements", false),
    ("dev/checkov", false),
    ("bench/requirements", false),
    ("dev/requirements", true),
];

/// What may be newer than before.
#[derive(Clone, Debug, Default)]
pub struct Upgrade {
    pub all: bool,
    pub packages: Vec<String>,
}

/// A lock file with the versions that it had and has, by package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    pub file: String,
    pub before: BTreeMap<String, String>,
    pub after: BTreeMap<String, String>,
}

/// Locks every file that the project has.
///
/// # Errors
/// Requirements that contradict each other, with what wants what; an index that cannot be reached or lets nobody in;
/// a credential in a URL. Locks that were made before stay.
pub fn lock(root: &Path, upgrade: &Upgrade, sink: &Sink) -> Result<Vec<Locked>> {
    let problems = problems(root)?;
    if !problems.is_empty() {
        return Err(Fail::problems("nothing is locked from requirements like these", problems));
    }
    let index = Index::of(root)?;
    let uv = toolchain::uv(root, Some(&index), sink)?;
    let mut made = Vec::new();
    for (name, agrees) in LOCKS {
        let (source, file) = (format!("{name}.in"), format!("{name}.lock"));
        if !fs::exists(&root.join(&source)) {
            continue;
        }
        sink.progress(format!("locking {source}"));
        let before = versions(root, &file)?;
        let mut command = compile(&uv, root, upgrade).envs(index.for_uv());
        if agrees {
            fs::write(&root.join(CONSTRAINTS), constraints(root)?.as_bytes())?;
            command = command.args(["--constraints", CONSTRAINTS]);
        }
        let done = command.args(["--output-file", &file, &source]).run();
        done.map_err(|fail| explained(fail, &source, &index))?;
        made.push(Locked { before, after: versions(root, &file)?, file });
    }
    Ok(made)
}

/// What is wrong with the URLs that people write down.
///
/// # Errors
/// A file that cannot be read.
pub fn problems(root: &Path) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for source in LOCKS.map(|(name, _)| format!("{name}.in")) {
        let text = fs::read_if_there(&root.join(&source))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        problems.extend(match source.as_str() {
            REQUIREMENTS => PackageIndex::of(&text).err().unwrap_or_default(),
            other => problems_elsewhere(&text, other),
        });
    }
    Ok(problems)
}

fn compile(uv: &Path, root: &Path, upgrade: &Upgrade) -> Cmd {
    let mut command = Cmd::new(uv, root)
        .args(["pip", "compile", "--quiet", "--no-progress", "--universal", "--generate-hashes"])
        .args(["--no-emit-index-url", "--no-config", "--custom-compile-command", "cargo xtask lock"])
        .args(["--python-version", &format!("3.{}", MINORS.start())]);
    if upgrade.all {
        command = command.arg("--upgrade");
    }
    upgrade.packages.iter().fold(command, |command, name| command.args(["--upgrade-package", name]))
}

/// uv says which package wants what.
fn explained(fail: Fail, source: &str, index: &Index) -> Fail {
    index
        .explained(fail)
        .context(format!("`{source}` cannot be locked"))
        .hint(format!("change one of the requirements in {source}, or upgrade what is in the way: cargo xtask lock --upgrade-package NAME"))
}

/// Package → version.
fn versions(root: &Path, file: &str) -> Result<BTreeMap<String, String>> {
    let text = fs::read_if_there(&root.join(file))?.unwrap_or_default();
    Ok(pinned(&String::from_utf8_lossy(&text)))
}

/// The lines `name==version ; marker \`. A package with several versions has all of them.
fn pinned(text: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (name, rest) in text.lines().filter_map(|line| line.split_once("==")) {
        if name.starts_with([' ', '#']) {
            continue;
        }
        let version = rest.split([' ', ';']).next().unwrap_or_default();
        found
            .entry(name.to_owned())
            .and_modify(|known| *known = format!("{known}, {version}"))
            .or_insert_with(|| version.to_owned());
    }
    found
}

/// Airflow's lock without checksums.
fn constraints(root: &Path) -> Result<String> {
    let text = fs::read_to_string(&root.join(format!("{AIRFLOW}.lock")))?;
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("--hash"));
    Ok(lines.map(|line| format!("{}\n", line.trim_end_matches(['\\', ' ']))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_whatever_stands_behind_them() {
        let lock = "# by uv==1\na==1.0 \\\n    --hash=sha256:00\nb==2 ; python_version < '3.11' \\\n    --hash=sha256:01\n\
                    b==3 ; python_version >= '3.11' \\\n    # via c==4\n";
        let expected =
            [("a", "1.0"), ("b", "2, 3")].map(|(name, version)| (name.to_owned(), version.to_owned()));
        assert_eq!(pinned(lock), BTreeMap::from(expected));
    }
}
