//! The single checks of `check`, each timed.

use crate::config::{Environment, OBJECTS};
use crate::doors::time;
use crate::fail::{Fail, Problem, Result};
use crate::model::event::Sink;
use crate::model::objects::Objects;
use crate::observe::dags::{self, Memory, Parsing};
use crate::observe::{bundle, objects};
use crate::report::check::{Checked, Ran};
use crate::session::dags as dags_of;
use crate::session::project::Project;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// For DAGs if no environment file is right.
const PARSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a check and takes the time; problems are its result, anything else that goes wrong is an error.
pub fn timed<T>(
    name: &'static str,
    check: impl FnOnce() -> Result<(Vec<Problem>, T)>,
) -> Result<(Checked, T)> {
    let watch = time::Stopwatch::start();
    let (problems, result) = check()?;
    Ok((Checked { name, problems, seconds: time::seconds(watch.elapsed()), ran: Ran::Everything }, result))
}

/// A check that waits for another program, beside the others. A program that cannot be had is a finding of
/// its own, so that it does not hide those of the others.
pub async fn apart(
    name: &'static str,
    root: &Path,
    sink: &Sink,
    check: impl FnOnce(&Path, &Sink) -> Result<(Vec<Problem>, Ran)> + Send + 'static,
) -> Result<Checked> {
    let (root, sink) = (root.to_owned(), sink.clone());
    let check = move || check(&root, &sink).unwrap_or_else(|fail| (told(fail, name), Ran::Everything));
    let work = tokio::task::spawn_blocking(move || timed(name, || Ok(check())));
    let done = work.await.map_err(|error| Fail::bug("a check ended unexpectedly").because(error))?;
    done.map(|(checked, ran)| Checked { ran, ..checked })
}

/// The environments that are right, and what is wrong with the others.
pub fn load(project: &Project, names: &[String]) -> (Vec<Problem>, Vec<Environment>) {
    let mut problems = Vec::new();
    let mut known = Vec::new();
    for env in names {
        match project.environment(env) {
            Ok(environment) => known.push(environment),
            Err(fail) => problems.extend(told(fail, &format!("environments/{env}.toml"))),
        }
    }
    (problems, known)
}

/// The objects of each of these environments; a mistake in what is common to several is told once.
pub fn objects(root: &Path, known: &[Environment]) -> (Vec<Problem>, Vec<Objects>) {
    let mut problems = Vec::new();
    let mut load = |environment: &Environment| {
        objects::load(root, environment.name.as_str()).unwrap_or_else(|fail| {
            let new = told(fail, OBJECTS).into_iter().filter(|problem| !problems.contains(problem));
            let new: Vec<Problem> = new.collect();
            problems.extend(new);
            Objects::default()
        })
    };
    let found = known.iter().map(&mut load).collect();
    (problems, found)
}

/// What a failure is about: its problems, or itself if it stands for none.
pub fn told(fail: Fail, location: &str) -> Vec<Problem> {
    fail.as_problems(location)
}

/// With the time that the most patient environment gives to DAGs, and the variables of all; of one that
/// several set, the first one's value counts.
fn parsing(known: &[Environment], objects: &[Objects]) -> Parsing {
    let each = || known.iter().zip(objects).rev().map(|(one, objects)| Parsing::of(one, objects));
    Parsing {
        per_file: each().map(|one| one.per_file).max().unwrap_or(PARSE_TIMEOUT),
        executors: executors(known),
        variables: each().flat_map(|one| one.variables).collect(),
        python: None,
        index: None,
        memory: Memory::Used,
        warm: false,
    }
}

/// Those of all environments: a DAG may be for any.
fn executors(known: &[Environment]) -> String {
    let each = known.iter().map(Environment::executors);
    let names: BTreeSet<String> =
        each.flat_map(|names| names.split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
    match names.len() {
        0 => "celery".to_owned(),
        _ => names.into_iter().collect::<Vec<_>>().join(","),
    }
}

/// The DAGs of `dags/` as the locked Airflow sees them. Those of a git repository are not looked at without a cloud,
/// which has the key: `plan` parses them.
pub async fn parse(root: &Path, known: &[Environment], objects: &[Objects], sink: &Sink) -> Result<Checked> {
    let watch = time::Stopwatch::start();
    let elsewhere = dags_of::are_elsewhere(known);
    let mut problems = dags_of::problems(root, known);
    if problems.is_empty() && !elsewhere {
        let made = bundle::bundle(root, &root.join(".ductwork/cache"))?;
        problems = match dags::parse(root, &made.path, parsing(known, objects), sink).await {
            Ok(parsed) => parsed.problems,
            Err(fail) => told(fail, "dags"),
        };
    }
    Ok(Checked { name: "dags", problems, seconds: time::seconds(watch.elapsed()), ran: Ran::Everything })
}
