//! Which builder makes packages of the system, and what is told if none can. The builders are scripts: what the real ones
//! make is tested in `tests/whole`.

use super::support::Run;
use super::support::project::Project;
use super::support::registry::minor;
use super::{SYSTEM, project, server};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// A path with git and Python on it and nothing that builds images.
fn bare(project: &Project) -> String {
    script(project, "git", "exec /usr/bin/git \"$@\"");
    let folder = project.path().join("bin");
    // Itself, not what chooses between several.
    let asked = Command::new(xtask::doors::toolchain::python().unwrap().path)
        .args(["-c", "import os, sys; print(os.path.realpath(sys.executable), end='')"])
        .output()
        .unwrap();
    let python = String::from_utf8(asked.stdout).unwrap();
    for name in ["python3".to_owned(), format!("python{}", minor())] {
        std::os::unix::fs::symlink(&python, folder.join(name)).unwrap();
    }
    folder.display().to_string()
}

fn script(project: &Project, name: &str, text: &str) {
    let name = format!("bin/{name}");
    project.write(&name, &format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(project.path().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn build(project: &Project, path: &str) -> Run {
    project.run_with(&["image", "build", "--env", "local", "--format", "json"], &[SYSTEM, ("PATH", path)])
}

#[track_caller]
fn told(run: Run, code: i32, words: &[&str]) -> String {
    let text = run.expect(code).stdout;
    for word in words {
        assert!(text.contains(word), "no `{word}` in {text}");
    }
    text
}

#[test]
fn packages_of_the_system_need_a_builder_and_nothing_else_does() {
    let Some(server) = server(None) else { return };
    let project = project(&server.base(&["amd64"]), "packages = ['libpq5']");
    let path = bare(&project);
    let nothing =
        ["nothing on this machine builds airflow/Dockerfile", "image.packages", "docker, podman, buildah"];
    told(build(&project, &path), 2, &nothing);
    project.edit("environments/local.toml", |text| text.replace("packages = ['libpq5']\n", ""));
    build(&project, &path).expect(0);
}

const STOPPED: &str = "echo 'Cannot connect to the Docker daemon' >&2; exit 1";
/// Works, and cannot build anything.
const WORKS: &str = "[ \"$1\" = info ] || { echo \"asked to $*\" >&2; exit 1; }";

#[test]
fn a_service_that_is_down_is_told_or_another_builder_is_taken() {
    let Some(server) = server(None) else { return };
    let project = project(&server.base(&["amd64"]), "packages = ['libpq5']");
    let path = bare(&project);
    script(&project, "docker", STOPPED);
    let down = [
        "docker is installed and does not work",
        "Cannot connect to the Docker daemon",
        "systemctl start docker",
    ];
    told(build(&project, &path), 2, &down);

    script(&project, "podman", WORKS);
    told(
        build(&project, &path),
        1,
        &["podman cannot build airflow/Dockerfile", "asked to build", "--target system"],
    );

    // The one that is named, and no other.
    project.edit("environments/local.toml", |text| format!("{text}builder = 'docker'\n"));
    let text = told(build(&project, &path), 2, &down);
    assert!(!text.contains("asked to build"), "{text}");
    project.edit("environments/local.toml", |text| text.replace("'docker'", "'buildah'"));
    told(build(&project, &path), 2, &["there is no buildah on the path, which `image.builder` names"]);
}

#[test]
fn what_is_to_be_compiled_has_to_be_locked() {
    let Some(server) = server(None) else { return };
    let project = project(&server.base(&["amd64"]), "compile = ['click', 'mysqlclient', 'no-such']");
    let path = bare(&project);
    let absent = ["names `mysqlclient`, `no-such`", "airflow/requirements.in", "cargo xtask lock"];
    told(build(&project, &path), 2, &absent);
    // What is locked is compiled by a builder.
    project.edit("environments/local.toml", |text| text.replace("'mysqlclient', 'no-such'", ""));
    script(&project, "docker", WORKS);
    told(build(&project, &path), 1, &["docker cannot build", "--target wheels", "image.build_packages"]);
}
