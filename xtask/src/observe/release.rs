//! Reads what an environment is known to run: the pointer, releases, deployments.

use super::dags;
use crate::doors::store::{Found, Store};
use crate::fail::{Fail, Problem, Result};
use crate::model::dags::DagIndex;
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::release::{Deployment, Pointer, Release, Runtime};
use crate::model::schema::{Schema, Told};

/// The pointer with its tag for the next compare-and-swap, the release it names, and the DAGs of its bundle
/// as they were parsed before it was released.
#[derive(Clone, Debug, Default)]
pub struct Current {
    pub pointer: Option<Found<Pointer>>,
    pub release: Option<Release>,
    pub dags: Option<DagIndex>,
}

pub async fn current(store: &Store) -> Result<Current> {
    let pointer = store.read::<Pointer>(&names::pointer_key(store.environment())).await?;
    let Some(found) = &pointer else { return Ok(Current::default()) };
    let (release, dags) =
        tokio::join!(recorded(store, &found.value.release), dags::listed(store, &found.value.bundle));
    Ok(Current { release: release?, dags: dags?, pointer })
}

/// A recorded release; none if it never was.
pub async fn recorded(store: &Store, id: &str) -> Result<Option<Release>> {
    store.value(&names::release_key(store.environment(), id)).await
}

/// The schema that the last migration had begun to bring the database to, which is of interest if its deployment was
/// interrupted. A note of before does not tell.
pub async fn begun(store: &Store) -> Result<Option<Schema>> {
    let noted = store.value::<Told>(&names::migration_key(store.environment())).await?;
    Ok(noted.and_then(Told::begun))
}

/// So many releases are named where a wrong one was asked for.
const KNOWN: usize = 10;

/// A recorded release; one that was never recorded is an error that lists those that were.
pub async fn release(store: &Store, id: &str) -> Result<Release> {
    if let Some(release) = recorded(store, id).await? {
        return Ok(release);
    }
    let environment = store.environment();
    let known = store.keys(&names::releases_prefix(environment)).await?;
    let known: Vec<&str> = known.iter().filter_map(|key| release_id(key)).collect();
    let fail = Fail::usage(format!("`{environment}` has no release `{id}`"));
    let more = known.len().saturating_sub(KNOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let fail = match known.get(..known.len().min(KNOWN)).unwrap_or_default() {
        [] => fail,
        some => fail.cause(format!("recorded are {}{more}", some.join(", "))),
    };
    Err(fail.hint(format!("choose one of: cargo xtask history --env {environment}")))
}

/// The root template of a recorded release, after a look at everything the release is made of: nothing
/// may be touched for a release that is no longer complete. Everything that is missing is reported together.
pub async fn whole(store: &Store, release: &Release) -> Result<String> {
    let mut gone = Vec::new();
    let bundle = ("DAG bundle", names::bundle_key(&release.bundle), &release.bundle);
    for (what, key, digest) in [Some(bundle), runtime(release)].into_iter().flatten() {
        if !store.holds(&key, digest).await? {
            gone.push(missing(what, store, &key));
        }
    }
    if dags::listed(store, &release.bundle).await?.is_none() {
        gone.push(missing("list of DAGs", store, &names::bundle_index_key(&release.bundle)));
    }
    let mut root = None;
    let mut templates = vec![release.stack.template];
    let mut seen = 0;
    while let Some(digest) = templates.get(seen) {
        let key = names::template_key(digest);
        let whole = |body: &String| Digest::of(body.as_bytes()) == *digest;
        seen += 1;
        match store.text(&key).await?.filter(whole) {
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

/// What of the runtime is in the bucket: what it is called, where it is, and what it must be.
fn runtime(release: &Release) -> Option<(&'static str, String, &Digest)> {
    match &release.runtime {
        Runtime::Hosts(revision) => Some(("host revision", names::host_key(revision), revision)),
        // Images are in their registry, which the stack has to reach: CloudFormation and ECS tell if one is gone.
        Runtime::Services(_) => None,
    }
}

fn missing(what: &str, store: &Store, key: &str) -> Problem {
    let message = format!("the {what} is missing from the artifact bucket, or damaged");
    let hint = "choose another release, or deploy its commit from a clone: cargo xtask history";
    Problem::new("missing_artifact", store.location(key), message, hint)
}

fn release_id(key: &str) -> Option<&str> {
    key.rsplit('/').next()?.strip_suffix(".json")
}

/// How many records are read at the same time.
pub(super) const READS: usize = 32;

/// The last deployments, newest first.
pub async fn deployments(store: &Store, most: usize) -> Result<Vec<Deployment>> {
    let keys = store.keys(&names::deployments_prefix(store.environment())).await?;
    let newest: Vec<String> = keys.into_iter().rev().take(most).collect();
    let mut deployments = Vec::new();
    for keys in newest.chunks(READS) {
        deployments.extend(together(store, keys).await?);
    }
    Ok(deployments)
}

/// Reads these records at the same time and keeps their order; one that is gone meanwhile is left out.
pub(super) async fn together(store: &Store, keys: &[String]) -> Result<Vec<Deployment>> {
    let read = |key: &String| {
        let (store, key) = (store.clone(), key.clone());
        tokio::spawn(async move { store.value::<Deployment>(&key).await })
    };
    let reads: Vec<_> = keys.iter().map(read).collect();
    let mut deployments = Vec::new();
    for read in reads {
        let found = read.await.map_err(|error| Fail::bug("a read ended unexpectedly").because(error))??;
        deployments.extend(found);
    }
    Ok(deployments)
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
