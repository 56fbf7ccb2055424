//! An upgrade of Airflow, tried on this machine: its lock, the DAGs, a copy of the database, the smoke DAG. Reads the
//! environment and writes nothing of it.

use super::Session;
use super::dags as dags_of;
use super::package_index;
use super::project::Project;
use crate::apply::lock::Locked;
use crate::apply::trial::{Source, Told, Trial};
use crate::config::Environment;
use crate::doors::time::{self, Stopwatch};
use crate::fail::{Fail, Problem, Result};
use crate::model::event::{Ending, Sink};
use crate::model::names::outputs;
use crate::model::text::count;
use crate::model::upgrade::{Deprecation, Outcome, Stage};
use crate::observe::dags::{self, Memory, Parsing};
use crate::observe::{airflow, objects, stack};
use crate::plan::upgrade::conflict;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that was found, stage by stage.
pub struct Tested {
    /// The lock of the new version, to look at or to keep.
    pub folder: PathBuf,
    pub locks: Vec<Locked>,
    pub stages: Vec<Stage>,
    pub deprecations: Vec<Deprecation>,
}

const DATABASE: [&str; 4] = ["database", "upgrade", "smoke", "downgrade"];

/// Runs all stages that can run.
///
/// # Errors
/// Only what keeps any stage from running: all else is in the stages.
pub async fn run(project: &Project, environment: &Environment, version: &str, sink: &Sink) -> Result<Tested> {
    let (root, wanted) = (project.root.clone(), version.to_owned());
    let trial = Arc::new(apart(sink, move |sink| Trial::begin(&root, &wanted, sink)).await?);
    let mut tested = Tested {
        folder: trial.root.clone(),
        locks: Vec::new(),
        stages: Vec::new(),
        deprecations: Vec::new(),
    };
    let own = trial.clone();
    let (mut locked, locks) = stage(sink, "lock", "airflow/requirements.in", |sink| async move {
        let locks = apart(&sink, move |sink| own.lock(sink)).await?;
        let changed = locks.iter().map(changes).sum();
        Ok((format!("{} changed", count(changed, "package")), locks))
    })
    .await;
    locked.problems = locked.problems.into_iter().map(conflict).collect();
    tested.stages.push(locked);
    let Some(locks) = locks else {
        let lacking = ["install", "dags"].into_iter().chain(DATABASE);
        tested.stages.extend(lacking.map(|name| Stage::skipped(name, "there is no lock")));
        return Ok(tested);
    };
    tested.locks = locks;
    let own = trial.clone();
    let (installed, python) = stage(sink, "install", "airflow/requirements.lock", |sink| async move {
        own.borrow_installed()?;
        let index = package_index::of_airflow(&own.root, environment.name.as_str()).await?;
        let python = apart(&sink, move |sink| own.install(index, sink)).await?;
        Ok(("every package of the lock".to_owned(), python))
    })
    .await;
    tested.stages.push(installed);
    let Some(python) = python else {
        let lacking = ["dags"].into_iter().chain(DATABASE);
        tested.stages.extend(lacking.map(|name| Stage::skipped(name, "its packages are not installed")));
        return Ok(tested);
    };
    let (parsed, database) =
        tokio::join!(parse(project, environment, &python, sink), migrate(environment, trial, &python, sink));
    tested.deprecations = parsed.1;
    tested.stages.push(parsed.0);
    tested.stages.extend(database);
    Ok(tested)
}

fn changes(locked: &Locked) -> usize {
    let names =
        locked.before.keys().chain(locked.after.keys().filter(|name| !locked.before.contains_key(*name)));
    names.filter(|name| locked.before.get(*name) != locked.after.get(*name)).count()
}

/// Blocking work outside the async world.
async fn apart<T: Send + 'static>(
    sink: &Sink,
    work: impl FnOnce(&Sink) -> Result<T> + Send + 'static,
) -> Result<T> {
    let sink = sink.clone();
    let done = tokio::task::spawn_blocking(move || work(&sink)).await;
    done.map_err(|error| Fail::bug("a stage ended unexpectedly").because(error))?
}

