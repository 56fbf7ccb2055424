//! Lets the locked Airflow parse the very zip that is to be deployed, in a clean subprocess; reads the list
//! of DAGs that is kept beside a bundle.

use crate::config::Environment;
use crate::doors::local_cloud;
use crate::doors::package_index::Index;
use crate::doors::proc::Cmd;
use crate::doors::store::Store;
use crate::doors::toolchain::{self, Venv};
use crate::doors::{env, fs, unpack};
use crate::fail::{Fail, Problem, Result};
use crate::model::dags::{DagIndex, Parsed};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::names;
use crate::model::objects::{Connection, Objects, Variable};
use crate::model::text::tail;
use crate::model::upgrade::Deprecation;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the validator says of a whole bundle; see `ductwork_airflow.release.validate`.
#[derive(Debug, Deserialize)]
struct Report {
    dags: DagIndex,
    problems: Vec<Found>,
    #[serde(default)]
    files: Vec<IgnoredAny>,
    #[serde(default)]
    parsed: usize,
    #[serde(default)]
    warnings: Vec<Deprecation>,
}

#[derive(Debug, Deserialize)]
struct Found {
    kind: String,
    file: Option<String>,
    line: Option<u32>,
    message: String,
    hint: Option<String>,
}

/// The DAGs of a bundle as they were parsed before it was released; none if nobody wrote the list down, or
/// if it is damaged.
pub async fn listed(store: &Store, bundle: &Digest) -> Result<Option<DagIndex>> {
    let list = store.bytes(&names::bundle_index_key(bundle)).await?;
    Ok(list.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Whether a file is parsed again that gave its result before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    Used,
    /// Only a file that is parsed tells what it uses that is deprecated.
    Ignored,
}

/// How DAG files are parsed.
#[derive(Clone, Debug)]
pub struct Parsing {
    /// How long the import of one file may take.
    pub per_file: Duration,
    /// Environment variables, as tasks have them.
    pub variables: BTreeMap<String, String>,
    /// What runs tasks, separated by commas: a DAG may name one.
    pub executors: String,
    /// The Python whose packages count; without one it is that of the lock of hosts.
    pub python: Option<PathBuf>,
    /// Where that lock is installed from, if it is to be and not only the variables of this process say so.
    pub index: Option<Index>,
    pub memory: Memory,
    /// Whether a process stays that has imported Airflow for the next time: as long as the local cloud runs.
    pub warm: bool,
}

impl Parsing {
    /// As on the hosts of the environment, but for secrets: connections and variables come from Airflow's own
    /// environment variables.
    #[must_use]
    pub fn of(environment: &Environment, objects: &Objects) -> Self {
        let variables = environment.env.iter().map(|(name, value)| (name.to_string(), value.clone()));
        let tasks = environment.external_tasks_stand_in().map(|told| ("DUCTWORK_ECS_TASKS".to_owned(), told));
        let variables = variables.chain(tasks).chain(stand_ins(objects)).collect();
        let executors = environment.executors();
        let per_file = environment.dags.parse_timeout;
        let warm = environment.is_local();
        Self { per_file, variables, executors, python: None, index: None, memory: Memory::Used, warm }
    }
}

impl Parsing {
    fn cache(&self, root: &Path) -> Vec<OsString> {
        match self.memory {
            Memory::Used => vec!["--cache".into(), root.join(".ductwork/cache/dags").into()],
            Memory::Ignored => Vec::new(),
        }
    }

    /// A check with a Python of its own is one for once.
    fn place_to_wait(&self, root: &Path) -> Vec<OsString> {
        if !self.warm || self.python.is_some() || local_cloud::is_new(root) {
            return Vec::new();
        }
        vec!["--warm".into(), local_cloud::state(root).into()]
    }
}

/// What is no secret, as `AIRFLOW_CONN_…` and `AIRFLOW_VAR_…`.
fn stand_ins(objects: &Objects) -> impl Iterator<Item = (String, String)> {
    let connections = objects.connections.iter().map(|(id, connection)| {
        let plain = Connection { secret: None, ..connection.clone() };
        (format!("AIRFLOW_CONN_{}", id.to_uppercase()), serde_json::json!(plain).to_string())
    });
    let variables = objects.variables.iter().filter_map(|(key, variable)| match variable {
        Variable::Plain(value) => Some((format!("AIRFLOW_VAR_{}", key.to_uppercase()), value.clone())),
        Variable::Secret { .. } => None,
    });
    // Neither can be in the name or the value of an environment variable.
    connections.chain(variables).filter(|(name, value)| !name.contains('=') && !value.contains('\0'))
}

/// The DAGs of the bundle, and every problem with its file, line and reason.
pub async fn parse(root: &Path, bundle: &Path, how: Parsing, sink: &Sink) -> Result<Parsed> {
    let (root, bundle, sink) = (root.to_owned(), bundle.to_owned(), sink.clone());
    let prepared = tokio::task::spawn_blocking(move || prepare(&root, &bundle, &how, &sink));
    let (command, sink, _scratch) = prepared
        .await
        .map_err(|error| Fail::bug("the preparation of the validator ended unexpectedly").because(error))??;
    let output = command.tokio().output().await;
    let output = output.map_err(|e| Fail::failed("cannot run the DAG validator").because(e))?;
    let report: Report = serde_json::from_slice(&output.stdout).map_err(|error| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Fail::failed(format!("the DAG validator ended unexpectedly ({})", output.status))
            .because(error)
            .cause(tail(&text))
    })?;
    Ok(judged(report, &sink))
}

