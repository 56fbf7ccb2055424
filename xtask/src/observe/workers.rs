//! The workers of a set as what scales them sees them.

use crate::doors::aws::{self, Aws};
use crate::doors::ecs::Cluster;
use crate::fail::{Fail, Result};
use crate::model::contract::CONTRACT;
use crate::model::names::{self, Serves, outputs};
use crate::model::services::WorkerHosts;
use crate::model::text::count;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    /// How many hosts there may be at most at this time.
    pub most: i32,
    pub wanted: i32,
    /// How many there are at least at this time.
    pub fewest: i32,
    /// Lifecycle states by instance id.
    pub hosts: BTreeMap<String, String>,
    /// Those that run tasks, as their keepers say.
    pub busy: BTreeSet<String>,
}

impl Workers {
    /// What is under way to the next worker, if anything is.
    #[must_use]
    pub fn coming(&self) -> Option<String> {
        let in_state = |wanted: fn(&str) -> bool| self.hosts.values().filter(|state| wanted(state)).count();
        let installing = in_state(|state| state.starts_with("Pending:"));
        let launching = in_state(|state| state == "Pending");
        let there = installing + launching + self.in_service().len();
        let requested = usize::try_from(self.wanted).unwrap_or_default().saturating_sub(there);
        let parts = [(installing, "being set up"), (launching, "launching"), (requested, "requested")];
        let told = parts.iter().filter(|(number, _)| *number > 0);
        let told: Vec<String> =
            told.map(|(number, what)| format!("{} {what}", count(*number, "host"))).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }

    /// Ids of the hosts that take tasks.
    #[must_use]
    pub fn in_service(&self) -> Vec<String> {
        self.in_state("InService")
    }

    /// Ids of the hosts that take tasks until others have come in their stead.
    #[must_use]
    pub fn on_standby(&self) -> Vec<String> {
        self.in_state("Standby")
    }

    /// Ids of the hosts that end with their last task.
    #[must_use]
    pub fn draining(&self) -> Vec<String> {
        self.in_state("Terminating:Wait")
    }

    fn in_state(&self, wanted: &str) -> Vec<String> {
        self.hosts.iter().filter(|(_, state)| *state == wanted).map(|(id, _)| id.clone()).collect()
    }
}

/// Whether `[schedule]` keeps all workers of the default set away: none will come, whatever is asked for.
pub async fn asleep(aws: &Aws, outputs: &BTreeMap<String, String>) -> Result<bool> {
    let set = &CONTRACT.worker_set.default;
    if let Some(group) = names::worker_groups(outputs).get(set) {
        return Ok(read(aws, group).await?.most == 0);
    }
    let services = names::services(outputs);
    let service = services.iter().find(|one| matches!(&one.serves, Serves::Workers(name) if name == set));
    let (Some(service), Some(name)) = (service, outputs.get(outputs::CLUSTER)) else { return Ok(false) };
    Ok(Cluster { aws, name }.most_tasks(&service.name).await? == Some(0))
}

/// The worker sets with hosts of their own. None on other engines.
pub async fn sets(aws: &Aws, outputs: &BTreeMap<String, String>) -> Result<Vec<WorkerHosts>> {
    let groups = names::worker_groups(outputs);
    let mut found = read_all(aws, &groups.values().cloned().collect::<Vec<_>>()).await?;
    let hosts = |(name, group): (String, String)| {
        let now = found.remove(&group).unwrap_or_default();
        WorkerHosts {
            name,
            running: now.in_service().len(),
            wanted: now.wanted,
            draining: now.draining().len(),
            standby: now.on_standby().len(),
        }
    };
    Ok(groups.into_iter().map(hosts).collect())
}

/// Most groups in one question.
const GROUPS: usize = 50;

/// The hosts of the Auto Scaling group now.
pub async fn read(aws: &Aws, group: &str) -> Result<Workers> {
    let mut found = read_all(aws, &[group.to_owned()]).await?;
    Ok(found.remove(group).unwrap_or_default())
}

