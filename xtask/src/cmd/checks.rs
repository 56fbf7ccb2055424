//! The single checks of `check`, each timed.

use super::project::{EnvArg, Project};
use super::stacks::{self, Place};
use crate::apply::checks::Composed;
use crate::apply::validate;
use crate::config::Environment;
use crate::doors::{fs, time};
use crate::fail::{Fail, Problem, Result};
use crate::model::event::Sink;
use crate::observe::bundle;
use crate::plan::compose::MASTER;
use crate::plan::templates::Sources;
use crate::report::check::Checked;
use std::path::Path;
use std::time::Duration;

/// For DAGs where no environment file is right.
const PARSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a check and takes the time; problems are its result, anything else that goes wrong is an error.
pub fn timed<T>(
    name: &'static str,
    check: impl FnOnce() -> Result<(Vec<Problem>, T)>,
) -> Result<(Checked, T)> {
    let watch = time::Stopwatch::start();
    let (problems, result) = check()?;
    Ok((Checked { name, problems, seconds: watch.elapsed().as_secs_f64(), skipped: false }, result))
}

/// A check that waits for another program, beside the others. A program that cannot be had is a finding of
/// its own, so that it does not hide those of the others.
pub async fn apart(
    name: &'static str,
    root: &Path,
    sink: &Sink,
    check: impl FnOnce(&Path, &Sink) -> Result<Vec<Problem>> + Send + 'static,
) -> Result<Checked> {
    let (root, sink) = (root.to_owned(), sink.clone());
    let check = move || check(&root, &sink).unwrap_or_else(|fail| told(&fail, name));
    let work = tokio::task::spawn_blocking(move || timed(name, || Ok((check(), ()))));
    let done = work.await.map_err(|error| Fail::bug("a check broke").because(error))?;
    done.map(|(checked, ())| checked)
}

/// The environments that are right, and what is wrong with the others.
pub fn load(project: &Project, names: &[String]) -> (Vec<Problem>, Vec<Environment>) {
    let mut problems = Vec::new();
    let mut known = Vec::new();
    for env in names {
        match project.environment(&EnvArg { env: env.clone() }) {
            Ok(environment) => known.push(environment),
            Err(fail) => problems.extend(told(&fail, &format!("environments/{env}.toml"))),
        }
    }
    (problems, known)
}

/// What a failure is about: its problems, or itself where it has none.
fn told(fail: &Fail, place: &str) -> Vec<Problem> {
    match fail.all_problems() {
        [] => {
            let causes: String = fail.causes().iter().map(|cause| format!(": {cause}")).collect();
            let message = format!("{}{causes}", fail.message());
            vec![Problem::new("failed", place, message, fail.hints().join("; "))]
        }
        problems => problems.to_vec(),
    }
}

/// Composes and packages the templates of each environment; those that fit are written down for the linters.
pub fn templates(root: &Path, known: &[Environment], folder: &Path) -> Result<(Vec<Problem>, Vec<Composed>)> {
    let mut problems = Vec::new();
    let mut composed = Vec::new();
    for environment in known {
        match fitting(root, environment) {
            Ok(sources) => {
                let folder = folder.join(environment.name.as_str());
                for (path, bytes) in sources {
                    fs::write(&folder.join(path), &bytes)?;
                }
                let additional = environment.additional.templates.as_ref().map(ToString::to_string);
                composed.push(Composed { folder, additional });
            }
            // A fault in a child is found with each environment.
            Err(fail) => {
                let told = told(&fail, &format!("templates/{MASTER}"));
                let new: Vec<Problem> = told.into_iter().filter(|one| !problems.contains(one)).collect();
                problems.extend(new);
            }
        }
    }
    Ok((problems, composed))
}

/// The composed templates, if they can be packaged and take what the environment gives.
fn fitting(root: &Path, environment: &Environment) -> Result<Sources> {
    let sources = stacks::sources(root, environment)?;
    let (packaged, _) = stacks::package_sources(environment, &sources, &Place::nowhere())?;
    stacks::fits(environment, &packaged)?;
    Ok(sources)
}

/// The DAGs as the locked Airflow sees them, with the time that the most patient environment gives them.
pub async fn parse(root: &Path, known: &[Environment], sink: &Sink) -> Result<Checked> {
    let watch = time::Stopwatch::start();
    let mut problems = bundle::problems(root);
    let patience = known.iter().map(|environment| environment.dags.parse_timeout).max();
    let patience = patience.unwrap_or(PARSE_TIMEOUT);
    if problems.is_empty() {
        let made = bundle::bundle(root, &root.join(".ductwork/cache"))?;
        if let Err(fail) = validate::validate(root, &made.path, patience, sink, "check").await {
            problems = told(&fail, "dags");
        }
    }
    Ok(Checked { name: "dags", problems, seconds: watch.elapsed().as_secs_f64(), skipped: false })
}
