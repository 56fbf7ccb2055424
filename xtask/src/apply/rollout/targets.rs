//! The instances of a deployment of CodeDeploy: how far they are, and why they failed. However many there are, a look
//! is three calls: the counts are in the deployment itself, and one instance stands for all that are at work.

use crate::doors::aws::{self, Aws};
use crate::fail::{Fail, Result};
use aws_sdk_codedeploy::types::{
    DeploymentInfo, InstanceTarget, LifecycleEvent, LifecycleEventStatus, TargetFilterName, TargetStatus,
};

/// Whose turns they are.
pub(super) const CODEDEPLOY: &str = "codedeploy";
/// So many instances say it all: those of one revision fail alike.
const TOLD: usize = 5;
/// Most targets in one question.
const BATCH: usize = 25;

/// ` · 1 of 3 done · ApplicationStop`; what cannot be told is left out.
pub(super) async fn position(aws: &Aws, info: &DeploymentInfo) -> String {
    let counts = info.deployment_overview().map(|all| {
        let open = all.pending() + all.in_progress() + all.ready();
        (all.succeeded(), open + all.succeeded() + all.failed() + all.skipped())
    });
    let done = counts.filter(|(_, all)| *all > 0).map(|(done, all)| format!(" · {done} of {all} done"));
    let event = match info.deployment_id() {
        Some(id) if info.deployment_overview().is_some_and(|all| all.in_progress() > 0) => {
            event(aws, id).await.ok().flatten()
        }
        _ => None,
    };
    let event = event.map(|event| format!(" · {event}"));
    done.into_iter().chain(event).collect()
}

/// What the first instance that is at work is at.
async fn event(aws: &Aws, id: &str) -> Result<Option<String>> {
    let ids = page(aws, id, &TargetStatus::InProgress).await?;
    let Some(first) = ids.first() else { return Ok(None) };
    let instances = read(aws, id, std::slice::from_ref(first)).await?;
    Ok(instances.iter().find_map(|one| name_of(one.lifecycle_events())))
}

/// The first instances that failed, each with the event in which it did.
pub(super) async fn failed(aws: &Aws, id: &str) -> Result<Vec<(String, String)>> {
    let mut ids = page(aws, id, &TargetStatus::Failed).await?;
    ids.truncate(BATCH);
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let event = |one: &InstanceTarget| {
        let event = one.lifecycle_events().iter().find_map(failed_event)?;
        Some((one.target_id().unwrap_or_default().to_owned(), event))
    };
    Ok(read(aws, id, &ids).await?.iter().filter_map(event).collect())
}

/// How far an instance is.
pub(super) async fn standing(aws: &Aws, id: &str, instance: &str) -> Result<Option<TargetStatus>> {
    let instances = read(aws, id, &[instance.to_owned()]).await?;
    Ok(instances.first().and_then(|one| one.status().cloned()))
}

/// Of a canary's deployment, what became of the canary comes first: the others only refuse to follow.
pub(super) async fn explain(
    aws: &Aws,
    info: &DeploymentInfo,
    group: &str,
    canary: Option<&str>,
    why: &str,
) -> Fail {
    let id = info.deployment_id().unwrap_or_default();
    let mut fail = Fail::failed(format!("deployment `{id}` to group `{group}` failed")).cause(why);
    let mut silent = info.error_information().is_none();
    let mut failed = self::failed(aws, id).await.unwrap_or_default();
    failed.sort_by_key(|(instance, _)| Some(instance.as_str()) != canary);
    for (instance, event) in failed.iter().take(TOLD) {
        fail = fail.cause(format!("instance {instance}: {event}"));
        silent |= !event.contains('\n');
    }
    let all = info.deployment_overview().map_or(0, |all| usize::try_from(all.failed()).unwrap_or_default());
    if all > TOLD && failed.len() > TOLD {
        fail = fail.cause(format!("and {} more instances", all - TOLD));
    }
    // The agent drops all output of a script if a byte of it is not UTF-8 or its last line is too long.
    if silent {
        fail = fail
            .hint("look at the instances' logs: /opt/codedeploy-agent/deployment-root/*/*/logs/scripts.log");
    }
    fail
}

/// The first page of the instances in a state.
async fn page(aws: &Aws, id: &str, status: &TargetStatus) -> Result<Vec<String>> {
    aws.pace.turn(CODEDEPLOY).await;
    let list = aws.codedeploy.list_deployment_targets().deployment_id(id);
    let list = list.target_filters(TargetFilterName::TargetStatus, vec![status.as_str().to_owned()]);
    let page = list.send().await.map_err(|e| aws::failure("CodeDeploy", unread(id), e))?;
    Ok(page.target_ids.unwrap_or_default())
}

async fn read(aws: &Aws, id: &str, targets: &[String]) -> Result<Vec<InstanceTarget>> {
    aws.pace.turn(CODEDEPLOY).await;
    let batch = aws.codedeploy.batch_get_deployment_targets().deployment_id(id);
    let batch = batch.set_target_ids(Some(targets.to_vec())).send().await;
    let batch = batch.map_err(|e| aws::failure("CodeDeploy", unread(id), e))?;
    Ok(batch.deployment_targets().iter().filter_map(|target| target.instance_target().cloned()).collect())
}

fn unread(id: &str) -> String {
    format!("cannot read the instances of deployment `{id}`")
}

fn name_of(events: &[LifecycleEvent]) -> Option<String> {
    let event = events.iter().find(|event| event.status() == Some(&LifecycleEventStatus::InProgress))?;
    event.lifecycle_event_name().map(str::to_owned)
}

/// `ValidateService (hooks/validate_service, ScriptFailed)` and the end of its output.
fn failed_event(event: &LifecycleEvent) -> Option<String> {
    if event.status() != Some(&LifecycleEventStatus::Failed) {
        return None;
    }
    let name = event.lifecycle_event_name().unwrap_or_default();
    let Some(why) = event.diagnostics() else { return Some(name.to_owned()) };
    let script = why.script_name().unwrap_or_default();
    let message = why.message().unwrap_or_default();
    let log = why.log_tail().unwrap_or_default().trim_end();
    Some(format!("{name} {script} {message}\n{log}").trim().to_owned())
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
