//! The rollout to a worker set: in place, or by hosts that are launched in their stead where `plan/replacement.rs` says
//! so. Those that are there go on standby, where they take tasks until the others do; then they end with their last
//! task, which their keepers see to (`ductwork_airflow/hosts/keeper.py`).
//!
//! CodeDeploy gives a launched host the last revision that succeeded, which is the one before. So the deployment begins
//! while no host is in service: it fails for want of hosts, but from then on the gate of workers keeps new ones from
//! taking tasks on the old code, and the deployment that follows finds them idle.

use super::codedeploy::{self, Order};
use super::ecs::Standstill;
use super::election::{Canary, Election};
use crate::doors::aws::{self, Aws};
use crate::doors::backoff::Backoff;
use crate::doors::time::Stopwatch;
use crate::fail::{Fail, Result};
use crate::model::event::Sink;
use crate::model::text::count;
use crate::observe::workers::{self, Workers};
use crate::plan::replacement::Set;
use std::time::Duration;

/// How long nothing may change on the way to a new host.
const LAUNCH: Duration = Duration::from_secs(30 * 60);
/// Hosts without a task are gone by then.
const GOING: Duration = Duration::from_secs(60);
/// As many as Auto Scaling takes in one request.
const BATCH: usize = 19;

/// The hosts of a worker set, and how they are changed.
#[derive(Clone, Copy, Debug)]
pub struct Hosts<'a> {
    /// The name of the set.
    pub set: &'a str,
    /// Their Auto Scaling group.
    pub group: &'a str,
    /// CodeDeploy's deployment configuration.
    pub config: &'a str,
    /// How long a worker may drain.
    pub budget: Duration,
    /// How one of them goes first.
    pub canary: Canary<'a>,
}

/// Brings the revision to the set. The number of hosts of before that end with their last task.
pub async fn roll(aws: &Aws, order: &Order<'_>, hosts: &Hosts<'_>, sink: &Sink) -> Result<usize> {
    let mut now = workers::read(aws, hosts.group).await?;
    // Left by a rollout that was interrupted once others served, or before that.
    if !now.on_standby().is_empty() && codedeploy::is_settled(aws, order).await? {
        retire(aws, hosts.group, &now, sink).await?;
        now = workers::read(aws, hosts.group).await?;
    }
    let in_the_middle = !now.on_standby().is_empty();
    if !in_the_middle {
        let set = Set {
            now: now.in_service().len(),
            fewest: usize::try_from(now.fewest).unwrap_or_default(),
            config: hosts.config,
            budget: hosts.budget,
            canary: hosts.canary.limit,
        };
        let why = set.replaced_because();
        let Some(why) = why.filter(|_| now.most > 0) else {
            deploy(aws, order, hosts, Way { serving: set.now, replaced: false }, sink).await?;
            return Ok(workers::read(aws, hosts.group).await?.draining().len());
        };
        if !codedeploy::has_succeeded(aws, order).await? {
            deploy(aws, order, hosts, Way { serving: set.now, replaced: false }, sink).await?;
            return Ok(0);
        }
        sink.note(format!("{}: {} replaced, because {why}", order.group, count(set.now, "host")));
        stand_by(aws, hosts.group, &now.in_service()).await?;
    }
    let way = |serving: usize| Way { serving, replaced: true };
    let serving = if in_the_middle { now.in_service().len() } else { 0 };
    deploy(aws, order, hosts, way(serving), sink).await?;
    let now = relieved(aws, hosts.group, sink).await?;
    if !codedeploy::reached(aws, order).await? {
        deploy(aws, order, hosts, way(now.in_service().len()), sink).await?;
    }
    let now = workers::read(aws, hosts.group).await?;
    retire(aws, hosts.group, &now, sink).await
}

/// How a deployment meets the hosts.
struct Way {
    serving: usize,
    replaced: bool,
}