/// Installs Airflow if need be and unpacks the bundle: the command, and the folder that it works in.
fn prepare(root: &Path, bundle: &Path, how: &Parsing, sink: &Sink) -> Result<(Cmd, Sink, tempfile::TempDir)> {
    let python = match &how.python {
        Some(python) => python.clone(),
        None => toolchain::venv_from(root, Venv::Airflow, how.index.clone(), sink)?.join("bin/python"),
    };
    let scratch = fs::scratch_dir(&root.join(".ductwork/tmp"))?;
    let dags = scratch.path().join("dags");
    unpack::unpack(bundle, &dags)?;
    sink.progress("parsing the DAGs with the locked Airflow");
    let home = scratch.path().join("home");
    fs::create_dir(&home)?;
    let command = Cmd::new(python, scratch.path())
        .args([
            "-m",
            "ductwork_airflow.release.validate",
            "--timeout-seconds",
            &how.per_file.as_secs().to_string(),
            "--variables",
            &serde_json::json!(how.variables).to_string(),
            "--executors",
            &how.executors,
            "--dags",
        ])
        .arg(&dags)
        .arg("--plugins")
        .arg(root.join("plugins"))
        .args(how.cache(root))
        .args(how.place_to_wait(root))
        .envs(env::for_dags())
        .env("PYTHONPATH", root.join("airflow"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AIRFLOW_HOME", &home)
        .env("HOME", &home)
        .env("TMPDIR", scratch.path())
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8");
    Ok((command, sink.clone(), scratch))
}

/// A file that is slow, but within its time, is worth a note and no reason to refuse.
const SLOW: &str = "slow_file";

fn judged(report: Report, sink: &Sink) -> Parsed {
    let (slow, wrong): (Vec<Found>, Vec<Found>) =
        report.problems.into_iter().partition(|found| found.kind == SLOW);
    for found in slow.into_iter().map(problem) {
        sink.note(format!("{}: {}", found.location, found.message));
    }
    Parsed {
        dags: report.dags,
        problems: wrong.into_iter().map(problem).collect(),
        files: report.files.len(),
        parsed: report.parsed,
        deprecations: report.warnings,
    }
}

fn problem(found: Found) -> Problem {
    let place = match (found.file, found.line) {
        (Some(file), Some(line)) => format!("dags/{file}:{line}"),
        (Some(file), None) => format!("dags/{file}"),
        (None, _) => "dags/".to_owned(),
    };
    Problem::new(&found.kind, place, found.message, found.hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_waits_for_the_next_time_only_where_a_local_cloud_runs() {
        let root = tempfile::tempdir().unwrap();
        let mut how = Parsing {
            per_file: Duration::from_secs(1),
            variables: BTreeMap::new(),
            executors: String::new(),
            python: None,
            index: None,
            memory: Memory::Used,
            warm: true,
        };
        assert_eq!(how.place_to_wait(root.path()), Vec::<OsString>::new(), "it does not run");
        let state = local_cloud::state(root.path());
        fs::write(&state.join("cloud.json"), b"{}").unwrap();
        assert_eq!(how.place_to_wait(root.path()), ["--warm".into(), OsString::from(state)]);
        how.python = Some(PathBuf::from("python"));
        assert_eq!(how.place_to_wait(root.path()), Vec::<OsString>::new(), "another Airflow");
        (how.python, how.warm) = (None, false);
        assert_eq!(how.place_to_wait(root.path()), Vec::<OsString>::new(), "the environment is elsewhere");
    }

    #[test]
    fn objects_stand_in_without_their_secrets() {
        let mut objects = Objects::default();
        let connection = Connection {
            conn_type: Some("ftp".to_owned()),
            secret: Some("connections/a".to_owned()),
            ..Connection::default()
        };
        objects.connections.insert("a-b".to_owned(), connection);
        objects.variables.insert("lake".to_owned(), Variable::Plain("x".to_owned()));
        objects.variables.insert("token".to_owned(), Variable::Secret { secret: "variables/x".to_owned() });
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [pair("AIRFLOW_CONN_A-B", r#"{"conn_type":"ftp"}"#), pair("AIRFLOW_VAR_LAKE", "x")];
        assert_eq!(stand_ins(&objects).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn problems_name_file_and_line() {
        let json = r#"{"dags": [], "problems": [
            {"kind": "import_error", "file": "a.py", "line": 3, "message": "NameError: x", "hint": "define it"},
            {"kind": "slow_file", "file": "b.py", "line": null, "message": "took 12 s", "hint": null},
            {"kind": "no_dags", "file": null, "line": null, "message": "no DAG", "hint": null}]}"#;
        let parsed = judged(serde_json::from_str(json).unwrap(), &Sink::null());
        let places: Vec<&str> = parsed.problems.iter().map(|p| p.location.as_str()).collect();
        assert_eq!(places, ["dags/a.py:3", "dags/"]);
    }
}
