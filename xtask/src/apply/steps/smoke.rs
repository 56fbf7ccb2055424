//! Step `smoke`: every component is healthy, and a worker of the new runtime runs a task.

use super::super::context::{Context, State};
use super::super::timed::Ended;
use super::super::{airflow, smoke};
use crate::fail::{Fail, Result};
use crate::model::contract::CONTRACT;
use crate::model::event::Sink;
use crate::model::names;
use crate::model::release::Runtime;
use crate::observe::workers;

pub(super) async fn run(
    context: &Context,
    runtime: Runtime,
    release: &str,
    state: &mut State,
    sink: &Sink,
) -> Result<Ended> {
    if state.running.proven {
        return Ok(Ended::skipped("no host was changed"));
    }
    airflow::healthy(&state.url(context.cloud)?, sink).await?;
    let group = names::worker_groups(&state.outputs).remove(&CONTRACT.worker_set.default);
    if let Some(group) = &group
        && workers::read(&context.aws, group).await.is_ok_and(|workers| workers.asleep())
    {
        return Ok(Ended::done(
            "every component is healthy; no task ran, since the workers sleep by [schedule]",
        ));
    }
    let airflow = state.airflow(&context.aws, context.cloud).await?;
    let hosts = group.as_deref().map(|group| (&context.aws, group));
    let report = smoke::run(&airflow, release, hosts, sink).await?;
    let Runtime::Hosts(expected) = runtime;
    let revision = report["revision"].as_str().unwrap_or("unknown");
    if revision != expected.to_string() {
        return Err(Fail::failed("the smoke task ran on a worker of another revision")
            .cause(format!("it ran on host revision `{revision}`, deployed is `{expected}`"))
            .hint("look for workers outside the deployment group that read the same queue"));
    }
    let host = report["host"].as_str().unwrap_or("a worker");
    Ok(Ended::done(format!("a task ran on {host}, host revision {}", expected.short())))
}
