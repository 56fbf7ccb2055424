//! The invariants of the tool's own source, each with the cure in its message.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod calls;
mod source;

use source::{Source, Token};
use std::collections::BTreeSet;
use std::path::Path;

/// Longest file, without its tests.
const LONGEST: usize = 400;
/// A verb is wiring.
const LONGEST_VERB: usize = 120;

/// Who may import whom; `fail` is open to all, and whoever is not here may import everything. Of what
/// stands behind `types:`, only types may be named: what a plan is, not how one is made.
const IMPORTS: [(&str, &[&str]); 10] = [
    ("model", &["model"]),
    ("fail", &["fail"]),
    ("config", &["model", "config"]),
    ("plan", &["model", "config", "plan"]),
    ("doors", &["model", "doors"]),
    ("observe", &["model", "config", "doors", "observe"]),
    // A step that brings something to where it should be looks again and judges again, by the same
    // reads and the same pure functions as before.
    ("apply", &["model", "plan", "observe", "doors", "apply"]),
    ("report", &["model", "types:plan", "report"]),
    ("ui", &["model", "doors", "apply", "report", "ui"]),
    ("session", &["model", "config", "plan", "observe", "doors", "apply", "report", "ui", "session"]),
];

/// Who may know the types of the SDK.
const SDK: [&str; 3] = ["observe", "apply", "doors"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn sources() -> Vec<Source> {
    let mut found: Vec<Source> = ["src", "core/src"].into_iter().flat_map(sources_in).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 20, "the sources are not where this test looks for them");
    found
}

/// The modules of one crate.
fn sources_in(crate_folder: &str) -> Vec<Source> {
    let src = root().join(crate_folder);
    let mut folders = vec![src.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
                found.push(Source::new(&name, &std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// Fails with everything that was found, not with the first of it.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn each(check: impl Fn(&Source) -> Vec<String>) {
    none(&sources().iter().flat_map(check).collect::<Vec<_>>());
}

fn may_import(allowed: &[&str], path: &[String]) -> bool {
    let Some(layer) = path.first() else { return true };
    let names_type = path.iter().any(|part| part.starts_with(char::is_uppercase));
    layer == "fail"
        || allowed.contains(&layer.as_str())
        || (names_type && allowed.contains(&format!("types:{layer}").as_str()))
}

fn imports(source: &Source) -> Vec<String> {
    let layer = source.layer();
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == layer) else { return Vec::new() };
    let foreign = source.paths().into_iter().filter(|(_, path)| !may_import(allowed, path));
    let told = |(line, path): (usize, Vec<String>)| {
        let (file, path) = (&source.path, path.join("::"));
        let cure = "move what is shared to `model`, or hand it in from `cmd`";
        format!("src/{file}:{line}: `{layer}` must not import `{path}`: {cure}")
    };
    foreign.map(told).collect()
}

#[test]
fn data_flows_one_way() {
    each(imports);
}

#[test]
fn a_wrong_import_is_found() {
    let bad = |path, text| imports(&Source::new(path, text)).len();
    assert_eq!(bad("plan/x.rs", "use crate::{model::a, doors::{fs, time}};"), 2);
    assert_eq!(bad("config/values/x.rs", "use super::super::super::observe::y;"), 1);
    assert_eq!(bad("doors/x.rs", "fn f() { crate::config::load() }"), 1);
    assert_eq!(bad("report/x.rs", "use crate::fail::Fail;\nuse crate::model::y;\nuse super::z;"), 0);
    assert_eq!(
        bad("apply/x.rs", "use crate::plan::deploy::{Step, plan};\nuse crate::config::Environment;"),
        1
    );
    assert_eq!(bad("cmd/x.rs", "use crate::apply::y;"), 0);
}

fn doc(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    let sentence = first
        .strip_prefix("//! ")
        .is_some_and(|rest| rest.ends_with(['.', ':', '?', ';', ',']) || rest.len() > 60);
    if sentence {
        return Vec::new();
    }
    vec![format!(
        "src/{}: begin the file with `//! ` and one sentence: what the module is for, and what it never does",
        source.path
    )]
}

#[test]
fn every_file_says_what_it_is_for() {
    each(doc);
}

#[test]
fn a_file_without_a_word_is_found() {
    assert_eq!(doc(&Source::new("a.rs", "use x;\n//! Late.")).len(), 1);
    assert_eq!(doc(&Source::new("a.rs", "")).len(), 1);
    assert_eq!(doc(&Source::new("a.rs", "//! Does a thing.")).len(), 0);
}

fn length(source: &Source) -> Vec<String> {
    let most = if source.layer() == "cmd" { LONGEST_VERB } else { LONGEST };
    if source.length() <= most {
        return Vec::new();
    }
    let cure = if source.layer() == "cmd" {
        "a verb is wiring: move decisions to `plan` and effects to `apply`"
    } else {
        "split it by concern"
    };
    vec![format!("src/{}: {} lines without tests, {most} at most: {cure}", source.path, source.length())]
}

#[test]
fn no_file_is_too_long_to_read() {
    each(length);
}

#[test]
fn a_long_file_is_found() {
    assert_eq!(length(&Source::new("plan/a.rs", &"x\n".repeat(401))).len(), 1);
    assert_eq!(length(&Source::new("cmd/a.rs", &"x\n".repeat(121))).len(), 1);
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(399), "x\n".repeat(300));
    assert_eq!(length(&Source::new("plan/a.rs", &tests)).len(), 0);
}

fn sdk(source: &Source) -> Vec<String> {
    if SDK.contains(&source.layer()) {
        return Vec::new();
    }
    let of_sdk = |name: &str| {
        ["aws_sdk_", "aws_smithy_", "aws_config", "aws_types"].iter().any(|start| name.starts_with(start))
    };
    let leaked = source.tokens.iter().filter(|token| of_sdk(&token.text));
    let told = |token: &Token| {
        format!(
            "src/{}:{}: types of the AWS SDK stop at `observe` and `apply`: make a type in `model`",
            source.path, token.line
        )
    };
    leaked.map(told).collect()
}

#[test]
fn the_sdk_stays_at_the_edge() {
    each(sdk);
}

#[test]
fn a_leaked_sdk_type_is_found() {
    let text = "use aws_sdk_s3::Client;\n// aws_sdk_s3 in words\n";
    assert_eq!(sdk(&Source::new("plan/a.rs", text)).len(), 1);
    assert_eq!(sdk(&Source::new("apply/a.rs", text)).len(), 0);
}

/// Modules of `lib.rs` that its map leaves out, and the other way round.
fn map(library: &str) -> Vec<String> {
    let rows = library.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split('`').next());
    let modules = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let (rows, modules): (BTreeSet<&str>, BTreeSet<&str>) = (rows.collect(), modules.collect());
    let differing = rows.symmetric_difference(&modules);
    differing.map(|name| format!("src/lib.rs: `{name}` is a module or a row of the map, not both")).collect()
}

