//! Makes the container image of this project, without a daemon: layers in the cache, documents about them.

pub mod base;
pub mod builder;
pub mod cache;
pub mod environment;
pub mod locked;
pub mod login;
pub mod packages;
pub mod project;
pub mod stored;
pub mod system;
pub mod task;
pub mod wheels;

use crate::config::Container;
use crate::doors::toolchain::Python;
use crate::doors::{env, git, time};
use crate::model::digest::Digest;
use crate::model::image::{Layer, Start, places};

use std::collections::BTreeMap;
use std::path::Path;

/// What an image is made of, known before it is made. The same recipe makes the same image.
pub struct Recipe {
    /// The tag: a hash of everything here.
    pub tag: String,
    /// The layer of this project.
    pub project: Layer,
}

impl Recipe {
    /// `packages` are the keys of the layers of packages, `base` is named by its digest.
    #[must_use]
    pub fn new(
        project: Layer,
        packages: &[Digest],
        base: &str,
        system: Option<Digest>,
        container: &Container,
        start: &Start,
    ) -> Self {
        let packages: Vec<String> = packages.iter().map(ToString::to_string).collect();
        let parts = serde_json::json!({
            "project": project.digest,
            "packages": packages,
            "base": base,
            "system": system,
            "start": format!("{start:?}"),
            "interpreter": container.interpreter.as_str(),
            "architectures": container.architectures.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        });
        Self { tag: Digest::of(parts.to_string().as_bytes()).to_string(), project }
    }
}

/// What one image has that others have not.
#[derive(Clone, Debug)]
pub struct Kind {
    /// What it says it is.
    pub title: String,
    /// Whose last change is its date.
    pub paths: Vec<String>,
    pub locks: Vec<String>,
    pub start: Start,
}

impl Kind {
    /// The image of every component.
    #[must_use]
    pub fn airflow() -> Self {
        Self {
            title: "airflow".to_owned(),
            paths: ["airflow", "plugins", ":!airflow/base.lock"].map(str::to_owned).into(),
            locks: packages::LOCKS.map(str::to_owned).into(),
            start: start(""),
        }
    }
}

/// What a container starts with, short of what tells where the image comes from.
#[must_use]
pub fn start(tag: &str) -> Start {
    let root = |place: &str| format!("/{place}");
    let home = format!("{}/airflow", root(places::STATE));
    let bin = format!("{}/bin", root(places::VENV));
    let revision = root(places::REVISION);
    let variables = [
        ("AIRFLOW_HOME", home.clone()),
        ("AIRFLOW__CORE__LOAD_EXAMPLES", "False".to_owned()),
        ("AIRFLOW__CORE__PLUGINS_FOLDER", format!("{revision}/plugins")),
        ("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", format!("{}/bundles", root(places::STATE))),
        ("AIRFLOW__FAB__CONFIG_FILE", format!("{revision}/config/webserver_config.py")),
        ("AIRFLOW__LOGGING__BASE_LOG_FOLDER", format!("{}/airflow", root(places::LOGS))),
        ("DUCTWORK_QUEUES", "default".to_owned()),
        ("DUCTWORK_REVISION", tag.to_owned()),
        ("DUCTWORK_STATE", root(places::STATE)),
        ("HOME", home),
        ("LANG", "C.UTF-8".to_owned()),
        // The user has a number and no name.
        ("LOGNAME", "airflow".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("PYTHONPATH", revision),
        ("USER", "airflow".to_owned()),
    ];
    let (init, python) = (format!("{bin}/dumb-init"), format!("{bin}/python"));
    // To the component alone: Celery and Airflow tell their own children what to do.
    let entrypoint = [&init, "--single-child", "--", &python, "-m", "ductwork_airflow.images.start"];
    let (user, group) = places::OWNER;
    Start {
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        path: vec![bin],
        entrypoint: entrypoint.map(str::to_owned).to_vec(),
        user: format!("{user}:{group}"),
        // Not below the state: where a volume hides that, the folder would be made anew, and belong to root.
        folder: root(places::HOME),
        ports: vec!["8080/tcp".to_owned()],
        volumes: vec![root("tmp"), root(places::STATE), root(places::LOGS)],
        labels: BTreeMap::new(),
        created: String::new(),
    }
}

/// What an image says of where it comes from.
#[must_use]
pub fn labels(
    root: &Path,
    base: Option<&str>,
    name: String,
    compiler: &Python,
    (title, paths): (&str, &[&str]),
) -> (BTreeMap<String, String>, String) {
    let change = git::last_change(root, paths);
    let created = env::source_date_epoch().or(change.as_ref().map(|change| change.time)).unwrap_or_default();
    let created = time::rfc3339(created);
    let mut labels =
        BTreeMap::from([("created", created.clone()), ("title", title.to_owned()), ("base.name", name)]);
    labels.extend(base.map(|digest| ("base.digest", digest.to_owned())));
    labels.extend(change.map(|change| ("revision", change.commit)));
    labels.extend(git::origin(root).map(|origin| ("source", origin)));
    let mut named: BTreeMap<String, String> =
        labels.into_iter().map(|(name, value)| (format!("org.opencontainers.image.{name}"), value)).collect();
    named.insert("ductwork.python".to_owned(), compiler.version.clone());
    (named, created)
}
