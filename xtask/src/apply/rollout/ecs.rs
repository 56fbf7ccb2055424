//! ECS: moves one service to a task definition and waits for the truth about it.
//!
//! A service that is "stable" may have been rolled back by its circuit breaker, which CloudFormation and the waiters of
//! AWS call fine. Only its deployment tells: it has to be SUCCESSFUL, on the revision that was asked for.

use super::super::patience::{Patience, patiently};
use super::failure::{self, Why};
use crate::doors::aws;
use crate::doors::backoff::Backoff;
use crate::doors::ecs::{Cluster, Filter, Service, ServiceDeployment};
use crate::doors::time::Stopwatch;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use std::time::Duration;

/// How long nothing may change. A task waits half an hour for the migration, which has run by now.
const STANDSTILL: Duration = Duration::from_secs(30 * 60);
/// How long ECS may take to take a deployment back. Behind protected tasks that can be two days.
const ROLLBACK: Duration = Duration::from_secs(10 * 60);
/// How often tasks are asked to be replaced, while ECS throttles or says nothing.
const ATTEMPTS: usize = 9;
/// Until a deployment that was asked for is listed.
const BEGIN: Duration = Duration::from_secs(60);

/// What a service is to become.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    pub title: &'a str,
    pub service: &'a str,
    /// The ARN of a revision.
    pub definition: &'a str,
    pub count: Count,
    /// Tasks have to start again even if they are of this revision: a secret has changed.
    pub anew: bool,
    /// Its tasks protect themselves while they work.
    pub protects: bool,
}

/// How many tasks, where others have a say as well: the scaler, and target tracking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Exactly(i64),
    AtLeast(i64),
    Any,
}

impl Count {
    fn of(self, now: i64) -> i64 {
        match self {
            Self::Exactly(count) => count,
            Self::AtLeast(fewest) => now.max(fewest),
            Self::Any => now,
        }
    }
}

/// What a look at a service shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// It is to be moved, with so many tasks that it has or is to have.
    Other { from: String, tasks: i64 },
    /// It runs what it should; so many tasks of before end when their work does.
    There { draining: usize },
}

/// Whether the service runs what is ordered, as its last deployment tells.
pub async fn look(cluster: Cluster<'_>, order: &Order<'_>) -> Result<Seen> {
    let service = service(cluster, order).await?;
    let tasks = order.count.of(service.desired_count).max(service.running_count);
    let other = Seen::Other { from: service.task_definition.clone(), tasks };
    if order.anew || !is_set(&service, order) {
        return Ok(other);
    }
    let Some(last) = cluster.last_deployment(order.service).await? else { return Ok(other) };
    if !is_ours(cluster, &last, order).await? {
        return Ok(other);
    }
    match last.status.as_str() {
        "SUCCESSFUL" => Ok(Seen::There { draining: 0 }),
        "IN_PROGRESS" => {
            let draining = released(cluster, &last, order).await?;
            Ok(draining.map_or(other, |draining| Seen::There { draining }))
        }
        _ => Ok(other),
    }
}

fn is_set(service: &Service, order: &Order<'_>) -> bool {
    service.task_definition == order.definition
        && order.count.of(service.desired_count) == service.desired_count
}

async fn service(cluster: Cluster<'_>, order: &Order<'_>) -> Result<Service> {
    cluster.services(&[order.service]).await?.into_iter().next().ok_or_else(|| {
        Fail::failed(format!("cluster `{}` has no service `{}`", cluster.name, order.service))
            .hint("deploy again: the stack's outputs name a service that somebody has deleted")
    })
}

/// Moves the service, unless a deployment of just that is under way, and follows it to its end. The number of tasks
/// that go on with what they have begun.
pub async fn roll(cluster: Cluster<'_>, order: &Order<'_>, sink: &Sink) -> Result<usize> {
    let (service, last, ours) = patiently(sink, || found(cluster, order)).await?;
    let same = service.task_definition == order.definition;
    let ours = last.as_ref().filter(|_| ours);
    let count = order.count.of(service.desired_count);
    let count = (count != service.desired_count).then_some(count);
    let arn = match ours.map(|ours| (ours.status.as_str(), ours)) {
        // ECS begins no deployment for a mere number of tasks.
        Some(("SUCCESSFUL", _)) => return resize(cluster, order, count, sink).await,
        Some(("PENDING" | "IN_PROGRESS", ours)) => {
            if count.is_some() {
                cluster.update(order.service, order.definition, count, false).await?;
            }
            ours.service_deployment_arn.clone()
        }
        _ => {
            // Nor for anything that is so already, unless it is told to.
            if order.anew || same {
                force(cluster, order, count, &service, sink).await?;
            } else {
                cluster.update(order.service, order.definition, count, false).await?;
            }
            let before = last.as_ref().map(|last| last.service_deployment_arn.as_str());
            begun(cluster, order, before, sink).await?
        }
    };
    follow(cluster, &arn, order, sink).await
}