/// A stage with its time; whatever goes wrong is its result.
async fn stage<T, W: Future<Output = Result<(String, T)>>>(
    sink: &Sink,
    name: &str,
    place: &str,
    work: impl FnOnce(Sink) -> W,
) -> (Stage, Option<T>) {
    let (sink, watch) = (sink.step(name), Stopwatch::start());
    sink.started();
    let (outcome, summary, problems, value) = match work(sink.clone()).await {
        Ok((summary, value)) => (Outcome::Passed, summary, Vec::new(), Some(value)),
        Err(fail) => {
            let problems = fail.as_problems(place);
            (Outcome::Failed, count(problems.len(), "problem"), problems, None)
        }
    };
    let (ending, took) = (ending(outcome), watch.elapsed());
    sink.ended(ending, took, summary.as_str());
    let name = name.to_owned();
    (Stage { name, outcome, seconds: time::seconds(took), summary, problems }, value)
}

fn ending(outcome: Outcome) -> Ending {
    match outcome {
        Outcome::Passed => Ending::Done,
        Outcome::Failed => Ending::Failed,
        Outcome::Skipped => Ending::Skipped,
    }
}

/// Every DAG of the tree as the new version sees it. Those of a git repository are not here.
async fn parse(
    project: &Project,
    environment: &Environment,
    python: &Path,
    sink: &Sink,
) -> (Stage, Vec<Deprecation>) {
    if dags_of::are_elsewhere(std::slice::from_ref(environment)) {
        return (Stage::skipped("dags", "they come from a git repository"), Vec::new());
    }
    let (stage, found) = stage(sink, "dags", "dags/", |sink| async move {
        let objects = objects::load(&project.root, environment.name.as_str())?;
        let how = Parsing::of(environment, &objects);
        let how = Parsing { python: Some(python.to_owned()), memory: Memory::Ignored, ..how };
        let bundle = dags_of::packed(&project.root, None)?;
        let parsed = dags::parse(&project.root, &bundle.path, how, &sink).await?;
        if !parsed.problems.is_empty() {
            return Err(Fail::problems("the DAGs do not work with it", parsed.problems));
        }
        let deprecated = count(parsed.deprecations.len(), "deprecation");
        Ok((format!("{}, {deprecated}", parsed.summary()), parsed.deprecations))
    })
    .await;
    (stage, found.unwrap_or_default())
}

async fn migrate(environment: &Environment, trial: Arc<Trial>, python: &Path, sink: &Sink) -> Vec<Stage> {
    let source = source(environment).await;
    let (python, step) = (python.to_owned(), sink.step("database"));
    step.started();
    let watch = Stopwatch::start();
    let done = apart(&step, move |step| trial.database(&python, &source, step)).await;
    let stages: Vec<Stage> = match done {
        Ok(told) => told.into_iter().map(told_stage).collect(),
        Err(fail) => {
            let problems = fail.as_problems("the copy of the database");
            let failed = Stage {
                name: DATABASE[0].to_owned(),
                outcome: Outcome::Failed,
                seconds: time::seconds(watch.elapsed()),
                summary: count(problems.len(), "problem"),
                problems,
            };
            let lacking = DATABASE[1..].iter().map(|name| Stage::skipped(name, "there is no database"));
            [failed].into_iter().chain(lacking).collect()
        }
    };
    let worst = stages.iter().any(|stage| stage.outcome == Outcome::Failed);
    let words: Vec<String> =
        stages.iter().map(|stage| format!("{}: {}", stage.name, stage.summary)).collect();
    let end = if worst { Ending::Failed } else { Ending::Done };
    step.ended(end, watch.elapsed(), if worst { String::new() } else { words.join("; ") });
    stages
}

