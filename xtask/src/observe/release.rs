//! Reads what an environment is known to run: the pointer, releases, deployments.

use crate::doors::store::{Found, Store};
use crate::fail::{Fail, Problem, Result};
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::release::{Deployment, Pointer, Release, Runtime};

/// The pointer with its tag for the next compare-and-swap, and the release it names.
#[derive(Clone, Debug, Default)]
pub struct Current {
    pub pointer: Option<Found<Pointer>>,
    pub release: Option<Release>,
}

pub async fn current(store: &Store) -> Result<Current> {
    let pointer = store.read::<Pointer>(&names::pointer_key(store.environment())).await?;
    let release = match &pointer {
        Some(found) => recorded(store, &found.value.release).await?,
        None => None,
    };
    Ok(Current { pointer, release })
}

async fn recorded(store: &Store, id: &str) -> Result<Option<Release>> {
    store.value(&names::release_key(store.environment(), id)).await
}

/// A recorded release; one that was never recorded is an error that lists those that were.
pub async fn release(store: &Store, id: &str) -> Result<Release> {
    if let Some(release) = recorded(store, id).await? {
        return Ok(release);
    }
    let environment = store.environment();
    let known = store.keys(&names::releases_prefix(environment)).await?;
    let known: Vec<&str> = known.iter().filter_map(|key| release_id(key)).collect();
    let fail = Fail::usage(format!("`{environment}` has no release `{id}`"));
    let fail = if known.is_empty() { fail } else { fail.cause(format!("recorded are {}", known.join(", "))) };
    Err(fail.hint(format!("choose one of: cargo xtask history --env {environment}")))
}

/// The root template of a recorded release, after a look at everything the release is made of: nothing
/// may be touched for a release that is no longer complete. Everything that is missing is reported together.
pub async fn whole(store: &Store, release: &Release) -> Result<String> {
    let mut gone = Vec::new();
    for (what, key) in [
        ("DAG bundle", names::bundle_key(&release.bundle)),
        ("list of DAGs", names::bundle_index_key(&release.bundle)),
        runtime(release),
    ] {
        if !store.has(&key).await? {
            gone.push(missing(what, store, &key));
        }
    }
    let mut root = None;
    let mut templates = vec![release.stack.template];
    let mut seen = 0;
    while let Some(digest) = templates.get(seen) {
        let key = names::template_key(digest);
        seen += 1;
        match store.text(&key).await? {
            Some(body) => {
                let new = names::children(&body).into_iter().filter(|child| !templates.contains(child));
                let new: Vec<Digest> = new.collect();
                templates.extend(new);
                root.get_or_insert(body);
            }
            None => gone.push(missing("template", store, &key)),
        }
    }
    match root {
        Some(root) if gone.is_empty() => Ok(root),
        _ => {
            let message = format!("release `{}` is no longer complete, nothing was touched", release.id());
            Err(Fail::problems(message, gone))
        }
    }
}

/// What the runtime is called, and where it is.
fn runtime(release: &Release) -> (&'static str, String) {
    match release.runtime {
        Runtime::Hosts(revision) => ("host revision", names::host_key(&revision)),
    }
}

fn missing(what: &str, store: &Store, key: &str) -> Problem {
    let message = format!("the {what} is missing from the artifact bucket");
    let hint = "choose another release, or deploy its commit from a clone: cargo xtask history";
    Problem::new("missing_artifact", store.location(key), message, hint)
}

fn release_id(key: &str) -> Option<&str> {
    key.rsplit('/').next()?.strip_suffix(".json")
}

/// The last deployments, newest first.
pub async fn deployments(store: &Store, most: usize) -> Result<Vec<Deployment>> {
    let keys = store.keys(&names::deployments_prefix(store.environment())).await?;
    let mut deployments = Vec::new();
    for key in keys.iter().rev().take(most) {
        deployments.extend(store.value(key).await?);
    }
    Ok(deployments)
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
