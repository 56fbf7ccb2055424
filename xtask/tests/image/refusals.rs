//! What cannot be built or pushed is told with its cure.

use super::support::project::Project;
use super::support::registry::minor;
use super::{SYSTEM, image, project, server};
use crate::support::free_ports;
use std::io::Write as _;
use std::process::Stdio;

#[track_caller]
pub fn refused(run: super::support::Run, code: i32, words: &[&str]) {
    let run = run.expect(code);
    for word in words {
        assert!(run.stdout.contains(word), "no `{word}` in {}", run.stdout);
    }
}

#[test]
fn a_base_that_is_not_there_or_for_another_architecture() {
    let Some(server) = server(None) else { return };
    let base = server.base(&["amd64"]);
    let absent = project(&base.replace("base:3", "base:4"), "");
    refused(image(&absent, "build"), 2, &["there is no base image", "image.base"]);
    let foreign = project(&base, "architectures = ['arm64']");
    refused(image(&foreign, "build"), 2, &["is not for linux/arm64", "it is for linux/amd64"]);
}

#[test]
fn a_registry_that_nobody_can_reach() {
    let Some(server) = server(None) else { return };
    let nowhere = format!("127.0.0.1:{}", free_ports());
    let base = project(&format!("{nowhere}/base:3"), "");
    refused(image(&base, "build"), 1, &["cannot reach the registry", "proxy or firewall"]);
    let target = project(&server.base(&["amd64"]), &format!("repository = '{nowhere}/airflow'"));
    refused(image(&target, "push"), 1, &["cannot reach the registry"]);
}

/// `hunter2` as htpasswd has it, with the least rounds.
const HUNTER2: &str = "$2b$04$NsnCm.AeaDMKblGlU/RQ0eoT9oApgi8mhCelHxf8xl7s51Q/OUr3W";

#[test]
fn a_registry_wants_a_login_and_no_output_shows_it() {
    let Some(open) = server(None) else { return };
    let Some(closed) = server(Some(HUNTER2)) else { return };
    let base = open.base(&["amd64"]);
    let project = project(&base, &format!("repository = '{}/airflow'", closed.host()));
    refused(image(&project, "push"), 1, &["does not let you use", "image.repository"]);
    let push = |password: &str| {
        let login = [("DUCTWORK_REGISTRY_USERNAME", "me"), ("DUCTWORK_REGISTRY_PASSWORD", password), SYSTEM];
        project.run_with(&["image", "push", "--env", "local", "--format", "json", "--verbose"], &login)
    };
    refused(push("wrong"), 1, &["does not let you use"]);
    let pushed = push("hunter2").expect(0);
    assert_eq!(pushed.json()["pushed"], true);
    assert!(!pushed.stdout.contains("hunter2") && !pushed.stderr.contains("hunter2"), "{pushed:?}");

    // From Secrets Manager, where there are no such variables.
    project.write("plugins/ours.py", "X = 1\n");
    store(&project, "image/registry", "{\"username\": \"me\", \"password\": \"hunter2\"}");
    assert_eq!(image(&project, "push").expect(0).json()["pushed"], true);
    store(&project, "image/registry", "hunter2");
    let unfit = image(&project, "push").expect(2);
    assert!(unfit.stdout.contains("does not hold a login") && !unfit.stdout.contains("hunter2"), "{unfit:?}");
}

pub fn store(project: &Project, name: &str, value: &str) {
    let mut command = project.command(&["secret", "set", name, "--env", "local"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_package_without_a_wheel_is_named() {
    let Some(server) = server(None) else { return };
    let project = project(&server.base(&["amd64"]), "");
    // On PyPI as source alone.
    project.edit("airflow/requirements.lock", |lock| {
        format!("{lock}docopt==0.6.2 --hash=sha256:49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491\n")
    });
    refused(image(&project, "build"), 2, &["docopt", "image.compile", "airflow/requirements.in", "wheel"]);
}

#[test]
fn a_base_with_another_python() {
    let Some(server) = server(None) else { return };
    let project = project(&server.base(&["amd64"]), "");
    let other = if minor() == "3.12" { "3.13" } else { "3.12" };
    project.edit("environments/local.toml", |text| {
        text.replace(&format!("python = \"{}\"", minor()), &format!("python = \"{other}\""))
    });
    let told = image(&project, "build").expect(2).stdout;
    let without = format!("there is no Python {other}");
    assert!(told.contains(&without) || told.contains("the base image has Python"), "{told}");
}
