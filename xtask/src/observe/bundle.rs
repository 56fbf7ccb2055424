//! Makes the DAG bundle of `dags/`: one archive whose sha256 is its name.

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
    let (entries, problems) = read(root);
    let packing = Packing { name: "the DAG bundle", folder: &cache.join("bundles") };
    pack::pack(root, packing, entries, problems, threads)
}

/// What is wrong with the folder; nothing is packed.
#[must_use]
pub fn problems(root: &Path) -> Vec<Problem> {
    read(root).1
}

fn read(root: &Path) -> (Vec<Entry>, Vec<Problem>) {
    let dags = Source { folder: FOLDER, prefix: "", modes: Modes::Plain, content: Content::Users };
    let mut problems = Vec::new();
    let entries = tree::read(root, &[dags], &mut problems);
    let has_content = entries.iter().any(|entry| !entry.name.ends_with(".airflowignore"));
    if problems.is_empty() && !has_content {
        problems.push(Problem::new(
            "empty",
            FOLDER,
            "holds no file to deploy; hidden, compiled and git-ignored files do not count",
            "put a DAG there, for instance dags/hello.py",
        ));
    }
    (entries, problems)
}
