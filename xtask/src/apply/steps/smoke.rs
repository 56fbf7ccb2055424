//! Step `smoke`: every component is healthy, and a worker of the new runtime runs a task.

use super::super::airflow;
use super::super::context::{Context, State};
use super::super::timed::Ended;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::release::Runtime;

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
    let airflow = state.airflow(&context.aws, context.cloud).await?;
    let report = airflow::smoke(&airflow, release, sink).await?;
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
