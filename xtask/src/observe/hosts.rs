//! The hosts and tasks of an environment, as the services see them that keep them: what a receipt has to be held against.

use crate::doors::aws::{self, Aws};
use crate::doors::ecs::{Cluster, Filter, Task};
use crate::fail::Result;
use crate::model::names::{self, outputs};
use crate::model::receipt::{Alive, Place};
use crate::model::services::ServiceState;
use std::collections::BTreeMap;

/// Those that there are: instances of the Auto Scaling groups, or tasks of the cluster.
pub async fn alive(
    aws: &Aws,
    outputs: &BTreeMap<String, String>,
    services: &[ServiceState],
) -> Result<Alive> {
    match outputs.get(outputs::CLUSTER) {
        Some(cluster) => tasks(aws, cluster, services).await,
        None => instances(aws, &names::titled_groups(outputs)).await,
    }
}

async fn instances(aws: &Aws, groups: &[(String, String)]) -> Result<Alive> {
    let mut alive = Alive::new();
    if groups.is_empty() {
        return Ok(alive);
    }
    let names = groups.iter().map(|(_, group)| group.clone()).collect();
    let ask = aws.autoscaling.describe_auto_scaling_groups().set_auto_scaling_group_names(Some(names));
    let mut pages = ask.into_paginator().items().send();
    while let Some(group) = pages.next().await {
        let group = group.map_err(|e| aws::failure("Auto Scaling", "cannot read the hosts", e))?;
        let title = groups.iter().find(|(_, name)| group.auto_scaling_group_name() == Some(name));
        let title = title.map_or("host", |(title, _)| title);
        for host in group.instances() {
            let state = host.lifecycle_state().map_or("", |state| state.as_str()).to_owned();
            let draining = state.starts_with("Terminating");
            let place = Place { title: title.to_owned(), state, draining };
            alive.insert(host.instance_id().unwrap_or_default().to_owned(), place);
        }
    }
    Ok(alive)
}

/// Tasks of the services that a release reaches. One of another task definition than its service's ends with its work,
/// and so does a canary.
async fn tasks(aws: &Aws, cluster: &str, services: &[ServiceState]) -> Result<Alive> {
    let tasks = Cluster { aws, name: cluster }.tasks(Filter::All).await?;
    let short = |arn: &str| arn.rsplit('/').next().unwrap_or(arn).to_owned();
    let family = |definition: &str| definition.split(':').next().unwrap_or_default().to_owned();
    let place = |definition: &str, task: Task| {
        let service = services.iter().find(|one| family(&one.task_definition) == family(definition))?;
        let draining = service.task_definition != definition || names::is_canary(&task.group);
        Some(Place { title: service.title.clone(), state: task.last_status, draining })
    };
    let found = tasks
        .into_iter()
        .filter_map(|task| Some((short(&task.task_arn), place(&short(&task.task_definition_arn), task)?)));
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake_ecs::{FakeEcs, of, task};

    #[tokio::test]
    async fn a_task_of_another_definition_than_its_services_drains() {
        let definition = |revision| format!("arn:aws:ecs:r:1:task-definition/p-dev-worker:{revision}");
        let fake = FakeEcs::default()
            .task([task("new", &definition(2), "RUNNING")])
            .task([task("old", &definition(1), "RUNNING")])
            .task([of("canary-default", task("canary", &definition(2), "RUNNING"))])
            .task([task("migrate", "arn:aws:ecs:r:1:task-definition/p-dev-migrate:1", "RUNNING")])
            .task([task("airflow-task", "arn:aws:ecs:r:1:task-definition/p-dev-executor:1", "RUNNING")]);
        let service = ServiceState {
            title: "worker default".to_owned(),
            task_definition: "p-dev-worker:2".to_owned(),
            ..ServiceState::default()
        };
        let outputs = BTreeMap::from([(outputs::CLUSTER.to_owned(), "c".to_owned())]);
        let alive = alive(&fake.aws(), &outputs, &[service]).await.unwrap();
        let seen: Vec<_> = alive.iter().map(|(id, place)| (id.as_str(), place.draining)).collect();
        assert_eq!(seen, [("canary", true), ("new", false), ("old", true)]);
        assert_eq!(alive["new"].title, "worker default");
    }
}
