//! What a release does to a running Airflow: refresh, look at what it runs, prove that a task runs.

use crate::doors::airflow::{Airflow, Component, Dag};
use crate::doors::aws::{self, Aws};
use crate::doors::time;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::names;
use crate::model::secret::Secret;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// The name and password of the admin, from Secrets Manager.
#[derive(Debug)]
pub struct Login {
    pub username: String,
    pub password: Secret,
}

pub async fn login(aws: &Aws, arn: &str) -> Result<Login> {
    #[derive(Deserialize)]
    struct Document {
        username: String,
        password: String,
    }
    let answer = aws.secrets.get_secret_value().secret_id(arn).send().await;
    let answer =
        answer.map_err(|e| aws::failure("Secrets Manager", "cannot read the admin's password", e))?;
    let text = answer.secret_string().unwrap_or_default();
    // The parser's own message could quote the secret, so it is left out.
    let document: Document = serde_json::from_str(text)
        .map_err(|_| Fail::failed("the admin's secret is not the JSON it should be"))?;
    Ok(Login { username: document.username, password: Secret::new(document.password) })
}

/// Runs a blocking call of the REST door beside the async world.
pub async fn ask<T: Send + 'static>(
    airflow: &Airflow,
    call: impl FnOnce(&Airflow) -> Result<T> + Send + 'static,
) -> Result<T> {
    let airflow = airflow.clone();
    let joined = tokio::task::spawn_blocking(move || call(&airflow)).await;
    joined.map_err(|e| Fail::bug("a request to Airflow broke off").because(e))?
}

/// A session with a token.
pub async fn session(url: &str, login: &Login) -> Result<Airflow> {
    let mut airflow = Airflow::new(url);
    let (user, password) = (login.username.clone(), login.password.clone());
    let joined =
        tokio::task::spawn_blocking(move || airflow.log_in(&user, &password).map(|()| airflow)).await;
    joined.map_err(|e| Fail::bug("a request to Airflow broke off").because(e))?
}

/// Waits until every component is healthy; says at the end which are not.
pub async fn healthy(url: &str, limit: Duration, sink: &Sink, step: &str) -> Result<Vec<Component>> {
    let airflow = Airflow::new(url);
    let watch = time::Stopwatch::start();
    loop {
        let answer = ask(&airflow, Airflow::health).await;
        let why = match answer {
            Ok(components) => match sick(&components) {
                None => return Ok(components),
                Some(names) => format!("not healthy: {names}"),
            },
            Err(fail) => fail.to_string(),
        };
        if watch.elapsed() >= limit {
            return Err(Fail::failed(format!("Airflow at `{url}` is not healthy")).cause(why));
        }
        sink.progress(step, format!("waiting for Airflow: {why}"));
        time::sleep(Duration::from_millis(500)).await;
    }
}

fn sick(components: &[Component]) -> Option<String> {
    let needed = ["metadatabase", "scheduler", "dag_processor", "triggerer"];
    let ill = |name: &&str| !components.iter().any(|c| c.name == **name && c.healthy);
    let names: Vec<&str> = needed.iter().filter(|name| ill(name)).copied().collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Asks the dag-processor to refresh, then waits until all of `expected` run the bundle.
pub async fn refreshed(
    airflow: &Airflow,
    bundle: &Digest,
    expected: &BTreeSet<String>,
    sink: &Sink,
    step: &str,
) -> Result<()> {
    let watch = time::Stopwatch::start();
    let mut pause = Duration::from_millis(100);
    let mut asked = false;
    loop {
        let late = watch.elapsed() >= REFRESHED_WITHIN;
        match ask(airflow, |airflow| airflow.dags(names::DAG_BUNDLE)).await {
            // A server that has just been restarted, or has much to do: that is no verdict on the bundle.
            Err(fail) if late => return Err(fail),
            Err(fail) => sink.progress(step, format!("waiting for Airflow: {fail}")),
            Ok(dags) => {
                let behind = behind(&dags, bundle, expected);
                if behind.is_empty() {
                    return broken_files(airflow, bundle).await;
                }
                if late {
                    return Err(stuck(&behind, bundle));
                }
                if !asked && let Some(token) = dags.first().map(|dag| dag.file_token.clone()) {
                    // It only makes it quicker: the dag-processor looks by itself as well.
                    asked = ask(airflow, move |airflow| airflow.parse_file(&token)).await.is_ok();
                }
                let done = expected.len() - behind.len();
                sink.progress(step, format!("{done} of {} DAGs are on the new bundle", expected.len()));
            }
        }
        time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_secs(1));
    }
}