/// The hosts of these Auto Scaling groups now, by the names of the groups; each has to be there.
pub async fn read_all(aws: &Aws, groups: &[String]) -> Result<BTreeMap<String, Workers>> {
    let mut found = BTreeMap::new();
    for some in groups.chunks(GROUPS) {
        let describe = aws.autoscaling.describe_auto_scaling_groups();
        let answer = describe.set_auto_scaling_group_names(Some(some.to_vec())).send().await;
        let what = || format!("cannot read the hosts of group `{}`", some.join("`, `"));
        let answer = answer.map_err(|e| aws::failure("Auto Scaling", what(), e))?;
        let named =
            |group: &AutoScalingGroup| Some((group.auto_scaling_group_name()?.to_owned(), workers(group)));
        found.extend(answer.auto_scaling_groups().iter().filter_map(named));
    }
    match groups.iter().find(|group| !found.contains_key(*group)) {
        None => Ok(found),
        Some(group) => Err(Fail::failed(format!("there is no Auto Scaling group `{group}`"))
            .hint("deploy again: the stack's outputs name a group that somebody has deleted")),
    }
}

fn workers(group: &AutoScalingGroup) -> Workers {
    let state = |host: &Instance| host.lifecycle_state().map(|state| state.as_str().to_owned());
    let host = |host: &Instance| Some((host.instance_id()?.to_owned(), state(host)?));
    let busy = |host: &Instance| {
        host.protected_from_scale_in().unwrap_or_default().then(|| host.instance_id().map(str::to_owned))?
    };
    Workers {
        most: group.max_size().unwrap_or_default(),
        wanted: group.desired_capacity().unwrap_or_default(),
        fewest: group.min_size().unwrap_or_default(),
        hosts: group.instances().iter().filter_map(host).collect(),
        busy: group.instances().iter().filter_map(busy).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::fake_ecs::FakeEcs;

    #[tokio::test]
    async fn a_service_sleeps_that_may_have_no_task() {
        let outputs = [
            (outputs::CLUSTER, "dev"),
            (outputs::WORKER_SETS, r#"{"default": {"prefix": "Worker", "min": 1}}"#),
            ("WorkerService", "arn:aws:ecs:r:1:service/dev/worker-default"),
            ("WorkerTaskDefinition", "worker:1"),
        ];
        let outputs = outputs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for (most, asleep) in [(Some(0), true), (Some(4), false), (None, false)] {
            let fake = FakeEcs::default();
            let fake = most.map_or(fake.clone(), |most| fake.scaled("service/dev/worker-default", most));
            assert_eq!(super::asleep(&fake.aws(), &outputs).await.unwrap(), asleep, "{most:?}");
        }
        let elsewhere = BTreeMap::new();
        assert!(
            !super::asleep(&FakeEcs::default().aws(), &elsewhere).await.unwrap(),
            "the ECS executor alone has no workers"
        );
    }

    fn with(wanted: i32, states: &[&str]) -> Workers {
        let hosts = states.iter().enumerate().map(|(i, state)| (format!("i-{i}"), (*state).to_owned()));
        Workers { most: 3, wanted, hosts: hosts.collect(), ..Workers::default() }
    }

    #[test]
    fn what_is_on_its_way_is_told_by_its_state() {
        let coming = |wanted, states: &[&str]| with(wanted, states).coming().unwrap_or_default();
        assert_eq!(coming(0, &[]), "");
        assert_eq!(coming(1, &[]), "1 host requested");
        assert_eq!(coming(1, &["Pending"]), "1 host launching");
        assert_eq!(coming(1, &["Pending:Wait"]), "1 host being set up");
        assert_eq!(coming(1, &["InService"]), "");
        assert_eq!(
            coming(1, &["Terminating:Wait"]),
            "1 host requested",
            "one that goes is no worker any more"
        );
        let many = coming(3, &["InService", "Pending", "Pending:Proceed"]);
        assert_eq!(many, "1 host being set up, 1 host launching");
    }
}
