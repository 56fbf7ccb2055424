//! The canary of a worker set on ECS: a worker of the new revision in a service of its own, before the set's service
//! moves. ECS itself brings a revision to a part of a service only behind a load balancer.
//!
//! The service is the stack's (`templates/engines/ecs/service.yaml`). How many tasks it has, none or one, is said here.

use super::super::patience::Patience;
use super::canary::{self, Watch};
use super::ecs::{self, Count, Order};
use super::failure::{self, Why};
use crate::doors::backoff::Backoff;
use crate::doors::ecs::{Cluster, Filter, Service, Task};
use crate::doors::store::Store;
use crate::fail::{Fail, Result};
use crate::model::digest::Digest;
use crate::model::event::Sink;
use crate::model::names::{self, Serves};
use crate::plan::canary::Verdict;
use futures_util::future::try_join_all;
use std::time::Duration;

/// A worker set and its canary.
pub(super) struct Canary<'a> {
    set: &'a Order<'a>,
    title: String,
    service: String,
}

impl<'a> Canary<'a> {
    /// None of what is no worker set.
    pub(super) fn of(serves: &Serves, set: &'a Order<'a>) -> Option<Self> {
        let Serves::Workers(name) = serves else { return None };
        Some(Self { set, title: format!("canary of {}", set.title), service: names::canary_service(name) })
    }

    pub(super) fn goes_before(&self, order: &Order<'_>) -> bool {
        self.set.service == order.service
    }

    /// One task. What an interrupted deployment has left of this very revision will do.
    fn order(&self) -> Order<'_> {
        Order {
            title: &self.title,
            service: &self.service,
            definition: self.set.definition,
            count: Count::Exactly(1),
            anew: false,
            protects: true,
        }
    }
}

/// Wants none of these canaries any more; environments that have none are left alone. The number of those that end with
/// their last task.
pub(super) async fn dismiss(cluster: Cluster<'_>, canaries: &[&Canary<'_>]) -> Result<usize> {
    let names: Vec<&str> = canaries.iter().map(|canary| canary.service.as_str()).collect();
    let mut draining = 0;
    for service in cluster.services(&names).await? {
        let name = &service.service_name;
        if service.desired_count > 0 {
            end(cluster, &service).await?;
        } else if service.running_count == 0 {
            continue;
        }
        let tasks = cluster.tasks(Filter::Service(name)).await?;
        let tasks: Vec<String> = tasks.into_iter().map(|task| task.task_arn).collect();
        draining += cluster.protected(&tasks).await?.len();
    }
    Ok(draining)
}

/// A service whose deployment was given up starts and stops nothing more, until another one begins.
async fn end(cluster: Cluster<'_>, service: &Service) -> Result<()> {
    let name = &service.service_name;
    let stalls = service.primary().is_some_and(|primary| primary.rollout_state == "FAILED");
    if stalls {
        return cluster.update(name, &service.task_definition, Some(0), true).await;
    }
    cluster.resize(name, 0).await
}

/// What the canaries of these sets are for.
pub(super) struct Trial<'a> {
    pub store: &'a Store,
    pub image: Digest,
    pub limit: Duration,
    pub first: &'a [&'a Canary<'a>],
}

impl Trial<'_> {
    /// Gives each of the sets its canary and waits until all of them have run a task, or have had the time to. The first
    /// one whose tasks fail, or that ends by itself, is the end of the rollout.
    pub(super) async fn run(&self, cluster: Cluster<'_>, sink: &Sink) -> Result<()> {
        let begin = self.first.iter().map(|canary| async { ecs::roll(cluster, &canary.order(), sink).await });
        try_join_all(begin).await?;
        let aws = cluster.aws.watching();
        let cluster = Cluster { aws: &aws, name: cluster.name };
        let mut watched: Vec<Watched> = self.first.iter().map(|canary| self.watched(canary)).collect();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut patience = Patience::new(sink);
        loop {
            let mut left = Vec::new();
            for mut one in watched {
                match one.look(cluster, self.limit).await {
                    Ok(Seen::Waits) => left.push(one),
                    Ok(Seen::Passes(why)) => sink.note(format!("{}: {why}", one.canary.title)),
                    Ok(Seen::Fails(why)) => return Err(*why),
                    Err(fail) => {
                        patience.bear(fail)?;
                        left.push(one);
                        continue;
                    }
                }
                patience.well();
            }
            let Some(first) = left.first() else { return Ok(()) };
            sink.progress(format!("{}: {}", first.canary.title, first.watch.told()));
            watched = left;
            backoff.wait().await;
        }
    }

    fn watched<'a>(&'a self, canary: &'a Canary<'a>) -> Watched<'a> {
        Watched { canary, watch: Watch::new(self.store, self.image, self.limit), tasks: Vec::new() }
    }
}

struct Watched<'a> {
    canary: &'a Canary<'a>,
    watch: Watch<'a>,
    /// All that it has had, by their ARNs: ECS replaces one whose host goes.
    tasks: Vec<String>,
}

enum Seen {
    Waits,
    Passes(String),
    Fails(Box<Fail>),
}

impl Watched<'_> {
    async fn look(&mut self, cluster: Cluster<'_>, limit: Duration) -> Result<Seen> {
        let Canary { set, service, .. } = self.canary;
        let mut live = cluster.tasks(Filter::Service(service)).await?;
        live.retain(|task| task.task_definition_arn == set.definition);
        for gone in self.tasks.iter().filter(|arn| live.iter().all(|task| task.task_arn != **arn)) {
            if cluster.task(gone).await?.is_some_and(|task| has_failed(&task)) {
                let why = failure::explain(cluster, &self.canary.order(), Why::Canary).await;
                return Ok(Seen::Fails(Box::new(why)));
            }
        }
        let new = live.into_iter().map(|task| task.task_arn).filter(|arn| !self.tasks.contains(arn));
        let new: Vec<String> = new.collect();
        self.tasks.extend(new);
        let ids: Vec<String> = self.tasks.iter().map(|arn| names::task_id(arn).to_owned()).collect();
        Ok(match self.watch.look(&ids, true).await? {
            Verdict::Waiting => Seen::Waits,
            Verdict::Proven(task) => Seen::Passes(format!("has run {task}")),
            Verdict::NothingRan => {
                let minutes = limit.as_secs() / 60;
                Seen::Passes(format!("no task came within {minutes} min, so the others follow"))
            }
            Verdict::Failed(task) => {
                let canary = format!("service `{service}`");
                Seen::Fails(Box::new(canary::failed(set.title, &canary, &task, limit)))
            }
        })
    }
}

/// By itself or by its health check, and not since its host goes or somebody stopped it.
fn has_failed(task: &Task) -> bool {
    task.stop_code.as_deref() == Some("EssentialContainerExited") || task.health_status == "UNHEALTHY"
}