fn told_stage(told: Told) -> Stage {
    let Told { name, outcome, seconds, summary } = told;
    let outcome = match outcome.as_str() {
        "passed" => Outcome::Passed,
        "skipped" => Outcome::Skipped,
        _ => Outcome::Failed,
    };
    let problem = || Problem::new(&name, format!("the stage `{name}`"), summary.clone(), cure(&name));
    let problems = if outcome == Outcome::Failed { vec![problem()] } else { Vec::new() };
    let summary = if problems.is_empty() { summary } else { count(problems.len(), "problem") };
    Stage { name, outcome, seconds, summary, problems }
}

fn cure(stage: &str) -> &'static str {
    match stage {
        "database" => "start the local cloud afresh, then run the same command again: cargo xtask local down",
        "upgrade" => "look for the error in the release notes of this Airflow, or test another version",
        "smoke" => {
            "see what the release notes say on providers and the Task SDK, or lock other providers with it"
        }
        _ => {
            "a rollback from this version needs the backup that `deploy` makes: read how the README brings it back"
        }
    }
}

/// The database of the environment, if it is on this machine and runs; or why a new one is made.
async fn source(environment: &Environment) -> Result<Source, String> {
    let name = &environment.name;
    if !environment.is_local() {
        return Err(format!("that of `{name}` is not on this machine"));
    }
    let session = Session::open(name.as_str()).await.map_err(|fail| fail.message().to_owned())?;
    let found = stack::stack(&session.aws.cloudformation, &session.environment.stack_name()).await;
    let found = found.map_err(|fail| fail.message().to_owned())?;
    let outputs = found.ok_or_else(|| format!("`{name}` is not deployed"))?.outputs;
    let value = |key: &str| {
        outputs.get(key).cloned().ok_or_else(|| format!("the stack of `{name}` has no database of its own"))
    };
    let login = airflow::login(&session.aws, &value(outputs::DATABASE_SECRET)?).await;
    let login = login.map_err(|fail| fail.message().to_owned())?;
    Ok(Source {
        host: value(outputs::DATABASE_HOST)?,
        port: value(outputs::DATABASE_PORT)?,
        name: value(outputs::DATABASE_NAME)?,
        user: login.username,
        password: login.password,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_stage_that_fails_has_its_problem_and_a_cure() {
        let told = |outcome: &str| Told {
            name: "downgrade".to_owned(),
            outcome: outcome.to_owned(),
            seconds: 1.5,
            summary: "`x` is missing".to_owned(),
        };
        let failed = told_stage(told("failed"));
        assert_eq!((failed.outcome, failed.summary.as_str()), (Outcome::Failed, "1 problem"));
        assert_eq!(failed.problems[0].message, "`x` is missing");
        assert!(failed.problems[0].hint.contains("backup"), "{failed:?}");
        let skipped = told_stage(told("skipped"));
        assert_eq!((skipped.summary.as_str(), skipped.problems.len()), ("`x` is missing", 0));
    }

    #[tokio::test]
    async fn what_goes_wrong_in_a_stage_is_its_result() {
        let work = |_| async {
            Err::<(String, ()), _>(Fail::failed("no solution").cause("a wants b").hint("change a"))
        };
        let (failed, value) = stage(&Sink::null(), "lock", "a.in", work).await;
        assert!(value.is_none() && failed.outcome == Outcome::Failed);
        let problem = &failed.problems[0];
        assert_eq!((problem.location.as_str(), problem.hint.as_str()), ("a.in", "change a"));
        assert_eq!(problem.message, "no solution: a wants b");
    }

    #[test]
    fn changes_are_counted_by_package() {
        let versions = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
        };
        let (before, after) = (versions(&[("a", "1"), ("b", "1")]), versions(&[("a", "2"), ("c", "1")]));
        assert_eq!(changes(&Locked { file: String::new(), before, after }), 3);
    }
}
