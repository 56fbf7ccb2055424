//! What of an image needs a builder: packages of the system and wheels made from source, by Docker and by Podman.

use crate::image::{server, system_python, works};
use crate::support::project::Project;
use crate::support::registry::Server;
use crate::support::{Run, say};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Command;

/// What Debian's Python needs to compile mysqlclient, and what the result needs to run.
const SETTINGS: &str = "compile = ['mysqlclient']\n\
    build_packages = ['gcc', 'libc6-dev', 'libmariadb-dev', 'pkg-config', 'python3-dev', 'python3-pip']\n\
    packages = ['libmariadb3']\n";

/// Two small packages and one that is published as source alone.
fn project(base: &str, repository_of: &str, settings: &str) -> Project {
    let project = Project::new();
    let mysql = locked(&project.read("airflow/requirements-mysql.lock"), "mysqlclient");
    project.edit("airflow/requirements.lock", |lock| {
        ["click", "markupsafe"].map(|name| locked(lock, name)).concat() + &mysql
    });
    project.edit("environments/local.toml", |text| {
        format!(
            "{text}\n[image]\nbase = '{base}'\npython = '3.11'\ninterpreter = '/usr/bin/python3.11'\n\
             repository = '{repository_of}/compiled'\n{settings}"
        )
    });
    project
}

/// The lines of one package in a lock.
fn locked(lock: &str, name: &str) -> String {
    let start = lock.find(&format!("\n{name}==")).unwrap() + 1;
    let lines = lock[start..].lines().enumerate();
    let own = lines.take_while(|(at, line)| *at == 0 || line.starts_with(' '));
    own.map(|(_, line)| format!("{line}\n")).collect()
}

fn image(project: &Project, verb: &str, env: &[(&str, &str)]) -> Run {
    let all: Vec<_> = system_python().iter().chain(env).copied().collect();
    project.run_with(&["image", verb, "--env", "local", "--format", "json"], &all)
}

/// Layers from the bottom up: whether they are of the base, and their digests.
fn layers(built: &Value) -> Vec<(bool, String)> {
    let layers = built["layers"].as_array().unwrap().iter();
    layers.map(|layer| (layer["base"] == true, layer["digest"].as_str().unwrap().to_owned())).collect()
}

/// The layers that this project adds last: packages and project.
fn ours(built: &Value) -> Vec<String> {
    let mut digests: Vec<String> = layers(built).into_iter().map(|(_, digest)| digest).collect();
    digests.split_off(digests.len() - 2)
}

fn blob(project: &Project, server: &Server, (of_base, digest): &(bool, String)) -> PathBuf {
    let hex = digest.trim_start_matches("sha256:");
    if *of_base {
        server.stored(digest)
    } else {
        project.path().join(".ductwork/cache/image/blobs").join(hex)
    }
}

/// Every file of an image as it is in the end, with its content's length and its mode.
fn listing(project: &Project, server: &Server, built: &Value) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for layer in layers(built) {
        let gzip =
            flate2::read::MultiGzDecoder::new(std::fs::File::open(blob(project, server, &layer)).unwrap());
        for entry in tar::Archive::new(gzip).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.trim_start_matches("./").trim_end_matches('/').to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let head = entry.header();
            let about = format!(
                "{:?} {:o} {}",
                head.entry_type(),
                head.mode().unwrap() & 0o7777,
                head.uid().unwrap()
            );
            files.insert(name, format!("{about} {}", xtask::model::digest::Digest::of(&content)));
        }
    }
    files
}

fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn what_is_published_as_source_is_compiled() {
    let (server, base) = match server() {
        Ok(server) => server,
        Err(why) => return say(&format!("SKIPPED: a compiled package: {why}")),
    };
    let host = server.host();
    let refused = image(&project(&base, &host, ""), "build", &[]).expect(2).stdout;
    assert!(refused.contains("mysqlclient") && refused.contains("image.compile"), "{refused}");

    let first = project(&base, &host, SETTINGS);
    let built = image(&first, "build", &[]).expect(0).json();
    let pushed = image(&first, "push", &[]).expect(0).json();
    let pushed = pushed["image"].as_str().unwrap();
    let run = |words: &[&str]| docker(&[&["run", "--rm", "--network", "none", pushed], words].concat());
    let version = run(&["python", "-c", "import MySQLdb; print('client', MySQLdb.get_client_info())"]);
    assert!(version.starts_with("client 3."), "{version}");
    assert_eq!(
        run(&["sh", "-c", "command -v python3 gcc pip3; ls /wheels 2>&1"]).lines().next(),
        Some("/opt/ductwork/venv/bin/python3")
    );
    assert!(!run(&["sh", "-c", "command -v gcc pip3 || ls /wheels"]).contains("requirements"));

    // Compiled once more, in another folder and at another time, by Docker and by Podman.
    let again = |settings: &str| {
        let second = project(&base, &host, &format!("{SETTINGS}{settings}"));
        second.edit("airflow/Dockerfile", |text| text.replace("ENV SOURCE", "ENV AGAIN=1\nENV SOURCE"));
        second
    };
    let second = image(&again(""), "build", &[]).expect(0).json();
    assert_eq!(ours(&second), ours(&built), "the same bytes from the same source");
    if works("podman", "info") {
        // Without a runtime of containers, which makes no control group where the machine has those of both versions.
        let stopped = [("DOCKER_HOST", "unix:///nowhere/docker.sock"), ("BUILDAH_ISOLATION", "chroot")];
        let third = again("");
        let run = image(&third, "build", &stopped).expect(0);
        assert_eq!(ours(&run.json()), ours(&built), "Docker's service is down, so Podman has compiled it");
    } else {
        say("SKIPPED: a package compiled by Podman: there is no podman");
    }

    // A source that is not the locked one.
    let forged = project(&base, &host, SETTINGS);
    forged.edit("airflow/requirements.lock", |lock| {
        let mysql = locked(&format!("\n{lock}"), "mysqlclient");
        let forged = mysql.lines().next().unwrap();
        lock.replace(&mysql, &format!("{forged}\n    --hash=sha256:{}\n", "00".repeat(32)))
    });
    let refused = image(&forged, "build", &[]).expect(1).stdout;
    assert!(
        refused.contains("docker cannot build airflow/Dockerfile") && refused.contains(&"00".repeat(32)),
        "{refused}"
    );
}

/// What packages of the system bring is all that differs.
#[test]
fn packages_of_the_system_add_their_files_and_change_no_other() {
    let (server, base) = match server() {
        Ok(server) => server,
        Err(why) => return say(&format!("SKIPPED: both ways to build: {why}")),
    };
    let plain = project(&base, &server.host(), "");
    plain.edit("airflow/requirements.lock", |lock| locked(&format!("\n{lock}"), "click"));
    let native = image(&plain, "build", &[]).expect(0).json();
    let without = listing(&plain, &server, &native);
    plain.edit("environments/local.toml", |text| format!("{text}packages = ['libpq5']\n"));
    let by_docker = image(&plain, "build", &[]).expect(0).json();
    let with = listing(&plain, &server, &by_docker);

    assert_eq!(ours(&native), ours(&by_docker), "our layers are the same bytes");
    assert_eq!(layers(&native)[0], layers(&by_docker)[0], "and so is the base");
    let lost: Vec<&String> = without.keys().filter(|name| !with.contains_key(*name)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let changed: BTreeSet<&str> = with
        .iter()
        .filter(|(name, about)| without.get(*name) != Some(about))
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(changed.iter().any(|name| name.contains("libpq.so.5")), "{changed:?}");
    let foreign = |name: &&&str| {
        let top = name.split('/').next().unwrap_or_default();
        !["usr", "etc", "var"].contains(&top)
            || name.starts_with("var/lib/ductwork")
            || name.starts_with("var/log/ductwork")
    };
    let foreign: Vec<&&str> = changed.iter().filter(foreign).collect();
    let told: Vec<_> = foreign.iter().map(|name| (name, without.get(**name), with.get(**name))).collect();
    assert!(foreign.is_empty(), "{told:?}");
}

/// Without what runs programs of another architecture, the builder's own words are not enough.
#[test]
fn packages_for_another_architecture_are_built_or_the_cure_is_told() {
    let (server, _) = match server() {
        Ok(server) => server,
        Err(why) => return say(&format!("SKIPPED: packages for another architecture: {why}")),
    };
    let (other, told) = if cfg!(target_arch = "x86_64") { ("arm64", "arm64") } else { ("amd64", "x86_64") };
    // An image with nothing that runs: what installs packages cannot start anywhere.
    let project = project(&server.base(&[other]), &server.host(), "packages = ['libpq5']\n");
    project.edit("airflow/requirements.lock", |lock| locked(&format!("\n{lock}"), "click"));
    let settings = format!("architectures = ['{told}']\npackages");
    project.edit("environments/local.toml", |text| text.replace("packages", &settings));
    let refused = image(&project, "build", &[]).expect(1).stdout;
    for word in
        ["docker cannot build airflow/Dockerfile", "qemu-user-static", &format!("the image is for {told}")]
    {
        assert!(refused.contains(word), "no `{word}` in {refused}");
    }
}
