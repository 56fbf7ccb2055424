//! The host revision: its layout, its modes, what is missing from it.

use crate::tree::{Tree, problems};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use xtask::observe::host_revision::host_revision;

fn project() -> Tree {
    let tree = Tree::new();
    tree.file("airflow/host/appspec.yml", "version: 0.0\n").file("airflow/host/hooks/start", "#!/bin/sh\n");
    tree.file("airflow/host/units/worker.service", "").file("airflow/host/README.md", "");
    tree.file("airflow/host/tests/test_hooks.py", "").file("airflow/config/webserver_config.py", "");
    tree.file("airflow/ductwork_airflow/__init__.py", "").file("airflow/ductwork_airflow/smoke/dag.py", "");
    tree.file("airflow/ductwork_airflow/tests/test_x.py", "");
    tree.file("airflow/ductwork_airflow/__pycache__/x.cpython-311.pyc", "");
    tree.file("airflow/requirements.lock", "a==1\n").file("airflow/tools.lock", "uv==1\n");
    tree.file("airflow/requirements-mysql.lock", "b==1\n");
    tree.file("airflow/requirements.in", "a\n").file("plugins/menu.py", "").file("plugins/tests/kept.py", "");
    let mode = fs::Permissions::from_mode(0o750);
    fs::set_permissions(tree.path("airflow/host/hooks/start"), mode.clone()).unwrap();
    fs::set_permissions(tree.path("plugins/menu.py"), mode).unwrap();
    tree
}

#[test]
fn the_layout_is_that_of_the_contract() {
    let tree = project();
    let bundle = host_revision(tree.root(), &tree.cache()).unwrap();
    assert_eq!(bundle.path, tree.cache().join(format!("hosts/{}.zip", bundle.digest)));
    let mut archive = zip::ZipArchive::new(fs::File::open(&bundle.path).unwrap()).unwrap();
    let mut lines = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).unwrap();
        lines.push(format!("{:o} {}", entry.unix_mode().unwrap(), entry.name().unwrap()));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    100644 appspec.yml
    100644 config/webserver_config.py
    100644 ductwork_airflow/__init__.py
    100644 ductwork_airflow/smoke/dag.py
    100755 hooks/start
    100644 plugins/menu.py
    100644 plugins/tests/kept.py
    100644 requirements-mysql.lock
    100644 requirements.lock
    100644 tools.lock
    100644 units/worker.service
    "#);
}

/// The hosts get a new one by a rollout, since it is part of what the revision is named by.
#[test]
fn a_start_up_script_is_part_of_the_revision() {
    let tree = project();
    let digest = || host_revision(tree.root(), &tree.cache()).unwrap().digest;
    let without = digest();
    tree.file("airflow/host/startup.sh", "sysctl -w vm.swappiness=10\n");
    let first = digest();
    tree.file("airflow/host/startup.sh", "sysctl -w vm.swappiness=20\n");
    let second = digest();
    assert!(without != first && first != second && second != without);
}

#[test]
fn plugins_are_optional_and_everything_else_is_missed_at_once() {
    let tree = project();
    fs::remove_dir_all(tree.path("plugins")).unwrap();
    assert_eq!(host_revision(tree.root(), &tree.cache()).unwrap().files, 9);
    for gone in ["airflow/requirements.lock", "airflow/tools.lock", "airflow/host/appspec.yml"] {
        fs::remove_file(tree.path(gone)).unwrap();
    }
    fs::remove_dir_all(tree.path("airflow/ductwork_airflow")).unwrap();
    insta::assert_snapshot!(problems(host_revision(tree.root(), &tree.cache())), @r#"
    missing airflow/ductwork_airflow: there is no such folder -> restore it, for instance: git checkout -- airflow/ductwork_airflow
    missing airflow/host/appspec.yml: does not exist, and hosts need it to start -> restore it, for instance: git checkout -- airflow/host/appspec.yml
    missing airflow/requirements.lock: does not exist, and hosts need it to start -> restore it, for instance: git checkout -- airflow/requirements.lock
    missing airflow/tools.lock: does not exist, and hosts need it to start -> restore it, for instance: git checkout -- airflow/tools.lock
    "#);
}

#[test]
fn two_files_for_one_place() {
    let tree = project();
    tree.file("airflow/host/config/webserver_config.py", "").file("airflow/host/Plugins/menu.py", "");
    insta::assert_snapshot!(problems(host_revision(tree.root(), &tree.cache())), @r#"
    twice airflow/config/webserver_config.py: would be `config/webserver_config.py` on the host, as `airflow/host/config/webserver_config.py` is -> rename one of the two
    twice plugins/menu.py: would be `plugins/menu.py` on the host, as `airflow/host/Plugins/menu.py` is -> rename one of the two
    "#);
}

#[test]
fn the_mode_of_a_hook_is_part_of_the_revision() {
    let tree = project();
    let before = host_revision(tree.root(), &tree.cache()).unwrap().digest;
    let mode = fs::Permissions::from_mode(0o640);
    fs::set_permissions(tree.path("airflow/host/hooks/start"), mode).unwrap();
    assert_ne!(host_revision(tree.root(), &tree.cache()).unwrap().digest, before);
}
