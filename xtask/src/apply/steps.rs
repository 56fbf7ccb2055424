//! The steps of a deployment but for the stack, which has a file of its own.

use super::context::{Context, Runs, State};
use super::deploy::Ended;
use super::rollout::{self, Order};
use super::{airflow, upload, validate};
use crate::doors::airflow::Airflow;
use crate::doors::documents::{self, Condition, Found, Written};
use crate::fail::{Fail, Kind, Problem, Result};
use crate::model::dags::{DagDiff, DagIndex};
use crate::model::digest::Digest;
use crate::model::names::{self, outputs};
use crate::model::release::Pointer;
use crate::model::text::count;
use crate::plan::deploy::{Plan, Source, Step};
use std::collections::BTreeMap;
use std::time::Duration;

/// A host that has just got a revision answers within this time, also on a small machine.
const HEALTHY_WITHIN: Duration = Duration::from_secs(180);

pub async fn validate(context: &Context, state: &mut State) -> Result<Ended> {
    let step = Step::Validate.name();
    let bundle =
        context.artifacts.bundle.as_deref().ok_or_else(|| Fail::bug("there is no bundle to validate"))?;
    let parse = validate::validate(&context.root, bundle, context.parse_timeout, &context.sink, step);
    // Later steps need a session with Airflow: it is opened meanwhile, and tried again there if it fails.
    let live = state.pointer.is_some();
    let session = async { if live { state.airflow(&context.aws).await.ok() } else { None } };
    let (dags, _) = tokio::join!(parse, session);
    let dags = dags?;
    breaks_no_run(context, state, &dags).await?;
    let summary = format!("{} parsed", count(dags.0.len(), "DAG"));
    state.dags = Some(dags);
    Ok(Ended::done(summary))
}

/// A run finds its DAG by the file it is in now, and one of a removed DAG is never scheduled again, so
/// neither may change under an unfinished run.
async fn breaks_no_run(context: &Context, state: &mut State, dags: &DagIndex) -> Result<()> {
    let Some(pointer) = &state.pointer else { return Ok(()) };
    let key = names::bundle_index_key(&pointer.value.bundle);
    let live = documents::read::<DagIndex>(&context.aws, &context.bucket, &key).await?;
    let breaking = live.map(|live| DagDiff::between(&live.value, dags).breaking()).unwrap_or_default();
    if breaking.is_empty() || context.runs == Runs::Sacrifice {
        return Ok(());
    }
    let unfinished = unfinished(context, state).await.map_err(|fail| {
        fail.context(format!("cannot tell whether DAGs have unfinished runs: {}", breaking.join(", ")))
            .hint("where Airflow is down and its runs may fail: cargo xtask deploy --force")
    })?;
    let problem = |dag: String| {
        let message = "moved to another file or removed, while a run of it is unfinished";
        let hint = "wait for the run, or give it up: cargo xtask deploy --force";
        Problem::new("breaks_runs", format!("DAG `{dag}`"), message, hint)
    };
    let broken: Vec<Problem> =
        breaking.into_iter().filter(|dag| unfinished.contains(dag)).map(problem).collect();
    if broken.is_empty() { Ok(()) } else { Err(Fail::problems("unfinished runs would fail", broken)) }
}

async fn unfinished(context: &Context, state: &mut State) -> Result<Vec<String>> {
    let airflow = state.airflow(&context.aws).await?;
    airflow::ask(&airflow, Airflow::dags_with_unfinished_runs).await
}

pub async fn bootstrap(context: &Context) -> Result<Ended> {
    super::stack::bootstrap(context, Step::Bootstrap.name()).await
}

pub async fn bundle(context: &Context, plan: &Plan, state: &mut State) -> Result<Ended> {
    let digest = plan.target.bundle;
    let bundle =
        context.artifacts.bundle.as_deref().ok_or_else(|| Fail::bug("there is no bundle to upload"))?;
    let sent =
        upload::put_if_absent(&context.aws, &context.bucket, &names::bundle_key(&digest), bundle, &digest)
            .await?;
    if let Some(dags) = &state.dags {
        documents::put(&context.aws, &context.bucket, &names::bundle_index_key(&digest), dags).await?;
    }
    Ok(counted(sent, &digest, state))
}

fn counted(sent: upload::Uploaded, digest: &Digest, state: &mut State) -> Ended {
    match sent {
        upload::Uploaded::Yes => {
            state.uploads += 1;
            Ended::done(format!("{} uploaded", digest.short()))
        }
        upload::Uploaded::AlreadyThere => Ended::skipped(format!("{} is there already", digest.short())),
    }
}

/// The revision goes to the groups one after the other, each a gate for the next.
pub async fn hosts(context: &Context, plan: &Plan, state: &mut State) -> Result<Ended> {
    let step = Step::Hosts.name();
    super::stack::read_outputs(context, state).await?;
    let key = names::host_key(&plan.target.host);
    let mark = mark(plan, state);
    let mut rolled = 0;
    for name in names::deployment_groups(&state.outputs) {
        let group = state.output(&name)?.to_owned();
        let application = state.output(outputs::CODEDEPLOY_APPLICATION)?.to_owned();
        let order = Order {
            application: &application,
            group: &group,
            bucket: &context.bucket,
            key: &key,
            mark: &mark,
        };
        if !plan.force_hosts && rollout::runs(&context.aws, &order).await? {
            continue;
        }
        if rolled == 0 {
            upload_host(context, plan, state).await?;
        }
        state.touched = true;
        state.rolled = true;
        rollout::roll(&context.aws, &order, &context.sink, step).await?;
        rolled += 1;
    }
    if rolled == 0 {
        return Ok(Ended::skipped("every host runs it already"));
    }
    Ok(Ended::done(format!("{} on {}", plan.target.host.short(), count(rolled, "deployment group"))))
}

