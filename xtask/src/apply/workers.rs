//! Sends all workers of an environment away at once, so that nothing of theirs holds up the deletion of the stack.
//!
//! CloudFormation never forces an Auto Scaling group: a worker that is protected because it runs tasks, or drains,
//! would hold the deletion up for an hour or more, and then fail it. So would a host of a cluster: nobody takes its
//! protection away once its capacity provider is deleted.

use crate::doors::aws::{self, Aws};
use crate::doors::backoff::Backoff;
use crate::doors::ecs::{Cluster, Filter};
use crate::doors::time::Stopwatch;
use crate::fail::Result;
use crate::model::contract::CONTRACT;
use crate::model::event::Sink;
use crate::model::names::{self, Serves, Service};
use crate::model::text::count;
use crate::observe::workers;
use aws_sdk_autoscaling::error::{ProvideErrorMetadata, SdkError};
use std::collections::BTreeMap;
use std::time::Duration;

/// Auto Scaling takes seconds to begin. Whatever stays for longer is for the deletion to tell.
const PATIENCE: Duration = Duration::from_secs(300);

/// Most hosts that Auto Scaling takes in one request
/// (docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SetInstanceProtection.html).
const HOSTS: usize = 50;
/// Whose turns they are.
const AUTO_SCALING: &str = "autoscaling";

/// What ECS tells of tasks that were ended here.
const DESTROYED: &str = "the environment is destroyed";

pub(super) async fn dismiss(aws: &Aws, outputs: &BTreeMap<String, String>, sink: &Sink) -> Result<()> {
    for group in names::scaling_groups(outputs) {
        resume(aws, &group).await?;
    }
    for group in names::worker_groups(outputs).values() {
        dismiss_group(aws, group, sink).await?;
    }
    dismiss_tasks(aws, outputs, sink).await?;
    match outputs.get(names::outputs::CLUSTER_GROUP) {
        Some(group) => dismiss_group(aws, group, sink).await,
        None => Ok(()),
    }
}

/// A service whose tasks are protected is not gone before the last of them ends. ECS stops a protected task that it is
/// asked for by name.
async fn dismiss_tasks(aws: &Aws, outputs: &BTreeMap<String, String>, sink: &Sink) -> Result<()> {
    let Some(cluster) = outputs.get(names::outputs::CLUSTER) else { return Ok(()) };
    let cluster = Cluster { aws, name: cluster };
    let mut found = false;
    for service in of_workers(outputs) {
        if cluster.services(&[&service]).await?.is_empty() {
            continue;
        }
        found = true;
        cluster.resize(&service, 0).await?;
        let tasks = cluster.tasks(Filter::Service(&service)).await?;
        if !tasks.is_empty() {
            sink.progress(format!("ending {} of service `{service}`", count(tasks.len(), "worker")));
        }
        for task in tasks {
            cluster.stop(&task.task_arn, DESTROYED).await?;
        }
    }
    // Only workers start them: without one there are none left.
    if found { dismiss_external(&cluster, sink).await } else { Ok(()) }
}

/// The services of worker sets and of their canaries, whether or not they are there.
fn of_workers(outputs: &BTreeMap<String, String>) -> Vec<String> {
    let both = |service: Service| match service.serves {
        Serves::Component(_) => Vec::new(),
        Serves::Workers(set) => vec![service.name, names::canary_service(&set)],
    };
    names::services(outputs).into_iter().flat_map(both).collect()
}

/// External tasks that DAGs have started: ECS deletes no cluster with a task.
async fn dismiss_external(cluster: &Cluster<'_>, sink: &Sink) -> Result<()> {
    let family = format!(":task-definition/{}", names::task_family(cluster.name, ""));
    let tasks = cluster.tasks(Filter::All).await?;
    for task in tasks.iter().filter(|task| task.task_definition_arn.contains(&family)) {
        sink.progress(format!("ending external task `{}`", task.task_arn));
        cluster.stop(&task.task_arn, DESTROYED).await?;
    }
    Ok(())
}

