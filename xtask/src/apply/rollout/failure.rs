//! Why a deployment of a service failed, on one screen: what ECS says of it, of its tasks and of the service, and the
//! last lines that a task wrote.

use super::super::task::{last_lines, reasons};
use super::ecs::Order;
use crate::doors::ecs::{self, Cluster, Filter, ServiceDeployment, Task};
use crate::fail::Fail;
use std::time::Duration;

/// So many tasks say it all: those of one revision fail alike.
const TASKS: usize = 2;
const EVENTS: usize = 5;
/// What events are about that say why something is not as it should be.
const TELLING: [&str; 8] =
    ["fail", "unable", "unhealthy", "error", "alarm", "rolling back", "missing", "throttl"];

pub(super) enum Why<'a> {
    Ended(&'a ServiceDeployment),
    /// At this, for so long.
    Stands(&'a str, Duration),
    /// It had gone well, until the task ended.
    Canary,
}

pub(super) async fn explain(cluster: Cluster<'_>, order: &Order<'_>, why: Why<'_>) -> Fail {
    let mut fail = Fail::failed(format!("the deployment of service `{}` failed", order.service));
    fail = match why {
        Why::Ended(deployment) => of_deployment(deployment).into_iter().fold(fail, Fail::cause),
        Why::Stands(at, long) => {
            fail.cause(format!("nothing has changed for {} minutes: {at}", long.as_secs() / 60))
        }
        Why::Canary => fail.cause("its task has not lasted"),
    };
    fail = of_tasks(cluster, order, fail).await;
    of_service(cluster, order).await.into_iter().fold(fail, Fail::cause).hint(format!(
        "repair what the task says; its whole log is that of `{}` in the log group of the environment",
        order.title
    ))
}

fn of_deployment(deployment: &ServiceDeployment) -> Vec<String> {
    let breaker = deployment.deployment_circuit_breaker.as_ref().filter(|one| one.status == "TRIGGERED");
    let what = match deployment.status.as_str() {
        "STOPPED" if breaker.is_some() => "ECS has given it up",
        "SUCCESSFUL" => "it succeeded, but with another task definition than was asked for",
        "ROLLBACK_SUCCESSFUL" => "ECS has taken it back",
        "ROLLBACK_FAILED" => "ECS could not take it back",
        _ => "it was stopped, by somebody or by another deployment",
    };
    let mut told = vec![format!("{what} ({})", deployment.status)];
    let rollback = deployment.rollback.as_ref().and_then(|rollback| rollback.reason.clone());
    for reason in [rollback, deployment.status_reason.clone()].into_iter().flatten() {
        if !told.contains(&reason) {
            told.push(reason);
        }
    }
    if let Some(breaker) = breaker {
        let (failed, most) = (breaker.failure_count, breaker.threshold);
        told.push(format!("its circuit breaker stands at {failed} failed tasks of {most}"));
    }
    let alarms = deployment.alarms.iter().flat_map(|alarms| &alarms.triggered_alarm_names);
    told.extend(alarms.map(|alarm| format!("alarm `{alarm}` went off")));
    told
}

/// Tasks of the new revision that have ended, the last ones first.
async fn of_tasks(cluster: Cluster<'_>, order: &Order<'_>, mut fail: Fail) -> Fail {
    let stopped = cluster.tasks(Filter::Stopped(order.service)).await.unwrap_or_default();
    let mut ours: Vec<Task> =
        stopped.into_iter().filter(|task| task.task_definition_arn == order.definition).collect();
    ours.sort_by(|one, other| other.stopped_at.total_cmp(&one.stopped_at));
    for task in ours.iter().take(TASKS) {
        fail = reasons(task).into_iter().fold(fail, Fail::cause);
    }
    match ours.first() {
        Some(task) => lines(cluster, task).await.into_iter().fold(fail, Fail::cause),
        None => fail,
    }
}

/// Of each container that ended badly; of all, if none did.
async fn lines(cluster: Cluster<'_>, task: &Task) -> Vec<String> {
    let Ok(defined) = ecs::task_definition(cluster.aws, &task.task_definition_arn).await else {
        return Vec::new();
    };
    let bad = |name: &str| {
        task.containers.iter().any(|one| one.name == name && one.exit_code.is_some_and(|code| code != 0))
    };
    let any = defined.container_definitions.iter().any(|container| bad(&container.name));
    let mut told = Vec::new();
    for container in defined.container_definitions.iter().filter(|one| !any || bad(&one.name)) {
        told.extend(last_lines(cluster.aws, container, task).await);
    }
    told
}

/// What the service has had to say; ECS lists the newest first.
async fn of_service(cluster: Cluster<'_>, order: &Order<'_>) -> Vec<String> {
    let services = cluster.services(&[order.service]).await.unwrap_or_default();
    let events = services.into_iter().flat_map(|service| service.events).map(|event| event.message);
    let telling = events.filter(|text| {
        let text = text.to_lowercase();
        TELLING.iter().any(|word| text.contains(word))
    });
    telling.take(EVENTS).collect()
}
