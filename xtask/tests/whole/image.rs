//! Airflow from the container image of all locked packages: built without a daemon, pushed, and run by Docker.

use crate::support::project::Project;
use crate::support::registry::Server;
use crate::support::{repository, say};
use std::process::Command;
use xtask::doors::toolchain::{self, Venv};
use xtask::model::event::Sink;

pub fn works(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

/// A registry and, in it, a base with Debian's Python; or the reason why the test is skipped.
pub fn server() -> Result<(Server, String), &'static str> {
    if !works("docker", "info") {
        return Err("there is no Docker");
    }
    if !works("debootstrap", "--help") && !repository().join(".ductwork/servers/base.tar").is_file() {
        return Err("there is no debootstrap");
    }
    let server =
        Server::start(None).ok_or("there is no docker-registry, and dev/registry.sh cannot fetch it")?;
    let base = format!("{}/base:3", server.host());
    let made = Command::new(repository().join("dev/base.sh")).arg(&base).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok((server, base))
}

/// What the tool is told, if this machine has the Python of that base.
pub fn system_python() -> &'static [(&'static str, &'static str)] {
    if works("python3.11", "--version") { &[("UV_PYTHON_PREFERENCE", "only-system")] } else { &[] }
}

#[test]
fn airflow_runs_from_the_image() {
    let (server, base) = match server() {
        Ok(server) => server,
        Err(why) => return say(&format!("SKIPPED: Airflow from the image: {why}")),
    };
    let project = Project::new();
    project.share_layers();
    project.edit("environments/local.toml", |text| {
        let host = server.host();
        format!(
            "{text}\n[image]\nbase = '{base}'\npython = '3.11'\ninterpreter = '/usr/bin/python3.11'\n\
             repository = '{host}/airflow'\n"
        )
    });
    let own = system_python();
    let pushed =
        project.run_with(&["image", "push", "--env", "local", "--format", "json"], own).expect(0).json();
    strangers_take(pushed["image"].as_str().unwrap(), project.path());
    podman_runs(pushed["image"].as_str().unwrap());

    // With a package of Debian's between base and ours, which Docker installs.
    let bare = layers(&project, own);
    project.edit("environments/local.toml", |text| format!("{text}packages = ['libpq5']\n"));
    let with_package = layers(&project, own);
    assert_eq!(with_package.len(), bare.len() + 1);
    assert_eq!(with_package.last(), bare.last(), "the project's layer is the same");
    let run = |words: &[&str]| {
        let image =
            project.run_with(&["image", "push", "--env", "local", "--format", "json"], own).expect(0).json();
        let image = image["image"].as_str().unwrap().to_owned();
        let output = Command::new("docker")
            .args(["run", "--rm", "--network", "none", &image])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(run(&["sh", "-c", "ls /usr/lib/*/libpq.so.5"]).contains("libpq.so.5"));
    assert_eq!(run(&["id", "-u"]).trim(), "50000");
    project.edit("environments/local.toml", |text| text.replace("['libpq5']", "['no-such-package']"));
    let refused = project.run_with(&["image", "build", "--env", "local"], own).expect(1).stderr;
    assert!(
        refused.contains("cannot build airflow/Dockerfile") && refused.contains("no-such-package"),
        "{refused}"
    );
    project.edit("environments/local.toml", |text| text.replace("packages = ['no-such-package']\n", ""));

    // The gate of DAGs with the packages that are in the image.
    project.run_with(&["image", "check", "--env", "local"], own).expect(0);
    project.write("dags/broken.py", "from airflow.sdk import dag\nimport nothing_here\n");
    let checked = project.run_with(&["image", "check", "--env", "local"], own).expect(2);
    assert!(checked.stderr.contains("dags/broken.py:2"), "{}", checked.stderr);

    let python = toolchain::venv(&repository(), Venv::Airflow, &Sink::null()).unwrap().join("bin/python");
    toolchain::venv(&repository(), Venv::Dev, &Sink::null()).unwrap();
    let output = Command::new(python)
        .args(["dev/run_pytest.py", "airflow/tests/running_image.py", "-q"])
        .env("DUCTWORK_TEST_IMAGE", pushed["image"].as_str().unwrap())
        .current_dir(repository())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    say("    Airflow ran from the image");
}

fn layers(project: &Project, own: &[(&str, &str)]) -> Vec<String> {
    let built =
        project.run_with(&["image", "build", "--env", "local", "--format", "json"], own).expect(0).json();
    let layers = built["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

/// Tools that know nothing of this project copy the image, unpack it, and start it.
fn strangers_take(image: &str, folder: &std::path::Path) {
    if !works("skopeo", "--version") {
        return say("SKIPPED: copies of the image: there is no skopeo");
    }
    let file = folder.join("image.tar");
    let run = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{program} {words:?}: {text}");
        text
    };
    let (source, target) =
        (format!("docker://{image}"), format!("docker-archive:{}:copied:1", file.display()));
    run("skopeo", &["copy", "--quiet", "--src-tls-verify=false", &source, &target]);
    run("docker", &["load", "--quiet", "--input", file.to_str().unwrap()]);
    let version = run("docker", &["run", "--rm", "--network", "none", "copied:1", "airflow", "version"]);
    run("docker", &["rmi", "copied:1"]);
    assert!(version.contains("3."), "{version}");
}

/// A user of Podman, whose storage knows nothing of Docker's, runs the image by its name.
fn podman_runs(image: &str) {
    if !works("podman", "info") {
        return say("SKIPPED: the image run by Podman: there is no podman");
    }
    // Limits that any user may have: in a container, the default ones may be above those of its own.
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    // Docker's runtime, since crun refuses a machine with control groups of both versions.
    let runtime: &[&str] = if works("runc", "--version") { &["--runtime", "runc"] } else { &[] };
    let output = Command::new("podman")
        .args(runtime)
        .args(["run", "--rm", "--tls-verify=false", "--network", "none"])
        .args(limits)
        .args([image, "airflow", "version"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("3."), "{text}");
    let gone = Command::new("podman").args(["rmi", image]).output().unwrap();
    assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
}
