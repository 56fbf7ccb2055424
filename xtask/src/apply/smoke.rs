//! Proves that a task runs: triggers the smoke DAG and waits for a worker, for as long as one is on its way.

use super::airflow::{answered, polling};
use crate::doors::airflow::Airflow;
use crate::doors::aws::Aws;
use crate::doors::time::Stopwatch;
use crate::fail::{Fail, Result};
use crate::model::contract::CONTRACT;
use crate::model::event::Sink;
use crate::observe::airflow::ask;
use crate::observe::workers::{self, Workers};
use serde_json::{Value, json};
use std::time::Duration;

/// How long nothing may happen while no host is on its way. A new host that is in service still has to be
/// noticed by the scaler and to start its worker.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a host may stay in one state on its way: EC2 needs 5 to 8 minutes in all.
const LAUNCH: Duration = Duration::from_secs(20 * 60);
/// Hosts change in seconds, not in milliseconds.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Runs the smoke DAG to its end; what its task returned tells where it ran. `hosts` is the Auto Scaling group
/// of the workers, if they have hosts of their own.
pub(super) async fn run(
    airflow: &Airflow,
    release: &str,
    hosts: Option<(&Aws, &str)>,
    sink: &Sink,
) -> Result<Value> {
    let run = triggered(airflow, release, sink).await?;
    let mut standstill = Stopwatch::start();
    let mut seen: Option<Workers> = None;
    loop {
        let state = state_soon(airflow, &run).await;
        match state.as_deref() {
            Ok("success") => break,
            Ok("failed") => return Err(failed(&run)),
            _ => {}
        }
        if let Some((aws, group)) = hosts
            && let Ok(now) = workers::read(aws, group).await
            && seen.as_ref() != Some(&now)
        {
            (seen, standstill) = (Some(now), Stopwatch::start());
        }
        let coming = seen.as_ref().and_then(Workers::coming);
        let limit = if coming.is_some() { LAUNCH } else { PATIENCE };
        if standstill.elapsed() >= limit {
            return Err(late(&run, &state?, coming.as_deref()));
        }
        let coming = coming.map(|coming| format!(", {coming}")).unwrap_or_default();
        sink.progress(format!("smoke run is {}{coming}", state.as_deref().unwrap_or("out of sight")));
    }
    answered(airflow, sink, move |airflow| airflow.returned(&CONTRACT.dags.smoke, &run, "report")).await
}

/// The run's state as soon as it is over, or after a while as it is then.
async fn state_soon(airflow: &Airflow, run: &str) -> Result<String> {
    let watch = Stopwatch::start();
    let mut backoff = polling();
    loop {
        let id = run.to_owned();
        let state = ask(airflow, move |airflow| airflow.run_state(&CONTRACT.dags.smoke, &id)).await;
        if matches!(state.as_deref(), Ok("success" | "failed")) || watch.elapsed() >= LOOK_AGAIN {
            return state;
        }
        backoff.wait().await;
    }
}

fn failed(run: &str) -> Fail {
    Fail::failed("the smoke task failed on a worker")
        .cause(format!("run `{run}` of DAG `{}`", CONTRACT.dags.smoke))
        .hint("read the task's log in Airflow, and check that workers reach the API server")
}

fn late(run: &str, state: &str, coming: Option<&str>) -> Fail {
    let fail = Fail::failed("no worker ran the smoke task in time")
        .cause(format!("run `{run}` of DAG `{}` is still {state}", CONTRACT.dags.smoke));
    match coming {
        Some(coming) => fail
            .cause(format!("of the workers: {coming}, with no change for {} minutes", LAUNCH.as_secs() / 60))
            .hint("look at the activity of the workers' Auto Scaling group: it says why no host comes"),
        None => fail.hint("check that a worker runs and reads the queue: cargo xtask status"),
    }
}

/// The DAG is there only after the dag-processor has parsed it for the first time.
async fn triggered(airflow: &Airflow, release: &str, sink: &Sink) -> Result<String> {
    let watch = Stopwatch::start();
    let mut backoff = polling();
    loop {
        let conf = json!({ "release": release });
        match ask(airflow, move |airflow| airflow.trigger(&CONTRACT.dags.smoke, &conf)).await {
            Ok(run) => return Ok(run),
            Err(fail) if watch.elapsed() >= PATIENCE => {
                return Err(fail.context("the smoke DAG cannot be run"));
            }
            Err(fail) => sink.progress(format!("waiting for the smoke DAG to be parsed: {fail}")),
        }
        backoff.wait().await;
    }
}

#[cfg(test)]
#[path = "smoke_tests.rs"]
mod tests;
