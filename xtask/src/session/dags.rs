//! Where the DAGs of an environment come from: `dags/` of the project, or a git repository.

use super::Session;
use crate::apply::timed::{Ended, timed};
use crate::config::Environment;
use crate::fail::{Fail, Problem, Result};
use crate::model::bundle::Bundle;
use crate::model::dags::Parsed;
use crate::model::event::Sink;
use crate::model::git::{GitSource, short};
use crate::observe::bundle;
use crate::observe::git_dags::{Asked, Checkout};
use crate::plan::gates::{Finding, Outcome};
use std::path::Path;

/// The commit of the repository as it is now, as a step of its own; none if the DAGs are those of the project.
pub async fn from_git(session: &Session, sink: &Sink) -> Result<Option<Checkout>> {
    let Some(asked) = Asked::of(&session.project.root, &session.environment) else { return Ok(None) };
    let step = sink.step("git");
    let mut records = Vec::new();
    timed(&step, &mut records, async {
        let checkout = asked.checkout(&session.aws).await?;
        Ok((Ended::done(format!("DAGs of {}", checkout.source.shown())), Some(checkout)))
    })
    .await
}

/// The bundle that a deployment of the environment would have, and its repository, for verbs that need the cloud for
/// nothing else.
///
/// # Errors
/// As those of [`Asked::checkout`] and [`packed`]; the cloud of the environment cannot be asked for the key.
pub async fn of_environment(environment: &str, sink: &Sink) -> Result<(Bundle, Option<GitSource>)> {
    let session = Session::open(environment).await?;
    let checkout = from_git(&session, sink).await?;
    Ok((packed(&session.project.root, checkout.as_ref())?, checkout.map(|checkout| checkout.source)))
}

/// The bundle of the repository, or else of `dags/`.
///
/// # Errors
/// All that is wrong with the folder together.
pub fn packed(project: &Path, git: Option<&Checkout>) -> Result<Bundle> {
    let cache = project.join(".ductwork/cache");
    match git {
        Some(checkout) => bundle::bundle_of(checkout, &cache),
        None => bundle::bundle(project, &cache),
    }
}

/// What is wrong with `dags/`, if any of these environments has its DAGs from there; without one, every project has.
#[must_use]
pub fn problems(root: &Path, environments: &[Environment]) -> Vec<Problem> {
    if are_elsewhere(environments) { Vec::new() } else { bundle::problems(root) }
}

/// Whether all of these environments have their DAGs from git repositories.
#[must_use]
pub fn are_elsewhere(environments: &[Environment]) -> bool {
    !environments.is_empty() && environments.iter().all(|one| one.dags.git.is_some())
}

/// The problems of a bundle where their cause is: in the repository if it was made of one.
#[must_use]
pub fn located(mut parsed: Parsed, git: Option<&GitSource>) -> Parsed {
    if let Some(source) = git {
        for problem in &mut parsed.problems {
            if let Some(name) = problem.location.strip_prefix("dags/") {
                problem.location = source.file(name);
            }
        }
    }
    parsed
}

/// Whether the repository can be read, for `doctor`; nothing is fetched.
///
/// # Errors
/// Anything but a problem of the repository and its key.
pub async fn reachable(session: &Session) -> Result<Option<Finding>> {
    let Some(asked) = Asked::of(&session.project.root, &session.environment) else { return Ok(None) };
    let finding = |outcome, text, problems| Finding { name: "DAG repository", outcome, text, problems };
    Ok(Some(match asked.reached(&session.aws).await {
        Ok(commit) => finding(Outcome::Ok, format!("{} at {}", asked.name(), short(&commit)), Vec::new()),
        Err(fail) => match fail.into_problems() {
            Ok(problems) => finding(Outcome::Missing, "1 problem".to_owned(), problems),
            Err(fail) => finding(Outcome::NotAsked, told(&fail), Vec::<Problem>::new()),
        },
    }))
}

fn told(fail: &Fail) -> String {
    fail.causes()
        .first()
        .map_or_else(|| fail.message().to_owned(), |cause| format!("{}: {cause}", fail.message()))
}
