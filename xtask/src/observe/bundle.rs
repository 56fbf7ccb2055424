//! Makes the DAG bundle of `dags/`, or of a folder of a git repository: one archive whose sha256 is its name.

use super::git_dags::{self, Checkout};
use super::pack::{self, Packing};
use super::tree::{self, Content, Modes, Source};
use crate::doors::archive::{self, Entry};
use crate::fail::{Problem, Result};
pub use crate::model::bundle::Bundle;
use std::num::NonZeroUsize;
use std::path::Path;

/// The folder of the user's DAGs.
pub const FOLDER: &str = "dags";

/// The bundle of `<root>/dags` at `<cache>/bundles/<sha256>.zip`.
///
/// # Errors
/// All that is wrong with the folder together; a file that changes meanwhile; a full disk.
pub fn bundle(root: &Path, cache: &Path) -> Result<Bundle> {
    bundle_on(root, cache, archive::all_processors())
}

/// The same on a given number of threads. The bytes do not depend on it.
///
/// # Errors
/// As [`bundle`].
pub fn bundle_on(root: &Path, cache: &Path, threads: NonZeroUsize) -> Result<Bundle> {
    let (entries, problems) = read(root, FOLDER);
    pack::pack(root, packing(&cache.join("bundles")), entries, problems, threads)
}

/// The bundle of the DAGs of a git repository, by the same rules.
///
/// # Errors
/// As [`bundle`]; what belongs to a submodule or to Git LFS is not in the files of a commit, and is refused.
pub fn bundle_of(checkout: &Checkout, cache: &Path) -> Result<Bundle> {
    let Checkout { source, root } = checkout;
    let (entries, mut problems) = read(root, &source.path);
    problems.extend(elsewhere(checkout, &entries)?);
    let located = |name: &str| format!("{}:{name}", source.short());
    let threads = archive::all_processors();
    pack::pack(root, packing(&cache.join("bundles")), entries, problems, threads)
        .map_err(|fail| fail.at(located))
}

fn packing(folder: &Path) -> Packing<'_> {
    Packing { name: "the DAG bundle", folder }
}

/// Refuses what would be missing at run time; what an ignore file leaves out may be anything.
fn elsewhere(checkout: &Checkout, entries: &[Entry]) -> Result<Vec<Problem>> {
    let found = git_dags::elsewhere(checkout)?;
    let packed = |name: &String| entries.iter().any(|entry| entry.source == checkout.root.join(name));
    let submodules = found.submodules.iter().map(|name| {
        let cure = "put its files into the repository itself, or remove the submodule";
        Problem::new("submodule", name, "is a submodule, which is not fetched", cure)
    });
    let lfs = found.lfs.iter().filter(|name| packed(name)).map(|name| {
        let cure =
            "keep it in S3 and let the DAG read it there, or leave it out by a line in `.ductworkignore`";
        Problem::new("lfs", name, "is kept in Git LFS, which is not fetched", cure)
    });
    Ok(submodules.chain(lfs).collect())
}

/// What is wrong with the folder; nothing is packed.
#[must_use]
pub fn problems(root: &Path) -> Vec<Problem> {
    read(root, FOLDER).1
}

fn read(root: &Path, folder: &str) -> (Vec<Entry>, Vec<Problem>) {
    let dags = Source { folder, prefix: "", modes: Modes::Plain, content: Content::Users };
    let mut problems = Vec::new();
    let entries = tree::read(root, &[dags], &mut problems);
    let has_content = entries.iter().any(|entry| !entry.name.ends_with(".airflowignore"));
    if problems.is_empty() && !has_content {
        problems.push(Problem::new(
            "empty",
            folder,
            "holds no file to deploy; hidden, compiled and git-ignored files do not count",
            "put a DAG there, for instance dags/hello.py",
        ));
    }
    (entries, problems)
}
