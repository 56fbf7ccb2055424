//! Part of the step `stack`: the environment leaves the hosts of its cluster. See `plan/leaving.rs`.

use super::super::context::{Context, State};
use super::super::patience::patiently;
use super::super::stack::change_set::Template;
use super::super::stack::{Goal, converge, master};
use super::super::workers;
use crate::doors::backoff::Backoff;
use crate::doors::ecs::{Cluster, Filter, Task};
use crate::doors::time::Stopwatch;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::names::outputs;
use crate::model::release::StackSpec;
use crate::model::text::count;
use crate::observe::stack as observed;
use crate::plan::leaving::{leaves, transition};
use crate::plan::templates::Packaged;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long tasks that no service holds may go on, as long as CloudFormation waits for those of services.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);

/// Moves everything away from the hosts, if the deployed stack has any and `spec` has none.
pub(super) async fn run(
    context: &Context,
    spec: &StackSpec,
    release: &str,
    (root, state): (&Packaged, &mut State),
    sink: &Sink,
) -> Result<()> {
    let client = &context.aws.cloudformation;
    let Some(facts) = observed::stack(client, &context.stack).await? else { return Ok(()) };
    let Some(deployed) = facts.template.as_ref().filter(|_| leaves(&facts.parameters, &spec.parameters))
    else {
        return Ok(());
    };
    sink.note("first everything leaves the hosts of the cluster, then the hosts go");
    let (root, spec) = transition(deployed, &facts.parameters, root, spec)?;
    let uploads = [context.artifacts.templates.clone(), vec![root.clone()]].concat();
    let goal = Goal {
        stack: &context.stack,
        desired: master::desired(context, &spec, release, &root),
        template: Template::Url(&master::url(context, &spec)),
        uploads: &uploads,
        sink,
    };
    state.uploads += converge(context, &goal).await?.uploads;
    let now = observed::describe_only(client, &context.stack).await?;
    empty(context, &now.map(|facts| facts.outputs).unwrap_or_default(), sink).await
}

/// Waits for the last task, then takes the protection from the hosts: once their capacity provider is gone nobody
/// does, and CloudFormation would wait for them. How many there may be stays as it is, should somebody come back.
async fn empty(context: &Context, outputs: &BTreeMap<String, String>, sink: &Sink) -> Result<()> {
    let aws = &context.aws;
    if let Some(name) = outputs.get(outputs::CLUSTER) {
        until_empty(Cluster { aws, name }, sink).await?;
    }
    match outputs.get(outputs::CLUSTER_GROUP) {
        Some(group) => workers::let_go(aws, group).await,
        None => Ok(()),
    }
}

async fn on_hosts(cluster: Cluster<'_>) -> Result<Vec<Task>> {
    let mut tasks = cluster.tasks(Filter::OnHosts).await?;
    let leaving = cluster.tasks(Filter::Leaving).await?.into_iter();
    tasks.extend(leaving.filter(|task| task.last_status != "STOPPED"));
    Ok(tasks)
}

async fn until_empty(cluster: Cluster<'_>, sink: &Sink) -> Result<()> {
    let aws = cluster.aws.watching();
    let cluster = Cluster { aws: &aws, name: cluster.name };
    let watch = Stopwatch::start();
    let mut backoff = Backoff::polling();
    loop {
        let tasks = patiently(sink, || on_hosts(cluster)).await?;
        if tasks.is_empty() {
            return Ok(());
        }
        let left = count(tasks.len(), "task");
        if watch.elapsed() >= PATIENCE {
            let fail = Fail::failed(format!("{left} of cluster `{}` still run on its hosts", cluster.name));
            let fail = tasks.iter().fold(fail, |fail, task| fail.cause(&task.task_arn));
            return Err(fail.hint("deploy again when they have ended: everything else has left the hosts"));
        }
        sink.progress(format!("waiting for {left} on hosts of the cluster"));
        backoff.wait().await;
    }
}