async fn upload_host(context: &Context, plan: &Plan, state: &mut State) -> Result<()> {
    let Some(zip) = context.artifacts.host.as_deref().filter(|_| plan.source == Source::Tree) else {
        return Ok(());
    };
    let digest = plan.target.host;
    let sent =
        upload::put_if_absent(&context.aws, &context.bucket, &names::host_key(&digest), zip, &digest).await?;
    state.uploads += usize::from(sent == upload::Uploaded::Yes);
    Ok(())
}

/// Tells revisions with the same files but other settings apart: hosts read theirs from the stack.
fn mark(plan: &Plan, state: &State) -> String {
    let read = |name: &&String| names::HOST_PARAMETERS.contains(&name.as_str());
    let parameters: BTreeMap<_, _> = state.parameters.iter().filter(|(name, _)| read(name)).collect();
    let settings = serde_json::json!({ "outputs": state.outputs, "parameters": parameters });
    let settings = Digest::of(settings.to_string().as_bytes());
    format!("host revision {} settings {}", plan.target.host.short(), settings.short())
}

/// Records the release, then moves the pointer to it, unless somebody else has moved it meanwhile.
pub async fn pointer(context: &Context, plan: &Plan, state: &mut State) -> Result<Ended> {
    let before = state.pointer.as_ref();
    if before.is_some_and(|found| {
        found.value.release == plan.target.id() && found.value.bundle == plan.target.bundle
    }) {
        return Ok(Ended::skipped("it names this release already"));
    }
    let id = plan.target.id();
    let key = names::release_key(&context.environment, &id);
    documents::write(&context.aws, &context.bucket, &key, &plan.target, Condition::Absent).await?;
    let next = Pointer::next(before.map(|found| &found.value), &plan.target);
    let condition = before.map_or(Condition::Absent, |found| Condition::Same(&found.etag));
    let key = names::pointer_key(&context.environment);
    match documents::write(&context.aws, &context.bucket, &key, &next, condition).await? {
        Written::Yes(etag) => {
            state.touched = true;
            state.pointer = Some(Found { value: next, etag });
            Ok(Ended::done(format!("release {id}")))
        }
        Written::Lost => Err(Fail::new(Kind::Locked, "the pointer was moved by somebody else meanwhile")
            .hint("look at what they did, then deploy again: cargo xtask history")),
    }
}

/// Airflow is told to refresh and shows the new digest at every DAG.
pub async fn dags(context: &Context, plan: &Plan, state: &mut State) -> Result<Ended> {
    let step = Step::Dags.name();
    let digest = plan.target.bundle;
    if state.dags.is_none() {
        let key = names::bundle_index_key(&digest);
        state.dags =
            documents::read::<DagIndex>(&context.aws, &context.bucket, &key).await?.map(|found| found.value);
    }
    let Some(expected) = state.dags.as_ref().map(DagIndex::ids) else {
        // Without it nothing could be verified, and nothing unverified is called deployed.
        return Err(Fail::failed(format!("nothing tells which DAGs are in bundle `{}`", digest.short()))
            .cause(format!("`s3://{}/{}` is gone", context.bucket, names::bundle_index_key(&digest))));
    };
    super::stack::read_outputs(context, state).await?;
    let airflow = state.airflow(&context.aws).await?;
    airflow::refreshed(&airflow, &digest, &expected, &context.sink, step).await?;
    Ok(Ended::done(format!("{} on bundle {}", count(expected.len(), "DAG"), digest.short())))
}

/// Every component is healthy and a worker runs a task.
pub async fn smoke(context: &Context, plan: &Plan, state: &mut State) -> Result<Ended> {
    let step = Step::Smoke.name();
    if !state.rolled && plan.proven {
        return Ok(Ended::skipped("no host was changed"));
    }
    let url = state.url(&context.aws)?;
    airflow::healthy(&url, HEALTHY_WITHIN, &context.sink, step).await?;
    let airflow = state.airflow(&context.aws).await?;
    let report = airflow::smoke(&airflow, &plan.target.id(), &context.sink, step).await?;
    let revision = report["revision"].as_str().unwrap_or("unknown");
    if revision != plan.target.host.to_string() {
        return Err(Fail::failed("the smoke task ran on a worker of another revision")
            .cause(format!("it ran on host revision `{revision}`, deployed is `{}`", plan.target.host))
            .hint("look for workers outside the deployment group that read the same queue"));
    }
    let host = report["host"].as_str().unwrap_or("a worker");
    Ok(Ended::done(format!("a task ran on {host}, host revision {}", plan.target.host.short())))
}

pub async fn health(context: &Context, state: &mut State) -> Result<Ended> {
    let url = state.url(&context.aws)?;
    let components = airflow::healthy(&url, HEALTHY_WITHIN, &context.sink, Step::Health.name()).await?;
    Ok(Ended::skipped(format!("{} healthy, nothing to do", count(components.len(), "component"))))
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