/// A rollout that goes on, or that CodeDeploy could not end properly, keeps the group from ending its hosts.
async fn resume(aws: &Aws, group: &str) -> Result<bool> {
    let request = aws.autoscaling.resume_processes().auto_scaling_group_name(group);
    was_there(request.send().await, || format!("cannot resume the processes of group `{group}`"))
}

/// No host is wanted, none is waited for, and none is protected. The keeper of a host may protect it once more in
/// between, so this looks again until all are on their way out.
async fn dismiss_group(aws: &Aws, group: &str, sink: &Sink) -> Result<()> {
    if !want_none(aws, group).await? {
        return Ok(());
    }
    drop_hook(aws, group).await?;
    end_standby(aws, group).await?;
    let watch = Stopwatch::start();
    let mut backoff = Backoff::polling();
    while watch.elapsed() < PATIENCE {
        aws.pace.turn(AUTO_SCALING).await;
        let Ok(workers) = workers::read(aws, group).await else { return Ok(()) };
        let serving = workers.in_service();
        if serving.is_empty() {
            return Ok(());
        }
        sink.progress(format!("ending {} of group `{group}`", count(serving.len(), "worker")));
        aws.pace.turn(AUTO_SCALING).await;
        unprotect(aws, group, &serving).await?;
        backoff.wait().await;
    }
    Ok(())
}

/// Whoever deletes the group may end its hosts; until then nothing else changes.
pub(super) async fn let_go(aws: &Aws, group: &str) -> Result<()> {
    let Ok(workers) = workers::read(aws, group).await else { return Ok(()) };
    let serving = workers.in_service();
    if !serving.is_empty() {
        unprotect(aws, group, &serving).await?;
    }
    Ok(())
}

/// False if the group is gone already.
async fn want_none(aws: &Aws, group: &str) -> Result<bool> {
    let update = aws.autoscaling.update_auto_scaling_group().auto_scaling_group_name(group);
    let update =
        update.min_size(0).max_size(0).desired_capacity(0).new_instances_protected_from_scale_in(false);
    was_there(update.send().await, || format!("cannot end the workers of group `{group}`"))
}

/// What waits for the hook goes on.
async fn drop_hook(aws: &Aws, group: &str) -> Result<bool> {
    let hook = &CONTRACT.lifecycle_hook;
    let delete =
        aws.autoscaling.delete_lifecycle_hook().auto_scaling_group_name(group).lifecycle_hook_name(hook);
    let what = || format!("cannot delete the lifecycle hook `{hook}` of group `{group}`");
    was_there(delete.send().await, what)
}

/// What an interrupted rollout has left on standby, where no size of the group reaches it.
async fn end_standby(aws: &Aws, group: &str) -> Result<()> {
    let Ok(workers) = workers::read(aws, group).await else { return Ok(()) };
    for host in workers.on_standby() {
        let request = aws.autoscaling.terminate_instance_in_auto_scaling_group();
        let request = request.instance_id(&host).should_decrement_desired_capacity(false);
        was_there(request.send().await, || format!("cannot end host `{host}` of group `{group}`"))?;
    }
    Ok(())
}

/// False if one of them has left the service since.
async fn unprotect(aws: &Aws, group: &str, hosts: &[String]) -> Result<bool> {
    let what = || format!("cannot take the protection from the workers of group `{group}`");
    let mut all = true;
    for some in hosts.chunks(HOSTS) {
        let request = aws.autoscaling.set_instance_protection().auto_scaling_group_name(group);
        let request = request.set_instance_ids(Some(some.to_vec())).protected_from_scale_in(false);
        all &= was_there(request.send().await, what)?;
    }
    Ok(all)
}

/// Auto Scaling has one code for groups, hooks and instances that are not there.
fn was_there<T, E, R>(
    answer: std::result::Result<T, SdkError<E, R>>,
    what: impl FnOnce() -> String,
) -> Result<bool>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match answer {
        Ok(_) => Ok(true),
        Err(error) if aws::code(&error) == "ValidationError" => Ok(false),
        Err(error) => Err(aws::failure("Auto Scaling", what(), error)),
    }
}

#[cfg(test)]
#[path = "workers_tests.rs"]
mod tests;
