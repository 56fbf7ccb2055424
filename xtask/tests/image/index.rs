//! A private package index: real uv, a real index that lets nobody in without the login, and no trace of that.

use super::locking::OTHERS;
use super::refusals::{refused, store};
use super::support::index::{Index, PASSWORD, USER, login, nowhere_in};
use super::support::project::Project;
use super::support::{Run, free_ports, repository};
use super::{SYSTEM, project, server, unpacked};
use std::fs;
use std::path::Path;
use xtask::doors::package_index;
use xtask::doors::toolchain::{self, Venv};
use xtask::model::event::Sink;
use xtask::model::secret::Secret;
use xtask::session::tree;

const IN: &str = "airflow/requirements.in";
const LOCK: &str = "airflow/requirements.lock";

fn only(index: &Index) -> String {
    format!("--index-url {}\nacme-tools\n", index.url)
}

/// A project with nothing to lock but these requirements.
fn requiring(text: &str) -> Project {
    let project = Project::new();
    OTHERS.iter().for_each(|name| project.remove(name));
    project.remove(LOCK);
    project.write(IN, text);
    project
}

/// With caches of its own, so that the index is asked, and without the index that this machine may have.
fn run(project: &Project, args: &[&str], env: &[(&str, &str)]) -> Run {
    let mut command = project.command(args);
    for name in ["UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"] {
        command.env_remove(name);
    }
    let cache = project.path().join("uv-cache");
    command.args(["--format", "json", "--verbose"]).env("UV_CACHE_DIR", cache).env("UV_HTTP_RETRIES", "0");
    let output = command.envs([SYSTEM]).envs(env.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[track_caller]
fn clean(project: &Project, run: &Run) {
    nowhere_in(project.path(), &format!("{}{}", run.stdout, run.stderr));
}

/// The wheel was fetched with the login, and the index never saw another one.
#[track_caller]
fn let_in(index: &Index) {
    let asked = index.asked();
    assert!(asked.iter().any(|(path, _)| path.ends_with("acme_tools-1.0-py3-none-any.whl")), "{asked:?}");
    assert!(asked.iter().all(|(_, login)| login == "right"), "{asked:?}");
}

#[test]
fn a_lock_has_packages_of_the_index_and_nothing_else_of_it() {
    let index = Index::start();
    for (requirements, others) in
        [(only(&index), 0), (format!("--extra-index-url {}\nacme-tools\nclick==8.1.7\n", index.url), 1)]
    {
        index.forget();
        let project = requiring(&requirements);
        let done = run(&project, &["lock"], &login(PASSWORD)).expect(0);
        let lock = project.read(LOCK);
        assert!(lock.contains("acme-tools==1.0 \\\n    --hash=sha256:"), "{lock}");
        assert_eq!(lock.matches("click==8.1.7").count(), others, "{lock}");
        assert!(!lock.contains("://"), "{lock}");
        clean(&project, &done);
        assert!(index.asked().contains(&("/simple/acme-tools/".to_owned(), "right".to_owned())));
        assert!(index.asked().iter().all(|(_, login)| login == "right"), "{:?}", index.asked());
    }
}

#[test]
fn a_login_in_a_url_is_refused_with_everything_else_that_is_wrong() {
    let index = Index::start();
    let host = index.url.strip_prefix("http://").unwrap();
    let project = requiring(&format!("acme-tools\n--index-url http://me:hunter2@{host}\n"));
    project.write("dev/requirements.in", "x\n--extra-index-url https://packages.example.com/simple/\n");
    let told = run(&project, &["lock"], &login(PASSWORD)).expect(2);
    let places =
        ["airflow/requirements.in:2", "credential", "dev/requirements.in:2", "DUCTWORK_INDEX_PASSWORD"];
    places.iter().for_each(|word| assert!(told.stdout.contains(word), "no `{word}` in {}", told.stdout));
    assert!(!told.stdout.contains("hunter2") && !told.stderr.contains("hunter2"), "{told:?}");
    assert!(index.asked().is_empty() && !project.path().join(LOCK).exists());
    let problems = tree::problems(project.path(), &[]).unwrap();
    let credential = problems.iter().find(|problem| problem.kind == "credential_in_url").unwrap();
    assert_eq!(credential.location, "airflow/requirements.in:2");
}

const BOTH_WAYS: [&str; 2] = ["DUCTWORK_INDEX_USERNAME", "secret set packages/index"];

#[test]
fn why_nothing_is_locked_is_told_with_its_cure() {
    let index = Index::start();
    let project = requiring(&only(&index));
    let lock = |env: &[(&str, &str)]| run(&project, &["lock"], env);
    refused(lock(&[]), 2, &[&["wants a login, and there is none", &index.url], &BOTH_WAYS[..]].concat());
    let wrong = lock(&login("another"));
    assert!(!wrong.stdout.contains("another"), "{wrong:?}");
    refused(wrong, 2, &[&["refuses the login of `me@acme`"], &BOTH_WAYS[..]].concat());

    project.write(IN, &only(&index).replace("acme-tools", "acme-other"));
    refused(
        lock(&login(PASSWORD)),
        2,
        &["acme-other", "answers: if a package is not on it, publish it there"],
    );

    project.write(IN, &format!("--index-url http://127.0.0.1:{}/simple/\nacme-tools\n", free_ports()));
    let silent = lock(&login(PASSWORD));
    clean(&project, &silent);
    refused(silent, 2, &["does not answer", "HTTPS_PROXY", IN]);
    assert!(!project.path().join(LOCK).exists());
}

/// A project whose image has the package besides.
fn imaged(index: &Index, base: &str) -> Project {
    let project = project(base, "");
    project.write(IN, &format!("--extra-index-url {}\nacme-tools\n", index.url));
    let other = requiring(&project.read(IN));
    run(&other, &["lock"], &login(PASSWORD)).expect(0);
    project.edit(LOCK, |lock| format!("{lock}{}", other.read(LOCK)));
    project
}

#[test]
fn an_image_has_the_package_and_not_the_login() {
    let Some(registry) = server(None) else { return };
    let index = Index::start();
    let project = imaged(&index, &registry.base(&["amd64"]));
    let build = |env: &[(&str, &str)]| {
        run(&project, &["image", "build", "--env", "local", "--sbom", "sbom.json"], env)
    };
    refused(build(&[]), 2, &[&["wants a login", "the local cloud is not running"], &BOTH_WAYS[..]].concat());

    index.forget();
    let built = build(&login(PASSWORD)).expect(0);
    let_in(&index);
    let blobs = fs::read_dir(project.path().join(".ductwork/cache/image/blobs")).unwrap().flatten();
    let layers =
        blobs.map(|blob| blob.path()).filter(|path| fs::read(path).unwrap().starts_with(b"\x1f\x8b"));
    assert!(
        layers
            .map(|path| unpacked(&path))
            .any(|files| files.keys().any(|name| name.ends_with("/acme_tools.py")))
    );
    assert!(project.read("sbom.json").contains("acme-tools"));
    clean(&project, &built);

    index.forget();
    build(&[]).expect(0);
    assert!(index.asked().is_empty(), "a layer that is there needs no index and no login");
}

#[test]
fn the_login_of_an_environment_is_read_from_secrets_manager() {
    let Some(registry) = server(None) else { return };
    let index = Index::start();
    let project = imaged(&index, &registry.base(&["amd64"]));
    own_environments(&project);
    run(&project, &["local", "up"], &[]).expect(0);
    store(&project, "packages/index", "hunter2");
    let build = || run(&project, &["image", "build", "--env", "local"], &[]);
    let unfit = build();
    assert!(!unfit.stdout.contains("hunter2"), "{unfit:?}");
    refused(unfit, 2, &["does not hold a login", "wants a login"]);

    store(&project, "packages/index", &format!("{{\"username\": \"{USER}\", \"password\": \"{PASSWORD}\"}}"));
    index.forget();
    let built = build().expect(0);
    let_in(&index);
    // Secrets Manager itself is in the other folder.
    for folder in ["airflow", "environments", ".ductwork/cache", "uv-cache"] {
        nowhere_in(&project.path().join(folder), &format!("{}{}", built.stdout, built.stderr));
    }

    // The check of DAGs installs the lock for this machine. This one has no Airflow in it, so nothing comes after.
    project.edit(LOCK, |lock| lock[lock.find("acme-tools==").unwrap()..].to_owned());
    fs::remove_dir_all(project.path().join("uv-cache")).unwrap();
    index.forget();
    let planned = run(&project, &["plan", "--env", "local"], &[]);
    let_in(&index);
    nowhere_in(&project.path().join(".ductwork/venvs"), &format!("{}{}", planned.stdout, planned.stderr));
}

/// Nothing that a test installs gets into the environments that all tests share.
fn own_environments(project: &Project) {
    let folder = project.path().join(".ductwork/venvs");
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(repository().join(".ductwork/venvs")).unwrap().flatten() {
        if entry.path().is_dir() {
            std::os::unix::fs::symlink(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
}

/// uv comes by pip from what stands in the place of PyPI; the package stands for it here.
#[test]
fn uv_comes_from_the_index_in_place_of_pypi() {
    let index = Index::start();
    let project = requiring(&only(&index));
    run(&project, &["lock"], &login(PASSWORD)).expect(0);
    own_environments(&project);
    project.write("airflow/tools.lock", &project.read(LOCK));
    let with = |password: &str| {
        let login = package_index::Login {
            user: USER.to_owned(),
            password: Secret::new(password),
            origin: "a test".to_owned(),
        };
        package_index::Index::of(project.path()).unwrap().with(Ok(Some(login)))
    };
    index.forget();
    let refused = toolchain::uv(project.path(), Some(&with("another")), &Sink::null()).unwrap_err();
    assert!(
        refused
            .causes()
            .iter()
            .any(|cause| cause.contains("refuses the login of `me@acme`, which is from a test")),
        "{refused:?}"
    );
    index.forget();
    let uv = toolchain::uv(project.path(), Some(&with(PASSWORD)), &Sink::null()).unwrap();
    let_in(&index);
    nowhere_in(uv.parent().and_then(Path::parent).unwrap(), "");
    assert!(!toolchain::is_made(project.path(), Venv::Airflow).unwrap());
}
