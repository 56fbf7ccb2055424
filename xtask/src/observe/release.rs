//! Reads what an environment is known to run: the pointer, releases, deployments.

use crate::doors::aws::Aws;
use crate::doors::documents::{self, Found};
use crate::fail::{Fail, Problem, Result};
use crate::model::digest::Digest;
use crate::model::names;
use crate::model::release::{Deployment, Pointer, Release};

/// The pointer with its tag for the next compare-and-swap, and the release it names.
#[derive(Clone, Debug, Default)]
pub struct Current {
    pub pointer: Option<Found<Pointer>>,
    pub release: Option<Release>,
}

pub async fn current(aws: &Aws, bucket: &str, environment: &str) -> Result<Current> {
    let pointer = documents::read::<Pointer>(aws, bucket, &names::pointer_key(environment)).await?;
    let release = match &pointer {
        Some(found) => release_if_there(aws, bucket, environment, &found.value.release).await?,
        None => None,
    };
    Ok(Current { pointer, release })
}

async fn release_if_there(aws: &Aws, bucket: &str, environment: &str, id: &str) -> Result<Option<Release>> {
    let found = documents::read(aws, bucket, &names::release_key(environment, id)).await?;
    Ok(found.map(|found| found.value))
}

/// A recorded release; one that was never recorded is an error that lists those that were.
pub async fn release(aws: &Aws, bucket: &str, environment: &str, id: &str) -> Result<Release> {
    if let Some(release) = release_if_there(aws, bucket, environment, id).await? {
        return Ok(release);
    }
    let known = documents::keys(aws, bucket, &names::releases_prefix(environment)).await?;
    let known: Vec<&str> = known.iter().filter_map(|key| release_id(key)).collect();
    let fail = Fail::usage(format!("`{environment}` has no release `{id}`"));
    let fail = if known.is_empty() { fail } else { fail.cause(format!("recorded are {}", known.join(", "))) };
    Err(fail.hint(format!("choose one of: cargo xtask history --env {environment}")))
}

/// The root template of a recorded release, after a look at everything the release is made of: nothing
/// may be touched for a release that cannot be whole. Whatever is gone is told at once.
pub async fn whole(aws: &Aws, bucket: &str, id: &str, release: &Release) -> Result<String> {
    let mut gone = Vec::new();
    for (what, key) in [
        ("DAG bundle", names::bundle_key(&release.bundle)),
        ("list of DAGs", names::bundle_index_key(&release.bundle)),
        ("host revision", names::host_key(&release.host)),
    ] {
        if !documents::exists(aws, bucket, &key).await? {
            gone.push(missing(what, bucket, &key));
        }
    }
    let mut root = None;
    let mut templates = vec![release.template];
    let mut seen = 0;
    while let Some(digest) = templates.get(seen) {
        let key = names::template_key(digest);
        seen += 1;
        match documents::text(aws, bucket, &key).await? {
            Some(body) => {
                let new = names::children(&body).into_iter().filter(|child| !templates.contains(child));
                let new: Vec<Digest> = new.collect();
                templates.extend(new);
                root.get_or_insert(body);
            }
            None => gone.push(missing("template", bucket, &key)),
        }
    }
    match root {
        Some(root) if gone.is_empty() => Ok(root),
        _ => Err(Fail::problems(format!("release `{id}` is not whole any more, nothing was touched"), gone)),
    }
}

fn missing(what: &str, bucket: &str, key: &str) -> Problem {
    let message = format!("the {what} is gone from the artifact bucket");
    let hint = "choose another release, or deploy its commit from a clone: cargo xtask history";
    Problem::new("missing_artifact", format!("s3://{bucket}/{key}"), message, hint)
}

fn release_id(key: &str) -> Option<&str> {
    key.rsplit('/').next()?.strip_suffix(".json")
}

/// The last deployments, newest first.
pub async fn deployments(aws: &Aws, bucket: &str, environment: &str, most: usize) -> Result<Vec<Deployment>> {
    let keys = documents::keys(aws, bucket, &names::deployments_prefix(environment)).await?;
    let mut deployments = Vec::new();
    for key in keys.iter().rev().take(most) {
        if let Some(found) = documents::read::<Deployment>(aws, bucket, key).await? {
            deployments.push(found.value);
        }
    }
    Ok(deployments)
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
