//! What a release does to a running Airflow: waits for its health, refreshes it, looks at what it runs.

use crate::doors::airflow::{Airflow, Component, Dag};
use crate::doors::backoff::Backoff;
use crate::doors::time;
use crate::fail::{Fail, Result};
use crate::model::contract::CONTRACT;
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::objects::Pool;
use crate::model::text::count;
use crate::observe::airflow::{self as observe, ask};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Hosts that have just got a revision answer within this time, also on a small machine.
const HEALTHY_WITHIN: Duration = Duration::from_secs(180);

/// Waits until every component is healthy; says at the end which are not.
pub async fn healthy(url: &str, sink: &Sink) -> Result<Vec<Component>> {
    let watch = time::Stopwatch::start();
    let mut backoff = polling();
    loop {
        let why = match observe::health(url).await {
            Ok(components) => match sick(&components) {
                None => return Ok(components),
                Some(names) => format!("not healthy: {names}"),
            },
            Err(fail) => fail.to_string(),
        };
        if watch.elapsed() >= HEALTHY_WITHIN {
            return Err(Fail::failed(format!("Airflow at `{url}` is not healthy")).cause(why));
        }
        sink.progress(format!("waiting for Airflow: {why}"));
        backoff.wait().await;
    }
}

/// Airflow answers in milliseconds; a look every half second costs it little.
pub(super) fn polling() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_millis(500))
}

fn sick(components: &[Component]) -> Option<String> {
    let needed = ["metadatabase", "scheduler", "dag_processor", "triggerer"];
    let ill = |name: &&str| !components.iter().any(|c| c.name == **name && c.healthy);
    let names: Vec<&str> = needed.iter().filter(|name| ill(name)).copied().collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// All pools that Airflow has. Its server may have been restarted just now.
pub async fn pools(airflow: &Airflow, sink: &Sink) -> Result<BTreeMap<String, Pool>> {
    let watch = time::Stopwatch::start();
    let mut backoff = polling();
    loop {
        match ask(airflow, Airflow::pools).await {
            Err(fail) if watch.elapsed() < PATIENCE => sink.progress(format!("waiting for Airflow: {fail}")),
            answer => return answer,
        }
        backoff.wait().await;
    }
}

/// Asks the dag-processor to refresh, then waits until all of `expected` run the bundle.
pub async fn refreshed(
    airflow: &Airflow,
    bundle: &Digest,
    expected: &BTreeSet<String>,
    sink: &Sink,
) -> Result<()> {
    let mut standstill = time::Stopwatch::start();
    let mut left = usize::MAX;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
    let mut asked = false;
    loop {
        match ask(airflow, |airflow| airflow.dags(&CONTRACT.dags.bundle)).await {
            // A server that has just been restarted, or has much to do: that says nothing about the bundle.
            Err(fail) if standstill.elapsed() >= PATIENCE => return Err(fail),
            Err(fail) => sink.progress(format!("waiting for Airflow: {fail}")),
            Ok(dags) => {
                let behind = behind(&dags, bundle, expected);
                if behind.is_empty() {
                    return broken_files(airflow, bundle).await;
                }
                if behind.len() < left {
                    (left, standstill) = (behind.len(), time::Stopwatch::start());
                }
                if standstill.elapsed() >= PATIENCE {
                    return Err(stuck(&behind, bundle));
                }
                if !asked && let Some(token) = dags.first().map(|dag| dag.file_token.clone()) {
                    // It only makes it quicker: the dag-processor looks by itself as well.
                    asked = ask(airflow, move |airflow| airflow.parse_file(&token)).await.is_ok();
                }
                let done = expected.len() - behind.len();
                sink.progress(format!("{done} of {} DAGs use the new bundle", expected.len()));
            }
        }
        backoff.wait().await;
    }
}

/// How long no further DAG may follow. The dag-processor refreshes bundles by itself every few seconds and then
/// parses one file after the other, so that many DAGs take long in all, but never long for one.
const PATIENCE: Duration = Duration::from_secs(120);

fn behind(dags: &[Dag], bundle: &Digest, expected: &BTreeSet<String>) -> Vec<String> {
    let version = bundle.to_string();
    let current: BTreeSet<&str> = dags
        .iter()
        .filter(|dag| !dag.is_stale && dag.bundle_version.as_deref() == Some(&version))
        .map(|dag| dag.dag_id.as_str())
        .collect();
    expected.iter().filter(|id| !current.contains(id.as_str())).cloned().collect()
}

fn stuck(behind: &[String], bundle: &Digest) -> Fail {
    let some: Vec<&str> = behind.iter().take(5).map(String::as_str).collect();
    Fail::failed(format!("Airflow does not run bundle `{}`", bundle.short()))
        .cause(format!("still on another one: {}, such as {}", count(behind.len(), "DAG"), some.join(", ")))
        .cause(format!("no further DAG has followed for {} s", PATIENCE.as_secs()))
        .hint("look at the dag-processor's log: a bundle that it cannot fetch or verify is only named there")
}

/// Import errors that Airflow meets though the validation did not.
async fn broken_files(airflow: &Airflow, bundle: &Digest) -> Result<()> {
    let errors = ask(airflow, |airflow| airflow.import_errors(&CONTRACT.dags.bundle)).await?;
    let Some(first) = errors.first() else { return Ok(()) };
    let last = first.stack_trace.trim_end().lines().last().unwrap_or_default().to_owned();
    Err(Fail::failed(format!("Airflow cannot import {} files of bundle `{}`", errors.len(), bundle.short()))
        .cause(format!("{}: {last}", first.filename)))
}

#[cfg(test)]
#[path = "airflow_tests.rs"]
mod tests;
