//! What is left out of a bundle, and what is not.

use crate::tree::{Child, Tree};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

#[test]
fn hidden_and_compiled_files_are_left_out() {
    let tree = Tree::new();
    tree.file("dags/a.py", "").file("dags/.env", "").file("dags/.venv/x.py", "").file("dags/.git/config", "");
    tree.file("dags/__pycache__/a.cpython-311.pyc", "")
        .file("dags/b/__pycache__/x", "")
        .file("dags/old.pyc", "");
    assert_eq!(tree.names(), ["a.py"]);
}

/// Airflow does not look for DAGs in what `.airflowignore` names, but DAGs import it.
#[test]
fn what_airflow_is_told_not_to_parse_is_still_there_to_be_imported() {
    let tree = Tree::new();
    tree.file("dags/etl.py", "from helpers.clean import clean").file("dags/helpers/clean.py", "");
    tree.file("dags/sql/load.sql", "").file("dags/.airflowignore", "helpers/\nsql/\n");
    tree.file("dags/team/.airflowignore", "*.py").file("dags/team/x.py", "");
    let names =
        [".airflowignore", "etl.py", "helpers/clean.py", "sql/load.sql", "team/.airflowignore", "team/x.py"];
    assert_eq!(tree.names(), names);
}

#[test]
fn ductworkignore_leaves_out_what_git_keeps() {
    let tree = Tree::new();
    tree.file("dags/a.py", "").file("dags/tests/test_a.py", "").file("dags/notes.ipynb", "");
    tree.file(".ductworkignore", "*.ipynb").file("dags/.ductworkignore", "/tests/");
    assert_eq!(tree.names(), ["a.py"]);
}

const GITIGNORES: [(&str, &str); 4] = [
    (".gitignore", "*.log\n/dags/generated/\nlocal*\n!dags/local_kept.py\n"),
    (
        "dags/.gitignore",
        "\u{feff}# comment\n\n*.csv\r\n!keep.csv\nbuild/\n/top.txt\n**/deep/*.json\n\\#hash.py\ntrailing.py \n",
    ),
    ("dags/sub/.gitignore", "!*.log\n*.csv\n"),
    ("dags/sub/dir/.gitignore", "*\n!.gitignore\n"),
];
const FILES: [&str; 21] = [
    "dags/a.py",
    "dags/a.log",
    "dags/generated/x.py",
    "dags/sub/generated/x.py",
    "dags/local.py",
    "dags/local_kept.py",
    "dags/x.csv",
    "dags/keep.csv",
    "dags/sub/keep.csv",
    "dags/build/x.py",
    "dags/sub/build",
    "dags/top.txt",
    "dags/sub/top.txt",
    "dags/sub/deep/x.json",
    "dags/deep/y/x.json",
    "dags/#hash.py",
    "dags/trailing.py",
    "dags/sub/b.log",
    "dags/sub/dir/x.py",
    "dags/deep/z.json",
    "dags/space name.py",
];

fn with_gitignores() -> Tree {
    let tree = Tree::new();
    for file in FILES {
        tree.file(file, "");
    }
    for (path, text) in GITIGNORES {
        tree.file(path, text);
    }
    tree
}

#[test]
fn git_agrees() {
    let tree = with_gitignores();
    fs::remove_dir(tree.path(".git")).unwrap();
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "core.quotePath=false", "-c", "core.excludesFile=/dev/null"]).args(args);
        let output = git.env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(tree.root()).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    // git is never required, so it may be missing
    if Command::new("git").arg("--version").output().is_err() {
        return;
    }
    git(&["init", "-q"]);
    let listed = git(&["ls-files", "--others", "--exclude-standard", "dags"]);
    let kept = listed.lines().map(|line| line.strip_prefix("dags/").unwrap().to_owned());
    let kept: BTreeSet<String> = kept.filter(|name| !name.ends_with(".gitignore")).collect();
    assert!(kept.len() > 5, "{kept:?}");
    assert_eq!(tree.names().into_iter().collect::<BTreeSet<_>>(), kept);
}

#[test]
fn a_tree_that_is_no_git_checkout_gives_the_same() {
    let checkout = with_gitignores();
    let export = with_gitignores();
    fs::remove_dir(export.path(".git")).unwrap();
    assert_eq!(checkout.bundle().unwrap().digest, export.bundle().unwrap().digest);
}

/// A bundle must not depend on whose machine it is made on.
#[test]
fn ignore_files_outside_the_tree_do_not_count() {
    let tree = Tree::at("home/project");
    fs::remove_dir(tree.path(".git")).unwrap();
    tree.file("dags/a.py", "a").file("dags/b.py", "b");
    let before = Child::of(&tree).run().result;
    let home = tree.root().parent().unwrap();
    fs::write(home.join(".gitignore"), "*.py").unwrap();
    fs::create_dir_all(home.join(".config/git")).unwrap();
    fs::write(home.join(".config/git/ignore"), "*.py").unwrap();
    let _ = fs::remove_dir_all(tree.cache());
    let home = home.to_str().unwrap();
    let said = Child { env: &[("HOME", home)], ..Child::of(&tree) }.run();
    assert_eq!(said.result, before);
    fs::create_dir_all(tree.path(".git/info")).unwrap();
    tree.file(".git/info/exclude", "*.py");
    assert_eq!(tree.bundle().unwrap().digest.to_string(), before);
}

#[test]
fn a_project_inside_a_larger_repository_obeys_its_ignore_files() {
    let tree = Tree::at("mono/teams/data");
    fs::remove_dir(tree.path(".git")).unwrap();
    let mono = tree.root().parent().unwrap().parent().unwrap();
    fs::create_dir(mono.join(".git")).unwrap();
    fs::write(mono.join(".gitignore"), "*.csv\n/teams/data/dags/out/\n").unwrap();
    tree.file("dags/a.py", "").file("dags/x.csv", "").file("dags/out/y.py", "");
    assert_eq!(tree.names(), ["a.py"]);
}

#[test]
fn a_folder_that_git_ignores_as_a_whole_is_said_to_be() {
    let tree = Tree::new();
    tree.file("dags/a.py", "").file(".gitignore", "dags/\n");
    insta::assert_snapshot!(tree.problems(), @"ignored dags: git ignores the whole folder -> take the line that names it out of `.gitignore`");
}