#[test]
fn the_map_names_every_module() {
    none(&map(&read("src/lib.rs")));
    none(&map(&read("core/src/lib.rs")));
    assert_eq!(map("//! | [`a`] | x | y |\npub mod b;").len(), 2);
}

/// Dependencies without a comment above them or above the block they stand in.
fn unexplained(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut dependencies = false;
    let mut explained = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            dependencies = table.trim_end_matches(']').ends_with("dependencies");
            explained = false;
        } else if line.is_empty() {
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if let (true, false, Some((name, _))) = (dependencies, explained, line.split_once('=')) {
            found.push(format!("Cargo.toml: say in a comment above `{}` what it is for", name.trim()));
        }
    }
    found
}

#[test]
fn every_dependency_says_what_it_is_for() {
    none(&unexplained(&read("Cargo.toml")));
    none(&unexplained(&read("core/Cargo.toml")));
    none(&unexplained(&read("../Cargo.toml")));
    let bad =
        "[dependencies]\na = '1'\n# for b and c\nb = '1'\nc = '1'\n\nd = '1'\n[dev-dependencies]\ne = '1'\n";
    assert_eq!(unexplained(bad).len(), 3);
}

/// Headings that the change log may have under a version.
const HEADINGS: [&str; 5] = ["Highlights", "Breaking", "Deprecated", "New", "Fixed"];

fn changes(log: &str) -> Vec<String> {
    let mut found = Vec::new();
    let first = log.lines().find(|line| line.starts_with("## "));
    if first != Some("## [Unreleased]") {
        found.push(
            "CHANGELOG.md: the first version must be `## [Unreleased]`: add what a user will notice below it"
                .to_owned(),
        );
    }
    for heading in log.lines().filter_map(|line| line.strip_prefix("### ")) {
        if !HEADINGS.contains(&heading) {
            found.push(format!("CHANGELOG.md: `{heading}` is none of the headings: {}", HEADINGS.join(", ")));
        }
    }
    found
}

#[test]
fn the_change_log_is_open() {
    none(&changes(&read("../CHANGELOG.md")));
    assert_eq!(changes("# Changelog\n## [1.0.0]\n### Stuff\n").len(), 2);
}