/// The dag-processor refreshes bundles by itself every few seconds and then parses what changed.
const REFRESHED_WITHIN: Duration = Duration::from_secs(120);

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
        .cause(format!("{} DAGs are still on another one, such as {}", behind.len(), some.join(", ")))
        .hint("look at the dag-processor's log: a bundle that it cannot fetch or verify is only named there")
}

/// Import errors that Airflow meets though the validation did not.
async fn broken_files(airflow: &Airflow, bundle: &Digest) -> Result<()> {
    let errors = ask(airflow, |airflow| airflow.import_errors(names::DAG_BUNDLE)).await?;
    let Some(first) = errors.first() else { return Ok(()) };
    let last = first.stack_trace.trim_end().lines().last().unwrap_or_default().to_owned();
    Err(Fail::failed(format!("Airflow cannot import {} files of bundle `{}`", errors.len(), bundle.short()))
        .cause(format!("{}: {last}", first.filename)))
}

/// Runs the smoke DAG to its end; what its task returned tells where it ran.
pub async fn smoke(airflow: &Airflow, release: &str, sink: &Sink, step: &str) -> Result<Value> {
    let limit = Duration::from_secs(180);
    let watch = time::Stopwatch::start();
    let run = triggered(airflow, release, limit, sink, step).await?;
    loop {
        let id = run.clone();
        let state = match ask(airflow, move |airflow| airflow.run_state(names::SMOKE_DAG, &id)).await {
            Ok(state) => state,
            Err(fail) if watch.elapsed() >= limit => return Err(fail),
            Err(_) => "out of sight".to_owned(),
        };
        match state.as_str() {
            "success" => break,
            "failed" => {
                return Err(Fail::failed("the smoke task failed on a worker")
                    .cause(format!("run `{run}` of DAG `{}`", names::SMOKE_DAG))
                    .hint("read the task's log in Airflow, and check that workers reach the API server"));
            }
            _ if watch.elapsed() >= limit => {
                return Err(Fail::failed("no worker ran the smoke task in time")
                    .cause(format!("run `{run}` of DAG `{}` is still {state}", names::SMOKE_DAG))
                    .hint("check that a worker runs and reads the queue: cargo xtask status"));
            }
            _ => sink.progress(step, format!("smoke run is {state}")),
        }
        time::sleep(Duration::from_millis(300)).await;
    }
    ask(airflow, move |airflow| airflow.returned(names::SMOKE_DAG, &run, "report")).await
}

/// The DAG is there only after the dag-processor has parsed it for the first time.
async fn triggered(
    airflow: &Airflow,
    release: &str,
    limit: Duration,
    sink: &Sink,
    step: &str,
) -> Result<String> {
    let watch = time::Stopwatch::start();
    loop {
        let conf = json!({ "release": release });
        match ask(airflow, move |airflow| airflow.trigger(names::SMOKE_DAG, &conf)).await {
            Ok(run) => return Ok(run),
            Err(fail) if watch.elapsed() >= limit => return Err(fail.context("the smoke DAG cannot be run")),
            Err(fail) => sink.progress(step, format!("waiting for the smoke DAG to be parsed: {fail}")),
        }
        time::sleep(Duration::from_millis(500)).await;
    }
}
