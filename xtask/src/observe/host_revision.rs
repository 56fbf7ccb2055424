//! Makes the host revision: the archive CodeDeploy unpacks on every host.

use super::pack::{self, Packing};
use super::tree::{self, Content, Modes, Source};
use crate::doors::archive::{self, Entry, Mode};
use crate::doors::stat::Stat;
use crate::fail::{Problem, Result};
use crate::model::bundle::Bundle;
use std::collections::BTreeMap;
use std::path::Path;

/// Hooks and commands keep their executable bit, everything else has none.
const HOST: Source<'_> =
    Source { folder: "airflow/host", prefix: "", modes: Modes::Programs, content: Content::Runtime };
/// What images have, too.
const CODE: [Source<'_>; 2] = [
    Source {
        folder: "airflow/ductwork_airflow",
        prefix: "ductwork_airflow/",
        modes: Modes::Plain,
        content: Content::Runtime,
    },
    Source { folder: "airflow/config", prefix: "config/", modes: Modes::Plain, content: Content::Runtime },
];
/// A project without plugins is a project.
const PLUGINS: Source<'_> =
    Source { folder: "plugins", prefix: "plugins/", modes: Modes::Plain, content: Content::Users };
/// Single files and their names in the revision.
const FILES: [(&str, &str); 3] = [
    ("airflow/requirements.lock", "requirements.lock"),
    ("airflow/requirements-mysql.lock", "requirements-mysql.lock"),
    ("airflow/tools.lock", "tools.lock"),
];
/// Without these no host can start.
const REQUIRED: [(&str, &str); 1] = [("airflow/host/appspec.yml", "appspec.yml")];

/// The host revision at `<cache>/hosts/<sha256>.zip`.
///
/// # Errors
/// All that is missing or wrong together; a file that changes meanwhile; a full disk.
pub fn host_revision(root: &Path, cache: &Path) -> Result<Bundle> {
    let (entries, problems) = read(root);
    let packing = Packing { name: "the host revision", folder: &cache.join("hosts") };
    pack::pack(root, packing, entries, problems, archive::all_processors())
}

/// All that is missing or wrong; nothing is packed.
#[must_use]
pub fn problems(root: &Path) -> Vec<Problem> {
    read(root).1
}

/// Our package, configuration and plugins, by their names in a revision.
pub(super) fn code(root: &Path, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = tree::read(root, &CODE, problems);
    if root.join(PLUGINS.folder).is_dir() {
        entries.extend(tree::read(root, &[PLUGINS], problems));
    }
    entries
}

fn read(root: &Path) -> (Vec<Entry>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut entries = tree::read(root, &[HOST], &mut problems);
    entries.extend(code(root, &mut problems));
    for (file, name) in FILES {
        match root.join(file).metadata() {
            Ok(meta) if meta.is_file() => {
                let (source, stat) = (root.join(file), Stat::of(&meta));
                entries.push(Entry { name: name.to_owned(), source, stat, mode: Mode::Plain });
            }
            _ => problems.push(missing(file)),
        }
    }
    let required = REQUIRED.into_iter().filter(|(_, name)| !entries.iter().any(|entry| entry.name == *name));
    problems.extend(required.map(|(file, _)| missing(file)));
    problems.extend(twice(root, &entries));
    (entries, problems)
}

fn missing(file: &str) -> Problem {
    let cure = format!("restore it, for instance: git checkout -- {file}");
    Problem::new("missing", file, "does not exist, and hosts need it to start", cure)
}

/// `airflow/host` shares the root of the revision with all the others.
fn twice(root: &Path, entries: &[Entry]) -> Vec<Problem> {
    let mut seen: BTreeMap<String, &Entry> = BTreeMap::new();
    let mut problems = Vec::new();
    let place = |entry: &Entry| {
        entry.source.strip_prefix(root).unwrap_or(&entry.source).to_string_lossy().into_owned()
    };
    for entry in entries {
        if let Some(other) = seen.insert(entry.name.to_lowercase(), entry) {
            let message = format!("would be `{}` on the host, as `{}` is", entry.name, place(other));
            problems.push(Problem::new("twice", place(entry), message, "rename one of the two"));
        }
    }
    problems
}
