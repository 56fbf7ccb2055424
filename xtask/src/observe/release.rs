//! Reads what an environment is known to run: the pointer, releases, deployments.

use crate::doors::aws::Aws;
use crate::doors::documents::{self, Found};
use crate::fail::{Fail, Result};
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
