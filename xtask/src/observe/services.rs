//! The services of an environment on ECS as they are: what each runs, with how many tasks, and what still drains.

use crate::doors::aws::Aws;
use crate::doors::ecs::{self, Cluster, Service as Found};
use crate::fail::Result;
use crate::model::names::{self, Serves, Service, outputs};
use crate::model::release::IMAGE_PARAMETER;
use crate::model::services::ServiceState;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::BTreeMap;

/// How many task definitions are asked for at the same time.
const READS: usize = 8;

/// Those that a release reaches. One question about all of them, and a few for each task definition that is not the
/// stack's. None on engines without services.
pub async fn read(
    aws: &Aws,
    outputs: &BTreeMap<String, String>,
    parameters: &BTreeMap<String, String>,
) -> Result<Vec<ServiceState>> {
    states(aws, outputs, &names::services(outputs), parameters.get(IMAGE_PARAMETER)).await
}

/// Those that are CloudFormation's, such as the broker: no release waits for them or is judged by them.
pub async fn beside(aws: &Aws, outputs: &BTreeMap<String, String>) -> Result<Vec<ServiceState>> {
    states(aws, outputs, &names::services_beside(outputs), None).await
}

/// Those that a release reaches, each with the revision that it is to have. The stack makes a new one even if tasks of it
/// are those that run, such as on the way back from a release that some services never got: those keep what they have.
pub async fn wanted(cluster: Cluster<'_>, outputs: &BTreeMap<String, String>) -> Result<Vec<Service>> {
    let mut services = names::services(outputs);
    let asked: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    let found = cluster.services(&asked).await?;
    for service in &mut services {
        let runs = found.iter().find(|one| names_it(one, &service.name)).map(|one| &one.task_definition);
        if let Some(runs) = runs
            && ecs::same(cluster.aws, runs, &service.task_definition).await?
        {
            service.task_definition.clone_from(runs);
        }
    }
    Ok(services)
}

async fn states(
    aws: &Aws,
    outputs: &BTreeMap<String, String>,
    expected: &[Service],
    image: Option<&String>,
) -> Result<Vec<ServiceState>> {
    let Some(cluster) = outputs.get(outputs::CLUSTER).filter(|_| !expected.is_empty()) else {
        return Ok(Vec::new());
    };
    let canaries: Vec<Option<String>> = expected.iter().map(|service| canary(&service.serves)).collect();
    let asked = expected.iter().map(|service| &service.name).chain(canaries.iter().flatten());
    let asked: Vec<&str> = asked.map(String::as_str).collect();
    let found = Cluster { aws, name: cluster }.services(&asked).await?;
    let named = |name: &str| found.iter().find(|one| names_it(one, name));
    let states: Vec<_> = expected
        .iter()
        .zip(&canaries)
        .map(|(service, canary)| async move {
            let mut state = state(aws, service, named(&service.name), image).await?;
            // Its worker ends when its work does, whatever it runs.
            state.draining += canary.as_deref().and_then(named).map_or(0, |canary| canary.running_count);
            Ok(state)
        })
        .collect();
    stream::iter(states).buffered(READS).try_collect().await
}

/// The service of a worker set's canary, whether or not there is one.
fn canary(serves: &Serves) -> Option<String> {
    match serves {
        Serves::Component(_) => None,
        Serves::Workers(set) => Some(names::canary_service(set)),
    }
}

/// An output may be a name or an ARN.
fn names_it(found: &Found, name: &str) -> bool {
    name.rsplit('/').next() == Some(found.service_name.as_str())
}

async fn state(
    aws: &Aws,
    service: &Service,
    found: Option<&Found>,
    stack: Option<&String>,
) -> Result<ServiceState> {
    let absent = ServiceState { title: service.title.clone(), ..ServiceState::default() };
    let Some(found) = found else { return Ok(absent) };
    let current = ecs::same(aws, &found.task_definition, &service.task_definition).await?;
    let image = match stack.filter(|_| current) {
        Some(image) => Some(image.clone()),
        None => {
            let defined = ecs::task_definition(aws, &found.task_definition).await?;
            defined.container_definitions.into_iter().next().map(|container| container.image)
        }
    };
    let primary = found.primary();
    let new = primary.map_or(0, |primary| primary.running_count);
    Ok(ServiceState {
        task_definition: short(&found.task_definition).to_owned(),
        image,
        current,
        failed: primary.is_some_and(|primary| primary.rollout_state == "FAILED"),
        running: new,
        wanted: found.desired_count,
        draining: (found.running_count - new).max(0),
        ..absent
    })
}

/// `family:revision`.
fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