/// Has every task replaced. Each request would begin a deployment, so where the answer to one was lost, the service is
/// looked at before another is sent.
async fn force(
    cluster: Cluster<'_>,
    order: &Order<'_>,
    count: Option<i64>,
    before: &Service,
    sink: &Sink,
) -> Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut attempts = 0;
    loop {
        let fail = match cluster.update(order.service, order.definition, count, true).await {
            Err(fail) if aws::is_passing(&fail) => fail,
            answer => return answer,
        };
        backoff.wait().await;
        let now = patiently(sink, || service(cluster, order)).await?;
        attempts += 1;
        if primary(&now) != primary(before) {
            return Ok(());
        }
        if attempts >= ATTEMPTS {
            return Err(fail);
        }
    }
}

/// The deployment that the tasks of a service are to be of.
fn primary(service: &Service) -> Option<&str> {
    service.primary().map(|deployment| deployment.id.as_str())
}

/// The service, its last deployment, and whether that is the one which is ordered.
async fn found(
    cluster: Cluster<'_>,
    order: &Order<'_>,
) -> Result<(Service, Option<ServiceDeployment>, bool)> {
    let service = service(cluster, order).await?;
    let last = cluster.last_deployment(order.service).await?;
    let same = service.task_definition == order.definition && !order.anew;
    let ours = match &last {
        Some(last) if same => is_ours(cluster, last, order).await?,
        _ => false,
    };
    Ok((service, last, ours))
}

/// Until as many tasks run as are wanted.
async fn resize(cluster: Cluster<'_>, order: &Order<'_>, count: Option<i64>, sink: &Sink) -> Result<usize> {
    let Some(wanted) = count else { return Ok(0) };
    cluster.update(order.service, order.definition, count, false).await?;
    let aws = cluster.aws.watching();
    let cluster = Cluster { aws: &aws, name: cluster.name };
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut standstill = Standstill::start();
    let mut running = 0;
    let mut patience = Patience::new(sink);
    loop {
        match service(cluster, order).await {
            Ok(service) => {
                patience.well();
                running = service.running_count;
            }
            Err(fail) => patience.bear(fail).map_err(|fail| fail.hint(GOES_ON))?,
        }
        if running >= wanted {
            return Ok(0);
        }
        let way = format!("{running} of {wanted} running");
        sink.progress(format!("{}: {way}", order.title));
        if standstill.at(&way) >= STANDSTILL {
            return Err(failure::explain(cluster, order, Why::Stands(&way, STANDSTILL)).await);
        }
        backoff.wait().await;
    }
}

/// For how long something has been told to be the same.
pub(super) struct Standstill {
    way: String,
    since: Stopwatch,
}

impl Standstill {
    pub(super) fn start() -> Self {
        Self { way: String::new(), since: Stopwatch::start() }
    }

    pub(super) fn at(&mut self, way: &str) -> Duration {
        if self.way != way {
            *self = Self { way: way.to_owned(), since: Stopwatch::start() };
        }
        self.since.elapsed()
    }
}

/// The deployment that the update began. It takes a moment to be listed.
async fn begun(cluster: Cluster<'_>, order: &Order<'_>, before: Option<&str>, sink: &Sink) -> Result<String> {
    let aws = cluster.aws.watching();
    let cluster = Cluster { aws: &aws, name: cluster.name };
    let watch = Stopwatch::start();
    let mut patience = Patience::new(sink);
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        match new_since(cluster, order, before).await {
            Ok(Some((arn, true))) => return Ok(arn),
            Ok(Some((_, false))) => return Err(taken(order)),
            Ok(_) if watch.elapsed() >= BEGIN => {
                let none = format!("ECS has begun no deployment of service `{}`", order.service);
                return Err(Fail::failed(none).hint("run the same command again"));
            }
            Ok(_) => patience.well(),
            Err(fail) => patience.bear(fail)?,
        }
        backoff.wait().await;
    }
}

/// A deployment that is not the one before, and whether it is the one which is ordered.
async fn new_since(
    cluster: Cluster<'_>,
    order: &Order<'_>,
    before: Option<&str>,
) -> Result<Option<(String, bool)>> {
    let last = cluster.last_deployment(order.service).await?;
    let Some(last) = last.filter(|last| Some(last.service_deployment_arn.as_str()) != before) else {
        return Ok(None);
    };
    let ours = is_ours(cluster, &last, order).await?;
    Ok(Some((last.service_deployment_arn, ours)))
}