/// With several hosts, one of them goes first if the environment wants that.
async fn deploy(aws: &Aws, order: &Order<'_>, hosts: &Hosts<'_>, way: Way, sink: &Sink) -> Result<()> {
    let wait = Set::longest_wait(hosts.budget, way.replaced);
    let limit = hosts.canary.limit.filter(|_| way.serving > 1);
    let mut election = Election::new(Canary { limit, ..hosts.canary }, hosts.set, order.key, wait);
    codedeploy::roll(aws, order, Some(&mut election), sink).await
}

/// Of a set that has the revision already: what an interrupted rollout has left on standby ends. The number of hosts
/// that go on until their last task.
pub async fn settle(aws: &Aws, hosts: &Hosts<'_>, sink: &Sink) -> Result<usize> {
    let now = workers::read(aws, hosts.group).await?;
    if now.on_standby().is_empty() {
        return Ok(now.draining().len());
    }
    relieved(aws, hosts.group, sink).await?;
    retire(aws, hosts.group, &now, sink).await
}

/// Auto Scaling launches as many others, since as many are wanted as before. A request whose answer was lost is sent
/// again, and then refused because of the first one: the group tells what became of it.
async fn stand_by(aws: &Aws, group: &str, hosts: &[String]) -> Result<()> {
    for some in hosts.chunks(BATCH) {
        let request = aws.autoscaling.enter_standby().auto_scaling_group_name(group);
        let request = request.set_instance_ids(Some(some.to_vec())).should_decrement_desired_capacity(false);
        let Err(error) = request.send().await else { continue };
        let what = format!("cannot put the hosts of group `{group}` on standby");
        let fail = aws::failure("Auto Scaling", what, error);
        let serving = workers::read(aws, group).await?.in_service();
        if some.iter().any(|host| serving.contains(host)) {
            return Err(fail);
        }
    }
    Ok(())
}

/// Until as many hosts are in service as are wanted.
async fn relieved(aws: &Aws, group: &str, sink: &Sink) -> Result<Workers> {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    let mut standstill = Standstill::start();
    loop {
        let now = workers::read(aws, group).await?;
        let serving = now.in_service().len();
        if serving >= usize::try_from(now.wanted.max(now.fewest)).unwrap_or_default() {
            return Ok(now);
        }
        let way = now.coming().unwrap_or_else(|| format!("{} in service", count(serving, "host")));
        sink.progress(format!("{group}: {way}"));
        if standstill.at(&way) >= LAUNCH {
            let minutes = LAUNCH.as_secs() / 60;
            return Err(Fail::failed(format!("no new host of group `{group}` came into service"))
                .cause(format!("{way}, with no change for {minutes} minutes"))
                .cause("the hosts of before are on standby and go on with their work")
                .hint("look at the activity of the Auto Scaling group, which says why, then run the same command again"));
        }
        backoff.wait().await;
    }
}

/// Lets the hosts on standby end, each with its last task. Waits for those that have none.
async fn retire(aws: &Aws, group: &str, now: &Workers, sink: &Sink) -> Result<usize> {
    for host in now.on_standby() {
        let request = aws.autoscaling.terminate_instance_in_auto_scaling_group();
        let request = request.instance_id(&host).should_decrement_desired_capacity(false);
        match request.send().await {
            // Gone already.
            Err(error) if aws::code(&error) != "ValidationError" => {
                let what = format!("cannot end host `{host}` of group `{group}`");
                return Err(aws::failure("Auto Scaling", what, error));
            }
            Ok(_) | Err(_) => {}
        }
    }
    let watch = Stopwatch::start();
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
    loop {
        let now = workers::read(aws, group).await?;
        let draining = now.draining();
        let idle = draining.iter().filter(|host| !now.busy.contains(*host)).count();
        if idle == 0 || watch.elapsed() >= GOING {
            return Ok(draining.len());
        }
        sink.progress(format!("{group}: {} without a task ending", count(idle, "host")));
        backoff.wait().await;
    }
}

#[cfg(test)]
#[path = "replace_tests.rs"]
mod tests;
