//! The container image, built by the binary and pushed to a real registry (Debian's). The packages are a few small ones
//! of the lock; `tests/whole` runs Airflow from an image of all of them.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr)]

mod builders;
mod building;
mod full;
mod index;
mod locking;
mod memory;
mod pushing;
mod refusals;
mod releasing;
#[path = "../support/mod.rs"]
mod support;
mod tasks;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use support::project::Project;
use support::registry::{Server, minor};

/// One of them has machine code in it.
const PACKAGES: [&str; 2] = ["click", "markupsafe"];

/// Or says why the test is skipped.
fn server(password: Option<&str>) -> Option<Server> {
    let server = Server::start(password);
    if server.is_none() {
        support::say("SKIPPED: there is no docker-registry, and dev/registry.sh cannot fetch it");
    }
    server
}

/// A project with a small lock, whose base and repository are in that registry.
fn project(base: &str, settings: &str) -> Project {
    let project = Project::new();
    project.edit("airflow/requirements.lock", |lock| PACKAGES.map(|name| locked(lock, name)).concat());
    set(&project, base, settings);
    project
}

fn set(project: &Project, base: &str, settings: &str) {
    // What is put on nothing runs on this machine's Python.
    let python = if base == "scratch" { String::new() } else { format!("python = \"{}\"", minor()) };
    project.edit("environments/local.toml", |text| {
        format!("{text}\n[image]\nbase = \"{base}\"\n{python}\n{settings}\n")
    });
}

/// The lines of one package in a lock.
fn locked(lock: &str, name: &str) -> String {
    let start = lock.find(&format!("\n{name}==")).unwrap() + 1;
    let lines = lock[start..].lines().enumerate();
    let own = lines.take_while(|(at, line)| *at == 0 || line.starts_with(' '));
    own.map(|(_, line)| format!("{line}\n")).collect()
}

/// What the tool is told about Python on a machine that cannot fetch one.
const SYSTEM: (&str, &str) = ("UV_PYTHON_PREFERENCE", "only-system");

fn image(project: &Project, verb: &str) -> support::Run {
    project.run_with(&["image", verb, "--env", "local", "--format", "json"], &[SYSTEM])
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

/// The files of a layer: name → content.
fn unpacked(layer: &Path) -> BTreeMap<String, Vec<u8>> {
    let stored = fs::read(layer).unwrap();
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&stored[..]));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(name, content);
    }
    files
}