fn taken(order: &Order<'_>) -> Fail {
    Fail::failed(format!("somebody else has moved service `{}` in the meantime", order.service))
        .cause(format!("its last deployment is not to `{}`", order.definition))
        .hint("look at who deploys it besides this tool, then run the same command again")
}

async fn is_ours(cluster: Cluster<'_>, deployment: &ServiceDeployment, order: &Order<'_>) -> Result<bool> {
    let Some(target) = &deployment.target_service_revision else { return Ok(false) };
    Ok(cluster.definition_of(&target.arn).await? == order.definition)
}

const GOES_ON: &str = "the deployment goes on without this tool: run the same command again to follow it";

async fn follow(cluster: Cluster<'_>, arn: &str, order: &Order<'_>, sink: &Sink) -> Result<usize> {
    let aws = cluster.aws.watching();
    let cluster = Cluster { aws: &aws, name: cluster.name };
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut standstill = Standstill::start();
    let mut patience = Patience::new(sink);
    loop {
        match step(cluster, arn, order).await {
            Ok(Step::Done(draining)) => return Ok(draining),
            Ok(Step::Failed(deployment)) => {
                return Err(failure::explain(cluster, order, Why::Ended(&deployment)).await);
            }
            Ok(Step::Under { way, limit }) => {
                patience.well();
                sink.progress(format!("{}: {way}", order.title));
                if standstill.at(&way) >= limit {
                    return Err(failure::explain(cluster, order, Why::Stands(&way, limit)).await);
                }
            }
            Err(fail) => patience.bear(fail).map_err(|fail| fail.hint(GOES_ON))?,
        }
        backoff.wait().await;
    }
}

/// How far a deployment is.
enum Step {
    Done(usize),
    Failed(Box<ServiceDeployment>),
    Under { way: String, limit: Duration },
}

async fn step(cluster: Cluster<'_>, arn: &str, order: &Order<'_>) -> Result<Step> {
    let deployment = cluster.deployment(arn).await?;
    match deployment.status.as_str() {
        "SUCCESSFUL" if is_ours(cluster, &deployment, order).await? => return Ok(Step::Done(0)),
        _ if deployment.is_over() => return Ok(Step::Failed(Box::new(deployment))),
        "IN_PROGRESS" => {
            if let Some(draining) = released(cluster, &deployment, order).await? {
                return Ok(Step::Done(draining));
            }
        }
        _ => {}
    }
    let way = match &deployment.target_service_revision {
        Some(target) => format!(
            "{} · {} of {} running",
            words(&deployment.status),
            target.running_task_count,
            target.requested_task_count
        ),
        None => words(&deployment.status),
    };
    let limit = if deployment.status.starts_with("ROLLBACK") { ROLLBACK } else { STANDSTILL };
    Ok(Step::Under { way, limit })
}

/// `ROLLBACK_IN_PROGRESS` as people write it.
fn words(status: &str) -> String {
    status.to_lowercase().replace('_', " ")
}

/// The number of tasks of before that are left, if they are all that the deployment still waits for: each protects
/// itself until its work is done, while all wanted tasks of the new revision run and are well.
async fn released(
    cluster: Cluster<'_>,
    deployment: &ServiceDeployment,
    order: &Order<'_>,
) -> Result<Option<usize>> {
    let Some(target) = deployment.target_service_revision.as_ref().filter(|_| order.protects) else {
        return Ok(None);
    };
    if target.pending_task_count > 0 || target.running_task_count < target.requested_task_count {
        return Ok(None);
    }
    let wanted = service(cluster, order).await?.desired_count;
    let tasks = cluster.tasks(Filter::Service(order.service)).await?;
    let (new, old): (Vec<_>, Vec<_>) =
        tasks.into_iter().partition(|task| task.task_definition_arn == order.definition);
    let well = new.iter().filter(|task| task.health_status == "HEALTHY").count();
    if old.is_empty() || i64::try_from(well).unwrap_or(i64::MAX) < wanted {
        return Ok(None);
    }
    let old: Vec<String> = old.into_iter().map(|task| task.task_arn).collect();
    let protected = cluster.protected(&old).await?;
    Ok(old.iter().all(|task| protected.contains(task)).then_some(old.len()))
}

#[cfg(test)]
#[path = "ecs_tests.rs"]
mod tests;
